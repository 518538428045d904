"""The one decision about files of upstreams."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.curation.advisories import Advisories, read_record
from registry.domain.curation.choices import Choices, name_patterns
from registry.domain.curation.judging import Rule, Verdict, explain, judge, next_change, permitted
from registry.domain.curation.policy import Policy, is_reserved, unreserved
from registry.domain.curation.severity import Severity
from registry.domain.curation.waivers import waivers
from registry.domain.filenames import Kind
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from tests.domain.curation.policies import LICENCES, NOW, file, judged, licences_of, lines, moments, pages, policies
from tests.domain.curation.records import record

WEEK = timedelta(days=7)
INSTANT = timedelta(microseconds=1)
SEVERE = Advisories.of(
    [read for data in [record(severity="high", events=[{"introduced": "0"}, {"fixed": "2.0"}])] if (read := read_record(data))]
)


def test_an_empty_policy_lets_everything_in() -> None:
    """Without a rule wheels and source distributions come in, of any age, licence and version, yanked or not."""
    for one in (file(), file(age=None), file(yanked=""), file("banana"), file("1.0", "app-1.0.tar.gz"), file("1.0", "app-1.0.zip")):
        assert judged(Policy(), one) == Verdict(True, "allow")


@pytest.mark.parametrize("filename", ["app-1.0-py3.11.egg", "app-1.0.win32.exe", "app-1.0.rpm", "app-1.0.tar.bz2", "app", "app.whl.asc"])
def test_files_of_old_kinds_never_come_in(filename: str) -> None:
    """What is neither wheel nor source distribution is refused by every policy."""
    verdict = judged(Policy(), file(filename=filename))
    assert (verdict.allowed, verdict.rule) == (False, "kind")
    assert verdict.reason.startswith(f"Blocked by kind: {filename} is neither a wheel nor a source distribution")


@pytest.mark.parametrize(
    ("policy", "one", "sentence"),
    [
        (
            Policy(reserved=("app",)),
            file(),
            "Blocked by reserved: app is reserved for this registry and never comes from upstream; publish it here",
        ),
        (
            Policy(deny=Choices.parse("app <2")),
            file(),
            "Blocked by deny-list: app 1.0 is denied here (app <2); use another, or ask whoever runs this registry",
        ),
        (
            Policy(allow=Choices.parse("other")),
            file(),
            "Blocked by allow-list: app 1.0 is not on the list of this registry; ask whoever runs this registry to add it",
        ),
        (
            Policy(deny=Choices.parse("app <2")),
            file("banana"),
            "Blocked by version: app banana has no PEP 440 version, so that the rules cannot be held against it; use another version",
        ),
        (
            Policy(kinds=frozenset({Kind.WHEEL})),
            file(filename="app-1.0.tar.gz"),
            (
                "Blocked by kind: app-1.0.tar.gz: this registry takes no source distributions from upstream; use another file, "
                "or ask whoever runs this registry"
            ),
        ),
        (
            Policy(hide_yanked=True),
            file(yanked="broken\nbadly"),
            r"Blocked by yanked: app 1.0 was yanked upstream ('broken\nbadly'); use another version",
        ),
        (Policy(hide_yanked=True), file(yanked=""), "Blocked by yanked: app 1.0 was yanked upstream; use another version"),
        (
            Policy(advisories=SEVERE),
            file(),
            (
                "Blocked by advisory: app 1.0 is affected by GHSA-1 (severity high); use 2.0 or later, "
                "or ask whoever runs this registry for an exception"
            ),
        ),
        (
            Policy(unknown_licence=False),
            file(),
            (
                "Blocked by licence: the licence of app-1.0-py3-none-any.whl is not known here; "
                "ask whoever runs this registry for an exception"
            ),
        ),
        (
            Policy(not_after=NOW - WEEK),
            file(age=timedelta(days=1)),
            (
                "Blocked by date-line: app 1.0 was uploaded 2026-11-20T09:00Z, and nothing after 2026-11-14T09:00Z is taken; "
                "use an older version, or ask whoever runs this registry for an exception"
            ),
        ),
        (
            Policy(min_age=WEEK),
            file(age=timedelta(0)),
            (
                "Blocked by cooldown until 2026-11-28T09:00Z: app 1.0 was uploaded 2026-11-21T09:00Z, too lately; "
                "use an older version, or ask whoever runs this registry for an exception"
            ),
        ),
        (
            Policy(min_age=WEEK),
            file(age=None),
            (
                "Blocked by cooldown: upstream does not tell when app-1.0-py3-none-any.whl was uploaded, so that its age cannot be known; "
                "ask whoever runs this registry for an exception"
            ),
        ),
        (
            Policy(not_after=NOW),
            file(age=None),
            (
                "Blocked by date-line: upstream does not tell when app-1.0-py3-none-any.whl was uploaded, so that its age cannot be known; "
                "ask whoever runs this registry for an exception"
            ),
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_refusal_names_its_rule_and_says_what_to_do(policy: Policy, one: File, sentence: str) -> None:
    """The sentence begins with the rule, tells what was wrong with which file, and ends with what to do or whom to ask."""
    verdict = judged(policy, one)
    assert (verdict.allowed, verdict.reason) == (False, sentence)
    assert sentence.startswith(f"Blocked by {verdict.rule}")


def test_a_licence_that_is_refused_is_told() -> None:
    """The refusal of a licence names the licence, on one line whatever upstream wrote."""
    verdict = judged(Policy(licences_deny=("AGPL-*",)), licence="AGPL-3.0-only\nMIT")
    assert verdict.reason == (
        "Blocked by licence: app 1.0 is under AGPL-3.0-only / MIT, which this registry does not take; ask whoever runs this registry"
    )


def test_a_quarantined_name_offers_nothing() -> None:
    """Of a name that upstream has quarantined nothing comes in, exception or not, while archived and deprecated do (hardening row 20)."""
    policy = Policy(exceptions=waivers("app until 2027-01-01 because I said so"))
    verdict = judged(policy, status=ProjectStatus.QUARANTINED)
    assert (verdict.allowed, verdict.rule) == (False, "quarantine")
    page = Page(name=Name("app"), display="app", files=(file(), file("2.0")), status=ProjectStatus.QUARANTINED)
    assert permitted(policy, page, NOW).files == ()
    assert judged(policy, status=ProjectStatus.ARCHIVED).allowed
    assert judged(policy, status=ProjectStatus.DEPRECATED).allowed


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ("app", "0.1 1.0 2.0rc1 1.0+local", ""),
        ("a*", "0.1", ""),
        ("APP", "0.1", ""),
        ("app <2.31", "2.30 2.30rc1 0 2.30.post1", "2.31 2.31.0 3"),
        ("app<2.31", "2.30", "2.31"),
        ("app ==1.26.*", "1.26 1.26.4 1.26.0rc1 1.26.4+cu", "1.27 1.2"),
        ("app >=1,<2", "1.0 1.5a1", "0.9 2.0 2.1rc1"),
        ("app ~=1.4", "1.4 1.9 1.5.dev1", "1.3 2.0"),
        ("app !=1.0", "1.1 0.9", "1.0 1.0.0"),
        ("b*", "", "1.0"),
        ("application", "", "1.0"),
    ],
)
def test_lists_mean_names_and_versions(line: str, inside: str, outside: str) -> None:
    """A line denies or allows exactly the versions of its specifier, pre-releases like any other, of exactly the names of its pattern."""
    denying, allowing = Policy(deny=Choices.parse(line)), Policy(allow=Choices.parse(line))
    for version in inside.split():
        assert judged(denying, file(version)).rule == "deny-list", version
        assert judged(allowing, file(version)).allowed, version
    for version in outside.split():
        assert judged(denying, file(version)).allowed, version
        assert judged(allowing, file(version)).rule == "allow-list", version


@pytest.mark.parametrize(("line", "version"), [("app <2.31", "2.31rc1"), ("app >=1,<2.31", "2.31.dev0"), ("app >2.31", "2.31.post1")])
def test_the_edge_of_what_is_denied_is_denied(line: str, version: str) -> None:
    """Where PEP 440 leaves out what lies at the edge of < and >, a line that denies does not, while one that allows does."""
    assert judged(Policy(deny=Choices.parse(line)), file(version)).rule == "deny-list"
    assert judged(Policy(allow=Choices.parse(line)), file(version)).rule == "allow-list"
    assert judged(Policy(deny=Choices.parse(line)), file("2.31")).allowed


def test_deny_goes_before_allow() -> None:
    """What is on both lists is denied."""
    policy = Policy(deny=Choices.parse("app ==1.0"), allow=Choices.parse("app"))
    assert judged(policy).rule == "deny-list"
    assert judged(policy, file("1.1")).allowed


def test_the_cooldown_ends_to_the_moment() -> None:
    """A file that is as old as the cooldown asks comes in; a microsecond earlier it does not, and is told the moment."""
    policy = Policy(min_age=WEEK)
    assert judged(policy, file(age=WEEK)).allowed
    verdict = judged(policy, file(age=WEEK - INSTANT))
    assert (verdict.rule, verdict.until) == ("cooldown", NOW + INSTANT)
    assert "until 2026-11-21T09:01Z" in verdict.reason, "rounded up, so that nobody comes back too early"


@pytest.mark.parametrize("policy", [Policy(min_age=WEEK), Policy(not_after=NOW)])
def test_an_upload_time_that_the_index_does_not_tell_counts_for_nothing(policy: Policy) -> None:
    """When a server last touched a file is no proof of its age: it is refused as a file of which no upload time is known."""
    one = file(age=timedelta(days=365))
    assert judged(policy, one).allowed
    found = evolve(one, filled=("upload-time",))
    assert judged(policy, found) == judged(policy, evolve(one, uploaded_at=None))
    assert not judged(policy, found).allowed
    assert next_change(policy, Page(name=Name("app"), display="app", files=(found,)), NOW) is None


def test_the_first_pattern_that_fits_sets_the_age() -> None:
    """min_age_for goes before min_age, the first line that fits before later ones, and may shorten as well as lengthen."""
    policy = Policy(min_age=WEEK, min_age_for=(("a*", timedelta(days=1)), ("app", timedelta(days=99)), ("b*", timedelta())))
    assert judged(policy, file(age=timedelta(days=2))).allowed
    assert judged(policy, file(age=timedelta(hours=1))).rule == "cooldown"
    assert judged(policy, file(age=timedelta(0)), name="bee").allowed
    assert judged(policy, file(age=timedelta(days=2)), name="cat").rule == "cooldown"


def test_the_date_line_takes_what_was_uploaded_on_it() -> None:
    """What was uploaded at the last moment comes in, a microsecond later nothing does, however old it gets."""
    policy = Policy(not_after=NOW - WEEK)
    assert judged(policy, file(age=WEEK)).allowed
    assert judged(policy, file(age=WEEK - INSTANT)).rule == "date-line"
    assert judged(policy, file(age=WEEK - INSTANT), now=NOW + timedelta(days=10_000)).rule == "date-line"


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_a_clock_that_goes_back_opens_nothing(earlier: int, later: int) -> None:
    """What a cooldown refuses at one moment it refuses at every earlier one (hardening row 54)."""
    first, second = sorted((earlier, later))
    policy, one = Policy(min_age=timedelta(days=300)), file(age=timedelta(0))
    if not judged(policy, one, now=NOW + timedelta(seconds=second)).allowed:
        assert not judged(policy, one, now=NOW + timedelta(seconds=first)).allowed


def test_no_clock_but_the_given_one_counts() -> None:
    """Long ago and in the far future the verdict is that of the moment that was given (hardening row 54)."""
    policy, one = Policy(min_age=WEEK), file(age=timedelta(0))
    assert not judged(policy, one, now=datetime(1990, 1, 1, tzinfo=UTC)).allowed
    assert judged(policy, one, now=datetime(2990, 1, 1, tzinfo=UTC)).allowed
    assert not judged(policy, evolve(one, uploaded_at=datetime.max.replace(tzinfo=UTC))).allowed, "also at the end of the calendar"
    assert judged(policy, evolve(one, uploaded_at=datetime.min.replace(tzinfo=UTC))).allowed


@pytest.mark.parametrize(
    ("more", "one", "licence"),
    [
        ({"min_age": WEEK}, file(age=timedelta(0)), None),
        ({"min_age": WEEK}, file(age=None), None),
        ({"not_after": NOW - WEEK}, file(age=timedelta(0)), None),
        ({"advisories": SEVERE}, file(), None),
        ({"unknown_licence": False}, file(), None),
        ({"licences_deny": ("MIT",)}, file(), "MIT"),
        ({"licences_allow": ("BSD-*",)}, file(), "MIT"),
    ],
)
def test_an_exception_lifts_cooldown_licence_and_advisory(more: dict[str, Any], one: File, licence: str | None) -> None:
    """Until its last moment an exception lets in what these rules refuse and tells why; a microsecond later it is over."""
    policy = Policy(**more, exceptions=waivers("app ==1.0 until 2026-11-25T10:00:00Z because CVE-2026-1 is fixed there"))
    end = datetime(2026, 11, 25, 10, tzinfo=UTC)
    refused = judged(Policy(**more), one, licence=licence)
    verdict = judged(policy, one, licence=licence)
    assert not refused.allowed
    assert verdict == Verdict(
        True,
        "exception",
        f"Allowed by exception until 2026-11-25T10:00Z: CVE-2026-1 is fixed there (lifted: {refused.rule})",
        end,
    )
    assert judged(policy, one, licence=licence, now=end).allowed
    later = end + INSTANT
    assert judged(policy, one, licence=licence, now=later) == judged(Policy(**more), one, licence=licence, now=later)
    assert judged(policy, evolve(one, version="1.1"), licence=licence).rule == refused.rule, "of other versions nothing is lifted"


def test_of_several_exceptions_the_longest_counts() -> None:
    """Where more than one exception fits, the verdict lasts as long as the last of them."""
    policy = Policy(
        min_age=WEEK, exceptions=waivers("app until 2026-11-22 because a\napp until 2026-12-01 because b\na* until 2026-11-01 because c")
    )
    verdict = judged(policy, file(age=timedelta(0)))
    assert verdict.until == datetime(2026, 12, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    assert ": b (lifted: cooldown)" in verdict.reason


@given(policies(), pages(), moments)
def test_an_exception_never_lifts_deny(policy: Policy, page: Page, now: datetime) -> None:
    """Whatever exceptions there are, what is denied, not allowed, reserved, quarantined, yanked or of another kind stays out."""
    bare = evolve(policy, exceptions=())
    lifted = evolve(policy, exceptions=waivers("* until 2099-01-01 because of everything"))
    for (_, before), (_, after) in zip(explain(bare, page, now), explain(lifted, page, now), strict=True):
        if before.rule in {"reserved", "quarantine", "version", "deny-list", "allow-list", "kind", "yanked"}:
            # Which is told may differ: to see whether an exception fits, the version is looked at.
            assert after == before or (after.rule == "version" and not after.allowed)
        else:
            assert after.allowed or after.rule == "version"


@given(policies(), pages(), lines, moments)
def test_denying_more_never_allows_more(policy: Policy, page: Page, line: str, now: datetime) -> None:
    """A line that is added to the deny list takes files away or changes nothing."""
    more = evolve(policy, deny=Choices((*policy.deny.all, *Choices.parse(line).all)))
    assert set(permitted(more, page, now).files) <= set(permitted(policy, page, now).files)


@given(policies(), pages(), moments, st.data())
def test_every_door_gives_the_same_answer(policy: Policy, page: Page, now: datetime, data: st.DataObject) -> None:
    """A file is on the page exactly if it may be fetched alone, and is explained by the same verdict (hardening row 22)."""
    known = data.draw(licences_of(page))
    alone = [judge(policy, page.name, page.status, one, now, known.get(one.filename)) for one in page.files]
    assert [verdict for _, verdict in explain(policy, page, now, known)] == alone
    shown = permitted(policy, page, now, known)
    assert shown.files == tuple(one for one, verdict in zip(page.files, alone, strict=True) if verdict.allowed)
    assert evolve(shown, files=page.files) == page


@given(policies(), pages(), moments)
def test_judging_is_a_pure_function(policy: Policy, page: Page, now: datetime) -> None:
    """The same question has the same answer, in whatever order questions are asked, and is a sentence that can stand in a status line."""
    first = explain(policy, page, now)
    for one, verdict in reversed(first):
        assert judge(policy, page.name, page.status, one, now) == verdict
        assert verdict.reason.isascii()
        assert verdict.reason == "" or verdict.reason.isprintable()
        assert verdict.rule in {"allow", "exception", *(rule.value for rule in Rule)}
        assert verdict.allowed == (verdict.rule in {"allow", "exception"})
        assert verdict.allowed or verdict.reason.startswith(f"Blocked by {verdict.rule}")


@given(policies(), pages(), moments)
def test_what_was_judged_is_good_until_the_next_change(policy: Policy, page: Page, now: datetime) -> None:
    """Up to the moment that is told, every verdict stays what it is (hardening row 23)."""
    change = next_change(policy, page, now)
    later = now + timedelta(days=1000) if change is None else change - INSTANT
    if later > now:
        assert permitted(policy, page, later) == permitted(policy, page, now)


def test_the_next_change_is_the_first() -> None:
    """Of several cooldowns and exceptions the one that ends first is told; None where nothing will end."""
    policy = Policy(min_age=WEEK)
    page = Page(name=Name("app"), display="app", files=(file("1.0", age=timedelta(days=1)), file("1.1", age=timedelta(0)), file("0.9")))
    assert next_change(policy, page, NOW) == NOW + timedelta(days=6)
    assert next_change(policy, page, NOW + timedelta(days=6)) == NOW + WEEK
    assert next_change(policy, page, NOW + WEEK) is None


def test_a_page_that_loses_nothing_is_the_very_same() -> None:
    """Where every file may come in, nothing is copied."""
    page = Page(name=Name("app"), display="App", files=(file(), file("2.0")))
    assert permitted(Policy(), page, NOW) is page
    assert [one.version for one in permitted(Policy(deny=Choices.parse("app >=2")), page, NOW).files] == ["1.0"]


@pytest.mark.parametrize(
    ("text", "ours", "others"),
    [
        ("acme-*", "acme-tool Acme_Tool acme.x acme--y", "acme acmetool other-acme-x"),
        ("Acme_*, tool", "acme-a Tool", "tools acme"),
        ("*-internal\n*acme*", "x-internal acme my-acme-tool", "internal acm"),
        ("", "", "anything"),
    ],
)
def test_reserved_names_are_ours_in_every_spelling(text: str, ours: str, others: str) -> None:
    """A name that fits a pattern in any spelling is reserved and no file of it comes in; others are not (hardening row 24)."""
    policy = Policy(reserved=name_patterns(text))
    for name in ours.split():
        assert is_reserved(policy, Name(name)), name
        assert judged(policy, name=name).rule == "reserved"
        assert judged(unreserved(policy), name=name).allowed
    for name in others.split():
        assert not is_reserved(policy, Name(name)), name
        assert judged(policy, name=name).allowed


def test_policies_can_be_told_apart() -> None:
    """Equal rules make one policy, with one hash; any difference makes another, advisories that were read again too (hardening row 23)."""
    rules: dict[str, Any] = {"deny": Choices.parse("evil-*\napp <2"), "exceptions": waivers("app until 2026-12-01 because x")}
    one, other = Policy(**rules), Policy(**{**rules, "deny": Choices.parse("evil-*\napp <2")})
    assert one == other
    assert hash(one) == hash(other)
    again = Advisories.of([read for data in [record(versions=["1"])] if (read := read_record(data))])
    changes: list[dict[str, Any]] = [
        {"deny": Choices.parse("evil-*")},
        {"min_age": WEEK},
        {"exceptions": ()},
        {"advisories": again},
        {"osv_severity": Severity.LOW},
    ]
    assert all(evolve(one, **change) != one for change in changes)


@pytest.mark.parametrize("licence", [*LICENCES, None, "\n", "x" * 100_000])
def test_any_licence_is_judged(licence: str | None) -> None:
    """A licence that says nothing is unknown, and any other is measured by the patterns."""
    verdict = judged(Policy(unknown_licence=False, licences_allow=("MIT",)), licence=licence)
    assert verdict.allowed == (licence in {"MIT", "GPL-3.0-only OR MIT"})
    assert len(verdict.reason) < 300


def test_a_page_of_five_thousand_files_is_judged_at_once() -> None:
    """Five thousand files of five hundred versions cost a fraction of a second under every kind of rule."""
    files = tuple(
        file(f"{number}.1", f"app-{number}.1-cp3{tag}-cp3{tag}-any.whl", timedelta(hours=number))
        for number in range(500)
        for tag in range(10)
    )
    records = [
        record(id=f"GHSA-{number}", severity="high", events=[{"introduced": str(number)}, {"fixed": str(number + 1)}])
        for number in range(0, 500, 5)
    ]
    policy = Policy(
        deny=Choices.parse("\n".join(["app <10", *(f"evil-{number}" for number in range(10_000))])),
        allow=Choices.parse("app !=77.*"),
        min_age=WEEK,
        licences_allow=("MIT",),
        advisories=Advisories.of([read for data in records if (read := read_record(data))]),
        exceptions=waivers("app <100 until 2027-01-01 because of speed"),
    )
    page = Page(name=Name("app"), display="app", files=files)
    licences = {one.filename: "MIT OR Apache-2.0" for one in files}
    started = time.process_time()
    shown = permitted(policy, page, NOW, licences)
    spent = time.process_time() - started
    # 20 ms where nothing else runs; the bound is for machines that are busy, and far below what a slip (a parse a file) would cost.
    assert spent < 0.3
    assert 0 < len(shown.files) < len(files)
