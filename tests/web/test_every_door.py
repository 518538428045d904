"""One decision, whichever way a file of an upstream is asked for; and the next request follows whatever changes it."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve, field, frozen

from registry.config import Config, Curation, Names
from registry.domain.access import Role
from registry.domain.curation.choices import Choices
from registry.domain.curation.waivers import waivers
from registry.domain.filenames import Kind
from registry.domain.model import Change
from registry.testing import NOON, Built, done, sdist, wheel
from registry.testing.registry import FORGIVING
from tests.domain.curation.records import record
from tests.rest.api import Api
from tests.web.doors import DOORS, FILES, GROUP, LISTINGS, PLACES, PROJECT, House, house, licensed

FORWARDING = "pypi_package_requests_forwarding"
OLD, NEW, OTHER = wheel("demo", "1.0"), wheel("demo", "2.0"), wheel("other", "1.0")
DAY = timedelta(days=1)


def curated(**settings: object) -> Config:
    return evolve(FORGIVING, curation=Curation(**settings))  # type: ignore[arg-type]


@frozen(kw_only=True)
class Case:
    """A rule: the configuration that has it, a file that it keeps back and one that it lets in, and what is said of the former."""

    rule: str
    config: Config
    refused: Built = OLD
    allowed: Built = NEW
    facts: Mapping[str, object] = field(factory=dict)


POLICY = [
    Case(rule="deny-list", config=curated(deny=Choices.parse("demo <2"))),
    Case(rule="allow-list", config=curated(allow=Choices.parse("demo ==2.0"))),
    Case(rule="kind", config=curated(kinds=frozenset({Kind.WHEEL})), refused=sdist("demo", "1.0")),
    Case(rule="cooldown", config=curated(min_age=7 * 86400.0), facts={"uploaded_at": NOON - DAY}),
    Case(rule="date-line", config=curated(not_after=NOON - 2 * DAY), facts={"uploaded_at": NOON - DAY}),
    Case(
        rule="licence",
        config=curated(licences_deny=("AGPL-*",)),
        refused=licensed("1.0", "AGPL-3.0-only"),
        allowed=licensed("2.0", "MIT"),
    ),
    Case(rule="yanked", config=curated(yanked=False), facts={"yanked": "broken"}),
    Case(rule="advisory", config=FORGIVING),
    Case(rule="quarantine", config=FORGIVING, allowed=OTHER),
]
_IDS = [case.rule for case in POLICY]


def prepared(case: Case, folder: Path) -> Config:
    """The configuration of a case; with an advisory about the refused file where that is the rule."""
    if case.rule != "advisory":
        return case.config
    osv = folder / "osv"
    osv.mkdir()
    (osv / "MAL-1.json").write_bytes(record(id="MAL-1", name="demo", versions=["1.0"]))
    return curated(osv=osv)


@pytest.mark.parametrize("case", POLICY, ids=_IDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_file_is_kept_back_at_every_door_or_at_none(tmp_path: Path, place: str, case: Case) -> None:
    """What a rule refuses is on no page and in no listing, and no door gives a byte of it; what it lets in is at all (hardening row 22)."""
    with house(tmp_path / "data", prepared(case, tmp_path)) as home:
        home.offer(case.refused, **case.facts)
        home.offer(case.allowed)
        if case.rule == "quarantine":
            home.upstream.mark("demo", "quarantined", "steals keys")
        if case.rule == "licence":
            # No index tells licences: it is known once somebody has asked for the file, and refused to him before its first byte.
            assert home.door("file", place, case.refused).code == 403
        for _ in range(2):
            assert home.open_doors(place, case.refused) == set()
            assert home.open_doors(place, case.allowed) == set(DOORS)
        for door in FILES:
            answer = home.door(door, place, case.refused)
            assert answer.code == 403, door
            assert f"Blocked by {case.rule}" in answer.reason, door
            assert "head" in door or f"Blocked by {case.rule}" in answer.json["message"], door
        why = home.why(place, case.refused)
        assert (why["kept"], why["rule"], why["source"]) == (False, case.rule, "upstream")
        assert str(why["reason"]).startswith(f"Blocked by {case.rule}")
        assert home.why(place, case.allowed)["rule"] == "allow"
        assert home.upstream.asked(f"/files/demo/{case.refused.filename}") == home.upstream.asked(
            f"/files/demo/{case.refused.filename}.metadata"
        ), "not one byte of it was fetched, but for what its licence had to be known by"


@pytest.mark.parametrize("place", PLACES)
def test_a_licence_that_becomes_known_takes_the_file_off_its_page(tmp_path: Path, place: str) -> None:
    """A page that lists a file of unknown licence does so no longer once the file was refused for it, ready answers included."""
    refused = licensed("1.0", "AGPL-3.0-only")
    with house(tmp_path / "data", curated(licences_deny=("AGPL-*",))) as home:
        home.offer(refused)
        for _ in range(3):
            assert home.opens("page", place, refused)
        assert home.door("head", place, refused).code == 403
        assert home.open_doors(place, refused) == set()


@pytest.mark.parametrize("place", PLACES)
def test_an_unknown_licence_is_refused_at_every_door_where_it_is(tmp_path: Path, place: str) -> None:
    """Where what is unknown is refused, a file is listed once its licence is known, and not before."""
    with house(tmp_path / "data", curated(unknown_licence=False)) as home:
        home.offer(OLD)
        assert home.open_doors(place, OLD) == set()
        assert home.why(place, OLD)["rule"] == "licence"


@pytest.mark.parametrize("place", PLACES)
def test_a_name_of_ours_is_nowhere_from_upstream(tmp_path: Path, place: str) -> None:
    """A reserved name, and one that is published where the caller may not look, are 404 at every door, and upstream never hears of them.

    (hardening rows 22 and 24).
    """
    with house(tmp_path / "data", evolve(FORGIVING, names=Names(reserved=("acme-*",)))) as home:
        reserved = wheel("acme-tool")
        home.offer(reserved, OLD, OTHER)
        home.registry.project("root/secret")
        assert home.registry.upload("root%2Fsecret", NEW).code == 201
        for built, standing in ((reserved, "reserved"), (OLD, "nothing")):
            assert home.open_doors(place, built) == set()
            codes = {door: home.door(door, place, built).code for door in DOORS}
            assert codes == {**dict.fromkeys(DOORS, 404), "explain": 200}
            assert home.standing(place, built.name) == standing
        assert home.open_doors(place, OTHER) == set(DOORS)
        assert not home.upstream.mentions("demo")
        assert not home.upstream.mentions("acme")


def switch(home: House, path: str, *, on: bool) -> None:
    assert Api(home.registry, home.registry.root_token).put(path, **{FORWARDING: on}).code == 200


def publish(home: House, project: str, built: Built) -> None:
    assert home.registry.upload(project, built).code == 201


# What changes, and which doors of team/lib and of team still offer demo 1.0 after it: all or none.
CHANGES: Mapping[str, tuple[Callable[[House], None], bool, bool]] = {
    "project switched off": (lambda home: switch(home, "/projects/team%2Flib", on=False), False, True),
    "group switched off": (lambda home: switch(home, "/groups/team", on=False), False, False),
    "instance switched off": (lambda home: switch(home, "/application/settings", on=False), False, False),
    "published in the project": (lambda home: publish(home, "team%2Flib", NEW), False, False),
    "published elsewhere": (lambda home: publish(home, "1", NEW), False, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_request_follows_what_closes(tmp_path: Path, change: str) -> None:
    """A file that is kept, and on pages in memory, is at no door from the moment that upstreams may not be asked about it.

    (hardening rows 20, 22 and 24).
    """
    work, project, group = CHANGES[change]
    with house(tmp_path / "data") as home:
        home.offer(OLD)
        for _ in range(3):
            assert home.open_doors(PROJECT, OLD) == home.open_doors(GROUP, OLD) == set(DOORS)
        work(home)
        for _ in range(2):
            assert home.open_doors(PROJECT, OLD) == (set(DOORS) if project else set())
            assert home.open_doors(GROUP, OLD) == (set(DOORS) if group else set())


def test_the_next_request_follows_what_opens(tmp_path: Path) -> None:
    """From the moment that upstreams may be asked again, or a name is shared, every door offers what they have."""
    with house(tmp_path / "data") as home:
        home.offer(OLD, OTHER)
        switch(home, "/groups/team", on=False)
        publish(home, "team%2Flib", NEW)
        home.share("demo")
        for _ in range(3):
            assert home.open_doors(PROJECT, OLD) == home.open_doors(PROJECT, OTHER) == set()
            assert home.open_doors(PROJECT, NEW) >= {*LISTINGS, "file"}
        switch(home, "/groups/team", on=True)
        assert home.open_doors(PROJECT, OLD) == home.open_doors(PROJECT, OTHER) == set(DOORS)
        assert home.open_doors(PROJECT, NEW) >= {*LISTINGS, "file"}, "ours goes on being offered beside"
        assert home.standing(PROJECT, "demo") == "shared"
        home.share("demo", shared=False)
        assert home.open_doors(PROJECT, OLD) == set()
        assert home.standing(PROJECT, "demo") == "ours"
        home.share("demo")
        assert home.open_doors(PROJECT, OLD) == set(DOORS)


def test_a_shared_name_that_upstream_did_not_have_is_asked_again(tmp_path: Path) -> None:
    """A page of ours alone, of a name that upstreams may be asked about, is not given for ever."""
    with house(tmp_path / "data") as home:
        publish(home, "team%2Flib", NEW)
        home.share("demo")
        for _ in range(2):
            assert home.open_doors(PROJECT, OLD) == set()
        home.offer(OLD)
        home.network.advance(59)
        assert not home.opens("page", PROJECT, OLD)
        home.network.advance(1)
        assert home.opens("page", PROJECT, OLD)


def test_of_two_files_with_one_name_ours_is_the_only_one(tmp_path: Path) -> None:
    """An upstream's file that is called as one of ours is at no door, by its own digest neither, and that is told (hardening row 24)."""
    ours, theirs = sdist("demo", "1.0"), sdist("demo", "1.0", requires_python=">=3.99")
    with house(tmp_path / "data") as home:
        publish(home, "team%2Flib", ours)
        home.offer(theirs, NEW)
        home.share("demo")
        assert home.open_doors(PROJECT, NEW) == set(DOORS)
        for door in ("file", "head", "range", "metadata"):
            answer = home.door(door, PROJECT, theirs)
            assert answer.code == 403, door
            assert "Blocked by ours-first" in answer.reason
        assert home.door("file", PROJECT, ours).body == ours.content
        told = home.door("explain", PROJECT, theirs).json["files"]
        assert [(file["source"], file["kept"], file["rule"]) for file in told] == [
            ("local", True, "local"),
            ("upstream", False, "ours-first"),
            ("upstream", True, "allow"),
        ]


