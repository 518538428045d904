"""Prepared statements do what SQLAlchemy does, only sooner."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, bindparam, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from registry.storage.catalog.database import _engine
from registry.storage.catalog.prepared import Prepared, insert_row
from registry.storage.catalog.tables import blobs, journal, metadata, packages
from registry.testing import NOON
from tests.strategies import moments

BY_SERIAL = select(journal).where(journal.c.serial == bindparam("serial"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
COLUMNS: dict[str, st.SearchStrategy[object]] = {
    "at": moments,
    "action": TEXT,
    "user_id": st.none() | st.integers(-(2**63), 2**63 - 1),
    "username": TEXT,
    "token_id": st.none(),
    "token_name": TEXT,
    "address": TEXT,
    "name": TEXT,
    "detail": st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)),
}
ROWS = st.fixed_dictionaries(COLUMNS, optional={"project_id": st.integers(0, 9)})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty catalog without rules of its own."""
    made = _engine(tmp_path / "catalog.sqlite")
    metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection to it, in a transaction that is taken back."""
    with engine.connect().execution_options(immediate=True) as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROWS)
def test_rows_are_those_that_sqlalchemy_writes_and_reads(connection: Connection, row: dict[str, object]) -> None:
    """Any row, written either way and read either way, is the same, whichever columns are left out."""
    ours = insert_row(connection, journal, row)
    key = connection.execute(insert(journal), row).inserted_primary_key
    assert key is not None
    assert key[0] == ours + 1
    for serial in (ours, key[0]):
        expected = connection.execute(BY_SERIAL, {"serial": serial}).one()
        found = Prepared(BY_SERIAL).first(connection, serial=serial)
        assert tuple(found) == tuple(expected)
        assert (found.at, found.detail, found.project_id) == (row["at"], row["detail"], row.get("project_id"))


def test_nothing_found_is_none(connection: Connection) -> None:
    """A select without a row is None, as a row and as a value."""
    prepared = Prepared(BY_SERIAL)
    assert (prepared.first(connection, serial=1), prepared.scalar(connection, serial=1)) == (None, None)


def test_the_first_of_several_is_found(connection: Connection) -> None:
    """Of several rows the first is returned, and of its columns the first is its value."""
    for sha256 in "cab":
        insert_row(connection, blobs, {"sha256": sha256 * 64, "size": 1, "created_at": NOON})
    prepared = Prepared(select(blobs.c.sha256, blobs.c.created_at).where(blobs.c.size == bindparam("size")).order_by(blobs.c.sha256))
    assert tuple(prepared.first(connection, size=1)) == ("a" * 64, NOON)
    assert prepared.scalar(connection, size=1) == "a" * 64


def test_errors_are_those_of_sqlalchemy(engine: Engine) -> None:
    """What the driver refuses is raised as SQLAlchemy raises it, and no value is in it (it may be a secret)."""
    row = {"sha256": "5ec4e7", "size": 1, "created_at": NOON}
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        insert_row(connection, blobs, row)
        with pytest.raises(IntegrityError, match="UNIQUE") as caught:
            insert_row(connection, blobs, row)
        assert "5ec4e7" not in str(caught.value)
        values = {"project_id": 9, "name": "x", "display_name": "x", "version_key": "1", "version": "1", "created_at": NOON}
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            insert_row(connection, packages, values)
        connection.exec_driver_sql("DROP TABLE journal")
        with pytest.raises(OperationalError, match="no such table"):
            Prepared(BY_SERIAL).first(connection, serial=1)
        connection.rollback()


def test_a_value_that_is_not_given_is_an_error(connection: Connection) -> None:
    """A select is never run with a value missing."""
    with pytest.raises(KeyError, match="serial"):
        Prepared(BY_SERIAL).first(connection)


def test_reads_of_one_connection_see_one_moment(engine: Engine) -> None:
    """A first read begins a transaction, so that the next sees the same catalog though somebody has written meanwhile."""
    prepared = Prepared(select(blobs.c.size).where(blobs.c.sha256 == bindparam("sha256")))
    with engine.connect() as reader:
        assert prepared.scalar(reader, sha256="a") is None
        with engine.connect().execution_options(immediate=True) as writer, writer.begin():
            insert_row(writer, blobs, {"sha256": "a", "size": 1, "created_at": NOON})
        assert prepared.scalar(reader, sha256="a") is None
    with engine.connect() as reader:
        assert prepared.scalar(reader, sha256="a") == 1


@given(st.lists(ROWS, min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_rows_are_those_that_sqlalchemy_finds(engine: Engine, rows: list[dict[str, object]]) -> None:
    """Of many rows, each is what SQLAlchemy makes of it, in the order that was asked for."""
    query = select(journal).where(journal.c.serial >= bindparam("serial")).order_by(journal.c.serial.desc())
    with engine.connect() as connection, connection.begin():
        first, *_ = [insert_row(connection, journal, row) for row in rows]
        found = Prepared(query).all(connection, serial=first)
        assert [tuple(row) for row in found] == [tuple(row) for row in connection.execute(query, {"serial": first})]
        assert len(found) == len(rows)
        assert Prepared(query).all(connection, serial=2**62) == []
