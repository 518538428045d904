"""Which versions an advisory affects (OSV's `affected`), kept small, and many of them worked out for quick answers."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from attrs import field, frozen
from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion
from packaging.version import Version as Pep440

# Most versions by far are numbers and dots: their key is a matter of trailing zeros. The others are parsed.
_PLAIN = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_LONGEST = 255
_MOST_VERSIONS, _MOST_EVENTS = 100_000, 10_000
# Ranges of commits say nothing about versions; these two do, and of a Python project both are in PEP 440's order.
_ORDERED = {"ECOSYSTEM", "SEMVER"}
# Where several stand at one version: what begins there is affected, though something else was fixed; what ends there is included.
_EVENTS = ("fixed", "introduced", "last_affected")
_START, _ANY = "0", "*"

Event = tuple[str, str]  # the event's name and its version


@frozen
class Affected:
    """Versions by lists and ranges. `versions` holds keys with blanks between: sets would take ten times the memory."""

    ranges: tuple[tuple[Event, ...], ...]
    versions: str

    def fixed_after(self, version: Pep440) -> str | None:
        """The lowest version above `version` that is called fixed."""
        fixes = [(parsed, text) for events in self.ranges for kind, text in events if kind == "fixed" and (parsed := parsed_version(text))]
        return min(((parsed, text) for parsed, text in fixes if parsed > version), default=(None, None))[1]


@lru_cache(maxsize=8192)
def parsed_version(text: str) -> Pep440 | None:
    """The version that `text` is in PEP 440, None if it is none."""
    if len(text) > _LONGEST or not text.isascii():
        return None
    try:
        return Pep440(text)
    except (InvalidVersion, ValueError):
        return None


def version_key(text: str) -> str:
    """The same text for all spellings of one version; any other text is its own, without blanks."""
    if len(text) <= _LONGEST and _PLAIN.fullmatch(text):
        return text if not text.endswith(".0") else _strip(text)
    return canonicalize_version(text) if parsed_version(text) else "".join(text.split())


def _strip(text: str) -> str:
    while text.endswith(".0"):
        text = text[:-2]
    return text


def read_affected(entry: Mapping[str, Any]) -> Affected:
    """One object of a record's `affected`. Raises ValueError if it names no version in any way."""
    versions, ranges = entry.get("versions", []), entry.get("ranges", [])
    if not isinstance(versions, list) or not isinstance(ranges, list) or len(versions) > _MOST_VERSIONS:
        raise ValueError("its versions or ranges are no list, or too long a one")
    keys = {version_key(one) for one in versions if isinstance(one, str)} - {""}
    read = [_read_events(one) for one in ranges if isinstance(one, dict) and one.get("type") in _ORDERED]
    kept = tuple(events for events in read if events)
    if not keys and not kept:
        raise ValueError("it names no version")
    return Affected(ranges=kept, versions=" ".join(sorted(keys)))


def _read_events(given: Mapping[str, Any]) -> tuple[Event, ...]:
    events = given.get("events")
    if not isinstance(events, list) or len(events) > _MOST_EVENTS:
        return ()
    return tuple(
        (kind, one[kind])
        for one in events
        if isinstance(one, dict)
        for kind in (*_EVENTS, "limit")
        if isinstance(one.get(kind), str) and len(one[kind]) <= _LONGEST
    )


# A version's rank: twice the number of known bounds below it, and one more if it is a bound itself. Comparing ranks is comparing versions.
_BELOW_ALL = -1


@frozen
class Spans:
    """The versions that each of several `Affected` is about; asked for a version, it tells the first that is."""

    _bounds: Sequence[Pep440]
    _ranges: Sequence[tuple[int, tuple[tuple[int, int], ...], tuple[int, ...]]]  # index; events as rank and kind; limits as ranks
    _listed: Mapping[str, int]  # key of a version: index
    _known: dict[int, int | None] = field(factory=dict, init=False)  # mutable: rank to index, filled as versions are asked

    @classmethod
    def of(cls, all_affected: Sequence[Affected]) -> "Spans":
        """Work them out."""
        texts = {text for affected in all_affected for events in affected.ranges for _, text in events}
        bounds = sorted({version for text in texts if (version := parsed_version(text))})
        ranks = {version: 2 * index + 1 for index, version in enumerate(bounds)}
        listed: dict[str, int] = {}
        ranges = []
        for index, affected in enumerate(all_affected):
            for key in affected.versions.split():
                listed.setdefault(key, index)
            for events in affected.ranges:
                limits = tuple(ranks[limit] for kind, text in events if kind == "limit" and (limit := parsed_version(text)))
                unlimited = any(kind == "limit" and text == _ANY for kind, text in events)
                ranges.append((index, _steps(events, ranks), () if unlimited else limits))
        return cls(bounds, ranges, listed)

    def first(self, version: Pep440) -> int | None:
        """The index of the first that `version` is one of."""
        public = Pep440(version.public) if version.local else version
        place = bisect_left(self._bounds, public)
        rank = 2 * place + (place < len(self._bounds) and self._bounds[place] == public)
        if rank not in self._known:
            self._known[rank] = next((index for index, steps, limits in self._ranges if _within(rank, steps, limits)), None)
        found = [self._known[rank]]
        if self._listed:
            found.append(self._listed.get(canonicalize_version(public)))
            if public is not version:
                found.append(self._listed.get(canonicalize_version(version)))
        return min((index for index in found if index is not None), default=None)


def _steps(events: Sequence[Event], ranks: Mapping[Pep440, int]) -> tuple[tuple[int, int], ...]:
    steps = []
    for kind, text in events:
        version = parsed_version(text)
        if kind == "introduced":
            # One that cannot be read is as early as can be: what is unknown is affected.
            steps.append((_BELOW_ALL if text == _START or version is None else ranks[version], _EVENTS.index(kind)))
        elif kind in _EVENTS and version is not None:
            steps.append((ranks[version], _EVENTS.index(kind)))
    if not any(kind == _EVENTS.index("introduced") for _, kind in steps):
        steps.append((_BELOW_ALL, _EVENTS.index("introduced")))
    return tuple(sorted(steps))


def _within(rank: int, steps: Sequence[tuple[int, int]], limits: Sequence[int]) -> bool:
    if limits and rank >= max(limits):
        return False
    affected = False
    for at, kind in steps:
        match _EVENTS[kind]:
            case "introduced":
                affected = affected or rank >= at
            case "fixed":
                affected = affected and rank < at
            case _:
                affected = affected and rank <= at
    return affected
