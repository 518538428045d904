"""Digests of what comes in, by the names that upload forms use."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    from hashlib import _Hash

    Hash: TypeAlias = _Hash | hashlib.blake2b

_READ = 1 << 20


def new_hash(algorithm: str) -> "Hash":
    """A hash to be fed. `blake2b` is PyPI's blake2_256_digest: BLAKE2b cut to 256 bits."""
    # md5 is here to be compared with what a client declared, never trusted.
    return hashlib.blake2b(digest_size=32) if algorithm == "blake2b" else hashlib.new(algorithm, usedforsecurity=False)


def digests_of(file: BinaryIO, algorithms: Sequence[str]) -> dict[str, str]:
    """The hexadecimal digests of the rest of a file."""
    made = {algorithm: new_hash(algorithm) for algorithm in algorithms}
    while data := file.read(_READ):
        for digest in made.values():
            digest.update(data)
    return {algorithm: digest.hexdigest() for algorithm, digest in made.items()}
