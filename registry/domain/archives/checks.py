"""Checks: what a distribution file is held to beyond being readable, each of which can be switched."""

import difflib
from collections.abc import Iterable
from enum import Enum
from typing import Self

from attrs import frozen


class Check(Enum):
    """One check. The value is its name in the configuration; `doc` says what it refuses and why, `strict` and `lenient` whether it is on.

    What guards the server itself is no check and is always on: an archive that can be read, at most 100,000 members, no sparse member,
    metadata and listings within their bounds, name and version as uploaded.
    """

    doc: str
    strict: bool
    lenient: bool

    ZIP_FRAMING = (
        "zip-framing",
        (
            "A zip holds local records, then a central directory that agrees with them, then its end: no data descriptor, no gap, no "
            "hidden member, so that every reader finds the same contents; a plain archive comment may stand."
        ),
        True,
        False,
    )
    TRAILING_DATA = ("trailing-data", "Nothing follows the end of a zip, of a tar or of its gzip stream, but a tar's padding.", True, False)
    POLYGLOT = ("polyglot", "A file is a zip or a tar, not both at once, whoever looks at it.", True, True)
    COMPRESSION = ("compression", "Members of a zip are stored or deflated, as every installer can read them.", True, True)
    UNPACKED_SIZE = (
        "unpacked-size",
        "Over 64 MiB unpacked, a file unpacks to at most 50 times its size; without this check to 16 GiB or 50 times its size, the larger.",
        True,
        True,
    )
    MEMBER_PATHS = (
        "member-paths",
        "Members stay below the folder that they are unpacked to: no absolute path, drive, backslash, '..' or control character.",
        True,
        True,
    )
    LINKS = ("links", "Links point to places within the archive and not through other links; no member is a device or a pipe.", True, True)
    DUPLICATE_MEMBERS = ("duplicate-members", "No two members have the same path, and no file is also the folder of another.", True, True)
    TAR_FRAMING = (
        "tar-framing",
        "A tar member has one size: an extension header does not contradict the member's own, and what is no file has no data.",
        True,
        False,
    )
    TOP_DIRECTORY = (
        "top-directory",
        "Everything in a source distribution lies in one folder, called as the file; another spelling of its name or version will do.",
        True,
        False,
    )
    SDIST_FORMAT = ("sdist-format", "A source distribution is a .tar.gz (PEP 625), not a .zip.", True, False)
    DIST_INFO = (
        "dist-info",
        "A wheel has exactly one .dist-info folder at its top, of its name and version in any spelling.",
        True,
        False,
    )
    WHEEL_FILE = ("wheel-file", "A wheel has a WHEEL file of major version 1, the only one that installers take (PEP 427).", True, False)
    WHEEL_TAGS = (
        "wheel-tags",
        (
            "The Tag and Build lines of a wheel's WHEEL file are those of its file name; the lines may be absent, and the name may have "
            "further platforms, since early tools left them so."
        ),
        True,
        False,
    )
    RECORD = (
        "record",
        (
            "A wheel's RECORD names every file in it with a true SHA-256, SHA-384 or SHA-512 and, where it states one, a true size; only "
            "RECORD itself and its signatures are exempt."
        ),
        True,
        False,
    )
    ENTRY_POINTS = ("entry-points", "A wheel's entry_points.txt parses, so that installers can make its scripts.", True, False)
    REQUIRES_PYTHON = ("requires-python", "Requires-Python of the upload form, if sent, means the same as that in the file.", True, False)
    LOCAL_VERSIONS = ("local-versions", "No local version such as 1.0+abc, as on the public index.", False, False)
    SIMILAR_NAMES = (
        "similar-names",
        "A new name is not one that people would take for another of its project, such as f1ask for flask, as on the public index.",
        False,
        False,
    )
    LINUX_TAGS = ("linux-tags", "No wheel for plain linux_* but manylinux and musllinux, as on the public index.", False, False)

    def __new__(cls, value: str, doc: str = "", strict: bool = False, lenient: bool = False) -> Self:
        """Enum's: a member from its row."""
        member = object.__new__(cls)
        member._value_ = value
        member.doc, member.strict, member.lenient = doc, strict, lenient
        return member


_LEVELS = {
    "strict": frozenset(check for check in Check if check.strict),
    "lenient": frozenset(check for check in Check if check.lenient),
}


@frozen(kw_only=True)
class Checks:
    """Those checks that are on."""

    on: frozenset[Check]

    @classmethod
    def of(cls, level: str, also: Iterable[str] = (), without: Iterable[str] = ()) -> Self:
        """The checks of a level, "strict" or "lenient", with some switched on and some off by name.

        Raises `ValueError` for an unknown level or name (its sentence lists the known ones, the closest first), or for a name in both.
        """
        base = _LEVELS[_known(level, list(_LEVELS), "level of checks")]
        names = [check.value for check in Check]
        more, fewer = ({Check(_known(name, names, "check")) for name in switched} for switched in (also, without))
        if both := sorted(check.value for check in more & fewer):
            raise ValueError(f"{both[0]!r} cannot be switched on and off at once: remove it from one of the two lists")
        return cls(on=(base | more) - fewer)

    def __contains__(self, check: Check) -> bool:
        return check in self.on


def _known(name: str, known: list[str], what: str) -> str:
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"There is no {what} {name!r}.{meant} Known are: {', '.join(known)}")
