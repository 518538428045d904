"""Why a name has the files that it has in a place: what was asked of whom, and the verdict about every file."""

from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import frozen

from registry.domain.curation.course import Course
from registry.domain.curation.judging import Verdict
from registry.domain.model import File
from registry.domain.names import Name

# The source of what is held here. Upstreams' names are the operator's; that one of them is called so confuses nobody but him.
LOCAL = "local"

# What says so, by course: a setting, or what was done.
_RULES: Mapping[Course, str] = {
    Course.OURS: "published here",
    Course.RESERVED: "[names] reserved",
    Course.SHARED: "upstream allow",
    Course.FORWARDED: "not held here",
    Course.OFF: "pypi_package_requests_forwarding",
    Course.UNSERVED: "[upstream] mode and names",
    Course.NOTHING: "no file",
}
_REASONS: Mapping[Course, str] = {
    Course.OURS: "{name} was published in this registry, so no upstream is ever asked about it",
    Course.RESERVED: "{name} is reserved for this registry, so no upstream is ever asked about it; publish it here",
    Course.SHARED: "{name} is this registry's; by an administrator's leave upstreams are asked, too; of files with one name ours is served",
    Course.FORWARDED: "{name} is not held here, so upstreams are asked; the first that has it is the only one that counts",
    Course.OFF: "what is not held here is not asked of upstreams in this place: forwarding is switched off",
    Course.UNSERVED: "no upstream is configured to be asked about {name}",
    Course.NOTHING: (
        "no file of {name} is offered here: no upstream has it, or it belongs to this registry and is published where you may not read"
    ),
}


@frozen(kw_only=True)
class Asking:
    """What became of asking one upstream.

    `outcome`: "miss" (it was asked now), "hit" (what it said before holds), "stale" (so it would not, but for its being out of reach),
    "failed", "redirect" (clients are sent there) or "unasked" (nobody has asked it yet, and nobody did now). `found`: whether it has the
    name, None where that is not known. `error`: the sentence of what went wrong, empty where nothing did.
    """

    upstream: str
    outcome: str
    found: bool | None = None
    fetched_at: datetime | None = None
    error: str = ""


@frozen(kw_only=True)
class Candidate:
    """A file that could be offered, from where, and whether it is. `until`: when the verdict ends by itself, if it does."""

    file: File
    source: str
    verdict: Verdict


@frozen(kw_only=True)
class Explanation:
    """All that decides what a name offers in a place. `holders`, for operators only: the projects that hold something of it."""

    name: Name
    course: Course
    askings: tuple[Asking, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    holders: tuple[str, ...] | None = None

    @property
    def rule(self) -> str:
        """What says so: a setting, or what was done."""
        return _RULES[self.course]

    @property
    def reason(self) -> str:
        """The same as a sentence."""
        return _REASONS[self.course].format(name=self.name.normalized)

    def document(self) -> dict[str, object]:
        """The explanation as JSON says it."""
        told: dict[str, object] = {
            "name": self.name.normalized,
            "standing": self.course.value,
            "rule": self.rule,
            "reason": self.reason,
            "upstreams": [asking_row(one) for one in self.askings],
            "files": [candidate_row(one) for one in self.candidates],
        }
        return told if self.holders is None else {**told, "projects": list(self.holders)}


def asking_row(one: Asking) -> dict[str, object]:
    """What became of asking an upstream, as JSON says it."""
    at = None if one.fetched_at is None else _moment(one.fetched_at)
    return {"upstream": one.upstream, "outcome": one.outcome, "found": one.found, "fetched_at": at, "error": one.error or None}


def candidate_row(one: Candidate) -> dict[str, object]:
    """A file and its verdict, as JSON says it."""
    verdict = one.verdict
    return {
        "filename": one.file.filename,
        "version": one.file.version,
        "source": one.source,
        "kept": verdict.allowed,
        "rule": verdict.rule,
        "reason": verdict.reason or None,
        "until": None if verdict.until is None else _moment(verdict.until),
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
