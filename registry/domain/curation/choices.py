"""Which packages a line of the policy is about: a pattern of names, and maybe a specifier of versions."""

import operator
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Self

from attrs import field, frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version as Pep440

from registry.domain.errors import InvalidName, shown
from registry.domain.names import Name
from registry.domain.wildcards import fits

_CHOICE = re.compile(r"([A-Za-z0-9._*-]+)\s*([^A-Za-z0-9._*\s-].*)?", re.ASCII)
_SEPARATORS = re.compile(r"[-_.]+")
_LONGEST = 500
_bound = lru_cache(maxsize=1024)(Pep440)  # asked for every version of a page
_EXCLUSIVE = {"<": operator.lt, ">": operator.gt}


def name_pattern(text: str) -> str:
    """A pattern of names in normal form, such as `acme-*`; a `*` stands for any text.

    Raises ValueError where no name could ever fit it, so that a slip of the pen does not protect nothing.
    """
    try:
        Name(text.replace("*", "a"))
    except InvalidName:
        raise ValueError(f"{shown(text)} is no pattern of names; write one such as acme-* or requests") from None
    return _SEPARATORS.sub("-", text).lower()


def name_patterns(text: str) -> tuple[str, ...]:
    """Patterns of names, on lines or with commas between them."""
    return tuple(name_pattern(part) for part in filter(None, map(str.strip, re.split(r"[,\n]", text))))


@frozen
class Choice:
    """Names by a pattern, in all versions or in those of a specifier (PEP 440; pre-releases like any other version)."""

    text: str
    pattern: str
    specifier: SpecifierSet | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """A line such as `evil-*`, `requests <2.31` or `numpy ==1.26.*`. Raises ValueError with what would be right."""
        found = _CHOICE.fullmatch(text) if len(text) <= _LONGEST else None
        if found is None:
            raise ValueError(f"{shown(text)} is no name with a version specifier; write one a line, such as evil-* or requests <2.31")
        try:
            specifier = SpecifierSet(found[2]) if found[2] else None
        except (InvalidSpecifier, ValueError):
            raise ValueError(f"{shown(found[2])} is no version specifier (PEP 440) such as <2.31 or ==1.26.*") from None
        return cls(text=text, pattern=name_pattern(found[1]), specifier=specifier)

    def holds(self, version: Pep440) -> bool:
        """Whether a version is meant, of a name that fits, as PEP 440 has it."""
        # Whoever allows >=2 does not mean all but 2.1rc1.
        return self.specifier is None or self.specifier.contains(version, prereleases=True)

    def touches(self, version: Pep440) -> bool:
        """Whether a version is meant by somebody who wants none of these: also where `<` and `>` make an exception.

        PEP 440: "<2.31" is not 2.31rc1, and ">2.31" is not 2.31.post1. Whoever denies them does not know that.
        """
        return self.specifier is None or all(
            one.contains(version, prereleases=True)
            or (one.operator in _EXCLUSIVE and _EXCLUSIVE[one.operator](version, _bound(one.version)))
            for one in self.specifier
        )


def _exact(choices: tuple[Choice, ...]) -> Mapping[str, tuple[Choice, ...]]:
    found: dict[str, tuple[Choice, ...]] = {}
    for choice in choices:
        if "*" not in choice.pattern:
            found[choice.pattern] = (*found.get(choice.pattern, ()), choice)
    return found


@frozen
class Choices:
    """Several choices; those about a name are found without looking at each, so that a list of ten thousand names costs nothing."""

    all: tuple[Choice, ...] = ()
    _exact: Mapping[str, tuple[Choice, ...]] = field(init=False, eq=False, repr=False)
    _wild: tuple[Choice, ...] = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Sort them once."""
        object.__setattr__(self, "_exact", _exact(self.all))
        object.__setattr__(self, "_wild", tuple(choice for choice in self.all if "*" in choice.pattern))

    @classmethod
    def parse(cls, text: str) -> Self:
        """One choice a line. Raises ValueError."""
        return cls(tuple(map(Choice.parse, filter(None, map(str.strip, text.splitlines())))))

    def about(self, name: str) -> tuple[Choice, ...]:
        """Those that the normalised `name` fits."""
        return (*self._exact.get(name, ()), *(choice for choice in self._wild if fits(choice.pattern, name)))

    def __bool__(self) -> bool:
        return bool(self.all)


NO_CHOICES = Choices()


def any_fits(patterns: Iterable[str], name: str) -> bool:
    """Whether the normalised `name` fits one of the patterns."""
    return any(fits(pattern, name) for pattern in patterns)
