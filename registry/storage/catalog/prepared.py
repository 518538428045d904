"""Statements that SQLAlchemy compiles once and the driver then runs directly: a quarter of the time, where many are run for one request."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Dialect, Insert, Select, Table, insert
from sqlalchemy.exc import DBAPIError

_Process = Callable[[Any], Any] | None


@frozen
class _Compiled:
    """A statement for one database."""

    sql: str
    given: tuple[tuple[str, _Process], ...]  # the name of each value in its place, and what makes it the driver's
    found: tuple[_Process, ...]  # for each column of a result, what makes it ours
    row: Callable[..., Any]

    def made(self, row: Sequence[Any]) -> Any:
        """A row of the driver's, as ours."""
        return self.row(*[value if make is None else make(value) for make, value in zip(self.found, row, strict=True)])


@frozen(eq=False)
class Prepared:
    """A select whose values are all bound by name and single (no lists)."""

    statement: Select[Any]

    def first(self, connection: Connection, **given: object) -> Any:
        """The first row, with its columns as attributes; None if there is none. Raises as `Connection.execute` does."""
        compiled, cursor = self._select(connection, given)
        row = cursor.fetchone()
        return None if row is None else compiled.made(row)

    def all(self, connection: Connection, **given: object) -> list[Any]:
        """All rows, likewise."""
        compiled, cursor = self._select(connection, given)
        return [compiled.made(row) for row in cursor.fetchall()]

    def scalar(self, connection: Connection, **given: object) -> Any:
        """The only column of the first row; None if there is none."""
        row = self.first(connection, **given)
        return None if row is None else row[0]

    def _select(self, connection: Connection, given: Mapping[str, object]) -> tuple[_Compiled, Any]:
        if not connection.in_transaction():
            connection.begin()
        compiled = _compiled(self.statement, connection.dialect, ())
        return compiled, _run(connection, compiled, given)


def insert_row(connection: Connection, table: Table, values: Mapping[str, object]) -> int:
    """Insert one row, in a transaction that has begun, and return the number it was given. Raises as `Connection.execute` does."""
    key = _run(connection, _compiled(_insert_into(table), connection.dialect, tuple(values)), values).lastrowid
    assert key is not None, "the table numbers its rows"
    return int(key)


def _run(connection: Connection, compiled: _Compiled, given: Mapping[str, object]) -> Any:
    values = [given[name] if make is None else make(given[name]) for name, make in compiled.given]
    cursor = connection.connection.cursor()
    try:
        cursor.execute(compiled.sql, values)
    except Exception as error:
        dialect = connection.dialect
        driver = dialect.loaded_dbapi.Error
        if isinstance(error, driver):
            raise DBAPIError.instance(compiled.sql, None, error, driver, dialect=dialect) from error
        raise
    return cursor


@lru_cache(256)
def _insert_into(table: Table) -> Insert:
    return insert(table)


@lru_cache(1024)
def _compiled(statement: Select[Any] | Insert, dialect: Dialect, columns: Sequence[str]) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=columns or None)
    names = compiled.positiontup or ()
    assert set(names) == set(compiled.binds), "every value is bound by its place"
    found = list(statement.selected_columns) if isinstance(statement, Select) else []
    return _Compiled(
        sql=str(compiled),
        given=tuple((name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names),
        found=tuple(column.type.dialect_impl(dialect).result_processor(dialect, None) for column in found),
        row=namedtuple("Row", [str(column.key) for column in found]),  # noqa: PYI024 - made of what is selected
    )
