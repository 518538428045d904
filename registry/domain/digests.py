"""Digests of what comes in, by the names that upload forms and indexes use."""

import hashlib
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from hashlib import _Hash

    Hash: TypeAlias = _Hash | hashlib.blake2b

# The digests that clients and this registry know, the best first, and how many hexadecimal digits they have. BLAKE2b is PyPI's, of 256
# bits: for the longer one uv drops a page, as it does for sha1 and sha224.
LENGTHS = {"sha256": 64, "sha512": 128, "sha384": 96, "md5": 32, "blake2b": 64}
_DIGITS = frozenset("0123456789abcdef")


def is_digest(algorithm: object, value: object) -> bool:
    """Whether it is a digest of this kind, in lower case."""
    return isinstance(algorithm, str) and isinstance(value, str) and len(value) == LENGTHS.get(algorithm) and _DIGITS.issuperset(value)


def new_hash(algorithm: str) -> "Hash":
    """A hash to be fed. `blake2b` is PyPI's blake2_256_digest: BLAKE2b cut to 256 bits."""
    # md5 is here to be compared with what others declare, never trusted.
    return hashlib.blake2b(digest_size=32) if algorithm == "blake2b" else hashlib.new(algorithm, usedforsecurity=False)
