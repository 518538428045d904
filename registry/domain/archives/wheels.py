"""Wheels: the .dist-info in them, and whether it tells the truth about its wheel (PEP 427)."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import BinaryIO

from attrs import frozen

from registry.domain.archives import zips
from registry.domain.archives.bounds import METADATA_BYTES, RECORD_BYTES, SMALL_BYTES
from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.claim import Claim
from registry.domain.archives.entry_points import demand_entry_points
from registry.domain.archives.record import demand_true
from registry.domain.archives.refusals import REBUILD, member, refusal
from registry.domain.archives.zip_members import ZipMember, read
from registry.domain.filenames import FileName

_INFO = ".dist-info"
# Single tags that one line of WHEEL, or a file name, may stand for.
_TAGS = 5000
_TAG_PARTS = 3
_RETAG = "name it by `wheel tags`, not by hand"


@frozen(kw_only=True)
class Wheel:
    """A wheel that is a sound zip with one METADATA, in its folder `info`."""

    archive: BinaryIO
    claim: Claim
    checks: Checks
    members: Sequence[ZipMember]
    info: str

    def metadata(self) -> bytes:
        """METADATA to the byte. Raises `InvalidArchive` if it is damaged or over 8 MiB."""
        return self._content("METADATA", METADATA_BYTES) or b""

    def demand_honest(self) -> tuple[str, ...]:
        """Hold the rest of the .dist-info to the checks and return what is only odd in it. Raises `InvalidArchive`."""
        if Check.LINUX_TAGS in self.checks:
            _demand_no_plain_linux(self.claim.file)
        odd = self._wheel_file()
        if Check.ENTRY_POINTS in self.checks and (points := self._content("entry_points.txt", SMALL_BYTES)) is not None:
            demand_entry_points(points)
        if Check.RECORD in self.checks:
            record = self._content("RECORD", RECORD_BYTES)
            if record is None:
                raise refusal(f"has no {member(f'{self.info}/RECORD')}: {REBUILD}")
            odd += demand_true(self.archive, self.members, self.info, record)
        return odd

    def _wheel_file(self) -> tuple[str, ...]:
        content = self._content("WHEEL", SMALL_BYTES)
        if content is None:
            if Check.WHEEL_FILE in self.checks:
                raise refusal(f"has no WHEEL file in its .dist-info: {REBUILD}")
            return ()
        lines = _headers(content.decode("utf-8", "replace"))
        if Check.WHEEL_FILE in self.checks:
            _demand_version(f"{self.info}/WHEEL", lines.get("wheel-version", []))
        if Check.WHEEL_TAGS not in self.checks:
            return ()
        _demand_build(self.claim.file, lines.get("build", []))
        return _tags(self.claim.file, lines.get("tag", []))

    def _content(self, name: str, most: int) -> bytes | None:
        path = f"{self.info}/{name}"
        return next((read(self.archive, entry, most) for entry in self.members if entry.name == path), None)


def open_wheel(archive: BinaryIO, size: int, claim: Claim, checks: Checks) -> Wheel:
    """Find a wheel's way about. Raises `InvalidArchive` if it is no zip that `checks` let pass, or has not exactly one METADATA."""
    members = zips.members_of(archive, size, checks)
    if Check.DIST_INFO in checks:
        _demand_one_info((entry.name for entry in members), claim)
    found = [entry.name for entry in members if _is_metadata(entry.name)]
    if len(found) != 1:
        raise refusal(f"must hold exactly one <name>-<version>.dist-info/METADATA; it holds {len(found)}: {REBUILD}")
    return Wheel(archive=archive, claim=claim, checks=checks, members=members, info=found[0].partition("/")[0])


def _is_metadata(path: str) -> bool:
    folder, _, rest = path.partition("/")
    return rest == "METADATA" and folder.endswith(_INFO)


def _demand_one_info(paths: Iterable[str], claim: Claim) -> None:
    infos = sorted({top for path in paths if (top := path.partition("/")[0]).endswith(_INFO) and top != path})
    if len(infos) != 1:
        raise refusal(f"must have exactly one .dist-info folder; it has {len(infos)}{': ' if infos else ''}{_some(infos)}; {REBUILD}")
    if not claim.titles(infos[0].removesuffix(_INFO)):
        raise refusal(f"has its metadata in {member(infos[0])}, which is of another name or version than the file: {REBUILD}")


def _headers(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip().lower(), []).append(value.strip())
    return found


def _demand_version(path: str, told: list[str]) -> None:
    if len(told) != 1 or told[0].partition(".")[0] != "1":
        raise refusal(f"has a {member(path)} of Wheel-Version {member(', '.join(told))}: installers take major version 1 only; {REBUILD}")


def _tags(file: FileName, told: list[str]) -> tuple[str, ...]:
    named = set(_expanded("-".join(file.text.removesuffix(".whl").split("-")[-_TAG_PARTS:])))
    tags: set[str] = set()
    for line in told:
        tags.update(_expanded(line))
        if len(tags) > _TAGS:
            raise refusal(f"has over {_TAGS:,} tags in its WHEEL file: {REBUILD}")
    tags = tags or named
    for tag in sorted(tags - named):
        raise refusal(f"has the tag {member(tag)} in its WHEEL file but not in its name: {_RETAG}")
    for tag in sorted(named - tags):
        # Tools that declare a finished wheel good for one more platform used to rename it and no more (delocate-addplat).
        if tag.rpartition("-")[0] not in {known.rpartition("-")[0] for known in tags}:
            raise refusal(f"has the tag {member(tag)} in its name but not in its WHEEL file: {_RETAG}")
        return (f"The WHEEL file does not know the tag {member(tag)} of the wheel's name",)
    return ()


def _expanded(text: str) -> list[str]:
    """The single tags of a compressed set such as py2.py3-none-any (PEP 425)."""
    parts = [part.split(".") for part in text.lower().split("-")]
    if len(parts) != _TAG_PARTS or len(parts[0]) * len(parts[1]) * len(parts[2]) > _TAGS:
        raise refusal(f"has a tag {member(text)} that is not <python>-<abi>-<platform>, or stands for over {_TAGS:,}: {REBUILD}")
    return ["-".join(tag) for tag in product(*parts)]


def _demand_build(file: FileName, told: list[str]) -> None:
    parts = file.text.split("-")
    named = parts[2] if len(parts) == 2 * _TAG_PARTS else ""
    if told and told != [named]:
        raise refusal(f"has the build tag {member(named)} in its name and {member(', '.join(told))} in its WHEEL file: {_RETAG}")


def _demand_no_plain_linux(file: FileName) -> None:
    platforms = file.text.removesuffix(".whl").rpartition("-")[2].split(".")
    if plain := [platform for platform in platforms if platform.startswith("linux_")]:
        raise refusal(f"is for {member(plain[0])}: have it repaired by `auditwheel repair` for manylinux or musllinux")


def _some(names: list[str]) -> str:
    return ", ".join(member(name) for name in names[:2])
