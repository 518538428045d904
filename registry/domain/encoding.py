"""Content codings of pages: which one a client gets (RFC 9110, 12.5.3), and the bytes in it."""

import gzip
import sys
from enum import Enum
from functools import lru_cache

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

# Below this a coding saves nothing that a packet would notice.
_LEAST_BYTES = 256
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 6


class Encoding(Enum):
    """A content coding, by its registered name; the order is that of preference."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"

    def mark(self, etag: str) -> str:
        """The validator of a body in this coding, made from that of the plain one: a strong ETag names the very bytes (RFC 9110, 8.8.3)."""
        return etag if self is Encoding.IDENTITY else f"{etag}-{self.value}"


@lru_cache(maxsize=256)
def choose_encoding(accept_encoding: str | None, size: int) -> Encoding:
    """The coding for a body of `size` bytes; without the header, or where nothing fits, none at all.

    The client's weights decide, at a tie the coding that is smaller. `*` is taken for gzip, which whoever sends it can read.
    """
    if not accept_encoding or size < _LEAST_BYTES:
        return Encoding.IDENTITY
    weights: dict[str, float] = {}
    for coding, weight in parse_accept_header(accept_encoding, Accept):
        weights.setdefault(coding.lower(), float(weight))
    offered = {
        Encoding.ZSTD: weights.get("zstd", 0.0),
        Encoding.GZIP: weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))),
        # Not named, it is acceptable, and liked least.
        Encoding.IDENTITY: weights.get("identity", 0.0),
    }
    best = max(offered, key=lambda encoding: offered[encoding])
    return best if offered[best] > 0 else Encoding.IDENTITY


def encode(body: bytes, encoding: Encoding) -> bytes:
    """`body` in a coding; the same bytes every time. Takes some 20 ms a megabyte."""
    if encoding is Encoding.GZIP:
        return gzip.compress(body, compresslevel=_GZIP_LEVEL, mtime=0)
    if encoding is Encoding.ZSTD:
        # Imported with the first client that asks for it: most registries see none.
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415
        else:
            from backports import zstd  # noqa: PLC0415

        return zstd.compress(body, level=_ZSTD_LEVEL)
    return body
