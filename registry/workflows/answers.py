"""What is kept in memory to be given again: pages and indexes as they go out, and files."""

import hashlib
from collections.abc import Hashable

from attrs import Factory, define

from registry.domain.encoding import Encoding
from registry.domain.model import File
from registry.interfaces import IOpenBlob
from registry.workflows.memory import Kept, Wire


@define(eq=False, kw_only=True)
class Rendered(Kept):
    """A page or index as it goes out: its bytes and their strong validator (unquoted), plain and in codings."""

    plain: bytes  # empty while an answer holds it
    etag: str
    within: Wire | None = None  # the answer whose data ends with it
    size: int
    state: str = "local"  # or what an upstream said: "miss" the first time, "hit", or "stale"
    encoded: dict[Encoding, bytes] = Factory(dict)

    @classmethod
    def of(cls, key: Hashable, body: bytes) -> "Rendered":
        """What was rendered as `body`. Takes a millisecond for every megabyte."""
        return cls(key=key, cost=len(body), plain=body, size=len(body), etag=hashlib.sha256(body).hexdigest())

    @property
    def body(self) -> bytes:
        """The plain bytes."""
        return self.plain if self.within is None else self.within.data[-self.size :]

    def take_in(self, wire: Wire) -> int:
        """Kept."""
        if self.within is not None or not self.size or not wire.data.endswith(self.plain):
            return 0
        self.within, self.plain = wire, b""
        return self.size

    def empty(self) -> None:
        """Kept. Who has it in hand may read on."""
        self.plain, self.within = self.body, None
        super().empty()


@define(eq=False, kw_only=True)
class Held(Kept):
    """A file that a view holds, or its core metadata. `contents` are its bytes, if it is small and they were read before."""

    file: File
    state: str = "local"  # or an upstream's: "hit" where it is kept, "miss" where it is on its way
    contents: IOpenBlob | None = None
