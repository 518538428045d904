"""The access log: one line a request, gathered in memory, written once a second in a thread."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred

from registry.interfaces import IThreads
from registry.web.ready import Logged
from registry.web.routes import address_of

# When the disk cannot keep up, the oldest lines go, and a line says how many.
_MOST = 100_000

_Entry = tuple[float, str, str, bytes, bytes, bytes, int, int, float, bytes]


@define(kw_only=True)
class AccessLog:
    """Remembers requests until `flush` hands their lines to `write` in a thread. `write(text)` may block."""

    threads: IThreads
    write: Callable[[str], object]
    now: Callable[[], float]  # seconds since 1970
    _entries: list[_Entry] = Factory(list)
    _lost: int = 0
    _flushing: "Deferred[object] | None" = None

    def add(self, request: Any, seconds: float) -> None:
        """Note that `request` was answered after `seconds`. The query is left out: it may hold a secret."""
        if len(self._entries) >= _MOST:
            self._lost += 1
            return
        admission = getattr(request, "admission", None)
        user = admission.identity.user if admission is not None else None
        agent = request.requestHeaders.getRawHeaders(b"user-agent")
        self._entries.append(
            (
                self.now(),
                address_of(request),
                user.username if user is not None else "",
                request.method,
                request.path or b"",
                request.clientproto,
                request.code,
                request.sentLength,
                seconds,
                agent[0] if agent else b"",
            )
        )

    def add_ready(self, logged: Logged, address: str) -> None:
        """Note that a request was answered with a ready answer, in no time."""
        if len(self._entries) >= _MOST:
            self._lost += 1
            return
        self._entries.append(
            (
                self.now(),
                address,
                logged.username,
                logged.method,
                logged.path,
                logged.protocol,
                logged.code,
                logged.size,
                0.0,
                logged.agent,
            )
        )

    async def flush(self) -> None:
        """Write what has gathered. At most one write at a time; what comes meanwhile waits for the next."""
        if self._flushing is not None:
            await self._flushing
        if self._entries or self._lost:
            entries, self._entries = self._entries, []
            lost, self._lost = self._lost, 0
            self._flushing = self.threads.run(self._do_write, entries, lost)
            try:
                await self._flushing
            finally:
                self._flushing = None

    def _do_write(self, entries: list[_Entry], lost: int) -> None:
        lines = [_line(entry) for entry in entries]
        if lost:
            lines.append(f"- {lost} requests were not logged: the log's disk is too slow\n")
        self.write("".join(lines))


def _line(entry: _Entry) -> str:
    at, address, user, method, path, protocol, code, size, seconds, agent = entry
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    request = b"%b %b %b" % (method, path, protocol)
    return f"{when} {address or '-'} {user or '-'} {_quoted(request)} {code} {size} {seconds * 1000:.1f}ms {_quoted(agent)}\n"


def _quoted(raw: bytes) -> str:
    # JSON's rules: one line, printable, nothing a terminal would obey.
    return json.dumps(raw.decode("utf-8", "replace"))
