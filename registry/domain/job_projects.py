"""Which of our projects a project of a GitLab instance stands for."""

from collections.abc import Sequence

from registry.domain.errors import InvalidSetting
from registry.domain.paths import ProjectPath

# A GitLab path and one of ours; a "*", in both or in neither, stands for the same text, slashes included.
Pattern = tuple[str, str]

_STAR = "*"


def our_project(patterns: Sequence[Pattern], theirs: str) -> str | None:
    """The path of our project that GitLab's project `theirs` stands for by the first pattern that fits; None if there is none."""
    for pattern, ours in patterns:
        before, star, after = pattern.lower().partition(_STAR)
        key = theirs.lower()
        if not star:
            if key == before:
                return ours
        elif len(key) > len(before) + len(after) and key.startswith(before) and key.endswith(after):
            path = ours.replace(_STAR, theirs[len(before) : len(theirs) - len(after)])
            return path if _is_path(path) else None
    return None


def _is_path(text: str) -> bool:
    try:
        ProjectPath.parse(text)
    except InvalidSetting:
        return False
    return True
