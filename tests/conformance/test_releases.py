"""What every IReleases promises."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from registry.domain.access import Visibility
from registry.domain.audit import Search
from registry.domain.errors import (
    Forbidden,
    InvalidSetting,
    NotAccepting,
    NotFound,
    RegistryError,
    UnknownPackage,
    VersionClosed,
)
from registry.domain.history import page_at
from registry.domain.inventory import FileInfo, PackageInfo
from registry.domain.model import Change, File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.releases import NameStatus
from registry.interfaces import IPackages, IReleases
from registry.storage.catalog.audit import SqlAudit
from registry.storage.catalog.database import Database
from registry.storage.catalog.packages import SqlPackages
from registry.storage.catalog.places import SqlPlaces
from registry.storage.catalog.protection import SqlProtection
from registry.storage.catalog.releases import SqlReleases
from registry.storage.catalog.users import SqlUsers
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, done
from tests.conformance.clock import Clock
from tests.conformance.test_packages import ACTOR, new_file

OWNER = 50


@define
class Held:
    """What a project holds, and what is told of it."""

    packages: IPackages
    releases: IReleases
    protect: Callable[[str, int], object]
    journal: Callable[[], list[Change]]
    clock: Clock
    told: list[Change] = field(factory=list)

    def add(self, filename: str, **changes: Any) -> File:
        """A new file, of demo 1.0 unless said otherwise: the first release has number 1, the next new one 2."""
        return done(self.packages.add_file(1, new_file(filename, **changes), ACTOR))

    def page(self, name: str = "demo") -> Page:
        """A page."""
        page = done(self.packages.page((1,), Name(name)))
        assert page is not None
        return page

    def yanks(self) -> dict[str, str | None]:
        """Which files are yanked, and why."""
        return {file.filename: file.yanked for file in self.page().files}

    def yank(self, reason: str | None, package_id: int = 1, *, project: int = 1, level: int = OWNER) -> PackageInfo:
        """Yank, or not."""
        return done(self.releases.set_yanked(project, package_id, reason, ACTOR, level=level))

    def yank_file(self, file_id: int, reason: str | None, package_id: int = 1, *, project: int = 1, level: int = OWNER) -> FileInfo:
        """Yank a file, or not."""
        return done(self.releases.set_file_yanked(project, package_id, file_id, reason, ACTOR, level=level))

    def close(self, package_id: int = 1, *, closed: bool = True, project: int = 1, level: int = OWNER) -> PackageInfo:
        """Close, or reopen."""
        return done(self.releases.set_closed(project, package_id, ACTOR, closed=closed, level=level))

    def set_status(self, name: str, status: ProjectStatus, reason: str = "", *, level: int = OWNER) -> NameStatus:
        """Give a status."""
        return done(self.releases.set_status(1, Name(name), status, reason, ACTOR, level=level))

    def changes(self) -> list[tuple[str, dict[str, object]]]:
        """Actions and details of what was told, all of it of the demo package in project 1 and by the actor; forgotten afterwards."""
        told, self.told[:] = list(self.told), []
        assert {(one.project_id, one.name, one.actor) for one in told} <= {(1, "demo", ACTOR)}
        return [(one.action, dict(one.detail)) for one in told]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    """Project 1 holds demo 1.0 with two files and 2.0 with one; what was told of that is forgotten."""
    clock, threads = Clock(), InlineThreads()
    database = Database(path=tmp_path / "catalog.sqlite", readers=threads, writer=threads, now=clock)
    database.open()
    done(SqlUsers(database).create_user("ann", "ann@example.com", OPERATOR))
    for path in ("ann/one", "ann/two"):
        done(SqlPlaces(database).create_project(ProjectPath.parse(path), Visibility.PRIVATE, OPERATOR))
    rules = SqlProtection(database)
    held = Held(
        packages=SqlPackages(database),
        releases=SqlReleases(database),
        protect=lambda pattern, push: done(rules.create_rule(1, pattern, push, None, OPERATOR)),
        journal=lambda: [entry.change for entry in done(SqlAudit(database).entries(Search(package="demo"), 1000))],
        clock=clock,
    )
    held.add("demo-1.0.tar.gz")
    held.add("demo-1.0.whl", sha256="b" * 64)
    held.add("demo-2.0.tar.gz", version="2.0", sha256="c" * 64)
    database.subscribe(held.told.extend)
    yield held
    database.close()


def test_a_version_is_yanked_with_all_its_files(held: Held) -> None:
    """All files of the version carry the reason, those of other versions nothing, until it is taken back from them all."""
    yanked = held.yank("broken")
    assert (yanked.id, yanked.version, yanked.yanked, yanked.closed) == (1, "1.0", "broken", None)
    assert held.yanks() == {"demo-1.0.tar.gz": "broken", "demo-1.0.whl": "broken", "demo-2.0.tar.gz": None}
    names = ["demo-1.0.tar.gz", "demo-1.0.whl"]
    assert held.changes() == [("package.yank", {"version": "1.0", "reason": "broken", "files": names})]
    assert held.yank(None).yanked is None
    assert set(held.yanks().values()) == {None}
    assert held.changes() == [("package.unyank", {"version": "1.0", "files": names})]


def test_files_published_into_a_yanked_version_are_yanked(held: Held) -> None:
    """What comes later carries the version's reason, as its journal row says; after the yank is taken back it carries none."""
    held.yank("")
    held.told.clear()
    assert held.add("demo-1.0-late.whl", sha256="d" * 64).yanked == ""
    (published,) = held.changes()
    assert published[1]["yanked"] == ""
    held.yank(None)
    held.told.clear()
    assert held.add("demo-1.0-later.whl", sha256="e" * 64).yanked is None
    (published,) = held.changes()
    assert "yanked" not in published[1]


