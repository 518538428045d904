"""Ready answers: what one request was told, written at once to every later request that is the same to the byte.

A request's head, complete and without a body, says all that an answer depends on: address, representation, coding, condition and
credential. So a finished answer is found by it, before anything is parsed; and it is sent as long as the admission it was given under still
holds and what it tells has not changed.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from attrs import define, field, frozen
from twisted.web.http import datetimeToString

from registry.workflows.gate import Admission, Gate
from registry.workflows.memory import ENTRY_BYTES, Kept, Wire

_END = b"\r\n\r\n"
_DATE, _AGE = b"\r\nDate: ", b"\r\nAge: "
_DATE_BYTES = 29
_AGED = re.compile(rb"\r\nAge: \d+")
# How many different heads are known, and how many bytes all that is known of them may take; real heads have a few hundred bytes.
_MOST, _MOST_BYTES, _LONGEST = 20_000, 16 << 20, 4096
_METHODS = (b"GET ", b"HEAD ")
_CODES = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)


@frozen
class Logged:
    """What the access log says of a request that is the same to the byte."""

    username: str
    method: bytes
    path: bytes
    protocol: bytes
    agent: bytes
    code: int
    size: int


@frozen
class Ready:
    """A finished answer, and who it was for."""

    wire: Wire
    admission: Admission
    logged: Logged
    on_sent: Callable[[], object] | None

    @property
    def cost(self) -> int:
        """What knowing it takes, in bytes, but for the answer, which is counted where it is kept."""
        return ENTRY_BYTES + len(self.logged.path) + len(self.logged.agent)


@define(kw_only=True, eq=False)
class ReadyAnswers:
    """Finished answers by the digest of the request's head; a credential in it is not kept as such. `seconds` is the time since 1970."""

    gate: Gate
    seconds: Callable[[], float]
    _known: "OrderedDict[bytes, Ready]" = field(init=False, factory=OrderedDict)  # least recently used first
    _bytes: int = field(init=False, default=0)  # all their costs
    _generation: int = field(init=False, default=-1)  # of the gate's knowledge that they were all given under

    @staticmethod
    def askable(data: bytes) -> bool:
        """Whether `data` can be one whole request of the kind that may be answered from here."""
        return data.startswith(_METHODS) and data.endswith(_END) and len(data) <= _LONGEST and data.find(_END) == len(data) - len(_END)

    def find(self, data: bytes) -> Ready | None:
        """The answer to the request `data`, set to the present date; None where there is none, or none that still holds."""
        digest = hashlib.sha256(data).digest()
        ready = self._known.get(digest)
        if ready is None:
            return None
        wire = ready.wire
        now = self.seconds()
        if wire.kept is None or (wire.kept.until or now + 1) <= now or not self.gate.holds(ready.admission):
            self._drop(digest)
            return None
        second = int(now)
        if wire.second != second:
            _set_time(wire, second)
        wire.kept.touch()
        self._known.move_to_end(digest)
        if ready.on_sent is not None:
            ready.on_sent()
        return ready

    def learn(self, data: bytes, request: Any, kept: Kept, body: bytes, on_sent: Callable[[], object] | None) -> None:
        """Remember what `request`, whose head is `data`, is being answered: status and headers as they stand, and `body`."""
        if kept.memory is None or request.code not in _CODES or not self.gate.holds(request.admission):
            return
        if self._generation != self.gate.generation:
            # None of these holds any more, and nobody may ever ask for them again.
            self._known.clear()
            self._bytes, self._generation = 0, self.gate.generation
        head = _head(request)
        date_at = head.find(_DATE) + len(_DATE)
        if date_at < len(_DATE):
            return
        sent = b"" if request.method == b"HEAD" or request.code != HTTPStatus.OK else body
        # With the body's size: the same headers may be those of a GET and of a HEAD.
        look = b"%b%b%d" % (head[:date_at], _AGED.sub(b"", head[date_at + _DATE_BYTES :]), len(sent))
        wire = kept.wires.get(look)
        if wire is None:
            wire = Wire(data=head + sent, date_at=date_at, second=0, age_at=head.find(_AGE) + len(_AGE) if _AGE in head else 0)
            if not kept.hold(look, wire):
                return
        agent = request.requestHeaders.getRawHeaders(b"user-agent")
        user = request.admission.identity.user
        logged = Logged(
            username=user.username if user is not None else "",
            method=request.method,
            path=request.path,
            protocol=request.clientproto,
            agent=agent[0] if agent else b"",
            code=request.code,
            size=len(sent),
        )
        digest = hashlib.sha256(data).digest()
        self._drop(digest)
        ready = self._known[digest] = Ready(wire, request.admission, logged, on_sent)
        self._bytes += ready.cost
        while len(self._known) > _MOST or self._bytes > _MOST_BYTES:
            self._drop(next(iter(self._known)))

    def _drop(self, digest: bytes) -> None:
        ready = self._known.pop(digest, None)
        if ready is not None:
            self._bytes -= ready.cost

    def __len__(self) -> int:
        return len(self._known)


def _set_time(wire: Wire, second: int) -> None:
    """Let an answer be of this second."""
    values = [(wire.date_at, datetimeToString(second))]
    if wire.age_at and wire.kept is not None and wire.kept.since is not None:
        values.append((wire.age_at, age_of(wire.kept.since, second)))
    parts, at = [], 0
    for start, value in sorted(values):
        parts += [wire.data[at:start], value]
        at = start + len(value)
    wire.data = b"".join((*parts, wire.data[at:]))
    wire.second = second


def age_of(since: float, now: float) -> bytes:
    """The value of `Age` (RFC 9111, 5.1), in seconds; always as long, so that it can be replaced in its place."""
    return b"%010d" % max(0, int(now - since))


def _head(request: Any) -> bytes:
    """The head as twisted.web would write it (HTTPChannel.writeHeaders)."""
    lines = [b"%b %d %b\r\n" % (request.clientproto, request.code, request.code_message)]
    lines += [b"%b: %b\r\n" % (name, value) for name, values in request.responseHeaders.getAllRawHeaders() for value in values]
    return b"".join((*lines, b"\r\n"))
