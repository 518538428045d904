"""What the policy refused is counted and told to the journal, within bounds."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, field
from twisted.logger import LogEvent

from registry.composition import Store
from registry.domain.access import ANYBODY, Group, Place, Project
from registry.domain.audit import Search
from registry.domain.errors import Unavailable
from registry.domain.model import Change, File
from registry.domain.names import Name
from registry.storage.catalog.refusals import SqlRefusals
from registry.storage.threads import InlineThreads
from registry.testing import NOON, done
from registry.workflows.founding import found
from registry.workflows.refusals import Refusals

DEMO = Name("Demo")
HOUR = timedelta(hours=1)


def file(filename: str = "demo-1.0.tar.gz") -> File:
    return File(id=0, filename=filename, version="1.0", sha256="", size=None, requires_python="", uploaded_at=None, source="main")


@define(kw_only=True, eq=False)
class Desk:
    """Refusals over a catalog, and a clock."""

    store: Store
    refusals: Refusals
    moment: datetime = NOON
    heard: list[Change] = field(factory=list)

    def note(self, filename: str = "demo-1.0.tar.gz", rule: str = "cooldown", place: Place | None = None) -> None:
        """A refusal."""
        self.refusals.note(place, DEMO, file(filename), rule)

    def rows(self) -> list[Change]:
        """The journal's rows, after a flush."""
        done(self.refusals.flush())
        return [entry.change for entry in done(self.store.audit.entries(Search(action="policy.refuse"), 10_000))]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A founded store, three rows an hour."""
    made: list[Desk] = []

    def now() -> datetime:
        return made[0].moment if made else NOON

    threads = InlineThreads()
    store = Store.of(tmp_path / "data", readers=threads, writer=threads, files=threads, clock=now)
    store.data_dir.create()
    store.blobs.prepare()
    store.database.open()
    done(found(store.founding, _nobody))
    made.append(Desk(store=store, refusals=Refusals(journal=SqlRefusals(store.database), now=now, per_hour=3)))
    store.database.subscribe(made[0].heard.extend)
    yield made[0]
    store.database.close()


async def _nobody(_: object) -> None:
    pass


def place(desk: Desk, kind: str, ref: int | str) -> Place:
    found_place, _ = done(desk.store.access.enter(kind, ref, ANYBODY))
    assert found_place is not None
    return found_place


def test_a_refusal_is_a_row_with_its_rule_and_place(desk: Desk) -> None:
    """A row tells name, file name, version, rule, upstream, project and how often since when; nobody's credential or address is in it."""
    project = place(desk, "project", 1)
    assert isinstance(project, Project)
    desk.note(place=project)
    desk.moment += timedelta(seconds=5)
    desk.note(place=project)
    (row,) = desk.rows()
    assert (row.name, row.project_id, row.actor.user_id, row.actor.username, row.actor.address) == ("demo", 1, None, "", "")
    assert row.detail == {
        "filename": "demo-1.0.tar.gz",
        "version": "1.0",
        "rule": "cooldown",
        "upstream": "main",
        "count": 2,
        "since": NOON.isoformat(),
    }


def test_a_refusal_in_a_group_names_the_group(desk: Desk) -> None:
    """What is refused to a group's caller is no project's row."""
    group = Group(id=7, path="team", name="team", visibility=place(desk, "project", 1).visibility, lineage=(7,))
    desk.note(place=group)
    (row,) = desk.rows()
    assert row.project_id is None
    assert row.detail["group_id"] == 7


def test_one_file_and_rule_is_one_row_an_hour(desk: Desk) -> None:
    """However often it is asked for: one row, and the next after an hour, to the second, with the number of those between."""
    desk.note()
    assert len(desk.rows()) == 1
    for _ in range(5):
        desk.note()
    desk.moment += HOUR - timedelta(seconds=1)
    assert len(desk.rows()) == 1
    desk.moment += timedelta(seconds=1)
    assert [row.detail["count"] for row in desk.rows()] == [1, 5]
    desk.moment += HOUR
    assert len(desk.rows()) == 2, "nothing more was asked for"


def test_other_files_and_rules_are_other_rows(desk: Desk) -> None:
    """Another file, or another rule for the same one, is a row of its own at once."""
    desk.note()
    desk.note(rule="deny-list")
    desk.note("demo-1.1.tar.gz")
    assert {(row.detail["filename"], row.detail["rule"]) for row in desk.rows()} == {
        ("demo-1.0.tar.gz", "cooldown"),
        ("demo-1.0.tar.gz", "deny-list"),
        ("demo-1.1.tar.gz", "cooldown"),
    }


def test_an_hour_has_so_many_rows_and_no_more(desk: Desk, log_events: list[LogEvent]) -> None:
    """Of four files three have rows and the fourth has one when the hour is over; beyond six waiting ones they are counted only."""
    for index in range(3):
        desk.note(f"demo-1.{index}.tar.gz")
    assert len(desk.rows()) == 3
    desk.note("demo-1.3.tar.gz")
    desk.moment += HOUR - timedelta(seconds=1)
    assert len(desk.rows()) == 3
    desk.moment += timedelta(seconds=1)
    assert len(desk.rows()) == 4
    for index in range(10):
        desk.note(f"demo-2.{index}.tar.gz")
    assert desk.refusals.untold == 4
    assert len(desk.rows()) == 6
    assert sum(desk.refusals.counts.values()) == 14
    (warned,) = [event for event in log_events if "are not in the journal" in (event["log_format"] or "")]
    assert (warned["count"], warned["most"]) == (4, 3)


def test_a_clock_that_is_set_back_opens_no_other_hour(desk: Desk) -> None:
    """A file that has its row has no second one because the clock went back a little (hardening row 54)."""
    desk.note()
    assert len(desk.rows()) == 1
    desk.moment -= timedelta(minutes=30)
    desk.note()
    assert len(desk.rows()) == 1


def test_what_cannot_be_written_is_written_later(desk: Desk) -> None:
    """A catalog that fails keeps nothing from the next flush, and what was refused meanwhile is counted with it."""
    desk.note()
    desk.store.database.close()
    with pytest.raises(Unavailable):
        done(desk.refusals.flush())
    desk.note()
    desk.store.database.open()
    (row,) = desk.rows()
    assert row.detail["count"] == 2


def test_nothing_refused_writes_nothing(desk: Desk) -> None:
    """A flush with nothing to tell touches no catalog."""
    desk.store.database.close()
    done(desk.refusals.flush())
    assert desk.refusals.counts == {}
