"""Where an upstream may tell of a name, and of which names a file may be."""

from registry.domain.errors import InvalidName, InvalidVersion
from registry.domain.filenames import SDIST_ENDINGS
from registry.domain.names import Name
from registry.domain.versions import Version

_INDEXES = frozenset({"simple", "+simple"})
_LONGEST_NAME = 255
_WHEEL_PARTS = (5, 6)  # PEP 427: name, version, maybe a build, and three tags


def page_candidates(upstream_url: str, name: str) -> tuple[str, ...]:
    """Where an upstream may tell of a normalised `name`: each address is asked only if the one before answers 404 (or 410).

    After the name's own page comes the upstream's address itself, which may be a directory that lists the files of all its projects. It is
    one if its answer can be read and has files of the name; all else means that there is no such name. What ends in `simple/` (or devpi's
    `+simple/`) is left out: that is an index of names, and may be as long as PyPI's.
    """
    own = f"{upstream_url}{name}/"
    return (own,) if upstream_url.rstrip("/").rpartition("/")[2].lower() in _INDEXES else (own, upstream_url)


def names_in(filename: str) -> list[Name]:
    """The names that a distribution file may be of, judging by nothing but its file name; the likeliest first."""
    if len(filename) > _LONGEST_NAME:
        return []
    if filename.endswith(".whl"):
        parts = filename.split("-")
        stems = parts[:1] if len(parts) in _WHEEL_PARTS and _is_version(parts[1]) else []
    else:
        ending = next((ending for ending in SDIST_ENDINGS if filename.endswith(ending)), None)
        if ending is None:
            return []
        stem = filename.removesuffix(ending)
        cuts = [index for index, character in enumerate(stem) if character == "-"]
        # The version is what follows the last hyphen, but for old spellings of both.
        stems = [stem[:cut] for cut in reversed(cuts) if _is_version(stem[cut + 1 :])]
    found: dict[str, Name] = {}
    for stem in stems:
        try:
            name = Name(stem)
        except InvalidName:
            continue
        found.setdefault(name.normalized, name)
    return list(found.values())


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