def test_a_file_is_yanked_alone(held: Held) -> None:
    """A file's own mark leaves its version and the version's other files as they are, both ways."""
    assert held.yank_file(2, "bad build").yanked == "bad build"
    assert held.yanks() == {"demo-1.0.tar.gz": None, "demo-1.0.whl": "bad build", "demo-2.0.tar.gz": None}
    assert held.changes() == [("file.yank", {"version": "1.0", "filename": "demo-1.0.whl", "reason": "bad build"})]
    assert held.add("demo-1.0-late.whl", sha256="d" * 64).yanked is None
    held.yank("all of it")
    held.told.clear()
    assert held.yank_file(2, None).yanked is None
    assert held.yanks()["demo-1.0.tar.gz"] == "all of it"
    assert held.changes() == [("file.unyank", {"version": "1.0", "filename": "demo-1.0.whl"})]
    assert held.yank("all of it").yanked == "all of it"
    assert held.yanks()["demo-1.0.whl"] == "all of it"
    assert [action for action, _ in held.changes()] == ["package.yank"]


def test_doing_it_twice_is_doing_it_once(held: Held) -> None:
    """Whatever is as it should be already is left alone, and not told of; another reason is a change."""
    for _ in range(2):
        held.yank(None)
        held.yank_file(1, None)
        held.set_status("demo", ProjectStatus.ACTIVE, "nothing to say")
    assert held.told == []
    for _ in range(2):
        held.yank(" why ")
        held.yank_file(1, "why")
        held.close()
        held.set_status("demo", ProjectStatus.ARCHIVED, "done")
    assert [action for action, _ in held.changes()] == ["package.yank", "package.close", "package.status"]
    held.yank("because")
    held.yank_file(1, "")
    held.set_status("demo", ProjectStatus.ARCHIVED, "really done")
    assert [action for action, _ in held.changes()] == ["package.yank", "file.yank", "package.status"]


def test_a_closed_version_takes_no_more_files(held: Held) -> None:
    """It keeps what it has, other versions stay open, and reopened it takes files at any age."""
    assert held.close().closed is True
    with pytest.raises(VersionClosed):
        held.add("demo-1.0-late.whl", sha256="d" * 64)
    held.add("demo-2.0-late.whl", version="2.0", sha256="d" * 64)
    assert len(held.page().files) == 4
    assert held.close(closed=False).closed is False
    held.clock.now += timedelta(days=1000)
    late, hour = new_file("demo-1.0-late.whl", sha256="e" * 64), timedelta(hours=1)
    assert done(held.packages.add_file(1, late, ACTOR, close_after=hour)).version == "1.0"
    with pytest.raises(VersionClosed):
        done(held.packages.add_file(1, new_file("demo-2.0-later.whl", version="2.0"), ACTOR, close_after=hour))
    told = [(action, detail) for action, detail in held.changes() if action != "file.publish"]
    assert told == [("package.close", {"version": "1.0"}), ("package.reopen", {"version": "1.0"})]


@pytest.mark.parametrize("status", [ProjectStatus.ARCHIVED, ProjectStatus.DEPRECATED, ProjectStatus.QUARANTINED])
def test_a_name_has_a_status_until_it_is_active_again(held: Held, status: ProjectStatus) -> None:
    """The page carries status and reason, the list of statuses has the name, and both lose it with `active`."""
    expected = NameStatus(name="demo", status=status, reason="moved", changed_at=NOON)
    assert held.set_status("Demo", status, "moved") == expected
    assert done(held.releases.status(1, Name("DEMO"))) == expected
    assert done(held.releases.status(2, Name("demo"))) == NameStatus(name="demo")
    assert done(held.releases.statuses(1)) == [expected]
    assert (held.page().status, held.page().status_reason) == (status, "moved")
    assert held.changes() == [("package.status", {"status": status.value, "reason": "moved"})]
    assert held.set_status("demo", ProjectStatus.ACTIVE, "it is back") == NameStatus(name="demo")
    assert done(held.releases.statuses(1)) == []
    assert (held.page().status, held.page().status_reason) == (ProjectStatus.ACTIVE, "")
    assert held.changes() == [("package.status", {"status": "active", "reason": "it is back"})]


