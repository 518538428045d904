"""What a fake upstream sends, and everything that can be wrong with it."""

import gzip
import zlib
from collections.abc import Callable, Mapping

from attrs import Factory, define, evolve, field, frozen

JSON, V1_HTML, HTML = "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html", "text/html"


@define(eq=False)
class Gate:
    """Holds answers back until it is opened, or those of a body's bytes that come after `upto`."""

    is_open: bool = False
    upto: int = -1
    _waiting: list[Callable[[], None]] = field(init=False, factory=list)

    def open(self) -> None:
        """Let everything through, now and from now on; of a live server from any thread."""
        self.is_open = True
        self._go_on()

    def let(self, upto: int) -> None:
        """Let what comes before `upto` bytes of a body through, and hold the rest."""
        self.upto = upto
        self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for go_on in waiting:
            go_on()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` once it is open."""
        if self.is_open:
            go_on()
        else:
            self._waiting.append(go_on)


@frozen(kw_only=True)
class Reply:
    """What is sent. `length` stands for the body's own; the connection is broken off after `cut` bytes of the body.

    Nothing goes beyond `held_at` bytes of the body before `gate` is open; below zero not even the head does.
    """

    status: int = 200
    headers: Mapping[str, str] = Factory(dict)
    body: bytes = b""
    length: int | None = None
    chunked: bool = False
    cut: int | None = None
    gate: Gate | None = None
    held_at: int = -1


Trouble = Callable[[Reply], Reply]  # makes of the honest reply another one


def status(code: int, *, retry_after: object = None, body: bytes = b"trouble") -> Trouble:
    """Answer with this status instead."""
    headers = {"Content-Type": "text/plain"} | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    return lambda _: Reply(status=code, headers=headers, body=body)


def redirect(location: str, code: int = 302, body: bytes = b"elsewhere") -> Trouble:
    """Send the client to `location`, exactly as it is given."""
    return lambda _: Reply(status=code, headers={"Location": location}, body=body)


def instead(body: bytes, content_type: str = HTML, **headers: str) -> Trouble:
    """Answer with this body and Content-Type; further headers with underscores for hyphens."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(headers={"Content-Type": content_type, **said}, body=body)


def typed(content_type: str) -> Trouble:
    """Tell another Content-Type."""
    return lambda reply: evolve(reply, headers={**reply.headers, "Content-Type": content_type})


def telling(**headers: str) -> Trouble:
    """Tell these headers, whatever they were; with underscores for hyphens."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda reply: evolve(reply, headers={**reply.headers, **said})


def cut(after: int) -> Trouble:
    """Break the connection off after so many bytes of the body, whose length was told."""
    return lambda reply: evolve(reply, cut=after)


def damaged() -> Trouble:
    """Change the last byte of the body: its digest is wrong, its length right."""
    return lambda reply: evolve(reply, body=reply.body[:-1] + bytes([reply.body[-1] ^ 1]))


def wrong_length(by: int) -> Trouble:
    """Tell a Content-Length that is this much too long, or (below zero) too short."""
    return lambda reply: evolve(reply, length=len(reply.body) + by)


def without_length() -> Trouble:
    """Send the body in chunks, without telling how long it is."""
    return lambda reply: evolve(reply, chunked=True)


def gzipped() -> Trouble:
    """Encode the body, whether or not the client asked for that."""

    def encode(reply: Reply) -> Reply:
        if "Content-Encoding" in reply.headers:
            return reply
        return evolve(reply, body=gzip.compress(reply.body, mtime=0), headers={**reply.headers, "Content-Encoding": "gzip"})

    return encode


def bomb(size: int, content_type: str = JSON) -> Trouble:
    """A body of a thousandth of `size` bytes that decodes to all of them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * (1 << 20)
    packed = b"".join(packer.compress(block[: min(len(block), size - done)]) for done in range(0, size, len(block))) + packer.flush()
    return lambda _: Reply(headers={"Content-Type": content_type, "Content-Encoding": "gzip"}, body=packed)
