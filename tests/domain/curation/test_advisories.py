"""Advisories in OSV's format."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.version import Version as Pep440

from registry.domain.curation.advisories import Advisories, Advisory, Record, read_record
from registry.domain.curation.affected import version_key
from registry.domain.curation.severity import Severity
from tests.domain.curation.records import record
from tests.strategies import versions as spelt_versions


def read(data: bytes) -> Record:
    """The record, which must be one about PyPI."""
    found = read_record(data)
    assert found is not None
    return found


def worst(*records: bytes, version: str = "1.0", least: Severity = Severity.NONE, name: str = "app") -> Advisory | None:
    """The worst advisory about a version, of these records."""
    about = Advisories.of(map(read, records)).about(name)
    return about.worst(Pep440(version), least) if about else None


RANGES: list[tuple[list[dict[str, str]], str, str]] = [
    ([{"introduced": "0"}], "0 1.0.dev1 1.0 99!1", ""),
    ([{"introduced": "0"}, {"fixed": "1.1"}], "0.1 1.0 1.1rc1 1.1.dev0 1.0.post1", "1.1 1.1.0 1.1.post1 2"),
    ([{"introduced": "1.0"}, {"fixed": "1.1"}], "1.0 1.0.0 1.0.5", "0.9 1.0rc1 1.1 2"),
    ([{"introduced": "1.0"}, {"last_affected": "1.1"}], "1.0 1.1 1.1.0 1.1rc1", "0.9 1.1.1 1.1.post1 2"),
    ([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], "0.5 2 2.9", "1 1.9 3 4"),
    ([{"fixed": "3"}, {"introduced": "2"}, {"fixed": "1"}, {"introduced": "0"}], "0.5 2 2.9", "1 1.9 3 4"),
    ([{"introduced": "1"}, {"last_affected": "1"}], "1 1.0.0", "0.9 1.0.1"),
    ([{"introduced": "0"}, {"fixed": "2"}, {"introduced": "2"}, {"fixed": "3"}], "1 2 2.5", "3"),
    ([{"introduced": "0"}, {"limit": "2"}], "0.1 1.9 2rc1", "2 3"),
    ([{"introduced": "0"}, {"limit": "*"}], "0.1 99", ""),
    ([{"introduced": "1"}, {"limit": "2"}, {"limit": "3"}], "1 2.9", "0.9 3"),
    # What cannot be read is taken for the worst.
    ([{"introduced": "banana"}, {"fixed": "2"}], "0.1 1", "2"),
    ([{"introduced": "1"}, {"fixed": "banana"}], "1 99", "0.9"),
    ([{"fixed": "2"}], "0.1 1.9", "2"),
]


@pytest.mark.parametrize(("events", "inside", "outside"), RANGES)
def test_a_range_affects_what_lies_in_it(events: list[dict[str, str]], inside: str, outside: str) -> None:
    """Events are looked at in PEP 440's order, whatever order they stand in: introduced is in, fixed is out, last_affected is in."""
    data = record(events=events)
    assert [version for version in inside.split() if worst(data, version=version) is None] == []
    assert [version for version in outside.split() if worst(data, version=version) is not None] == []


@pytest.mark.parametrize("listed", ["1.0", "1.0.0", "v1", "1"])
def test_a_listed_version_is_affected_in_every_spelling(listed: str) -> None:
    """A version in the list counts in any of its spellings, whether a range holds it or not, and no other does."""
    data = record(versions=["0.5rc1", listed], events=[{"introduced": "30"}])
    assert [version for version in ("0.5rc1", "0.5.RC.1", "1", "1.0", "1.0.0", "30", "40") if worst(data, version=version) is None] == []
    assert [version for version in ("0.5", "1.1", "10", "1.0.post1", "2") if worst(data, version=version) is not None] == []


@pytest.mark.parametrize("version", ["1.0+cu121", "1.0+1"])
def test_a_local_version_is_affected_as_the_one_it_was_built_from(version: str) -> None:
    """A local label neither leads into a range nor out of one, but a listed local version is itself alone."""
    assert worst(record(events=[{"introduced": "0"}, {"last_affected": "1.0"}]), version=version)
    assert worst(record(events=[{"introduced": "0"}, {"fixed": "1.0"}]), version=version) is None
    assert worst(record(versions=["1.0"]), version=version)
    assert worst(record(versions=["1.0+cu121", "1.0+1"]), version=version)
    assert worst(record(versions=["1.0+cu121", "1.0+1"]), version="1.0") is None


