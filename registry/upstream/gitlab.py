"""IJobVerifier over HTTP: a GitLab instance is asked who runs a job."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.credentials import JobClaim
from registry.domain.tokens import Secret
from registry.interfaces import IJobVerifier

_log = Logger()

TIMEOUT = 5.0  # seconds, for the whole question
ANSWER_BYTES = 64 << 10
REMEMBER = 60.0  # seconds
_REMEMBERED = 10_000
_OK, _REFUSALS = 200, {400, 401, 403, 404}
_REF_LIMIT, _SHA_LIMIT = 255, 64


class Unusable(Exception):
    """The instance gave no usable answer; `str()` says why."""


@implementer(IJobVerifier)
@define(kw_only=True, eq=False)
class GitLabJobs:
    """The jobs of the instance at `url`. `agent` is an IAgent (None: an own one is made with the first question)."""

    url: str
    reactor: Any
    agent: Any = None
    # digest -> when it was asked, and what came of it
    _known: "OrderedDict[str, tuple[float, JobClaim | None]]" = field(init=False, factory=OrderedDict)
    _asking: "dict[str, list[Deferred[JobClaim | None]]]" = field(init=False, factory=dict)  # digest -> who else waits for it

    async def verify(self, secret: Secret) -> JobClaim | None:
        """IJobVerifier. However many ask about one token at once, the instance is asked once."""
        digest = secret.digest()
        known = self._known.get(digest)
        clock: IReactorTime = self.reactor
        if known is not None and clock.seconds() - known[0] < REMEMBER:
            return known[1]
        if digest in self._asking:
            waiting: Deferred[JobClaim | None] = Deferred()
            self._asking[digest].append(waiting)
            return await waiting
        self._asking[digest] = []
        claim: JobClaim | None = None
        try:
            began = clock.seconds()
            claim = await self._ask(secret)
            self._known[digest] = (began, claim)
            self._known.move_to_end(digest)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the instance, its jobs are strangers until it is right again
            _log.error("GitLab at {url} cannot be asked about a CI job token, which is refused: {error}", url=self.url, error=_told(error))
        finally:
            for one in self._asking.pop(digest):
                if not one.called:
                    one.callback(claim)
        return claim

    async def _ask(self, secret: Secret) -> JobClaim | None:
        asking: Deferred[tuple[int, bytes]] = Deferred.fromCoroutine(self._get(secret))
        status, body = await asking.addTimeout(TIMEOUT, self.reactor)
        if status in _REFUSALS:
            return None
        if status != _OK:
            raise Unusable(f"it answered with status {status}")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise Unusable("its answer is not JSON") from None
        return read_claim(found, self.url)

    async def _get(self, secret: Secret) -> tuple[int, bytes]:
        # Imported here: they take a while, and most registries have no GitLab beside them.
        from treq.client import HTTPClient  # noqa: PLC0415
        from twisted.web.client import Agent  # noqa: PLC0415

        if self.agent is None:
            self.agent = Agent(self.reactor, connectTimeout=TIMEOUT)
        headers: dict[bytes | str, bytes | str] = {
            "JOB-TOKEN": secret.reveal().encode("utf-8", "surrogateescape"),
            "Accept": "application/json",
        }
        # Redirects are not followed: they would take the token elsewhere.
        response = await HTTPClient(self.agent).get(f"{self.url}/api/v4/job", headers=headers, allow_redirects=False, unbuffered=True)
        return int(response.code), await _body(response.original)


def read_claim(found: object, url: str) -> JobClaim | None:
    """What GitLab's `/job` says; None unless the job is running. Raises `Unusable` when it is no such answer."""
    if not isinstance(found, dict):
        raise Unusable("its answer is not a JSON object")
    if found.get("status") != "running":
        return None
    user, pipeline, commit = (_mapping(found.get(name)) for name in ("user", "pipeline", "commit"))
    username, address = user.get("username"), found.get("web_url")
    if not isinstance(username, str) or not username or not isinstance(address, str):
        raise Unusable("its answer names no user or no address of the job")
    sha, ref = pipeline.get("sha") or commit.get("id"), found.get("ref")
    return JobClaim(
        username=username,
        project_path=_project_path(address, url),
        ref=ref[:_REF_LIMIT] if isinstance(ref, str) else "",
        sha=sha[:_SHA_LIMIT] if isinstance(sha, str) else "",
        pipeline_id=_number(pipeline.get("id")),
        job_id=_number(found.get("id")),
    )


def _project_path(address: str, url: str) -> str:
    """The path of the project from a job's address, `.../group/project/-/jobs/1`."""
    try:
        path = unquote(urlsplit(address).path)
        prefix = urlsplit(url).path.rstrip("/")
    except ValueError:
        raise Unusable("its answer has no usable address of the job") from None
    project, separator, _ = path.partition("/-/jobs/")
    if not separator:
        raise Unusable("its answer has no usable address of the job")
    if prefix and project.startswith(f"{prefix}/"):
        project = project.removeprefix(prefix)
    return project.strip("/")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


class _Collector(Protocol):
    """Keeps a body, up to a limit."""

    def __init__(self, done: "Deferred[bytes]") -> None:
        self._done, self._data = done, bytearray()

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        self._data += data
        if len(self._data) > ANSWER_BYTES and not self._done.called:
            self._done.errback(Unusable(f"its answer is over {ANSWER_BYTES:,} bytes"))
            self.stop()

    def stop(self) -> None:
        """Read no further."""
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """IProtocol."""
        from twisted.web.client import ResponseDone  # noqa: PLC0415 - as above
        from twisted.web.http import PotentialDataLoss  # noqa: PLC0415

        if self._done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self._done.callback(bytes(self._data))
        else:
            self._done.errback(reason)


def _body(response: Any) -> "Deferred[bytes]":
    done: Deferred[bytes] = Deferred(lambda _: collector.stop())
    collector = _Collector(done)
    response.deliverBody(collector)
    return done
