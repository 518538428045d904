"""The catalog's database: settings, transactions, schema, and other processes."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from attrs import frozen
from hypothesis import given
from sqlalchemy import func, insert, select
from sqlalchemy.dialects import sqlite

from registry.domain.access import Identity, Project, RegistryAccess, Standing, Visibility
from registry.domain.errors import Conflict, FileExists, NewerSchema, NotFound, StorageFull, Unavailable, UnknownProject
from registry.domain.model import Actor, Change, Digests, File, NewFile, NewToken
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.tokens import mint
from registry.domain.versions import Version
from registry.storage.catalog.access import SqlAccess
from registry.storage.catalog.database import HEAD, Database, Writing, _engine
from registry.storage.catalog.packages import SqlPackages
from registry.storage.catalog.places import SqlPlaces
from registry.storage.catalog.tables import Instant, files, journal, metadata, packages, users
from registry.storage.catalog.tokens import SqlTokens
from registry.storage.catalog.upstream import SqlUpstream
from registry.storage.catalog.users import SqlUsers
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, done
from tests.strategies import moments

ACTOR = Actor(user_id=1, username="ann")


@frozen(kw_only=True)
class Process:
    """What one process has of a catalog."""

    database: Database
    packages: SqlPackages
    users: SqlUsers
    tokens: SqlTokens
    places: SqlPlaces
    told: list[Change]


def process(path: Path) -> Process:
    """Another process on the catalog `path`."""
    threads = InlineThreads()
    database = Database(path=path, readers=threads, writer=threads, now=lambda: NOON)
    database.open()
    told: list[Change] = []
    database.subscribe(told.extend)
    return Process(
        database=database,
        packages=SqlPackages(database),
        users=SqlUsers(database),
        tokens=SqlTokens(database),
        places=SqlPlaces(database),
        told=told,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the catalog lies."""
    return tmp_path / "catalog.sqlite"


@pytest.fixture
def one(path: Path) -> Iterator[Process]:
    """A catalog with user ann and her project 1."""
    made = process(path)
    done(made.users.create_user("ann", "", OPERATOR))
    done(made.places.create_project(ProjectPath.parse("ann/demo"), Visibility.PRIVATE, OPERATOR))
    done(made.database.poll())
    made.told.clear()
    yield made
    made.database.close()


def new_file(sha256: str = "a" * 64) -> NewFile:
    return NewFile(
        name=Name("demo"),
        version=Version("1.0"),
        filename="demo-1.0.tar.gz",
        digests=Digests(size=10, sha256=sha256, others={}),
        requires_python="",
        metadata={},
    )


def count(of: Process, table: object) -> int:
    return done(of.database.read(lambda connection: int(connection.execute(select(func.count()).select_from(table)).scalar_one())))  # type: ignore[arg-type]


# --- settings -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2), ("busy_timeout", 10_000)])
def test_sqlite_is_set_up_on_every_connection(one: Process, pragma: str, value: object) -> None:
    """Reading or writing, every connection has a write-ahead log, foreign keys, full flushes and patience."""

    def write(writing: Writing) -> object:
        return writing.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()

    assert done(one.database.read(lambda connection: connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one())) == value
    assert done(one.database.write(write)) == value


def test_foreign_keys_are_enforced(one: Process) -> None:
    """A row cannot name what does not exist, and the attempt leaves nothing."""

    def work(writing: Writing) -> None:
        values = {"project_id": 99, "name": "x", "display_name": "x", "version_key": "1", "version": "1", "created_at": NOON}
        writing.connection.execute(insert(packages).values(values))

    with pytest.raises(NotFound):
        done(one.database.write(work))
    assert count(one, packages) == 0


def test_the_database_has_the_last_word_on_what_must_be_unique(one: Process) -> None:
    """What somebody else has made between a check and its use is a conflict, not a failure, and the attempt leaves nothing (row 48)."""

    def work(writing: Writing) -> None:
        for _ in range(2):
            values = {"username": "x", "username_key": "twice", "email": "", "admin": False, "blocked": False, "created_at": NOON}
            writing.connection.execute(insert(users).values(values))

    before = count(one, users)
    with pytest.raises(Conflict):
        done(one.database.write(work))
    assert count(one, users) == before


