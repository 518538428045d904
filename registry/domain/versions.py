"""Versions of packages: PEP 440 and nothing else."""

from collections.abc import Iterable

from attrs import field, frozen
from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion as NotPep440
from packaging.version import Version as Pep440

from registry.domain.errors import InvalidVersion

# Long enough for every real version; keeps PEP 440's regular expression and int() from chewing on megabytes.
_LONGEST = 255


@frozen
class Version:
    """A PEP 440 version. `1.0`, `1.0.0` and `v1.0` are equal; `display` keeps the spelling that was given.

    Raises `InvalidVersion` where GitLab's version expression (PEP 440's, without surrounding blanks) does not match.
    """

    display: str = field(eq=False)
    key: str = field(init=False)
    order: Pep440 = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """`packaging` strips blanks and ignores case beyond ASCII; GitLab's expression does neither."""
        text = self.display
        if not text.isascii() or text != text.strip() or len(text) > _LONGEST:
            raise InvalidVersion(text=text)
        try:
            parsed = Pep440(text)
        except (NotPep440, ValueError):
            raise InvalidVersion(text=text) from None
        object.__setattr__(self, "order", parsed)
        object.__setattr__(self, "key", canonicalize_version(parsed))


def in_order(texts: Iterable[str]) -> list[str]:
    """Valid versions, each once, from the lowest to the highest; of equal ones the first spelling."""
    found: dict[Pep440, str] = {}
    for text in dict.fromkeys(texts):
        found.setdefault(Pep440(text), text)
    return [found[version] for version in sorted(found)]