def test_a_name_that_is_quarantined_here_offers_nobodys_files(tmp_path: Path) -> None:
    """A quarantine of ours hides what upstreams have of a shared name, too, at every door (hardening rows 20 and 22)."""
    with house(tmp_path / "data") as home:
        publish(home, "team%2Flib", NEW)
        home.offer(OLD)
        home.share("demo")
        assert home.open_doors(PROJECT, OLD) == set(DOORS)
        status = Api(home.registry, home.registry.root_token).put(
            "/projects/team%2Flib/packages/pypi/status/demo", status="quarantined", reason="steals keys"
        )
        assert status.code == 200
        for built in (OLD, NEW):
            assert home.open_doors(PROJECT, built) == set()
        why = home.why(PROJECT, OLD)
        assert (why["kept"], why["rule"]) == (False, "quarantine")


def test_an_exception_that_ends_ends_at_every_door(tmp_path: Path) -> None:
    """What comes in by an exception comes in no longer when that is over, kept or not, to the second (hardening row 54)."""
    until = NOON + timedelta(minutes=2)
    line = f"demo ==1.0 until {until.isoformat().replace('+00:00', 'Z')} because it mends the build"
    config = curated(min_age=7 * 86400.0, exceptions=waivers(line))
    with house(tmp_path / "data", config) as home:
        home.offer(OLD, uploaded_at=NOON - DAY)
        for _ in range(3):
            assert home.open_doors(PROJECT, OLD) == set(DOORS)
        assert home.why(PROJECT, OLD)["rule"] == "exception"
        home.network.advance(120)
        assert home.opens("page", PROJECT, OLD)
        home.network.advance(2)
        assert home.open_doors(PROJECT, OLD) == set()


