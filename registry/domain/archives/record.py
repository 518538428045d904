"""RECORD: a wheel's list of its files, and whether it is true (PEP 376, PEP 427)."""

import csv
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator
from typing import BinaryIO

from registry.domain.archives.bounds import MEMBERS
from registry.domain.archives.refusals import member, refusal
from registry.domain.archives.zip_members import ZipMember, pieces

# PEP 427: "The hash algorithm must be sha256 or better; specifically, md5, sha1 and sha224 are not permitted".
_HASHES = ("sha256", "sha384", "sha512")
# "RECORD.jws is used for digital signatures. ... RECORD.p7s is allowed"; none of them can be in a list that they sign.
_EXEMPT = ("RECORD", "RECORD.jws", "RECORD.p7s")
_ROWS = 2 * MEMBERS
_COLUMNS = 3
_REPAIR = "build it again, or have it repacked by `wheel pack`"


def demand_true(archive: BinaryIO, members: Collection[ZipMember], folder: str, record: bytes) -> tuple[str, ...]:
    """Refuse a wheel whose RECORD, of the bytes `record` in `folder`, does not tell every file in it truly; return what is only odd.

    Reads each member once, 1 MiB at a time.
    """
    files = [entry for entry in members if not entry.folder]
    rows, absent = _rows(record, {entry.name for entry in files})
    exempt = {f"{folder}/{name}" for name in _EXEMPT}
    for entry in sorted(files, key=lambda file: file.offset):
        if entry.name not in exempt:
            _demand_true(archive, entry, rows.get(entry.name))
    return (f"RECORD names {absent:,} files that are not in the wheel",) if absent else ()


def _demand_true(archive: BinaryIO, entry: ZipMember, row: tuple[str, str] | None) -> None:
    if row is None:
        raise refusal(f"has a file {member(entry.name)} that its RECORD does not name: {_REPAIR}")
    told, size = row
    algorithm, _, digest = told.partition("=")
    if algorithm not in _HASHES:
        raise refusal(f"has no SHA-256, SHA-384 or SHA-512 of {member(entry.name)} in its RECORD (it says {member(told)}): {_REPAIR}")
    if size and size != str(entry.size):
        raise refusal(f"has a file {member(entry.name)} of {entry.size:,} bytes, of {member(size)} by its RECORD: {_REPAIR}")
    if not entry.readable:
        return
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    for piece in pieces(archive, entry):
        hasher.update(piece)
    if urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode() != digest.rstrip("="):
        raise refusal(f"has a file {member(entry.name)} that is not the one its RECORD has the {algorithm} of: {_REPAIR}")


def _rows(record: bytes, names: set[str]) -> tuple[dict[str, tuple[str, str]], int]:
    """What RECORD says of each of `names`, and how many others it names."""
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        raise refusal(f"has a RECORD that is not UTF-8 (byte {error.start:,}): {_REPAIR}") from None
    found: dict[str, tuple[str, str]] = {}
    absent = 0
    try:
        for count, row in enumerate(csv.reader(_lines(text), strict=True)):
            if count >= _ROWS:
                raise refusal(f"has a RECORD of more than {_ROWS:,} lines: {_REPAIR}")
            if not row:
                continue
            path, told, size = (row + [""] * _COLUMNS)[:_COLUMNS]
            if path not in names:
                absent += 1
            elif found.setdefault(path, (told, size)) != (told, size):
                raise refusal(f"has a RECORD that tells two things of {member(path)} (line {count + 1:,}): {_REPAIR}")
    except csv.Error as error:
        raise refusal(f"has a RECORD that cannot be read as CSV ({error}): {_REPAIR}") from None
    return found, absent


def _lines(text: str) -> Iterator[str]:
    """The lines of `text`, one after the other: a list of them would take many times its memory."""
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        yield text[at:end]
        at = end
