"""What switches and sharing mean for pages and files: who is asked about a name, and what is offered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, evolve

from registry.config import Upstream
from registry.domain.names import Name
from registry.testing import (
    OPERATOR,
    Answer,
    FakeUpstream,
    MemoryNetwork,
    MemoryRegistry,
    done,
    registry_in_memory,
    request,
    sdist,
    wheel,
)
from registry.testing.registry import FORGIVING
from tests.rest.api import Api

FORWARDING, LOCK = "pypi_package_requests_forwarding", "lock_pypi_package_requests_forwarding"
THEIRS, FORK, OURS = wheel("theirs"), wheel("fork", "2.0"), wheel("fork", "1.0+acme")
LIB, TEAM = "projects/team%2Flib", "groups/team/-"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


@define
class World:
    """A registry with the project team/lib, and the upstream it asks."""

    registry: MemoryRegistry
    network: MemoryNetwork
    upstream: FakeUpstream

    @property
    def root(self) -> Api:
        """The administrator."""
        return Api(self.registry, self.registry.root_token)

    def ask(self, path: str) -> Answer:
        """What the administrator gets below a place's package routes, once everybody who is asked has answered."""
        headers = [*JSON.items(), ("PRIVATE-TOKEN", self.registry.root_token)]
        wire = self.registry.connect()
        wire.send(request("GET", f"/api/v4/{path}", headers))
        for _ in range(5):
            self.network.settle()
            wire.settle()
        (answer,) = wire.answers("GET")
        wire.hang_up()
        return answer

    def page(self, place: str, name: str) -> list[str] | int:
        """The files on a page, or the status where there is none."""
        answer = self.ask(f"{place}/packages/pypi/simple/{name}/")
        return [file["filename"] for file in answer.json["files"]] if answer.code == 200 else answer.code

    def share(self, name: str, *, shared: bool = True, project: str = "team/lib") -> None:
        """Share a name with a project, or no longer."""
        done(self.registry.store.upstream.share(self.registry.place(project).id, Name(name), OPERATOR, shared=shared))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    network, upstream = MemoryNetwork(), FakeUpstream()
    upstream.add(THEIRS, FORK)
    network.serve(upstream.site(network), "index.test")
    config = evolve(FORGIVING, upstream=Upstream(url="http://index.test/simple/"))
    registry = registry_in_memory(tmp_path / "data", config=config, network=network)
    registry.group("team")
    registry.project("team/lib")
    yield World(registry, network, upstream)
    registry.close()


def test_off_hides_what_is_cached_too(world: World) -> None:
    """Where forwarding is off, pages and files of upstreams are 404 though they are kept, and nobody is asked; on, they are there again."""
    assert world.page(LIB, "theirs") == [THEIRS.filename]
    file = f"{LIB}/packages/pypi/files/{THEIRS.sha256}/{THEIRS.filename}"
    assert world.ask(file).body == THEIRS.content
    asked = len(world.upstream.requests)
    for path, fields in (
        ("/projects/team%2Flib", {FORWARDING: False}),
        ("/groups/team", {FORWARDING: False, LOCK: True}),
        ("/application/settings", {FORWARDING: False, LOCK: True}),
    ):
        assert world.root.put(path, **fields).code == 200
        assert world.page(LIB, "theirs") == 404
        assert world.ask(file).code == 404
        assert world.ask(f"{file}.metadata").code == 404
        back = {name: name == FORWARDING for name in fields}
        assert world.root.put(path, **back).code == 200
        assert world.page(LIB, "theirs") == [THEIRS.filename]
        assert world.ask(file).body == THEIRS.content
    assert len(world.upstream.requests) == asked


def test_a_switch_is_that_of_its_place(world: World) -> None:
    """A project's switch leaves its group's pages alone, and a group's those of other places."""
    world.root.put("/projects/team%2Flib", **{FORWARDING: False})
    assert (world.page(LIB, "theirs"), world.page(TEAM, "theirs")) == (404, [THEIRS.filename])
    world.root.put("/projects/team%2Flib", **{FORWARDING: True})
    world.root.put("/groups/team", **{FORWARDING: False})
    assert (world.page(LIB, "theirs"), world.page(TEAM, "theirs")) == ([THEIRS.filename], 404)
    assert world.page("projects/1", "theirs") == [THEIRS.filename]


def test_a_shared_name_is_ours_first(world: World) -> None:
    """Nobody is asked about what is ours, until it is shared: then both are offered there, ours first (hardening row 24)."""
    world.registry.upload("team%2Flib", OURS)
    assert world.page(LIB, "fork") == [OURS.filename]
    assert world.page("projects/1", "fork") == 404
    assert not world.upstream.mentions("fork")
    world.share("fork")
    assert world.page(LIB, "fork") == [OURS.filename, FORK.filename]
    assert world.page(TEAM, "fork") == [OURS.filename, FORK.filename]
    file = f"packages/pypi/files/{FORK.sha256}/{FORK.filename}"
    assert world.ask(f"{LIB}/{file}").body == FORK.content
    assert (world.page("projects/1", "fork"), world.ask(f"projects/1/{file}").code) == (404, 404)
    world.share("fork", shared=False)
    assert world.page(LIB, "fork") == [OURS.filename]
    assert world.ask(f"{LIB}/{file}").code == 404


def test_of_files_with_one_name_ours_is_served(world: World) -> None:
    """A file of ours stands for the upstream's file of the same name, on the page and by its digest (hardening row 24)."""
    ours, theirs = sdist("fork", "3.0"), sdist("fork", "3.0", requires_python=">=3.99")
    assert ours.filename == theirs.filename
    assert ours.sha256 != theirs.sha256
    world.upstream.add(theirs)
    world.registry.upload("team%2Flib", ours)
    world.share("fork")
    files = world.ask(f"{LIB}/packages/pypi/simple/fork/").json["files"]
    assert [(file["filename"], file["hashes"]["sha256"]) for file in files] == [
        (ours.filename, ours.sha256),
        (FORK.filename, FORK.sha256),
    ]


def test_leave_for_one_project_is_not_its_groups(world: World) -> None:
    """A group's page mixes nothing into a name that another of its projects holds and may not fetch (hardening row 24)."""
    world.registry.project("team/other")
    world.registry.upload("team%2Fother", OURS)
    world.share("fork")
    assert world.page(LIB, "fork") == [FORK.filename]
    assert world.page(TEAM, "fork") == [OURS.filename]
    world.share("fork", project="team/other")
    assert world.page(TEAM, "fork") == [OURS.filename, FORK.filename]


def test_a_shared_name_obeys_the_switch(world: World) -> None:
    """Sharing opens nothing where forwarding is off."""
    world.registry.upload("team%2Flib", OURS)
    world.share("fork")
    world.root.put("/groups/team", **{FORWARDING: False, LOCK: True})
    assert world.page(LIB, "fork") == [OURS.filename]
    assert world.upstream.requests == []
