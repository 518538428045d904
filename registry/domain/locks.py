"""Lists of what shall be installed, read: requirements.txt, pylock.toml (PEP 751) and uv.lock. Nothing is opened, resolved or evaluated."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import field, frozen
from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion as NoVersion
from packaging.version import Version

from registry.domain.errors import InvalidName, RegistryError, shown
from registry.domain.names import Name

# How many characters a list may have; uv.lock of a thousand packages has some four million.
MOST_CHARACTERS = 64 << 20
_LONGEST_FILE_NAME = 255
# pip: a comment is at the beginning of a line or behind white space.
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s+|\s*=\s*|(?<=-r))(\S.*)")
# An option of a requirement's own, at the end of its line: "--hash=sha256:...", "--hash sha256:...".
_OPTION = re.compile(r"\s--([a-z-]+)(?:\s*=\s*|\s+)(\S+)\s*$")
_SHA256 = re.compile(r"sha256:([0-9a-fA-F]{64})")
_ARBITRARY = "==="


class UnreadableLock(RegistryError):
    """A list of requirements cannot be read at all; `str()` says why."""


@frozen(kw_only=True)
class Need:
    """What a list asks for under one name. `exact`: the list names the files, or one version, whatever became of it (PEP 592).

    `files`: the files that shall be there, name and sha256 (empty: the list does not tell). Where it names none: all files of the best
    version that `versions` admits, if `digests` holds any only those with one of them.
    """

    name: Name
    versions: SpecifierSet = field(factory=SpecifierSet)
    files: tuple[tuple[str, str], ...] = ()
    digests: frozenset[str] = frozenset()

    @property
    def exact(self) -> bool:
        """Whether exactly one version will do: then it may also be one that was yanked."""
        return any(one.operator == _ARBITRARY or (one.operator == "==" and "*" not in one.version) for one in self.versions)


@frozen(kw_only=True)
class Listed:
    """All that a list asks for. `includes`: further lists, as it names them. `notes`: sentences about what is left out."""

    needs: tuple[Need, ...]
    includes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_list(filename: str, text: str) -> Listed:
    """Read a list; its kind is told by its file name: `uv.lock`, `*.toml` (PEP 751), anything else a requirements.txt.

    Raises `UnreadableLock`.
    """
    if len(text) > MOST_CHARACTERS:
        raise UnreadableLock(f"{shown(filename)} is too long: at most {MOST_CHARACTERS:,} characters are read")
    base = filename.rsplit("/", 1)[-1]
    if base == "uv.lock" or base.endswith(".uv.lock"):
        return read_uv_lock(text)
    return read_pylock(text) if base.endswith(".toml") else read_requirements(text)


# --- requirements.txt -----------------------------------------------------------------------------------------------------------------


def read_requirements(text: str) -> Listed:
    """Read pip's requirements file format.

    Markers and extras are passed over: what one machine does not need another does. Options (other indexes among them), addresses, paths
    and what has no name are left out with a note.
    """
    needs: list[Need] = []
    includes: list[str] = []
    notes: list[str] = []
    for number, line in _logical_lines(text):
        include = _INCLUDE.fullmatch(line)
        if include is not None:
            includes.append(include[1].strip().strip("\"'"))
        elif line.startswith("-"):
            notes.append(f"line {number}: the option {shown(line.split()[0].partition('=')[0])} has no meaning here and is left out")
        else:
            found, note = _requirement(line)
            needs += [found] if found is not None else []
            notes += [f"line {number}: {note}"] if note else []
    return Listed(needs=tuple(needs), includes=tuple(includes), notes=tuple(notes))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, joined where a backslash says so, with the number of their first."""
    begun: list[str] = []
    first = 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        first = first if begun else number
        # As pip: a comment ends its line, and whatever it continued.
        if not raw.lstrip().startswith("#") and raw.endswith("\\"):
            begun.append(raw[:-1])
            continue
        line = _COMMENT.sub("", "".join([*begun, raw])).strip()
        begun = []
        if line:
            yield first, line
    line = _COMMENT.sub("", "".join(begun)).strip()
    if line:
        yield first, line


