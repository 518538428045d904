"""The one decision: whether a file of an upstream may come in, and why not.

Pages, files, core metadata, the project JSON, indexes and REST all ask here, with the same licences, so that a file is hidden
everywhere or nowhere.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum

from attrs import evolve, field, frozen
from packaging.version import Version as Pep440

from registry.domain.curation.advisories import NameAdvisories
from registry.domain.curation.affected import parsed_version
from registry.domain.curation.choices import Choice
from registry.domain.curation.licences import accepted
from registry.domain.curation.policy import Policy, is_reserved
from registry.domain.curation.waivers import Waiver
from registry.domain.errors import shown
from registry.domain.facts import UPLOAD_TIME, told
from registry.domain.filenames import Kind
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.wildcards import fits

_KINDS = ((".whl", Kind.WHEEL), (".tar.gz", Kind.SDIST), (".zip", Kind.SDIST))
_KIND_WORDS = {Kind.WHEEL: "wheels", Kind.SDIST: "source distributions"}
_ASK = "ask whoever runs this registry"
_EXCEPT = f"{_ASK} for an exception"
_OLDER = f"use an older version, or {_EXCEPT}"
_LAST = datetime.max.replace(tzinfo=UTC)
_LONGEST_SHOWN = 80
_MINUTE = timedelta(minutes=1)


class Rule(Enum):
    """What can refuse a file, in the order in which it is asked. The values are for ever: people grep for them."""

    RESERVED = "reserved"
    QUARANTINE = "quarantine"
    VERSION = "version"
    DENY = "deny-list"
    ALLOW = "allow-list"
    KIND = "kind"
    YANKED = "yanked"
    # From here on an exception goes before the rule.
    ADVISORY = "advisory"
    LICENCE = "licence"
    DATE_LINE = "date-line"
    COOLDOWN = "cooldown"


ALLOW, EXCEPTION = "allow", "exception"


@frozen
class Verdict:
    """The decision about one file.

    `rule` is what refused it (a value of `Rule`), or `allow`, or `exception` where it comes in only by one. `reason` is a sentence in
    ASCII for whoever asked, empty where there is nothing to say. `until`: when the verdict ends by itself, if it does.
    """

    allowed: bool
    rule: str
    reason: str = ""
    until: datetime | None = None


_ALLOWED = Verdict(True, ALLOW)


def judge(  # noqa: PLR0917 - the facts of one question
    policy: Policy, name: Name, status: ProjectStatus, file: File, now: datetime, licence: str | None = None
) -> Verdict:
    """Whether `file` of an upstream may come in at the moment `now`, which must have a time zone.

    `status` is what the upstream says of the name; `licence` what is known of the file's (`licences.licence_of`), None: nothing. No other
    clock is asked: whoever calls sees to it that `now` does not go back, as an exception that has ended would hold again.
    """
    return _Bench.of(policy, name, status, now).verdict(file, licence)


def explain(policy: Policy, page: Page, now: datetime, licences: Mapping[str, str] | None = None) -> tuple[tuple[File, Verdict], ...]:
    """Every file of an upstream's page, in its order, with its verdict. `licences`: what is known of them, by file name."""
    bench, known = _Bench.of(policy, page.name, page.status, now), licences or {}
    return tuple((file, bench.verdict(file, known.get(file.filename))) for file in page.files)


def permitted(policy: Policy, page: Page, now: datetime, licences: Mapping[str, str] | None = None) -> Page:
    """The page without the files that are refused; the very same page where none is."""
    bench, known = _Bench.of(policy, page.name, page.status, now), licences or {}
    kept = tuple(file for file in page.files if bench.allows(file, known.get(file.filename)))
    return page if len(kept) == len(page.files) else evolve(page, files=kept)


def next_change(policy: Policy, page: Page, now: datetime, licences: Mapping[str, str] | None = None) -> datetime | None:
    """When the verdicts about a page may first differ though nothing else changes: how long what was made of them may be kept."""
    return min((verdict.until for _, verdict in explain(policy, page, now, licences) if verdict.until is not None), default=None)


@frozen
class _Refusal:
    """Why a file is refused. Its sentence is composed when somebody reads it: pages have thousands of files and show none."""

    rule: Rule
    say: Callable[[], str]
    until: datetime | None = None


