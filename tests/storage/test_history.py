"""The past in SQL: what its queries cost, and instants that the journal's clock passes more than once."""

from datetime import timedelta

from registry.domain.access import Identity, User
from registry.domain.model import Digests, NewFile
from registry.domain.names import Name
from registry.domain.places import Wishes
from registry.domain.versions import Version
from registry.testing import NOON, OPERATOR, MemoryRegistry, done
from tests.storage.test_queries import Statement, demand_no_scan, plans, registry, statements

__all__ = ["registry", "statements"]
ADMIN = Identity(user=User(id=1, username="root", admin=True))
LATER = NOON + timedelta(days=1)


def publish(registry: MemoryRegistry, name: str, version: str = "1.0") -> None:
    new = NewFile(
        name=Name(name),
        version=Version(version),
        filename=f"{name}-{version}.tar.gz",
        digests=Digests(size=1, sha256="a" * 64, others={}),
        requires_python="",
        metadata={},
    )
    done(registry.store.packages.add_file(1, new, OPERATOR))


def test_a_page_reads_the_rows_of_its_name_only(registry: MemoryRegistry, statements: list[Statement]) -> None:
    """A page, and the question whether a file was deleted, find the journal rows of project and name together by an index."""
    done(registry.store.history.page((1, 2), Name("demo"), LATER))
    done(registry.store.history.deleted((1, 2), "0" * 64, "demo-1.0-py3-none-any.whl"))
    lines = plans(registry, statements)
    assert len([line for line in lines if "USING INDEX ix_journal_project_id_name_serial (project_id=? AND name=?)" in line]) == 2
    demand_no_scan(registry, statements)


def test_an_index_reads_the_rows_of_its_projects_only(registry: MemoryRegistry, statements: list[Statement]) -> None:
    """An index goes through the journal of its projects in the order of an index, without sorting it."""
    done(registry.store.history.names((1, 2), LATER))
    lines = plans(registry, statements)
    assert any("USING INDEX ix_journal_project_id_name_serial (project_id=? AND name>?)" in line for line in lines)
    assert not [line for line in lines if "B-TREE" in line]


def test_where_places_were_reads_the_rows_of_places_only(registry: MemoryRegistry, statements: list[Statement]) -> None:
    """Where projects and groups were is found by the index that holds nothing but their rows."""
    group = registry.group("team").id
    statements.clear()
    done(registry.store.history.project_title(1, LATER))
    done(registry.store.history.group(group, LATER))
    of_journal = [line for line in plans(registry, statements) if "journal" in line.split("    of ")[0]]
    assert len(of_journal) == 4
    assert all("ix_journal_of_places" in line for line in of_journal)


def test_names_follow_serials_when_the_clock_goes_back(registry: MemoryRegistry) -> None:
    """What was deleted at an earlier time than it was published at is deleted, and a rename that was is a rename (hardening row 54)."""
    history = registry.store.history
    registry.clock.advance(7200)
    publish(registry, "late")
    done(registry.store.projects.change(1, Wishes(name="Second"), OPERATOR, ADMIN))
    # Further than a step that the catalog would wait out.
    registry.clock.rightNow -= 3600
    done(registry.store.inventory.delete_package(1, 2, OPERATOR, level=60))
    done(registry.store.projects.change(1, Wishes(name="Third"), OPERATOR, ADMIN))
    publish(registry, "early")
    for seconds, names, title in ((3599, ("demo",), "packages"), (3600, ("demo", "early"), "Third"), (7200, ("demo", "early"), "Third")):
        at = NOON + timedelta(seconds=seconds)
        assert done(history.names((1,), at)) == names
        assert done(history.project_title(1, at)) == title
        assert done(history.page((1,), Name("late"), at)) is None


def test_no_projects_had_nothing(registry: MemoryRegistry) -> None:
    """Asked for no project at all, the past holds no page, no name and no deleted file; a file name that names no project likewise."""
    history = registry.store.history
    assert done(history.page((), Name("demo"), LATER)) is None
    assert done(history.names((), LATER)) == ()
    assert done(history.deleted((), "0" * 64, "demo-1.0.tar.gz")) is None
    assert done(history.deleted((1,), "0" * 64, "--")) is None


def test_what_is_not_there_now_has_no_past(registry: MemoryRegistry) -> None:
    """A project or group that does not exist has no title and no projects, at any instant."""
    assert done(registry.store.history.project_title(99, LATER)) is None
    assert done(registry.store.history.group(99, LATER)) is None


def test_thousands_of_names_are_looked_at(registry: MemoryRegistry) -> None:
    """However many names had something deleted, each is in the index of the instants when it was there."""
    for number in range(520):
        publish(registry, f"n{number}")
    registry.clock.advance(1)
    for package in range(2, 522):
        done(registry.store.inventory.delete_package(1, package, OPERATOR, level=60))
    assert len(done(registry.store.history.names((1,), NOON))) == 521
    assert done(registry.store.history.names((1,), NOON + timedelta(seconds=1))) == ("demo",)