def test_a_project_that_is_gone_takes_no_file(one: Process) -> None:
    """A file cannot be recorded in a project that was removed while it arrived, and the attempt leaves nothing."""
    with pytest.raises(UnknownProject):
        done(one.packages.add_file(99, new_file(), ACTOR))
    assert (count(one, files), count(one, packages), one.told) == (0, 0, [])


def test_the_catalog_is_ours_alone(one: Process, path: Path) -> None:
    """The database and its companions are readable by nobody else on the machine."""
    done(one.users.create_user("bob", "", OPERATOR))
    assert {file.stat().st_mode & 0o777 for file in path.parent.glob("catalog.sqlite*")} == {0o600}


def test_a_number_is_never_given_twice(one: Process) -> None:
    """Numbers in addresses and in the journal stay what they were, even when the last row is gone."""

    def remove(writing: Writing) -> None:
        writing.connection.execute(files.delete())

    first = done(one.packages.add_file(1, new_file(), ACTOR))
    done(one.database.write(remove))
    assert done(one.packages.add_file(1, new_file(), ACTOR)).id > first.id


# --- transactions ---------------------------------------------------------------------------------------------------------------------


def test_a_change_and_its_journal_row_are_one(one: Process) -> None:
    """A write that fails after it has changed and recorded leaves neither, and nobody is told."""
    before = count(one, journal)

    def work(writing: Writing) -> None:
        writing.connection.execute(
            insert(users).values(username="x", username_key="x", email="", admin=False, blocked=False, created_at=NOON)
        )
        writing.record("user.create", OPERATOR, user="x")
        raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        done(one.database.write(work))
    assert (count(one, users), count(one, journal), one.told) == (1, before, [])


def test_a_journal_row_that_cannot_be_written_undoes_the_change(one: Process) -> None:
    """If the journal refuses its row, the change is not made either."""

    def work(writing: Writing) -> None:
        writing.connection.execute(
            insert(users).values(username="x", username_key="x", email="", admin=False, blocked=False, created_at=NOON)
        )
        writing.record("user.create", OPERATOR, user=object())

    with pytest.raises(TypeError):
        done(one.database.write(work))
    assert (count(one, users), one.told) == (1, [])


def test_listeners_hear_after_the_commit(one: Process, path: Path) -> None:
    """Whoever is told of a change finds it made, in another process too."""
    other, seen = process(path), list[int]()
    one.database.subscribe(lambda changes: seen.append(count(other, users)))
    done(one.users.create_user("bob", "", OPERATOR))
    assert seen == [2]
    other.database.close()


def test_one_file_name_two_processes_one_winner(one: Process, path: Path) -> None:
    """Of writers that record one file name at the very same time exactly one succeeds; the others hear FileExists (hardening row 48)."""
    processes = [one, *(process(path) for _ in range(3))]
    for round_number in range(10):
        start, outcomes = threading.Barrier(len(processes)), list[object]()
        new = NewFile(
            name=Name("demo"),
            version=Version(f"{round_number}.0"),
            filename=f"demo-{round_number}.0.tar.gz",
            digests=Digests(size=1, sha256=f"{round_number:064d}", others={}),
            requires_python="",
            metadata={},
        )

        def publish(mine: Process, new: NewFile = new, start: threading.Barrier = start, outcomes: list[object] = outcomes) -> None:
            start.wait()
            try:
                outcomes.append(done(mine.packages.add_file(1, new, ACTOR)))
            except FileExists as error:
                outcomes.append(error)

        threads = [threading.Thread(target=publish, args=(mine,)) for mine in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(outcome).__name__ for outcome in outcomes) == [File.__name__, *[FileExists.__name__] * 3]
        assert all(outcome.identical for outcome in outcomes if isinstance(outcome, FileExists))
    assert (count(one, files), count(one, packages)) == (10, 10)
    for mine in processes[1:]:
        mine.database.close()


def test_a_full_disk_is_storage_full(one: Process) -> None:
    """A database that cannot grow is StorageFull, and nothing is half-written (hardening row 46)."""

    def work(writing: Writing) -> None:
        writing.connection.exec_driver_sql("PRAGMA max_page_count=1")
        writing.record("big", OPERATOR, text="x" * 1_000_000)

    with pytest.raises(StorageFull):
        done(one.database.write(work))
    assert one.told == []