def test_an_advisory_that_is_new_closes_every_door(tmp_path: Path) -> None:
    """When the advisories are read anew, kept files and pages in memory follow at once (hardening rows 20 and 23)."""
    osv = tmp_path / "osv"
    osv.mkdir()
    (osv / "MAL-1.json").write_bytes(record(id="MAL-1", name="another", versions=["1.0"]))
    with house(tmp_path / "data", curated(osv=osv)) as home:
        home.offer(OLD)
        for _ in range(3):
            assert home.open_doors(PROJECT, OLD) == set(DOORS)
        (osv / "MAL-2.json").write_bytes(record(id="MAL-2", name="demo", versions=["1.0"]))
        assert home.registry.parts.outward.refresh()
        home.registry.library.forget_upstreams()
        assert home.open_doors(PROJECT, OLD) == set()


def test_dated_views_have_nothing_of_upstreams(tmp_path: Path) -> None:
    """What an index said in the past is told of what was published here; a name of upstreams is 404 there, whether or not it is kept."""
    with house(tmp_path / "data") as home:
        home.offer(OLD)
        for place in PLACES:
            assert home.open_doors(place, OLD) == set(DOORS)
            for at in ("2030-06-15", "2030-06-15T12:00:00Z"):
                assert home.ask(f"{place}/packages/pypi/at/{at}/simple/demo/").code == 404


