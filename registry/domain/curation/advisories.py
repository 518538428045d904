"""Advisories in OSV's format: what one says, and which of many are about a version of a name.

As OSV has it (its schema, "Evaluation"), a version is affected if it is listed or if it lies in a range, in PEP 440's order.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen
from packaging.version import Version as Pep440

from registry.domain.curation.affected import Affected, Spans, read_affected
from registry.domain.curation.severity import Severity, in_words, rated
from registry.domain.errors import InvalidName
from registry.domain.names import Name

_ECOSYSTEM = "PyPI"
_MALICIOUS = "MAL-"
_LONGEST_ID = 100
_MOST_ALIASES = 1000
_NEVER = datetime.min.replace(tzinfo=UTC)
# Names whose spans are kept ready. A bound on memory: one that is asked again after many others is worked out again.
_READY = 256


@frozen(kw_only=True)
class Record:
    """One OSV record, as far as it is about PyPI. `severity` None where it tells none."""

    id: str
    modified: datetime
    withdrawn: bool
    aliases: tuple[str, ...]
    severity: Severity | None
    affected: tuple[tuple[str, Affected], ...]  # by normalised name; a name may come several times


def read_record(data: bytes) -> Record | None:
    """The record in one JSON document of an OSV export; None if it is about other ecosystems only.

    What cannot be read of one affected package does not hide the others. Raises ValueError where nothing is left.
    """
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict) or not isinstance(found.get("affected"), list):
        raise ValueError("it is no OSV record")  # noqa: TRY004 - a value of a document, not an argument
    name = found.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_ID or not (name.isascii() and name.isprintable()) or " " in name:
        raise ValueError("its id is missing, or no id")
    entries = [entry for entry in found["affected"] if _is_ours(entry)]
    affected = tuple(read for entry in entries if (read := _read(entry)) is not None)
    if entries and not affected:
        raise ValueError("none of its affected packages can be read")
    if not entries:
        return None
    aliases = found.get("aliases")
    return Record(
        id=name,
        modified=_moment(found.get("modified")),
        withdrawn=found.get("withdrawn") is not None,
        aliases=tuple(one for one in aliases[:_MOST_ALIASES] if isinstance(one, str)) if isinstance(aliases, list) else (),
        severity=_severity(found, entries),
        affected=affected,
    )


@frozen(kw_only=True)
class Advisory:
    """One advisory about one name. `severity` None where nobody has told one."""

    id: str
    severity: Severity | None
    affected: Affected = field(repr=False)

    def counts(self, least: Severity) -> bool:
        """Whether it is bad enough. Malicious packages always are; so is what nobody has rated, as it may be anything."""
        return self.id.startswith(_MALICIOUS) or self.severity is None or self.severity >= least

    @property
    def word(self) -> str:
        """How bad it is, for people."""
        if self.id.startswith(_MALICIOUS):
            return "malicious"
        return "severity unknown" if self.severity is None else f"severity {self.severity.word}"

    @property
    def weight(self) -> int:
        """How bad it is, to tell the worst of several."""
        return len(Severity) + 1 if self.id.startswith(_MALICIOUS) else len(Severity) if self.severity is None else int(self.severity)


@frozen
class NameAdvisories:
    """The advisories about one name, ready to be asked for version after version: of a hundred advisories, for hundreds of versions."""

    _worst_first: tuple[Advisory, ...]
    _spans: Spans = field(repr=False)

    @classmethod
    def of(cls, advisories: Iterable[Advisory]) -> "NameAdvisories":
        """Work their ranges out."""
        ordered = tuple(sorted(advisories, key=lambda one: (-one.weight, one.id)))
        return cls(ordered, Spans.of([one.affected for one in ordered]))

    def worst(self, version: Pep440, least: Severity) -> Advisory | None:
        """The worst that affects `version`, if it counts. A local version (1.0+cu121) is affected as the one it was built from."""
        index = self._spans.first(version)
        # None is worse than the first, so if that does not count, none does.
        return self._worst_first[index] if index is not None and self._worst_first[index].counts(least) else None


@frozen(eq=False)
class Advisories:
    """Many advisories by normalised name. Two are equal only if they are the same object: a new reading may differ in anything."""

    _by_name: Mapping[str, tuple[Advisory, ...]] = field(factory=dict, repr=False)
    _ready: dict[str, NameAdvisories] = field(factory=dict, init=False, repr=False)  # mutable: filled as names are asked

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Advisories":
        """Those that are in force: of records with one id the newest counts, and none that was withdrawn.

        A record without a severity has the worst of those that are about the same vulnerability (by id and aliases).
        """
        newest: dict[str, Record] = {}
        for record in records:
            known = newest.get(record.id)
            if known is None or known.modified <= record.modified:
                newest[record.id] = record
        valid = [record for record in newest.values() if not record.withdrawn]
        told: dict[str, Severity] = {}
        for record in valid:
            if record.severity is not None:
                for alias in (record.id, *record.aliases):
                    told[alias] = max(record.severity, told.get(alias, Severity.NONE))
        by_name: dict[str, list[Advisory]] = {}
        for record in valid:
            severity = record.severity
            if severity is None:
                severity = max((told[alias] for alias in (record.id, *record.aliases) if alias in told), default=None)
            for name, affected in record.affected:
                by_name.setdefault(name, []).append(Advisory(id=record.id, severity=severity, affected=affected))
        return cls({name: tuple(found) for name, found in by_name.items()})

    def about(self, name: str) -> NameAdvisories | None:
        """Those about the normalised `name`, None if there are none."""
        found = self._by_name.get(name)
        if found is None:
            return None
        ready = self._ready.get(name)
        if ready is None:
            if len(self._ready) >= _READY:
                self._ready.clear()
            ready = self._ready[name] = NameAdvisories.of(found)
        return ready

    def __len__(self) -> int:
        return len({advisory.id for found in self._by_name.values() for advisory in found})


NO_ADVISORIES = Advisories()


def _is_ours(entry: object) -> bool:
    package = entry.get("package") if isinstance(entry, dict) else None
    ecosystem = package.get("ecosystem") if isinstance(package, dict) else None
    return isinstance(ecosystem, str) and ecosystem.partition(":")[0] == _ECOSYSTEM


def _read(entry: Mapping[str, Any]) -> tuple[str, Affected] | None:
    name = entry["package"].get("name")
    try:
        return (Name(name).normalized, read_affected(entry)) if isinstance(name, str) else None
    except (InvalidName, ValueError):
        return None


def _severity(found: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> Severity | None:
    vectors: list[object] = []
    for holder in (found, *entries):
        given = holder.get("severity")
        vectors += given if isinstance(given, list) else []
    told = [
        rated(vector["type"], vector["score"])
        for vector in vectors
        if isinstance(vector, dict) and isinstance(vector.get("type"), str) and isinstance(vector.get("score"), str)
    ]
    known = [one for one in told if one is not None]
    specific = found.get("database_specific")
    return max(known) if known else in_words(specific.get("severity")) if isinstance(specific, dict) else None


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else _NEVER
    except ValueError:
        return _NEVER
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
