"""Rooms and floors: imports point down, and each room keeps its word about what it never does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "registry"

# What each room may import of ours; itself always. A room that is not here fails: whoever adds one decides where it stands.
ROOMS: dict[str, frozenset[str]] = {
    # Floor 0, and beside it the configuration, which is as inert but says nothing about registries.
    "domain": frozenset(),
    # A setting may be a value of the domain; nothing else.
    "config": frozenset({"domain"}),
    # Floor 1
    "interfaces": frozenset({"domain"}),
    # Floor 2: they know nothing of each other; a workflow brings them together.
    "storage": frozenset({"domain", "interfaces"}),
    "upstream": frozenset({"domain", "interfaces"}),
    "trust": frozenset({"domain", "interfaces"}),
    # Floor 3: never storage, upstream or trust, only their interfaces.
    "workflows": frozenset({"domain", "interfaces"}),
    # Floor 4. The web is handed its settings by the assembly, one by one.
    "web": frozenset({"domain", "interfaces", "workflows"}),
    # The welcome tells what the founding made, by its constant.
    "welcome": frozenset({"workflows"}),
    # A command works on the data directory itself, so it builds a store as the server does (composition), with threads that run inline
    # (storage), from the configuration; serving is the assembly's.
    "cli": frozenset({"domain", "interfaces", "workflows", "storage", "config", "composition", "assembly"}),
    # Floor 5: what asks other indexes, made of its settings.
    "outward": frozenset({"domain", "interfaces", "storage", "upstream", "workflows", "config"}),
    # Floor 5: what a registry is made of, and what gives it a life.
    "composition": frozenset({"domain", "interfaces", "storage", "upstream", "trust", "workflows", "web", "config", "outward"}),
    "assembly": frozenset({"outward", "domain", "interfaces", "storage", "trust", "workflows", "web", "config", "welcome", "composition"}),
    "tap": frozenset({"assembly", "config"}),
    # Fakes and ready-made registries for tests, ours and those of who embeds us: it may use anything but the shell.
    "testing": frozenset({"domain", "interfaces", "storage", "workflows", "web", "config", "composition"}),
    # `python -m registry`
    "__main__": frozenset({"cli"}),
    # The front door: the names an embedding program imports.
    "__init__": frozenset({"assembly", "config"}),
}

# What a floor promises never to touch. Floor 0 may open an archive that is an open file already, so tarfile and zipfile are not here.
_IO = {
    "asyncio",
    "io",
    "multiprocessing",
    "os",
    "pathlib",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}
_HTTP = {"klein", "treq"}
_SQL = {"alembic", "sqlalchemy", "sqlite3"}
FORBIDDEN: dict[str, frozenset[str]] = {
    "domain": frozenset({"twisted", "zope", *_IO, *_HTTP, *_SQL}),
    "config": frozenset({"twisted", "zope", *_HTTP, *_SQL}),
    "interfaces": frozenset({"twisted.web", "threading", "time", *_HTTP, *_SQL}),
    "storage": frozenset({"twisted.web", *_HTTP}),
    "upstream": frozenset({"twisted.internet.reactor", "threading", "time", *_SQL}),
    "trust": frozenset({"twisted.web", "twisted.internet.reactor", "socket", "threading", "time", *_HTTP, *_SQL}),
    # Workflows wait (Deferred) but do not speak HTTP or SQL, open nothing, start no thread and ask no clock.
    "workflows": frozenset({"twisted.web", "twisted.internet.reactor", *_IO, *_HTTP, *_SQL}),
    "web": frozenset({"twisted.internet.reactor", "threading", "time", *_SQL}),
    "cli": frozenset({"twisted.web", *_HTTP, *_SQL}),
    "composition": frozenset({"twisted.internet.reactor", *_SQL}),
    "assembly": frozenset({"twisted.internet.reactor", *_SQL}),
}
# The clock, by its other names; and files, without an import.
_CLOCKS = {"now", "utcnow", "today", "time", "monotonic"}
# Modules that collect what has no name.
NAMELESS = {"utils", "util", "helpers", "helper", "misc", "common"}


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Every module that is imported anywhere in `tree`, inside functions and conditions too: line, absolute dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            # `from registry import web` imports a room, and `from twisted import web` a module.
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def within(name: str, module: str) -> bool:
    """Whether `name` is `module` or something in it."""
    return name == module or name.startswith(f"{module}.")


def room_of(module: str) -> str:
    """The room of a module of ours, by its dotted name."""
    return [*module.split("."), "__init__"][1]


def violations(module: str, source: str) -> list[str]:
    """What the source of `module` (dotted, `.__init__` spelt out) does that its floor may not."""
    room, tree = room_of(module), ast.parse(source)
    if room not in ROOMS:
        return [f"{module}: {room} is in no floor; add it to ROOMS"]
    found = []
    for line, name in imports(tree, module.rpartition(".")[0]):
        if within(name, "registry"):
            there = room_of(name)
            # `from registry import Config` goes through the front door, which is above everything.
            there = there if there in ROOMS else "__init__"
            if there not in {room, *ROOMS[room]}:
                found.append(f"{module}:{line}: {room} must not import {name}")
        found += [f"{module}:{line}: {room} must not import {name}" for banned in FORBIDDEN.get(room, ()) if within(name, banned)]
    if room == "domain":
        found += [f"{module}:{line}: {room} must not {what}" for line, what in effects(tree)]
    return found


def effects(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where files are opened and clocks are read without importing anything that says so."""
    for called in (node.func for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(called, ast.Name) and called.id in {"open", "print", "input", "__import__", "exec", "eval"}:
            yield called.lineno, f"call {called.id}()"
        elif (
            isinstance(called, ast.Attribute)
            and called.attr in _CLOCKS
            and ast.unparse(called.value).split(".")[-1] in {"datetime", "date", "time"}
        ):
            yield called.lineno, f"read the clock with {ast.unparse(called)}()"


def modules() -> list[Path]:
    """Every module under registry/."""
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    """The dotted name of a module; a package's ends in `.__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_down(path: Path) -> None:
    """No module imports from a floor above its own, or what its floor promises never to touch."""
    assert violations(dotted(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_every_module_says_what_it_is(path: Path) -> None:
    """Every module, and above all every package, has a docstring, and none is called what could be anything."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert path.stem not in NAMELESS


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without __init__.py would be left out of the checks that ask it for a docstring; only revisions live in one."""
    bare = {path.parent for path in modules()} - {path.parent for path in modules() if path.name == "__init__.py"}
    assert {folder.relative_to(PACKAGE).as_posix() for folder in bare} <= {"storage/catalog/migrations/versions"}


def test_every_room_that_exists_has_a_floor() -> None:
    """The table knows every room there is, and names none in its rows that it does not know."""
    assert {room_of(dotted(path)) for path in modules()} <= set(ROOMS)
    assert set().union(*ROOMS.values(), FORBIDDEN) <= set(ROOMS)


def test_the_table_has_no_circle() -> None:
    """Floors are floors: following what a room may import never leads back to it."""

    def below(room: str) -> frozenset[str]:
        return ROOMS[room].union(*(below(lower) for lower in ROOMS[room]))

    assert [room for room in ROOMS if room in below(room)] == []


def test_the_folder_of_plugins_is_no_package() -> None:
    """twisted.plugins is extended by a folder without __init__.py, which holds a pointer and imports nothing of ours."""
    assert [path.name for path in (ROOT / "twistd_plugins").glob("*.py")] == ["pypi_registry.py"]
    source = (ROOT / "twistd_plugins" / "pypi_registry.py").read_text(encoding="utf-8")
    assert [name for _, name in imports(ast.parse(source), "")] == ["twisted.application.service.ServiceMaker"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("registry.domain.names", "import twisted"),
        ("registry.domain.names", "from twisted.internet import defer"),
        ("registry.domain.names", "import os.path"),
        ("registry.domain.names", "import time"),
        ("registry.domain.names", "from time import monotonic"),
        ("registry.domain.names", "import sqlalchemy as sa"),
        ("registry.domain.names", "import socket"),
        ("registry.domain.names", "import threading"),
        ("registry.domain.names", "from pathlib import Path"),
        ("registry.domain.names", "from io import open"),
        ("registry.domain.names", "open('x')"),
        ("registry.domain.names", "from datetime import datetime\ndatetime.now()"),
        ("registry.domain.names", "import datetime\ndatetime.date.today()"),
        ("registry.domain.names", "from registry.interfaces import IBlobs"),
        ("registry.domain.names", "from registry import interfaces"),
        ("registry.domain.names", "from registry import Config"),
        ("registry.domain.names", "import registry"),
        ("registry.domain.names", "from .. import web"),
        ("registry.domain.names", "from ..web import pypi"),
        ("registry.domain.__init__", "from ..web import pypi"),
        ("registry.domain.names", "def late():\n    import registry.web.pypi"),
        ("registry.domain.names", "if TYPE_CHECKING:\n    from registry.config import Config"),
        ("registry.interfaces", "from registry.storage.blobs import directory"),
        ("registry.interfaces", "from registry.config import Config"),
        ("registry.interfaces.blobs", "from registry.storage.blobs import directory"),
        ("registry.storage.threads", "from registry.workflows.publish import Publisher"),
        ("registry.storage.threads", "from registry.upstream import client"),
        ("registry.storage.threads", "from registry.config import Config"),
        ("registry.storage.threads", "from twisted.web.http import Request"),
        ("registry.storage.threads", "from twisted import web"),
        ("registry.workflows.publish", "from registry.storage.blobs.directory import DirectoryBlobs"),
        ("registry.workflows.publish", "from registry.web.pypi import PyPI"),
        ("registry.workflows.publish", "from registry.config import Config"),
        ("registry.workflows.publish", "from twisted.internet import reactor"),
        ("registry.workflows.publish", "import sqlite3"),
        ("registry.web.pypi", "from registry.storage.blobs.directory import DirectoryBlobs"),
        ("registry.web.pypi", "from registry.cli.main import main"),
        ("registry.web.pypi", "from registry.assembly import assemble"),
        ("registry.web.pypi", "from registry.composition import Store"),
        ("registry.web.pypi", "from registry.testing import MemoryBlobs"),
        ("registry.web.rest.groups", "from registry.storage.catalog.groups import SqlGroups"),
        ("registry.web.rest.groups", "from registry.upstream.gitlab import GitLabJobs"),
        ("registry.web.rest.groups", "import sqlalchemy"),
        ("registry.upstream.gitlab", "from registry.storage.threads import InlineThreads"),
        ("registry.upstream.gitlab", "from registry.config import Config"),
        ("registry.upstream.gitlab", "import sqlalchemy"),
        ("registry.trust.verifier", "from registry.upstream.gitlab import GitLabJobs"),
        ("registry.trust.verifier", "import treq"),
        ("registry.workflows.publish", "from registry.trust.verifier import AttestationVerifier"),
        ("registry.composition", "from registry.assembly import assemble"),
        ("registry.composition", "from registry.cli.main import main"),
        ("registry.composition", "from registry.testing import MemoryBlobs"),
        ("registry.testing.packages", "from registry.cli.main import main"),
        ("registry.cli.main", "from registry.web.pypi import PyPI"),
        ("registry.cli.main", "from registry.tap import makeService"),
        ("registry.assembly", "from registry.cli.main import main"),
        ("registry.assembly", "from registry.tap import makeService"),
        ("registry.assembly", "from registry.testing import MemoryBlobs"),
        ("registry.config", "from registry.interfaces import IThreads"),
        ("registry.newroom.thing", ""),
        ("registry.newroom", ""),
    ],
)
def test_the_checker_sees_a_planted_violation(module: str, source: str) -> None:
    """Each of these lines would be found in that module."""
    (complaint,) = violations(module, source)
    assert complaint.startswith(module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("registry.domain.archives.tars", "import tarfile, zipfile\nimport re\nfrom datetime import datetime\ndatetime.fromisoformat('x')"),
        ("registry.domain.names", "from registry.domain.errors import InvalidName\nfrom . import errors\nfrom .errors import InvalidName"),
        ("registry.storage.blobs.disk", "import os\nfrom registry.interfaces import IBlobs\nfrom ..threads import InlineThreads"),
        ("registry.workflows.publish", "from twisted.internet.defer import Deferred\nfrom registry import domain"),
        ("registry.web.pypi", "from registry.workflows.library import Library\nfrom twisted.web.http import Request"),
        ("registry.cli.store", "from registry.composition import Store\nfrom registry.storage.threads import InlineThreads"),
        ("registry.web.rest.groups", "from registry.web.routes import Call\nfrom . import answers"),
        ("registry.composition", "from registry.upstream.gitlab import GitLabJobs\nfrom registry.web.rest.groups import Groups"),
        ("registry.testing.registry", "from registry.composition import compose\nfrom registry.testing.wire import Wire"),
        ("registry.__init__", "from registry.assembly import assemble"),
        ("registry.domain.names", "import timeit_like, iobase, osprey, registry_of_others"),
    ],
)
def test_the_checker_lets_pass_what_points_down(module: str, source: str) -> None:
    """Imports from below, and names that only look alike, are no violations."""
    assert violations(module, source) == []
