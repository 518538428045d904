"""Ready answers: what one request was told, written at once to every later request that is the same to the byte.

A request's head, complete and without a body, says all that an answer depends on: address, representation, coding, condition and
credential. So a finished answer is found by it, before anything is parsed; and it is sent as long as the admission it was given under still
holds and what it tells has not changed.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from attrs import define, field, frozen
from twisted.web.http import datetimeToString

from registry.workflows.gate import Admission, Gate
from registry.workflows.memory import Kept, Wire

_END = b"\r\n\r\n"
_DATE = b"\r\nDate: "
_DATE_BYTES = 29
# How many different heads are known, some 500 bytes each; real heads have a few hundred bytes.
_MOST, _LONGEST = 20_000, 4096
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
    """A finished answer, who it was for, and what it was made of."""

    wire: Wire
    kept: Kept
    admission: Admission
    logged: Logged
    on_sent: Callable[[], object] | None


@define(kw_only=True, eq=False)
class ReadyAnswers:
    """Finished answers by the digest of the request's head; a credential in it is not kept as such. `seconds` is the time since 1970."""

    gate: Gate
    seconds: Callable[[], float]
    _known: "OrderedDict[bytes, Ready]" = field(init=False, factory=OrderedDict)  # oldest first

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
        if not wire.data or not self.gate.holds(ready.admission):
            del self._known[digest]
            return None
        second = int(self.seconds())
        if wire.second != second:
            wire.data = b"".join((wire.data[: wire.date_at], datetimeToString(second), wire.data[wire.date_at + _DATE_BYTES :]))
            wire.second = second
        ready.kept.touch()
        if ready.on_sent is not None:
            ready.on_sent()
        return ready

    def learn(self, data: bytes, request: Any, kept: Kept, body: bytes, on_sent: Callable[[], object] | None) -> None:
        """Remember what `request`, whose head is `data`, is being answered: status and headers as they stand, and `body`."""
        if kept.memory is None or request.code not in _CODES:
            return
        head = _head(request)
        date_at = head.find(_DATE) + len(_DATE)
        if date_at < len(_DATE):
            return
        sent = b"" if request.method == b"HEAD" or request.code != HTTPStatus.OK else body
        # With the body's size: the same headers may be those of a GET and of a HEAD.
        look = b"%b%b%d" % (head[:date_at], head[date_at + _DATE_BYTES :], len(sent))
        wire = kept.wires.get(look)
        if wire is None:
            wire = Wire(data=head + sent, date_at=date_at, second=0)
            kept.hold(look, wire)
            if not wire.data:
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
        self._known[hashlib.sha256(data).digest()] = Ready(wire, kept, request.admission, logged, on_sent)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)


def _head(request: Any) -> bytes:
    """The head as twisted.web would write it (HTTPChannel.writeHeaders)."""
    lines = [b"%b %d %b\r\n" % (request.clientproto, request.code, request.code_message)]
    lines += [b"%b: %b\r\n" % (name, value) for name, values in request.responseHeaders.getAllRawHeaders() for value in values]
    return b"".join((*lines, b"\r\n"))
