"""Policies, pages and moments to judge with."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from registry.domain.curation.advisories import Advisories, read_record
from registry.domain.curation.choices import Choices
from registry.domain.curation.judging import Verdict, judge
from registry.domain.curation.policy import Policy
from registry.domain.curation.severity import Severity
from registry.domain.curation.waivers import waivers
from registry.domain.filenames import Kind
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from tests.domain.curation.records import record

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LICENCES = ["MIT", "GPL-3.0-only OR MIT", "AGPL-3.0-only", "Some Licence", ""]


def file(version: str = "1.0", filename: str | None = None, age: timedelta | None = timedelta(days=100), yanked: str | None = None) -> File:
    """A file of `app`; `age` at `NOW`, None: unknown."""
    return File(
        id=0,
        filename=filename or f"app-{version}-py3-none-any.whl",
        version=version,
        sha256="a" * 64,
        size=None,
        requires_python="",
        uploaded_at=None if age is None else NOW - age,
        yanked=yanked,
    )


def judged(
    policy: Policy, one: File | None = None, *, name: str = "app", now: datetime = NOW, licence: str | None = None, **more: Any
) -> Verdict:
    """The verdict about one file."""
    return judge(policy, Name(name), more.get("status", ProjectStatus.ACTIVE), one or file(), now, licence)


# Small worlds, so that rules and files meet.
_versions = st.sampled_from(["0.9", "1.0", "1.0rc1", "1.1", "2.0", "2.0+local", "1.0.0", "banana"])
_patterns = st.sampled_from(["app", "a*", "*", "other", "App", "b*p"])
_specifiers = st.sampled_from(["", " <1.1", " ==1.0", " >=2", " ==1.*", " !=1.0"])
lines = st.builds("{}{}".format, _patterns, _specifiers)
_ages = st.one_of(st.none(), st.sampled_from([timedelta(days=days) for days in (-1, 0, 1, 6, 7, 8, 400)]))
advisory_sets = st.lists(
    st.builds(
        record,
        id=st.sampled_from(["MAL-1", "GHSA-1", "PYSEC-1", "CVE-2"]),
        events=st.lists(
            st.one_of(
                st.builds(
                    lambda kind, version: {kind: version}, st.sampled_from(["introduced", "fixed", "last_affected", "limit"]), _versions
                ),
                st.just({"introduced": "0"}),
            ),
            max_size=4,
        ),
        versions=st.lists(_versions, min_size=1, max_size=2),
        word=st.sampled_from([None, "LOW", "MODERATE", "CRITICAL"]),
    ),
    max_size=3,
).map(lambda records: Advisories.of([read for one in records if (read := read_record(one)) is not None]))


@st.composite
def _waivers(draw: DrawFn) -> str:
    until = draw(st.sampled_from(["2026-11-20", "2026-11-21", "2027-01-01"]))
    return f"{draw(lines)} until {until} because of reasons"


@st.composite
def policies(draw: DrawFn) -> Policy:
    """Any mixture of rules."""
    return Policy(
        reserved=draw(st.sampled_from([(), (), ("app",), ("b*",)])),
        deny=Choices.parse("\n".join(draw(st.lists(lines, max_size=2)))),
        allow=Choices.parse("\n".join(draw(st.lists(lines, max_size=2)))),
        kinds=draw(st.sampled_from([frozenset(Kind), frozenset({Kind.WHEEL}), frozenset({Kind.SDIST})])),
        licences_deny=draw(st.sampled_from([(), ("AGPL-*",)])),
        licences_allow=draw(st.sampled_from([(), ("mit",)])),
        unknown_licence=draw(st.booleans()),
        min_age=draw(st.sampled_from([timedelta(), timedelta(days=7)])),
        min_age_for=draw(st.sampled_from([(), (("a*", timedelta()),), (("app", timedelta(days=500)), ("*", timedelta()))])),
        not_after=draw(st.sampled_from([None, NOW - timedelta(days=7)])),
        hide_yanked=draw(st.booleans()),
        advisories=draw(advisory_sets),
        osv_severity=draw(st.sampled_from(Severity)),
        exceptions=waivers("\n".join(draw(st.lists(_waivers(), max_size=2)))),
    )


@st.composite
def pages(draw: DrawFn) -> Page:
    """Some files of `app`, as an upstream may have them."""
    endings = st.sampled_from(["-py3-none-any.whl", ".tar.gz", ".zip", "-py3.11.egg", ".exe", ""])
    files = [
        file(version, f"app-{version}{draw(endings)}", draw(_ages), draw(st.sampled_from([None, "", "broken"])))
        for version in draw(st.lists(_versions, max_size=6))
    ]
    return Page(name=Name("App"), display="App", files=tuple(files), status=draw(st.sampled_from(ProjectStatus)))


def licences_of(page: Page) -> st.SearchStrategy[dict[str, str]]:
    """What is known of the files' licences."""
    names = [one.filename for one in page.files]
    return st.dictionaries(st.sampled_from(names), st.sampled_from(LICENCES)) if names else st.just({})


moments = st.sampled_from([NOW, NOW - timedelta(days=30), NOW + timedelta(days=3), NOW + timedelta(days=60)])