@given(spelt_versions(), st.sampled_from(["", ".0", ".0.0"]))
def test_a_key_is_one_for_all_spellings(version: str, zeros: str) -> None:
    """Two spellings have the same key exactly if PEP 440 calls them equal."""
    plain = str(Pep440(version))
    assert version_key(version) == version_key(plain)
    other = f"{Pep440(version).base_version}{zeros}"
    assert (version_key(other) == version_key(version)) == (Pep440(other) == Pep440(version))


_numbers = ["0", "0.5", "1", "1.0.0", "1.1rc1", "1.1", "2", "3.0+local", "banana"]
_events = st.lists(
    st.builds(
        lambda kind, version: {kind: version}, st.sampled_from(["introduced", "fixed", "last_affected", "limit"]), st.sampled_from(_numbers)
    ),
    min_size=1,
    max_size=5,
)


def by_the_book(events: list[dict[str, str]], version: Pep440) -> bool:
    """OSV's own evaluation of one range, one event after the other."""
    limits = [Pep440(event["limit"]) for event in events if event.get("limit", "banana") != "banana"]
    if limits and not any(version < limit for limit in limits):
        return False
    order = []
    for event in events:
        ((kind, text),) = event.items()
        if kind == "introduced":
            order.append((Pep440("0.dev0") if text in {"0", "banana"} else Pep440(text), 1, kind))
        elif kind != "limit" and text != "banana":
            order.append((Pep440(text), 0 if kind == "fixed" else 2, kind))
    affected = not any("introduced" in event for event in events)
    for at, _, kind in sorted(order):
        if kind == "introduced" and version >= at:
            affected = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            affected = False
    return affected


@given(_events, st.sampled_from(["0", "0.1", "0.5", "0.6", "1", "1.1rc1", "1.1", "1.5", "2", "3"]))
def test_ranges_are_evaluated_as_osv_says(events: list[dict[str, str]], version: str) -> None:
    """Whatever events a range has, the answer is that of OSV's algorithm."""
    assert (worst(record(events=events, versions=["9999"]), version=version) is not None) == by_the_book(events, Pep440(version))


@given(st.lists(st.sampled_from(["0.5", "1", "1.1", "2"]).map(Pep440), min_size=2, unique=True), st.lists(_events, min_size=1, max_size=4))
def test_many_advisories_answer_as_each_alone(asked: list[Pep440], ranges: list[list[dict[str, str]]]) -> None:
    """One of several advisories affects a version exactly if one of them alone does, whatever was asked before."""
    records = [record(id=f"X-{number}", events=events, versions=["9999"]) for number, events in enumerate(ranges)]
    about = Advisories.of(map(read, records)).about("app")
    assert about is not None
    for version in asked:
        alone = any(worst(one, version=str(version)) for one in records)
        assert (about.worst(version, Severity.NONE) is not None) == alone


@pytest.mark.parametrize("severity", ["none", "low", "medium", "high", "critical"])
def test_severity_is_measured_against_the_threshold(severity: str) -> None:
    """An advisory counts from its own severity down, and not above it."""
    data, own = record(events=[{"introduced": "0"}], severity=severity), Severity.parse(severity)
    assert [least for least in Severity if worst(data, least=least)] == [least for least in Severity if least <= own]


@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({}, None),
        ({"word": "MODERATE"}, Severity.MEDIUM),
        ({"word": "Critical"}, Severity.CRITICAL),
        ({"word": "dreadful"}, None),
        ({"severity": "low", "word": "CRITICAL"}, Severity.LOW),
        ({"severity": "low"}, Severity.LOW),
    ],
)
def test_where_severity_comes_from(more: dict[str, Any], severity: Severity | None) -> None:
    """The vector's severity goes before a word; a word that is none is nothing."""
    assert read(record(events=[{"introduced": "0"}], **more)).severity is severity