def test_what_is_kept_for_one_place_is_not_given_in_another(tmp_path: Path) -> None:
    """A file that one group's caller was given is refused in a group that may not ask upstreams, though neither holds a project."""
    with house(tmp_path / "data") as home:
        home.offer(OLD)
        for path in ("open", "shut"):
            home.registry.group(path)
            home.registry.member(path, "ann", Role.DEVELOPER)
        switch(home, "/groups/shut", on=False)
        for _ in range(3):
            assert home.opens("file", "groups/open/-", OLD)
        assert home.open_doors("groups/shut/-", OLD) == set()


def test_refusals_are_journaled_and_drop_nothing(tmp_path: Path) -> None:
    """Each door that refuses is counted, one row tells of all, and neither admissions nor pages in memory go because of it."""
    with house(tmp_path / "data", curated(deny=Choices.parse("demo <2"))) as home:
        home.offer(OLD, NEW)
        for door in FILES:
            assert home.door(door, PROJECT, OLD).code == 403
        for _ in range(3):
            assert home.opens("page", PROJECT, NEW)
        generation, used = home.registry.gate.generation, home.registry.library.used
        heard: list[Change] = []
        home.registry.store.database.subscribe(heard.extend)
        done(home.registry.parts.refusals.flush())
        (row,) = heard
        project = home.registry.place("team/lib").id
        assert (row.action, row.name, row.project_id) == ("policy.refuse", "demo", project)
        assert {key: row.detail[key] for key in ("filename", "version", "rule", "upstream", "count")} == {
            "filename": OLD.filename,
            "version": "1.0",
            "rule": "deny-list",
            "upstream": "upstream",
            "count": len(FILES),
        }
        assert (home.registry.gate.generation, home.registry.library.used) == (generation, used)
