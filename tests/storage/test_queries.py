"""What the catalog's queries cost: none that a list asks for reads a whole table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from registry.domain.inventory import FileOrder, Order, Wanted
from registry.domain.names import Name
from registry.testing import MemoryRegistry, done, registry_in_memory, wheel

Statement = tuple[str, Any]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[MemoryRegistry]:
    """A registry with a package."""
    made = registry_in_memory(tmp_path / "data")
    made.upload(1, wheel())
    yield made
    made.close()


@pytest.fixture
def statements(registry: MemoryRegistry) -> list[Statement]:
    """Every statement the catalog is asked from now on, with its parameters."""
    asked: list[Statement] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    event.listen(registry.store.database._engine, "before_cursor_execute", note)
    return asked


def plans(registry: MemoryRegistry, statements: list[Statement]) -> list[str]:
    """What SQLite says it will do for each, line by line."""
    engine = registry.store.database._engine
    assert engine is not None
    lines = []
    with engine.connect() as connection:
        for statement, parameters in list(statements):
            if statement.startswith("SELECT"):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                lines += [f"{row.detail}    of {statement}" for row in rows]
    assert lines, "nothing was asked"
    return lines


def demand_no_scan(registry: MemoryRegistry, statements: list[Statement]) -> None:
    scans = [line for line in plans(registry, statements) if line.startswith("SCAN") and " USING " not in line.split("    of ")[0]]
    assert not scans, "\n".join(scans)


@pytest.mark.parametrize("projects", [(1,), (1, 2, 3)])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", Order)
def test_lists_of_packages_walk_an_index(
    registry: MemoryRegistry, statements: list[Statement], order: Order, projects: tuple[int, ...], *, descending: bool
) -> None:
    """A page of packages, in any order, of one project or several, is read off indexes."""
    wanted = Wanted(order=order, descending=descending)
    done(registry.store.inventory.packages(projects, wanted, limit=20, offset=40_000))
    done(registry.store.inventory.packages(projects, wanted, limit=20, offset=0))
    demand_no_scan(registry, statements)
    if len(projects) == 1 and order is not Order.PROJECT_PATH:
        page = [one for one in statements if "LIMIT" in one[0]]
        assert not [line for line in plans(registry, page) if line.startswith("USE TEMP B-TREE")], "a page of one project is not sorted"


@pytest.mark.parametrize(
    "wanted", [Wanted(name="a"), Wanted(version="1.0"), Wanted(directly_in=1), Wanted(name="a", version="1", directly_in=1)]
)
def test_filters_walk_an_index(registry: MemoryRegistry, statements: list[Statement], wanted: Wanted) -> None:
    """A filter narrows what an index finds; it never makes a table be read."""
    done(registry.store.inventory.packages((1, 2), wanted, limit=20, offset=0))
    demand_no_scan(registry, statements)


def test_single_packages_walk_an_index(registry: MemoryRegistry, statements: list[Statement]) -> None:
    """One package, its versions, files and pipelines, pages and downloads, and rules, are found by indexes."""
    inventory = registry.store.inventory
    package = done(inventory.package(1, 1))
    done(inventory.versions(package))
    for order in FileOrder:
        done(inventory.files(1, 1, order, descending=True, limit=20, offset=0))
    done(inventory.origins(1, 1))
    done(registry.store.protection.rules(1, limit=20))
    done(registry.store.packages.page((1, 2), Name("demo")))
    done(registry.store.packages.releases((1, 2), Name("demo")))
    done(registry.store.packages.names((1, 2)))
    done(registry.store.packages.file((1, 2), "0" * 64, "demo-1.0-py3-none-any.whl"))
    done(registry.store.packages.named(["0" * 64]))
    demand_no_scan(registry, statements)


def test_deleting_walks_an_index(registry: MemoryRegistry, statements: list[Statement]) -> None:
    """What a deletion reads and removes is found by indexes, foreign keys that point at it included."""
    assert registry.ask("DELETE", "/api/v4/projects/1/packages/1", token=registry.root_token).code == 204
    demand_no_scan(registry, statements)
    engine = registry.store.database._engine
    assert engine is not None
    with engine.connect() as connection:
        for statement, parameters in list(statements):
            if statement.startswith(("DELETE", "UPDATE")):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                assert all(row.detail.startswith("SEARCH") or " USING " in row.detail for row in rows), (statement, rows)