def test_a_catalog_that_is_not_open_is_unavailable(path: Path) -> None:
    """Before `open` and after `close` every use says that the catalog is not available (hardening row 57)."""
    threads = InlineThreads()
    database = Database(path=path, readers=threads, writer=threads, now=lambda: NOON)
    for _ in range(2):
        for attempt in (
            database.check(),
            database.poll(),
            SqlUsers(database).users(),
            SqlUsers(database).create_user("x", "", OPERATOR),
        ):
            with pytest.raises(Unavailable, match="catalog"):
                done(attempt)
        database.open()
        done(database.check())
        database.close()


# --- other processes ------------------------------------------------------------------------------------------------------------------


def test_a_poll_tells_what_others_changed(one: Process, path: Path) -> None:
    """What another process commits is told at the next poll, in order, exactly as it was told there; and only once."""
    other = process(path)
    done(other.users.create_user("bob", "", OPERATOR))
    done(other.packages.add_file(1, new_file(), ACTOR))
    assert one.told == []
    done(one.database.poll())
    assert [change.action for change in one.told] == ["user.create", "file.publish"]
    assert one.told == other.told
    done(one.database.poll())
    assert len(one.told) == 2
    other.database.close()


def test_a_start_does_not_tell_the_past(one: Process, path: Path) -> None:
    """What was committed before a process opened the catalog is no news to it."""
    other = process(path)
    done(other.database.poll())
    assert other.told == []
    other.database.close()


# --- schema ---------------------------------------------------------------------------------------------------------------------------


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", "registry.storage.catalog:migrations")
    return config


def migrated(path: Path, revision: str = "head") -> None:
    """Build a catalog by running every migration up to `revision`, as an upgrade would."""
    engine, config = _engine(path), alembic_config()
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_the_newest_revision_is_known() -> None:
    """HEAD, which new catalogs are stamped with, is the one newest migration."""
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD]


@pytest.mark.parametrize("how", ["created", "migrated"])
def test_the_schema_is_that_of_the_tables(path: Path, how: str) -> None:
    """A new catalog and one that was upgraded through every revision have exactly the tables of tables.py."""
    if how == "created":
        process(path).database.close()
    else:
        migrated(path)
    engine = _engine(path)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    engine.dispose()


def shape(path: Path) -> dict[str, object]:
    """All that SQLite knows of a schema, but for the order in which it was said."""
    with sqlite3.connect(path) as connection:
        found: dict[str, object] = {}
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall():
            if name == "alembic_version":
                continue
            columns = sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
            keys = sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})"))
            constraints = sorted(re.findall(r"CONSTRAINT (\w+)", sql or ""))
            checks = sorted(re.findall(r"CHECK \(.*\)", sql or ""))
            found[f"{kind} {name}"] = (columns, keys, constraints, checks, "AUTOINCREMENT" in (sql or ""))
    connection.close()
    return found


def test_creating_and_migrating_give_the_same(tmp_path: Path) -> None:
    """Columns, keys, named constraints, checks and numbering are the same whichever way a catalog came about."""
    process(tmp_path / "created").database.close()
    migrated(tmp_path / "migrated")
    created = shape(tmp_path / "created")
    assert created == shape(tmp_path / "migrated")
    assert "table journal" in created


def test_of_files_kept_before_nobody_knows_what_was_told(path: Path) -> None:
    """A file of an upstream that was kept before digests were noted is kept after the upgrade, and tells of none."""
    migrated(path, "0005")
    with sqlite3.connect(path) as connection:
        row = "'main', 'demo', 'demo-1.0.tar.gz', ?, 10, NULL, NULL, NULL, 0, 0"
        connection.execute(f"INSERT INTO upstream_files VALUES (4, {row})", ["a" * 64])
    connection.close()
    made = process(path)
    (file,) = done(SqlUpstream(made.database).kept(Name("demo")))
    assert (file.id, file.sha256, file.size, file.told) == (4, "a" * 64, 10, ())
    made.database.close()


def test_a_migrated_catalog_opens(path: Path) -> None:
    """A catalog that migrations built is opened as it is."""
    migrated(path)
    made = process(path)
    assert done(made.users.users()) == []
    made.database.close()


