"""Dated views against what was really answered: any sequence of changes through the real store, looked back at from its end."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count

import pytest
from attrs import Factory, define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.domain.access import Identity, User
from registry.domain.errors import Deleted, Quarantined, RegistryError, UnknownFile, UnknownName
from registry.domain.inventory import FileOrder, Wanted
from registry.domain.model import Digests, NewFile, ProjectStatus
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.places import Wishes
from registry.domain.versions import Version
from registry.storage.threads import InlineThreads
from registry.testing import EXTERNAL_URL, NOON, OPERATOR, MemoryRegistry, done, registry_in_memory
from registry.workflows.answers import Rendered
from registry.workflows.gate import Admission
from registry.workflows.history import History
from registry.workflows.views import View

ADMIN = Identity(user=User(id=1, username="root", admin=True))
SHORTLY = timedelta(milliseconds=500)
NAMES = ("my-demo", "other")
FORMS = (Representation.HTML, Representation.V1_JSON)
_numbers = count(1)


@frozen
class Step:
    """One change: what, and a few small numbers that say which."""

    what: str
    project: int
    which: int
    text: str


steps = st.builds(
    Step,
    st.sampled_from(
        # What fills the registry comes more often than what empties it.
        ["publish"] * 8
        + ["yank", "unyank", "yank file", "unyank file", "delete", "delete file", "status", "close"] * 2
        + ["move out", "move in", "rename group", "retitle group", "retitle", "rename"]
    ),
    st.integers(0, 1),
    st.integers(0, 50),
    st.sampled_from(["", "broken & <bad>", "it's late"]),
)


@define
class World:
    """A group with two projects below it, and what its indexes and pages answered after each change."""

    registry: MemoryRegistry
    group: int
    outside: int
    projects: tuple[int, int]
    seen: dict[datetime, dict[tuple[object, ...], bytes | None]] = Factory(dict)
    files: dict[tuple[int, str, str], datetime | None] = Factory(dict)  # when they were deleted, by project, digest and name

    @property
    def history(self) -> History:
        """What is tested."""
        store = self.registry.store
        return History(history=store.history, gate=self.registry.gate, threads=InlineThreads())

    def admission(self, kind: str, number: int, identity: Identity = ADMIN) -> Admission:
        """A caller who was let in."""
        place, standing = done(self.registry.store.access.enter(kind, number, identity))
        return Admission(identity=identity, place=place, standing=standing)

    def scopes(self) -> list[tuple[str, int]]:
        """All that has an index."""
        return [("project", self.projects[0]), ("project", self.projects[1]), ("group", self.group)]

    def live(self) -> dict[tuple[object, ...], bytes | None]:
        """What is answered now."""
        library = self.registry.library
        found: dict[tuple[object, ...], bytes | None] = {}
        for scope in self.scopes():
            admission = self.admission(*scope)
            view = (
                View.of_project(admission.project) if scope[0] == "project" else View.of_group(admission.group, self._readable(admission))
            )
            for form in FORMS:
                found[*scope, form] = done(library.index(view, form, "")).body
                for name in NAMES:
                    page = library.page(view, Name(name), form, EXTERNAL_URL)
                    found[*scope, form, name] = _or_none(page)
        return found

    def dated(self, at: datetime) -> dict[tuple[object, ...], bytes | None]:
        """What the history says was answered."""
        found: dict[tuple[object, ...], bytes | None] = {}
        for scope in self.scopes():
            admission = self.admission(*scope)
            for form in FORMS:
                found[*scope, form] = done(self.history.index(admission, at, form, "")).body
                for name in NAMES:
                    page = self.history.page(admission, Name(name), at, form, EXTERNAL_URL)
                    found[*scope, form, name] = _or_none(page)
        return found

    def take(self, step: Step, *, look: bool = True) -> None:
        """Make a change; some are refused, which is none. Look around after it, and let a second pass."""
        with suppress(RegistryError):
            self._do(step, self.projects[step.project])
        if look:
            self.seen[self.registry.now()] = self.live()
        self.registry.clock.advance(1)

    def _readable(self, admission: Admission) -> tuple[int, ...]:
        return done(self.registry.gate.readable(admission))

    def _do(self, step: Step, project: int) -> None:
        store, reason = self.registry.store, step.text
        if step.what == "publish":
            self._publish(step, project)
        elif step.what == "status":
            status = list(ProjectStatus)[step.which % 4]
            done(store.releases.set_status(project, Name(NAMES[step.which % 2]), status, reason, OPERATOR, level=60))
        elif step.what in {"move out", "move in"}:
            done(store.projects.transfer(project, self.outside if step.what == "move out" else self.group, OPERATOR, ADMIN))
        elif step.what in {"rename group", "retitle group"}:
            text = f"g{next(_numbers)}"
            done(store.groups.change_group(self.group, Wishes(path=text) if step.what == "rename group" else Wishes(name=text), OPERATOR))
        elif step.what in {"rename", "retitle"}:
            text = f"p{next(_numbers)}"
            done(store.projects.change(project, Wishes(path=text) if step.what == "rename" else Wishes(name=text), OPERATOR, ADMIN))
        else:
            self._curate(step, project)

    def _publish(self, step: Step, project: int) -> None:
        version, name = ("1.0", "1", "2.0", "1.0.0")[step.which % 4], ("My.Demo", "my_demo", "my-demo", "other", "OTHER")[step.which % 5]
        filename, sha256 = f"{name}-{version}{('.tar.gz', '.zip')[step.which % 2]}", f"{step.which % 3:064x}"
        new = NewFile(
            name=Name(name),
            version=Version(version),
            filename=filename,
            digests=Digests(size=step.which % 3, sha256=sha256, others={}),
            requires_python=step.text,
            metadata={},
            metadata_blob=("f" * 64, 3) if step.which % 7 == 0 else None,
            provenance={"version": 1} if step.which % 11 == 0 else None,
        )
        done(self.registry.store.packages.add_file(project, new, OPERATOR))
        self.files[project, sha256, filename] = None

    def _curate(self, step: Step, project: int) -> None:
        store = self.registry.store
        packages, _ = done(store.inventory.packages((project,), Wanted(), limit=100, offset=0))
        if not packages:
            return
        package = packages[step.which % len(packages)].id
        reason = None if step.what.startswith("unyank") else step.text
        files, _ = done(store.inventory.files(package, project, FileOrder.ID, descending=False, limit=100, offset=0))
        file = files[step.which % len(files)]
        if step.what in {"yank", "unyank"}:
            done(store.releases.set_yanked(project, package, reason, OPERATOR, level=60))
        elif step.what in {"yank file", "unyank file"}:
            done(store.releases.set_file_yanked(project, package, file.id, reason, OPERATOR, level=60))
        elif step.what == "close":
            done(store.releases.set_closed(project, package, OPERATOR, closed=step.which % 2 == 0, level=60))
        elif step.what == "delete file":
            done(store.inventory.delete_file(project, package, file.id, OPERATOR, level=60))
            self._gone(project)
        else:
            done(store.inventory.delete_package(project, package, OPERATOR, level=60))
            self._gone(project)

    def _gone(self, project: int) -> None:
        for key, deleted in self.files.items():
            if key[0] == project and deleted is None and not self._held(*key):
                self.files[key] = self.registry.now()

    def _held(self, project: int, sha256: str, filename: str) -> bool:
        try:
            return done(self.registry.store.packages.file((project,), sha256, filename)) is not None
        except Quarantined:
            return True


def _or_none(page: Awaitable[Rendered]) -> bytes | None:
    try:
        return done(page).body
    except UnknownName:
        return None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    """Makes new places, in one registry for all examples."""
    registry = registry_in_memory(tmp_path_factory.mktemp("history") / "data")
    yield lambda: _world(registry)
    registry.close()


def _world(registry: MemoryRegistry) -> World:
    here, there = f"g{next(_numbers)}", f"g{next(_numbers)}"
    group, outside = registry.group(here).id, registry.group(there).id
    registry.group(f"{here}/sub")
    projects = (registry.project(f"{here}/p{next(_numbers)}").id, registry.project(f"{here}/sub/p{next(_numbers)}").id)
    made = World(registry=registry, group=group, outside=outside, projects=projects)
    made.seen[registry.now()] = made.live()
    registry.clock.advance(1)
    return made


@settings(max_examples=25)
@given(taken=st.lists(steps, max_size=20))
def test_every_view_is_what_was_answered(world: Callable[[], World], taken: list[Step]) -> None:
    """Whatever is published, yanked, deleted, quarantined, moved or renamed: index and pages of any instant are told to the byte."""
    made = world()
    for step in taken:
        made.take(step)
    for number, (at, seen) in enumerate(made.seen.items()):
        assert made.dated(at + SHORTLY * (number % 2)) == seen
    assert made.dated(NOON + timedelta(days=36_500)) == made.live()


@settings(max_examples=25)
@given(taken=st.lists(steps, max_size=30))
def test_what_was_deleted_is_known(world: Callable[[], World], taken: list[Step]) -> None:
    """A file that is not held is told to have been deleted, and when, exactly if it was."""
    made = world()
    for step in taken:
        made.take(step, look=False)
    for (project, sha256, filename), deleted in made.files.items():
        missing = done(made.history.missing(View(scope="", title="", projects=(project,)), sha256, filename))
        assert (type(missing), getattr(missing, "at", None)) == (UnknownFile if deleted is None else Deleted, deleted)
