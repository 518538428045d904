"""The policy: what an operator has decided about files of upstreams. A value; `judging` says what follows from it."""

import re
from datetime import datetime, timedelta

from attrs import evolve, frozen

from registry.domain.curation.advisories import NO_ADVISORIES, Advisories
from registry.domain.curation.choices import NO_CHOICES, Choices, any_fits
from registry.domain.curation.severity import Severity
from registry.domain.curation.waivers import Waiver
from registry.domain.errors import InvalidMoment
from registry.domain.filenames import Kind
from registry.domain.moments import parse_moment
from registry.domain.names import Name

_KINDS = {"wheel": Kind.WHEEL, "sdist": Kind.SDIST}


@frozen(kw_only=True)
class Policy:
    """`[names]` and `[curation]` as values. Can be hashed, so that what was made under one policy is never taken for another's."""

    reserved: tuple[str, ...] = ()  # patterns of names that never come from upstream
    deny: Choices = NO_CHOICES
    allow: Choices = NO_CHOICES  # empty: everything
    kinds: frozenset[Kind] = frozenset(Kind)
    licences_deny: tuple[str, ...] = ()
    licences_allow: tuple[str, ...] = ()  # empty: every licence
    unknown_licence: bool = True  # whether a file may come in whose licence is not known
    min_age: timedelta = timedelta()
    min_age_for: tuple[tuple[str, timedelta], ...] = ()  # by pattern of names; the first that fits goes before min_age
    not_after: datetime | None = None
    hide_yanked: bool = False
    advisories: Advisories = NO_ADVISORIES
    osv_severity: Severity = Severity.HIGH
    exceptions: tuple[Waiver, ...] = ()


def is_reserved(policy: Policy, name: Name) -> bool:
    """Whether `name` is ours alone: never asked of an upstream, never merged with one."""
    return any_fits(policy.reserved, name.normalized)


def unreserved(policy: Policy) -> Policy:
    """The same policy for a name that an administrator lets a project take from upstream though it is ours."""
    return evolve(policy, reserved=()) if policy.reserved else policy


def parse_kinds(text: str) -> frozenset[Kind]:
    """Kinds of files, with commas or blanks between them. Raises ValueError."""
    words = list(filter(None, re.split(r"[,\s]+", text)))
    if not words or not all(word in _KINDS for word in words):
        raise ValueError("use wheel, sdist or both (wheel, sdist)")
    return frozenset(_KINDS[word] for word in words)


def parse_licences(text: str) -> tuple[str, ...]:
    """Patterns of licences, on lines or with commas between them."""
    return tuple(filter(None, map(str.strip, re.split(r"[,\n]", text))))


def parse_date_line(text: str) -> datetime | None:
    """An instant (RFC 3339), or the end of a date (UTC); None for the empty text. Raises ValueError."""
    try:
        return parse_moment(text) if text else None
    except InvalidMoment as error:
        raise ValueError(str(error)) from None