def test_an_upgrade_keeps_what_was_there(path: Path) -> None:
    """A catalog of the first release is upgraded when it is opened: its rows stay, and mean the same in the tables of today."""
    migrated(path, "0001")
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            INSERT INTO users VALUES (7, 'Ann', 'ann', 'ann@example.com', 1, 0, 0);
            INSERT INTO namespaces VALUES (9, 'user', 'Ann', 'ann', 'Ann', 'public', NULL, 7, 0);
            INSERT INTO projects VALUES (3, 9, 'Ann/tools', 'ann/tools', 'tools', 'internal', 0, 0);
        """)
        connection.execute(
            "INSERT INTO tokens (id, user_id, name, digest, scopes, created_at) VALUES (5, 7, 'ci', ?, '[\"api\"]', 0)", ["d" * 64]
        )
    connection.close()
    made = process(path)
    (ann,) = done(made.users.users())
    assert (ann.id, ann.username, ann.name, ann.email, ann.admin, ann.blocked, ann.bot) == (
        7,
        "Ann",
        "Ann",
        "ann@example.com",
        True,
        False,
        False,
    )
    (token,) = done(made.tokens.tokens(None))
    assert (token.id, token.user_id, token.name, token.scopes, token.description, token.last_used_at) == (5, 7, "ci", ("api",), "", None)
    project, standing = done(SqlAccess(made.database).enter("project", "ann/tools", Identity(user=ann)))
    assert project == Project(
        id=3,
        path="Ann/tools",
        name="tools",
        visibility=Visibility.INTERNAL,
        registry=RegistryAccess.DISABLED,
        packages_enabled=False,
        owner_id=7,
        lineage=(9,),
    )
    assert standing == Standing()
    done(made.places.create_project(ProjectPath.parse("ann/more"), Visibility.PRIVATE, OPERATOR))
    made.database.close()


def test_a_catalog_of_the_future_is_refused(one: Process, path: Path) -> None:
    """A revision this release does not know stops the start, names it, and leaves the file as it was."""
    one.database.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(NewerSchema, match="9999"):
        process(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_opening_again_keeps_everything(one: Process, path: Path) -> None:
    """A second start finds what the first one kept."""
    one.database.close()
    again = process(path)
    assert [user.username for user in done(again.users.users())] == ["ann"]
    again.database.close()


# --- values ---------------------------------------------------------------------------------------------------------------------------

DIALECT = sqlite.dialect()


def test_a_moment_without_a_zone_is_refused(one: Process) -> None:
    """A naive datetime is never kept: it would be another moment on another machine."""
    with pytest.raises(ValueError, match="without a time zone"):
        Instant().process_bind_param(datetime(2030, 1, 1), DIALECT)  # noqa: DTZ001 - that is the point
    naive = NewToken(name="x", digest="0" * 64, scopes=("api",), expires_at=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="without a time zone"):
        done(one.tokens.create_token("ann", naive, OPERATOR))
    assert done(one.tokens.tokens(None)) == []


@given(moments)
def test_a_moment_comes_back_exactly(moment: datetime) -> None:
    """A moment, in whatever zone, comes back as the same moment in UTC, to the microsecond; none stays none."""
    instant = Instant()
    elsewhere = moment.astimezone(timezone(timedelta(hours=-7, minutes=-30)))
    for given_moment in (moment, elsewhere):
        found = instant.process_result_value(instant.process_bind_param(given_moment, DIALECT), DIALECT)
        assert found == moment
        assert found is not None
        assert found.tzinfo is UTC
    assert instant.process_result_value(instant.process_bind_param(None, DIALECT), DIALECT) is None


def test_no_secret_is_in_the_catalog(one: Process, path: Path) -> None:
    """Of a token only the digest is anywhere in the files of the catalog (hardening row 30)."""
    secret = mint()
    new = NewToken(name="ci", digest=secret.digest(), scopes=("api",), expires_at=None)
    info = done(one.tokens.create_token("ann", new, OPERATOR))
    done(one.tokens.revoke_token(info.id, OPERATOR))
    kept = b"".join(file.read_bytes() for file in path.parent.glob("catalog.sqlite*"))
    assert secret.digest().encode() in kept
    for length in (12, len(secret.reveal())):
        assert secret.reveal()[-length:].encode() not in kept
