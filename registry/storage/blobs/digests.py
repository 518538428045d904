"""Digests of open files."""

from collections.abc import Sequence
from typing import BinaryIO

from registry.domain.digests import new_hash

_READ = 1 << 20


def digests_of(file: BinaryIO, algorithms: Sequence[str]) -> dict[str, str]:
    """The hexadecimal digests of the rest of a file."""
    made = {algorithm: new_hash(algorithm) for algorithm in algorithms}
    while data := file.read(_READ):
        for digest in made.values():
            digest.update(data)
    return {algorithm: digest.hexdigest() for algorithm, digest in made.items()}
