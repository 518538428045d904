"""Names of Python projects: the only place that parses or compares them."""

import re

from attrs import field, frozen

from registry.domain.errors import InvalidName

# PEP 508: "^([A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9])$", ASCII, ignoring case. Spelt out because re.IGNORECASE would let the Kelvin sign in.
_VALID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SEPARATORS = re.compile(r"[-_.]+")
_LOOK_ALIKE = str.maketrans("lio", "110")


@frozen(order=True)
class Name:
    """A project name. Two spellings of one name are equal; `display` keeps the one that was given.

    Raises `InvalidName` for text that PEP 508 does not allow, so that no layer below ever meets one.
    """

    display: str = field(eq=False, order=False)
    normalized: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Validate first, then normalise: a separator run is never a reason to accept."""
        if not _VALID.fullmatch(self.display):
            raise InvalidName(text=self.display)
        # PEP 503: "all runs of the characters ., -, or _ replaced with a single - character", lower case.
        object.__setattr__(self, "normalized", _SEPARATORS.sub("-", self.display).lower())

    @property
    def look_alike(self) -> str:
        """The same for names that look the same: without separators, with one letter for l, I and 1, and one for o and 0 (PyPI's rule)."""
        return self.normalized.replace("-", "").translate(_LOOK_ALIKE)