def test_a_name_that_holds_nothing_can_be_reserved(held: Held) -> None:
    """A status may come before the first file; one that takes no uploads then keeps it out, and deprecated does not."""
    held.set_status("Not.Yet", ProjectStatus.QUARANTINED, "reserved")
    assert [one.name for one in done(held.releases.statuses(1))] == ["not-yet"]
    with pytest.raises(NotAccepting, match="quarantined and takes no uploads: reserved"):
        held.add("x.whl", name="NOT_YET")
    held.set_status("not-yet", ProjectStatus.DEPRECATED)
    held.add("x.whl", name="NOT_YET")
    assert held.page("not-yet").status is ProjectStatus.DEPRECATED


def test_what_is_not_there_is_not_changed(held: Held) -> None:
    """A package of another project, a file of another package, and numbers of nothing change nothing (hardening row 27)."""
    attempts: list[tuple[Callable[[], object], type[RegistryError]]] = [
        (lambda: held.yank("x", project=2), UnknownPackage),
        (lambda: held.yank(None, 99), UnknownPackage),
        (lambda: held.yank_file(1, "x", project=2), UnknownPackage),
        (lambda: held.yank_file(1, "x", 99), UnknownPackage),
        (lambda: held.yank_file(3, "x"), NotFound),
        (lambda: held.yank_file(1, "x", 2), NotFound),
        (lambda: held.yank_file(99, None), NotFound),
        (lambda: held.close(project=2), UnknownPackage),
        (lambda: held.close(99, closed=False), UnknownPackage),
        (lambda: done(held.releases.set_status(77, Name("demo"), ProjectStatus.ARCHIVED, "", ACTOR, level=OWNER)), NotFound),
    ]
    for attempt, error in attempts:
        with pytest.raises(error):
            attempt()
    assert set(held.yanks().values()) == {None}
    assert held.told == []


def test_a_rule_that_guards_publishing_guards_what_is_offered(held: Held) -> None:
    """Who may not publish under a protected name may not yank, close or give it a status either; other names stay free."""
    held.protect("DE*", 50)
    held.told.clear()
    attempts: list[Callable[[int], object]] = [
        lambda level: held.yank("x", level=level),
        lambda level: held.yank(None, level=level),
        lambda level: held.yank_file(1, "x", level=level),
        lambda level: held.close(level=level),
        lambda level: held.close(closed=False, level=level),
        lambda level: held.set_status("demo", ProjectStatus.ARCHIVED, level=level),
        lambda level: held.set_status("demo", ProjectStatus.ACTIVE, level=level),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden, match="protected"):
            attempt(49)
    assert held.told == []
    for attempt in attempts:
        attempt(50)
    assert len(held.changes()) == len(attempts)
    held.set_status("other", ProjectStatus.ARCHIVED, level=40)


def test_the_journal_tells_all_that_the_page_says(held: Held) -> None:
    """After every change, the page replayed from the journal is the page, and each earlier one is what it was then."""
    steps: list[Callable[[], object]] = [
        lambda: held.yank("one"),
        lambda: held.add("demo-1.0-late.whl", sha256="d" * 64),
        lambda: held.yank_file(1, None),
        lambda: held.set_status("demo", ProjectStatus.DEPRECATED, "use other"),
        lambda: held.yank("", 2),
        lambda: held.yank(None),
        held.close,
        lambda: held.yank_file(2, ""),
        lambda: held.set_status("demo", ProjectStatus.QUARANTINED),
        lambda: held.yank_file(2, "two"),
        lambda: held.set_status("demo", ProjectStatus.ACTIVE, "checked"),
        lambda: held.close(closed=False),
        lambda: held.yank("three"),
    ]
    seen = [(held.clock.now, held.page())]
    for step in steps:
        held.clock.now += timedelta(seconds=1)
        step()
        seen.append((held.clock.now, held.page()))
    assert [page_at(held.journal(), Name("demo"), at) for at, _ in seen] == [page for _, page in seen]
    assert len({page for _, page in seen}) > len(steps) // 2


@pytest.mark.parametrize("reason", ["a\nb", "x" * 513])
def test_no_reason_comes_past_its_rules(held: Held, reason: str) -> None:
    """Reasons are checked here, whichever door they come through; nothing is changed by a bad one (hardening row 3)."""
    attempts: list[Callable[[], object]] = [
        lambda: held.yank(reason),
        lambda: held.yank_file(1, reason),
        lambda: held.set_status("demo", ProjectStatus.ARCHIVED, reason),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidSetting, match="Reason"):
            attempt()
    assert held.told == []
