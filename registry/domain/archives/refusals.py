"""Refusals: how this package says that a file is not what it should be."""

from registry.domain.errors import InvalidArchive, shown

# Enough of a path to recognise it by; the sentence goes into an HTTP reason phrase.
_LONGEST_PATH = 64
REBUILD = "build it with `python -m build`"
REPACK = "re-create it with `python -m build` or `python -m zipfile`"


def refusal(problem: str) -> InvalidArchive:
    """The error for a file that has `problem`, worded to follow its name; `inspect_archive` fills in the name."""
    return InvalidArchive(filename="", problem=problem)


def member(path: str | bytes) -> str:
    """A member's path for a sentence: quoted, printable, and cut if it is long."""
    return shown(path if isinstance(path, str) else path.decode("utf-8", "backslashreplace"), _LONGEST_PATH)
