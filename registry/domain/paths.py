"""Paths of users, groups and projects, as GitLab writes them: `team/tools/builder`."""

import re

from attrs import frozen

from registry.domain.errors import InvalidSetting

# GitLab: letters, digits, "_", "-", "." ; not beginning with "-" or "."; not ending in "." or in an ending that its routes use.
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_FORBIDDEN_ENDINGS = (".", ".git", ".atom")
_ALLOWED = "use ASCII letters, digits, '_', '-' and '.', beginning with a letter, digit or '_', not ending in '.', '.git' or '.atom'"


# The largest number the catalog can hold; what is larger names nothing.
LARGEST_ID = 2**63 - 1
_ID_DIGITS = len(str(LARGEST_ID))


def id_in(text: str) -> int | None:
    """The id that `text` is, None if it can be none: ASCII digits only, and no larger than the catalog can hold."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS and int(text) <= LARGEST_ID
    return int(text) if is_number else None


def check_segment(what: str, text: str) -> str:
    """Return `text` if it may be one segment of a path. Raises `InvalidSetting`."""
    # All digits would be taken for a number wherever an id or a path may stand.
    if not _SEGMENT.fullmatch(text) or text.endswith(_FORBIDDEN_ENDINGS) or text.isdigit():
        raise InvalidSetting(what=what, value=text, allowed=f"{_ALLOWED}, not only digits")
    return text


@frozen(kw_only=True)
class ProjectPath:
    """Where a project lies: its namespace's full path and its own segment."""

    namespace: str
    segment: str

    @classmethod
    def parse(cls, text: str) -> "ProjectPath":
        """Split `namespace/.../project`. Raises `InvalidSetting`."""
        namespace, slash, segment = text.rpartition("/")
        if not slash:
            raise InvalidSetting(what="Project path", value=text, allowed="use NAMESPACE/PROJECT, such as root/packages")
        for part in namespace.split("/"):
            check_segment("Namespace", part)
        return cls(namespace=namespace, segment=check_segment("Project path", segment))

    def __str__(self) -> str:
        return f"{self.namespace}/{self.segment}"
