"""File names of distributions: which wheel or sdist a name says it is."""

import re
from enum import Enum

from attrs import frozen
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from registry.domain.errors import InvalidFileName, InvalidName, InvalidVersion
from registry.domain.names import Name
from registry.domain.versions import Version

# What a wheel or sdist name consists of (PEP 427, PEP 625, PEP 440 epochs and local parts); no path, control or non-ASCII character.
_CHARACTERS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_LONGEST = 255
# PEP 658: where a file's core metadata is served, beside the file.
METADATA_ENDING = ".metadata"
SDIST_ENDINGS = (".tar.gz", ".zip")


class Kind(Enum):
    """What a distribution file is; the values are the upload form's `filetype`."""

    WHEEL = "bdist_wheel"
    SDIST = "sdist"


@frozen(kw_only=True)
class FileName:
    """The name of a distribution file, checked against the name and version it was published under."""

    text: str
    kind: Kind


def file_name(text: str, name: Name, version: Version) -> FileName:
    """Check that `text` names a wheel (PEP 427) or sdist (PEP 625 or its legacy form) of exactly `name` and `version`.

    Raises `InvalidFileName`, whose text says which part disagrees.
    """
    if len(text) > _LONGEST or not _CHARACTERS.fullmatch(text):
        raise InvalidFileName(
            filename=text,
            problem=f"must be at most {_LONGEST} ASCII letters, digits, '.', '_', '-', '+' and '!', beginning with a letter or digit",
        )
    if text.endswith(".whl"):
        _check_wheel(text, name, version)
        return FileName(text=text, kind=Kind.WHEEL)
    for ending in SDIST_ENDINGS:
        if text.endswith(ending):
            _check_sdist(text, text[: -len(ending)], name, version)
            return FileName(text=text, kind=Kind.SDIST)
    raise InvalidFileName(filename=text, problem="is neither a wheel (.whl) nor a source distribution (.tar.gz, .zip)")


def _check_wheel(text: str, name: Name, version: Version) -> None:
    try:
        found, _, _, _ = parse_wheel_filename(text)
    except (InvalidWheelFilename, ValueError) as error:
        raise InvalidFileName(filename=text, problem=f"is not a wheel name (PEP 427): {error}") from None
    _agree(text, found, text.split("-")[1], name, version)


def _check_sdist(text: str, stem: str, name: Name, version: Version) -> None:
    # A legacy sdist may have hyphens in its name and (post releases written "1.0-1") in its version: any split that fits will do.
    cuts = [index for index, character in enumerate(stem) if character == "-"]
    if not cuts:
        raise InvalidFileName(filename=text, problem="has no version: a source distribution is called <name>-<version>.tar.gz (PEP 625)")
    for cut in cuts:
        try:
            if Name(stem[:cut]) == name and Version(stem[cut + 1 :]) == version:
                return
        except (InvalidName, InvalidVersion):
            continue
    _agree(text, stem[: cuts[-1]], stem[cuts[-1] + 1 :], name, version)


def _agree(text: str, found_name: str, found_version: str, name: Name, version: Version) -> None:
    try:
        if Name(found_name) != name:
            raise InvalidFileName(filename=text, problem=f"is of a project called {found_name!r}, but the form's name is {name.display!r}")
        if Version(found_version) != version:
            raise InvalidFileName(filename=text, problem=f"is of version {found_version!r}, but the form's version is {version.display!r}")
    except (InvalidName, InvalidVersion) as error:
        raise InvalidFileName(filename=text, problem=f"cannot be split into name and version: {error}") from None