@pytest.mark.parametrize(
    ("vectors", "severity"),
    [
        ([("CVSS_V3", "CVSS:3.1/AV:N")], None),
        ([("CVSS_V3", "x" * 100_000)], None),
        ([("CVSS_V2", "AV:N/AC:L/Au:N/C:P/I:P/A:P")], Severity.HIGH),
        ([("Ubuntu", "high")], None),
        ([("CVSS_V3", 7), ("CVSS_V3", None), (None, "x")], None),
        ([("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"), ("CVSS_V4", "garbage")], Severity.MEDIUM),
    ],
)
def test_vectors_that_cannot_be_read_are_passed_over(vectors: list[tuple[Any, Any]], severity: Severity | None) -> None:
    """A vector of an unknown kind or form tells nothing; of those that can be read the worst counts."""
    given_vectors = [{"type": kind, "score": score} for kind, score in vectors]
    data = json.loads(record(events=[{"introduced": "0"}]))
    assert read(json.dumps({**data, "severity": given_vectors}).encode()).severity is severity
    data["affected"][0]["severity"] = given_vectors
    assert read(json.dumps(data).encode()).severity is severity


def test_malicious_and_unrated_always_count() -> None:
    """A MAL- record counts at every threshold whatever its severity, and so does one that nobody has rated."""
    malicious = record(id="MAL-2026-1", events=[{"introduced": "0"}], severity="low")
    unrated = record(id="PYSEC-1", events=[{"introduced": "0"}])
    assert all(worst(data, least=Severity.CRITICAL) for data in (malicious, unrated))
    found = worst(record(severity="critical", events=[{"introduced": "0"}]), unrated, malicious)
    assert found is not None
    assert (found.id, found.word) == ("MAL-2026-1", "malicious")


def test_the_worst_that_affects_the_version_is_told() -> None:
    """Of several advisories the worst of those that affect the version is named, not the worst of all."""
    low = record(id="A", severity="low", events=[{"introduced": "0"}])
    high = record(id="B", severity="high", events=[{"introduced": "1"}, {"fixed": "2"}])
    assert [found and found.id for found in (worst(low, high, version=version) for version in ("0.5", "1.5", "2"))] == ["A", "B", "A"]
    assert worst(low, high, version="2", least=Severity.HIGH) is None
    listed = [record(id=severity, severity=severity, versions=["1.0"]) for severity in ("low", "critical", "medium")]
    assert [found and found.id for found in (worst(*listed), worst(*reversed(listed)))] == ["critical", "critical"]


def test_an_unrated_record_has_the_severity_of_its_aliases() -> None:
    """Records about the same vulnerability, by a common alias, share the worst severity that one of them tells."""
    unrated = record(id="PYSEC-1", aliases=["CVE-1"], events=[{"introduced": "0"}])
    rated = record(id="GHSA-1", aliases=["CVE-1"], severity="low", events=[{"introduced": "5"}])
    found = worst(unrated, rated)
    assert found is not None
    assert (found.id, found.severity) == ("PYSEC-1", Severity.LOW)


def test_of_records_with_one_id_the_newest_counts() -> None:
    """A record that was modified later goes before an older copy in whatever order; withdrawn, it takes the older one with it."""
    old = record(events=[{"introduced": "0"}], modified="2026-01-01T00:00:00.5Z")
    new = record(events=[{"introduced": "2"}], modified="2026-01-01T00:00:01Z")
    gone = record(events=[{"introduced": "0"}], modified="2026-01-02T00:00:00Z", withdrawn="2026-01-02T00:00:00Z")
    for records in ((old, new), (new, old)):
        assert worst(*records, version="1") is None
        assert worst(*records, version="2") is not None
    for records in ((old, gone), (gone, old)):
        assert worst(*records) is None


def test_names_are_found_in_any_spelling_and_others_are_left_out() -> None:
    """A record is about the normalised name; other names and other ecosystems have nothing to do with it."""
    data = record(name="My_App", events=[{"introduced": "0"}])
    assert worst(data, name="my-app")
    assert worst(data, name="my") is None
    document = json.loads(data)
    document["affected"].append({"package": {"ecosystem": "npm", "name": "left-pad"}, "versions": ["1.0"]})
    assert worst(json.dumps(document).encode(), name="left-pad") is None
    document["affected"].pop(0)
    assert read_record(json.dumps(document).encode()) is None