def _requirement(line: str) -> tuple[Need | None, str]:
    """What one line asks for, and what there is to say about it."""
    digests: set[str] = set()
    others = 0
    while (option := _OPTION.search(line)) is not None:
        match = _SHA256.fullmatch(option[2])
        if option[1] == "hash" and match is not None:
            digests.add(match[1].lower())
        elif option[1] == "hash":
            others += 1
        line = line[: option.start()]
    try:
        wanted = Requirement(line.strip())
        name = Name(wanted.name)
    except (InvalidRequirement, InvalidName, RecursionError):
        return None, f"{shown(line)} is not a name with versions (PEP 508) and is left out"
    if wanted.url:
        return None, f"{shown(wanted.name)} comes from an address of its own, not from an index, and is left out"
    note = f"{shown(wanted.name)} has no sha256 among its hashes: they are not compared" if others and not digests else ""
    return Need(name=name, versions=wanted.specifier, digests=frozenset(digests)), note


# --- pylock.toml ----------------------------------------------------------------------------------------------------------------------


def read_pylock(text: str) -> Listed:
    """Read pylock.toml (PEP 751). What comes from elsewhere than an index is left out with a note. Raises `UnreadableLock`."""
    try:
        lock = Pylock.from_dict(_toml(text))
    except (PylockValidationError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise UnreadableLock(f"This is no pylock.toml (PEP 751): {error}") from None
    found = [_of_pylock(package) for package in lock.packages]
    return Listed(needs=tuple(need for need, _ in found if need is not None), notes=tuple(note for _, note in found if note))


def _of_pylock(package: Package) -> tuple[Need | None, str]:
    archives: list[PackageWheel | PackageSdist] = [*(package.wheels or ()), *([package.sdist] if package.sdist is not None else [])]
    if not archives:
        return None, f"{shown(package.name)} comes from elsewhere than an index and is left out"
    files = []
    for archive in archives:
        digest = _SHA256.fullmatch(f"sha256:{archive.hashes.get('sha256', '')}")
        try:
            files.append((archive.filename, digest[1].lower() if digest is not None else ""))
        except PylockValidationError:
            continue
    return _need(package.name, "" if package.version is None else str(package.version), files)


# --- uv.lock --------------------------------------------------------------------------------------------------------------------------


def read_uv_lock(text: str) -> Listed:
    """Read uv.lock (version 1, any revision). What comes from elsewhere than an index is left out, but for the project itself with a note.

    Raises `UnreadableLock`.
    """
    lock = _toml(text)
    if lock.get("version") != 1:
        raise UnreadableLock(f"This is no uv.lock of version 1 (its version is {shown(str(lock.get('version')))})")
    needs: list[Need] = []
    notes: list[str] = []
    for package in _tables(lock.get("package")):
        name, source = _text(package.get("name")), package.get("source")
        source = source if isinstance(source, dict) else {}
        if "registry" in source:
            need, note = _need(name, _text(package.get("version")), _uv_files(package))
            needs += [need] if need is not None else []
            notes += [note] if note else []
        elif not source.keys() & {"editable", "virtual", "directory"}:
            notes.append(f"{shown(name)} comes from elsewhere than an index and is left out")
    return Listed(needs=tuple(needs), notes=tuple(notes))


def _uv_files(package: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for archive in [*_tables(package.get("wheels")), *_tables([package.get("sdist")])]:
        address = _text(archive.get("url")) or _text(archive.get("path"))
        digest = _SHA256.fullmatch(_text(archive.get("hash")))
        filename = _text(archive.get("filename")) or _last_segment(address)
        yield filename, digest[1].lower() if digest is not None else ""


def _last_segment(address: str) -> str:
    try:
        return unquote(urlsplit(address).path).rsplit("/", 1)[-1]
    except ValueError:
        return ""


# --- what both locks share ------------------------------------------------------------------------------------------------------------


def _need(name: str, version: str, files: Iterable[tuple[str, str]]) -> tuple[Need | None, str]:
    try:
        wanted = Name(name)
        versions = SpecifierSet(f"=={Version(version)}") if version else SpecifierSet()
    except (InvalidName, NoVersion):
        return None, f"{shown(name)} {shown(version)} is no name and version (PEP 508, PEP 440) and is left out"
    kept = [(filename, digest) for filename, digest in files if _is_file_name(filename)]
    return Need(name=wanted, versions=versions, files=tuple(dict(kept).items())), ""


def _is_file_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_FILE_NAME and text.isprintable() and not set(text) & set("/\\") and text not in {".", ".."}


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnreadableLock(f"This is no TOML: {error}") from None


def _tables(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
