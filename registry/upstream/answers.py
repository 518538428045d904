"""What an answer's status and headers mean, and what went wrong where there is none."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.logger import Logger
from twisted.python.failure import Failure

from registry.domain.errors import RegistryError, UpstreamBroken, UpstreamUnavailable

_log = Logger()

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GIVEN = frozenset({304, 404, 410, 416})
# 401 and 403 are here: what keeps us out now is no reason to say that something does not exist.
_LATER = frozenset({401, 403, 407, 408, 425, 429})
_SUCCESS, _FAILURE = range(200, 300), range(500, 600)
RETRY_AFTER = 30
_LONGEST = 3600


def headers_of(response: Any) -> dict[str, str]:
    """An answer's headers by lower-case name; of one that comes several times the values joined by commas (RFC 9110, 5.3)."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in response.headers.getAllRawHeaders()
    }


def trouble(status: int, headers: Mapping[str, str], source: str) -> RegistryError | None:
    """What an answer that is no use is; None for 2xx, 304, 404, 410 and 416."""
    if status in _SUCCESS or status in _GIVEN:
        return None
    if status in _LATER or status in _FAILURE:
        return UpstreamUnavailable(source=source, problem=f"it answered with status {status}", retry_after=_wait(headers))
    return UpstreamBroken(source=source, problem=f"it answered with status {status}")


def _wait(headers: Mapping[str, str]) -> int:
    """Retry-After (RFC 9110, 10.2.3) in seconds, between a second and an hour; a date counts from the answer's own Date."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdecimal():
        return max(1, min(int(said[:9]), _LONGEST))
    until, now = _moment(said), _moment(headers.get("date", ""))
    if until is None or now is None:
        return RETRY_AFTER
    return max(1, min(int((until - now).total_seconds()), _LONGEST))


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def went_wrong(error: Exception, source: str) -> RegistryError:
    """What kept an answer from coming, as a value. `CancelledError` is not for here."""
    if isinstance(error, RegistryError):
        return error
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, RegistryError):
            return cause
    if any(type(cause).__module__.startswith(("OpenSSL", "service_identity")) for cause in causes):
        return UpstreamBroken(source=source, problem="its TLS certificate, or how it speaks TLS, is not to be trusted")
    if isinstance(error, DNSLookupError):
        return UpstreamUnavailable(source=source, problem="its name leads to no address")
    if isinstance(error, ConnectError):
        return UpstreamUnavailable(source=source, problem="no connection to it can be made")
    name = type(error).__name__
    if name in {"ResponseNeverReceived", "RequestTransmissionFailed", "RequestNotSent"}:
        return UpstreamUnavailable(source=source, problem="it closed the connection without an answer")
    if name == "ResponseFailed":
        return UpstreamBroken(source=source, problem="its answer is no HTTP, or broke off")
    _log.failure("asking {source} failed", Failure(error), source=source)
    return UpstreamBroken(source=source, problem="it cannot be asked; the log has more")


def never_answered(error: Exception) -> bool:
    """Whether a connection that had been kept for later was closed by the server meanwhile, so that the request can be sent again."""
    return type(error).__name__ in {"ResponseNeverReceived", "RequestTransmissionFailed", "RequestNotSent"}


def is_cancelled(error: Exception) -> bool:
    """Whether it is nobody's fault: whoever waited wants to wait no more. Twisted says so in several ways."""
    return any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in _causes(error))


def _causes(error: BaseException) -> "list[BaseException]":
    """An error and those that Twisted's client wrapped in it."""
    found: list[BaseException] = [error]
    for failure in getattr(error, "reasons", ()):
        found += _causes(failure.value)
    return found