@frozen
class _OfVersion:
    """What is the same for all files of a version: the refusal that nothing lifts, the advisory, and the exception that is in force."""

    refused: _Refusal | None = None
    advisory: _Refusal | None = None
    waiver: Waiver | None = None


_UNRESTRICTED = _OfVersion()


@frozen(kw_only=True)
class _Bench:
    """What the policy says of one name at one moment; names have many files of few versions."""

    policy: Policy
    name: Name
    now: datetime
    whole: _Refusal | None  # of all files alike
    denied: tuple[Choice, ...]
    allowed: tuple[Choice, ...]
    waivers: tuple[Waiver, ...]
    advisories: NameAdvisories | None
    min_age: timedelta
    restricted: bool  # whether any rule asks for the version
    _versions: dict[str, _OfVersion] = field(factory=dict)  # mutable: filled as files are judged
    _licences: dict[str, bool] = field(factory=dict)  # mutable: likewise

    @classmethod
    def of(cls, policy: Policy, name: Name, status: ProjectStatus, now: datetime) -> "_Bench":
        """Look up once what the policy has about the name."""
        text = name.normalized
        denied, advisories = policy.deny.about(text), policy.advisories.about(text)
        waivers = tuple(one for one in policy.exceptions if fits(one.choice.pattern, text) and now <= one.until)
        return cls(
            policy=policy,
            name=name,
            now=now,
            whole=_whole(policy, name, status),
            denied=denied,
            allowed=policy.allow.about(text),
            waivers=waivers,
            advisories=advisories,
            min_age=next((age for pattern, age in policy.min_age_for if fits(pattern, text)), policy.min_age),
            restricted=bool(denied or policy.allow or waivers or advisories),
        )

    def verdict(self, file: File, licence: str | None) -> Verdict:
        """The decision in full."""
        refusal, waiver = self.decide(file, licence)
        if refusal is None:
            return _ALLOWED
        if waiver is not None:
            what = f"Allowed by exception until {_minute(waiver.until)}: {_plain(waiver.reason)} (lifted: {refusal.rule.value})"
            return Verdict(True, EXCEPTION, what, waiver.until)
        until = f" until {_minute(refusal.until)}" if refusal.until else ""
        return Verdict(False, refusal.rule.value, f"Blocked by {refusal.rule.value}{until}: {refusal.say()}", refusal.until)

    def allows(self, file: File, licence: str | None) -> bool:
        """The decision in short."""
        refusal, waiver = self.decide(file, licence)
        return refusal is None or waiver is not None

    def decide(self, file: File, licence: str | None) -> tuple[_Refusal | None, Waiver | None]:
        """What refuses the file, and the exception that lets it in all the same. The one place where this is decided."""
        if self.whole is not None:
            return self.whole, None
        of_version = self._of_version(file.version) if self.restricted else _UNRESTRICTED
        refused = of_version.refused or self._kind(file) or self._yanked(file)
        if refused is not None:
            return refused, None
        return of_version.advisory or self._licence(file, licence) or self._age(file), of_version.waiver

    def _of_version(self, text: str) -> _OfVersion:
        found = self._versions.get(text)
        if found is None:
            found = self._versions[text] = self._judged(text)
        return found

    def _judged(self, text: str) -> _OfVersion:
        version, called = parsed_version(text), self._called
        if version is None:
            no_version = "has no PEP 440 version, so that the rules cannot be held against it; use another version"
            return _OfVersion(_Refusal(Rule.VERSION, lambda: f"{called(text)} {no_version}"))
        line = next((choice.text for choice in self.denied if choice.touches(version)), None)
        if line is not None:
            return _OfVersion(_Refusal(Rule.DENY, lambda: f"{called(text)} is denied here ({_plain(line)}); use another, or {_ASK}"))
        if self.policy.allow and not any(choice.holds(version) for choice in self.allowed):
            return _OfVersion(_Refusal(Rule.ALLOW, lambda: f"{called(text)} is not on the list of this registry; {_ASK} to add it"))
        waivers = [waiver for waiver in self.waivers if waiver.choice.holds(version)]
        return _OfVersion(None, self._advisory(text, version), max(waivers, key=lambda waiver: waiver.until, default=None))

    def _advisory(self, text: str, version: Pep440) -> _Refusal | None:
        found = self.advisories.worst(version, self.policy.osv_severity) if self.advisories else None
        if found is None:
            return None

        def say() -> str:
            fixed = found.affected.fixed_after(version)
            then = f"use {_plain(fixed)} or later" if fixed else "use another version"
            return f"{self._called(text)} is affected by {found.id} ({found.word}); {then}, or {_ASK} for an exception"

        return _Refusal(Rule.ADVISORY, say)

    def _kind(self, file: File) -> _Refusal | None:
        kind = next((kind for ending, kind in _KINDS if file.filename.endswith(ending)), None)
        if kind in self.policy.kinds:
            return None
        if kind is None:
            return _Refusal(Rule.KIND, lambda: f"{_plain(file.filename)} is neither a wheel nor a source distribution; use one of these")
        words = f"this registry takes no {_KIND_WORDS[kind]} from upstream"
        return _Refusal(Rule.KIND, lambda: f"{_plain(file.filename)}: {words}; use another file, or {_ASK}")

    def _yanked(self, file: File) -> _Refusal | None:
        if file.yanked is None or not self.policy.hide_yanked:
            return None
        why = f" ({_plain(file.yanked)})" if file.yanked else ""
        return _Refusal(Rule.YANKED, lambda: f"{self._called(file.version)} was yanked upstream{why}; use another version")

    def _licence(self, file: File, licence: str | None) -> _Refusal | None:
        policy = self.policy
        if licence is None or not licence.strip():
            if policy.unknown_licence:
                return None
            return _Refusal(Rule.LICENCE, lambda: f"the licence of {_plain(file.filename)} is not known here; {_ASK} for an exception")
        if not (policy.licences_allow or policy.licences_deny):
            return None
        good = self._licences.get(licence)
        if good is None:
            good = self._licences[licence] = accepted(licence, policy.licences_allow, policy.licences_deny)
        if good:
            return None
        what = _plain(" / ".join(licence.splitlines()))
        return _Refusal(Rule.LICENCE, lambda: f"{self._called(file.version)} is under {what}, which this registry does not take; {_ASK}")

    def _age(self, file: File) -> _Refusal | None:
        line, age = self.policy.not_after, self.min_age
        if line is None and not age:
            return None
        # What was found out is when a server last touched the file, which whoever puts it there may choose.
        at = file.uploaded_at if told(file, UPLOAD_TIME) else None
        if at is None:
            rule = Rule.COOLDOWN if age else Rule.DATE_LINE
            what = "so that its age cannot be known"
            return _Refusal(rule, lambda: f"upstream does not tell when {_plain(file.filename)} was uploaded, {what}; {_EXCEPT}")
        if line is not None and at > line:
            return _Refusal(
                Rule.DATE_LINE,
                lambda: f"{self._called(file.version)} was uploaded {_minute(at)}, and nothing after {_minute(line)} is taken; {_OLDER}",
            )
        if age and self.now - at < age:
            try:
                until = at + age
            except OverflowError:
                until = _LAST
            return _Refusal(Rule.COOLDOWN, lambda: f"{self._called(file.version)} was uploaded {_minute(at)}, too lately; {_OLDER}", until)
        return None

    def _called(self, version: str) -> str:
        return f"{self.name.normalized} {_plain(version)}"


def _whole(policy: Policy, name: Name, status: ProjectStatus) -> _Refusal | None:
    text = name.normalized
    if is_reserved(policy, name):
        return _Refusal(Rule.RESERVED, lambda: f"{text} is reserved for this registry and never comes from upstream; publish it here")
    if not status.offers_files:
        return _Refusal(Rule.QUARANTINE, lambda: f"upstream has quarantined {text} and offers none of its files; use another name")
    return None


def _plain(text: str) -> str:
    # What upstream wrote goes into status lines and terminals.
    return text if len(text) <= _LONGEST_SHOWN and text.isascii() and text.isprintable() else shown(text, _LONGEST_SHOWN)


def _minute(moment: datetime) -> str:
    """The minute in UTC; of what is not a full one the next, so that whoever comes back then does not come too early."""
    try:
        rounded = moment if not (moment.second or moment.microsecond) else moment.replace(second=0, microsecond=0) + _MINUTE
        text = rounded.astimezone(UTC).isoformat(timespec="minutes")
    except OverflowError:
        return "the end of time"
    return f"{text[:16]}Z"
