"""The operator's copy of an advisory database (OSV's export for PyPI) on disk: read, and read again where it has changed."""

import os
import stat
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from attrs import define, field, frozen

from registry.domain.curation.advisories import Advisories, Record, read_record
from registry.domain.errors import InvalidSetting

_ZIP = "all.zip"  # as the export is called that OSV publishes for an ecosystem
_MOST_BYTES = 8 << 20  # of one record; the longest in the export are below 1 MB
_MOST_RECORDS = 1_000_000
_HELP = "use the path of a directory with OSV records (*.json, or all.zip), which only its operator can write to"
_TROUBLE = (OSError, ValueError, BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error)


@frozen(kw_only=True)
class Reading:
    """What a directory held. `malformed` records (counted) were passed over, or are as they were when they could last be read."""

    advisories: Advisories
    records: int
    malformed: int


@frozen
class _Entry:
    """One record file or zip member: what tells that it has changed, what was read, and whether its present state cannot be."""

    stamp: tuple[int, ...]
    record: Record | None
    malformed: bool


@define
class AdvisoryDirectory:
    """A directory of OSV records, anywhere below it: `*.json`, and `all.zip` if it was left zipped. All of it blocks: call in one thread.

    A refresh is no moment without advisories: what cannot be read, being half-written, stays what it was until it can.
    """

    path: Path
    _entries: dict[str, _Entry] = field(factory=dict, init=False)  # by path below the directory, and member
    _zips: dict[str, tuple[int, ...]] = field(factory=dict, init=False)  # what tells that a zip has changed
    _last: Reading | None = field(default=None, init=False)

    def read(self) -> Reading:
        """What the directory holds; the very same object as last time if nothing has changed. Reads only what is new.

        Raises `InvalidSetting` if there is no such directory; the caller keeps what it has.
        """
        entries: dict[str, _Entry] = {}
        zips: dict[str, tuple[int, ...]] = {}
        broken = 0
        for name, found in self._found():
            if Path(name).name == _ZIP:
                broken += not self._read_zip(name, found, entries, zips)
            else:
                path = self.path / name
                self._take(entries, name, _stamp(found), found.st_size, partial(_read_file, path))
            if len(entries) > _MOST_RECORDS:
                raise InvalidSetting(what="[curation] osv", value=str(self.path), allowed=f"there are over {_MOST_RECORDS:,} records in it")
        same = entries.keys() == self._entries.keys() and all(entry is self._entries[name] for name, entry in entries.items())
        self._entries, self._zips = entries, zips
        malformed = broken + sum(entry.malformed for entry in entries.values())
        if self._last is None or not same:
            records = [entry.record for entry in entries.values() if entry.record is not None]
            self._last = Reading(advisories=Advisories.of(records), records=len(records), malformed=malformed)
        elif self._last.malformed != malformed:
            self._last = Reading(advisories=self._last.advisories, records=self._last.records, malformed=malformed)
        return self._last

    def _found(self) -> Iterator[tuple[str, os.stat_result]]:
        """The files that may hold records, by their paths below the directory, in order."""

        def refuse(error: OSError) -> None:
            raise InvalidSetting(
                what="[curation] osv", value=str(self.path), allowed=f"{error.filename} cannot be read ({error.strerror}); {_HELP}"
            ) from None

        for folder, folders, files in os.walk(self.path, onerror=refuse):
            folders.sort()
            for file in sorted(files):
                if not (file.endswith(".json") or file == _ZIP):
                    continue
                path = Path(folder, file)
                try:
                    found = path.stat()
                except OSError:  # gone between two looks
                    continue
                # Opening a pipe that somebody calls .json would wait for ever.
                if stat.S_ISREG(found.st_mode):
                    yield path.relative_to(self.path).as_posix(), found

    def _take(self, entries: dict[str, _Entry], name: str, stamp: tuple[int, ...], size: int, read: Callable[[], bytes]) -> None:
        known = self._entries.get(name)
        if known is not None and known.stamp == stamp:
            entries[name] = known
            return
        try:
            if size > _MOST_BYTES:
                raise ValueError("it is too large")
            entries[name] = _Entry(stamp, read_record(read()), malformed=False)
        except _TROUBLE:
            entries[name] = _Entry(stamp, known.record if known else None, malformed=True)

    def _read_zip(self, name: str, found: os.stat_result, entries: dict[str, _Entry], zips: dict[str, tuple[int, ...]]) -> bool:
        within, stamp = f"{name}/", _stamp(found)
        before = {member: entry for member, entry in self._entries.items() if member.startswith(within)}
        if self._zips.get(name) == stamp:
            entries.update(before)
            zips[name] = stamp
            return True
        try:
            with ZipFile(self.path / name) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(".json") and len(entries) <= _MOST_RECORDS:
                        key = (member.CRC, member.file_size, member.compress_size)
                        self._take(entries, within + member.filename, key, member.file_size, _reader(archive, member))
        except _TROUBLE:
            # Not remembered as read, so that it is looked at again next time, changed or not.
            entries.update(before)
            return False
        zips[name] = stamp
        return True


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(_MOST_BYTES + 1))


def _reader(archive: ZipFile, member: ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        # What a member says of its size is not what it unpacks to.
        with archive.open(member) as file:
            return _bounded(file.read(_MOST_BYTES + 1))

    return read


def _bounded(data: bytes) -> bytes:
    if len(data) > _MOST_BYTES:
        raise ValueError("it is too large")
    return data