def test_what_is_fixed_next_is_told() -> None:
    """The lowest fixed version above the one in question is the one to use."""
    data = record(events=[{"introduced": "0"}, {"fixed": "1.1"}, {"introduced": "2"}, {"fixed": "2.4"}])
    found = worst(data, version="1.0")
    assert found is not None
    assert [found.affected.fixed_after(Pep440(version)) for version in ("1.0", "2.1", "2.4")] == ["1.1", "2.4", None]


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"id": None}, "its id"),
    ({"id": ""}, "its id"),
    ({"id": "x" * 101}, "its id"),
    ({"id": "a b"}, "its id"),
    ({"id": "caf\u00e9"}, "its id"),
    ({"affected": None}, "no OSV record"),
    ({"affected": [{"package": {"ecosystem": "PyPI", "name": "app"}}]}, "none of its affected"),
    ({"affected": [{"package": {"ecosystem": "PyPI", "name": "-"}, "versions": ["1"]}]}, "none of its affected"),
    ({"affected": [{"package": {"ecosystem": "PyPI"}, "versions": ["1"]}]}, "none of its affected"),
    ({"affected": [{"package": {"ecosystem": "PyPI", "name": "app"}, "versions": "1"}]}, "none of its affected"),
    (
        {"affected": [{"package": {"ecosystem": "PyPI", "name": "app"}, "versions": [str(one) for one in range(100_001)]}]},
        "none of its affected",
    ),
    (
        {"affected": [{"package": {"ecosystem": "PyPI", "name": "app"}, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]},
        "none of its affected",
    ),
]


@pytest.mark.parametrize(("change", "problem"), MALFORMED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_malformed_record_is_refused(change: dict[str, Any], problem: str) -> None:
    """A record without an id, or without a version of a name that one could hold against a file, is a ValueError."""
    data = json.dumps({**json.loads(record(versions=["1.0"])), **change}).encode()
    with pytest.raises(ValueError, match=problem):
        read_record(data)


def test_the_longest_id_and_list_are_taken() -> None:
    """An id of a hundred characters and a list of a hundred thousand versions can be read."""
    data = record(id="x" * 100, versions=[str(number) for number in range(100_000)])
    assert worst(data, version="99999")


def test_what_is_malformed_hides_nothing_beside_it() -> None:
    """Of a record about several names, those that can be read count."""
    document = json.loads(record(versions=["1.0"]))
    document["affected"] += [{"package": {"ecosystem": "PyPI", "name": "/"}}, None, {"package": 1}, "x"]
    assert worst(json.dumps(document).encode())


_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["PyPI", "app", "0", "1.0", "ECOSYSTEM"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["package", "ecosystem", "name", "ranges", "versions", "events", "type", "introduced", "fixed", "severity", "score"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(st.sampled_from(["affected", "severity", "aliases", "modified", "withdrawn", "database_specific", "id"]), _values)
@example("affected", [{"package": {"ecosystem": "PyPI", "name": "app"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": 1}]}]}])
def test_any_document_is_a_record_or_refused(key: str, value: Any) -> None:
    """Whatever stands in a document, it is read and can be asked, is about something else, or is a ValueError."""
    data = json.dumps({**json.loads(record(versions=["1.0"])), key: value}).encode()
    try:
        found = read_record(data)
    except ValueError:
        return
    if found is not None and (about := Advisories.of([found]).about("app")) is not None:
        about.worst(Pep440("1.0"), Severity.NONE)


@given(st.one_of(st.binary(max_size=50), st.just(b"[" * 100_000), st.just(b'{"affected":' * 50_000)))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    """What is no JSON object is a ValueError, however deep it goes."""
    with pytest.raises(ValueError, match=r".+"):
        read_record(data)


def test_names_in_use_are_bounded() -> None:
    """Asking for more names than are kept ready changes no answer."""
    many = Advisories.of(read(record(id=f"X-{number}", name=f"n{number}", versions=["1.0"])) for number in range(300))
    for _ in range(2):
        for number in range(300):
            about = many.about(f"n{number}")
            assert about is not None
            assert about.worst(Pep440("1.0"), Severity.NONE)
    assert len(many) == 300


def test_severities_are_in_order() -> None:
    """Severities compare as CVSS ranks them, and are read as they are written."""
    assert all(lower < higher for lower, higher in pairwise(Severity))
    assert [Severity.parse(one.word) for one in Severity] == list(Severity)
    with pytest.raises(ValueError, match="use none, low, medium, high or critical"):
        Severity.parse("unknown")
