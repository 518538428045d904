"""What a resolver is about to ask for, once it has read what a package requires."""

from collections.abc import Iterable
from itertools import islice

from attrs import frozen
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from registry.domain.errors import InvalidName, InvalidVersion
from registry.domain.model import File, Page
from registry.domain.names import Name
from registry.domain.versions import Version

_ANY = "-none-any.whl"
# Requirements of a package that are looked at, how long one of them may be in characters, and of how many clauses: reading them, and
# comparing a page's versions with them, takes time that whoever writes core metadata must not be able to choose.
LINES, LONGEST, CLAUSES = 1000, 1000, 20


@frozen(kw_only=True)
class Wanted:
    """A name that is required, and which of its versions will do."""

    name: Name
    versions: SpecifierSet


def wanted_next(requires_dist: Iterable[str], most: int) -> list[Wanted]:
    """The first `most` names that an installation without extras requires, on whatever platform; what cannot be read requires nothing."""
    found: dict[str, Wanted] = {}
    for line in islice(requires_dist, LINES):
        if len(found) >= most:
            break
        if len(line) > LONGEST:
            continue
        try:
            requirement = Requirement(line)
            name = Name(requirement.name)
        except (InvalidRequirement, InvalidName, RecursionError):
            # The last: each parenthesis in a marker is another call of a function by itself.
            continue
        if len(requirement.specifier) > CLAUSES:
            continue
        if requirement.url is None and not (requirement.marker is not None and "extra" in str(requirement.marker)):
            found.setdefault(name.normalized, Wanted(name=name, versions=requirement.specifier))
    return list(found.values())


def likeliest(page: Page, versions: SpecifierSet) -> File | None:
    """The file that most clients choose, and ask the core metadata of first: the newest wheel for any platform that fits.

    None where the newest version that fits has wheels for some platforms only: which of them, nobody can tell from here.
    """
    files: dict[Version, list[File]] = {}
    for file in page.files if page.status.offers_files else ():
        if file.yanked is None:
            try:
                files.setdefault(Version(file.version), []).append(file)
            except InvalidVersion:
                continue
    by_order = {version.order: version for version in files}
    best = max(versions.filter(by_order), default=None)
    if best is None:
        return None
    return next((file for file in files[by_order[best]] if file.filename.endswith(_ANY) and file.metadata_sha256), None)
