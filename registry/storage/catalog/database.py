"""One SQLite database: opened, migrated, read in threads, written in one."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from attrs import Factory, define, field, frozen
from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool
from twisted.logger import Logger
from zope.interface import implementer

from registry.domain.errors import NewerSchema, Unavailable
from registry.domain.model import Actor, Change
from registry.interfaces import IJournal, IThreads
from registry.storage.catalog.commits import Commits
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import journal, metadata

_log = Logger()
T = TypeVar("T")
Listener = Callable[[tuple[Change, ...]], None]

# The newest revision in migrations/versions; a test compares.
HEAD = "0006"
# Another process (the command line) may hold the write lock this long before we give up; in milliseconds.
_BUSY = 10_000
# A clock that steps back by less than this is held until it has caught up; a greater step is a correction, and believed.
_STEP = timedelta(minutes=10)
_EVER = datetime.min.replace(tzinfo=UTC)


@frozen
class Writing:
    """One work in a write transaction: the connection, and the journal rows that go with what is done on it."""

    connection: Connection
    at: datetime
    changes: list[Change] = Factory(list)

    def record(self, action: str, actor: Actor, *, project_id: int | None = None, name: str = "", **detail: object) -> None:
        """Write one journal row. `detail` is for people and for replay; never a secret."""
        row = {
            "at": self.at,
            "action": action,
            "user_id": actor.user_id,
            "username": actor.username,
            "token_id": actor.token_id,
            "token_name": actor.token_name,
            "address": actor.address,
            "project_id": project_id,
            "name": name,
            "detail": detail,
        }
        serial = insert_row(self.connection, journal, row)
        self.changes.append(Change(serial=serial, at=self.at, action=action, actor=actor, project_id=project_id, name=name, detail=detail))


@implementer(IJournal)
@define(kw_only=True)
class Database:
    """The catalog's connection pool and its two kinds of thread. Listeners hear of changes in the caller's thread, after the commit."""

    _path: Path
    _readers: IThreads
    _writer: IThreads
    now: Callable[[], datetime]
    _engine: Engine | None = None  # set by `open`
    _inode: int = 0  # of the file that was opened: a catalog that was moved away is not ready, though SQLite would go on writing to it
    _listeners: list[Listener] = Factory(list)
    _seen: int = field(default=0)  # the last serial read back by `poll`
    _told: set[int] = Factory(set)  # serials after that which are our own, and told already
    _last: datetime = _EVER  # the moment of the last row, as far as we know; once open, the writing thread's
    _commits: Commits = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._commits = Commits(threads=self._writer, engine=self._opened, writing=self._do_begin, told=self._committed)

    def open(self) -> None:
        """Create or migrate the schema and accept work. Blocking. Raises `NewerSchema`."""
        # Ours alone before SQLite opens it: the write-ahead log beside it is given the mode the catalog has then.
        self._path.touch(mode=0o600)
        self._path.chmod(0o600)
        engine = _engine(self._path)
        found = _revision(engine)
        if found is None:
            with engine.begin() as connection:
                metadata.create_all(connection)
                connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
                connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        elif found != HEAD:
            _migrate(engine, found)
        with engine.connect() as connection:
            self._seen = latest(connection)
            self._last = connection.execute(select(journal.c.at).where(journal.c.serial == self._seen)).scalar() or self._last
        self._inode = self._path.stat().st_ino
        self._engine = engine

    def close(self) -> None:
        """Close all connections. Blocking; after the last read and write."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` on a connection of its own, in a thread. Raises `Unavailable` when the database cannot be read."""
        return await self._readers.run(self._do_read, work)

    async def write(self, work: Callable[[Writing], T]) -> T:
        """The result of `work`, committed durably together with the changes it recorded; on an exception nothing is.

        Works that wait at the same time share a commit and do not notice each other; one whose transaction the database took back may be
        run again. It is done, and told to listeners, though the caller stops waiting. Raises `StorageFull`, `Unavailable`; `Conflict` or
        `NotFound` when the database's own rules refuse.
        """
        return await self._commits.run(work)

    def subscribe(self, listener: Listener) -> None:
        """IJournal."""
        self._listeners.append(listener)

    async def poll(self) -> None:
        """IJournal."""
        changes = await self.read(self._do_poll)
        if changes:
            seen, self._seen = self._seen, max(self._seen, changes[-1].serial)
            told, self._told = self._told, {serial for serial in self._told if serial > self._seen}
            self._tell(tuple(change for change in changes if change.serial > seen and change.serial not in told))

    async def check(self) -> None:
        """Return if the catalog answers and is still the file it was. Raises `Unavailable`."""
        await self._readers.run(self._do_check)

    def _committed(self, changes: tuple[Change, ...]) -> None:
        # A poll may have read them back before the writing thread was heard.
        ours = tuple(change for change in changes if change.serial > self._seen)
        self._told.update(change.serial for change in ours)
        self._tell(ours)

    def _tell(self, changes: tuple[Change, ...]) -> None:
        for listener in self._listeners if changes else ():
            try:
                listener(changes)
            except Exception:  # noqa: BLE001 - the change is made, and the others must hear of it
                _log.failure("a listener failed on what it was told")

    # --- in a thread ---

    def _opened(self) -> Engine:
        if self._engine is None:
            raise Unavailable(part="catalog")
        return self._engine

    def _do_read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._opened().connect() as connection:
                return work(connection)
        except OperationalError as error:
            raise Unavailable(part="catalog") from error

    def _do_begin(self, connection: Connection) -> Writing:
        # The order of moments is that of the journal, also while a clock is set back a little.
        now = self.now()
        self._last = self._last if now < self._last < now + _STEP else now
        return Writing(connection, self._last)

    def _do_poll(self, connection: Connection) -> list[Change]:
        if latest(connection) <= self._seen:
            return []
        rows = connection.execute(select(journal).where(journal.c.serial > self._seen).order_by(journal.c.serial))
        return [change_of(row) for row in rows]

    def _do_check(self) -> None:
        try:
            if self._path.stat().st_ino != self._inode:
                raise Unavailable(part="catalog")
        except OSError as error:
            raise Unavailable(part="catalog") from error
        self._do_read(latest)


def change_of(row: Any) -> Change:
    """A journal row as a value."""
    actor = Actor(user_id=row.user_id, username=row.username, token_id=row.token_id, token_name=row.token_name, address=row.address)
    return Change(serial=row.serial, at=row.at, action=row.action, actor=actor, project_id=row.project_id, name=row.name, detail=row.detail)


def latest(connection: Connection) -> int:
    """The serial of the last journal row; 0 before the first."""
    return int(connection.execute(select(func.coalesce(func.max(journal.c.serial), 0))).scalar_one())


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=0,
        json_serializer=lambda value: json.dumps(value, separators=(",", ":")),
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: object) -> None:
        # SQLAlchemy begins transactions below; the driver must not do so by itself.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={_BUSY}",
            "journal_mode=WAL",
            # A commit that was answered survives a power cut.
            "synchronous=FULL",
            # What SQLite caches, the kernel caches already; in KiB, for each of the connections.
            "cache_size=-256",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that will write takes the lock at once, instead of failing half-way when a second one upgrades.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("immediate") else "BEGIN")

    return engine


def _revision(engine: Engine) -> str | None:
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def _migrate(engine: Engine, found: str) -> None:
    # Imported here: Alembic takes 0.1 s and 10 MB that only an upgrade needs.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "registry.storage.catalog:migrations")
    try:
        ScriptDirectory.from_config(config).get_revision(found)
    except CommandError:
        raise NewerSchema(found=found) from None
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
