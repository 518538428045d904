"""What REST handlers answer with: JSON, pages of it, and GitLab's way with times and numbers."""

from collections.abc import Sequence
from datetime import UTC, datetime

from registry.domain.errors import InvalidParameters
from registry.domain.paths import id_in
from registry.web.errors import answer, secure
from registry.web.rest.paging import Paging, page_headers
from registry.web.routes import Call


def reply(call: Call, value: object, status: int = 200) -> bytes:
    """`value` as JSON. GitLab: what one caller is told is private to him and asked for anew each time."""
    body = answer(call.request, status, value)
    call.request.setHeader(b"cache-control", b"max-age=0, private, must-revalidate")
    return body


def reply_page(call: Call, rows: Sequence[object], total: int, paging: Paging, base: str) -> bytes:
    """One page of a list, with GitLab's pagination headers; `base` is the external URL (or mount path) of the registry."""
    page_headers(call.request, paging, total, base + call.request.path.decode("ascii", "replace"))
    return reply(call, list(rows))


def nothing(call: Call) -> bytes:
    """Done, and nothing to say: 204."""
    call.request.setResponseCode(204)
    secure(call.request)
    return b""


def iso(moment: datetime | None) -> str | None:
    """A moment as GitLab writes it: ISO 8601 with milliseconds and Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day(moment: datetime | None) -> str | None:
    """A moment as GitLab writes the expiry of user tokens: a date if it is one (00:00 UTC), else the full time."""
    if moment is None:
        return None
    utc = moment.astimezone(UTC)
    is_date = (utc.hour, utc.minute, utc.second, utc.microsecond) == (0, 0, 0, 0)
    return utc.date().isoformat() if is_date else iso(moment)


def number(name: str, text: str) -> int:
    """A number in a path. Raises `InvalidParameters` (GitLab: 400 `<name> is invalid`)."""
    found = id_in(text)
    if found is None:
        raise InvalidParameters(problem=f"{name} is invalid")
    return found
