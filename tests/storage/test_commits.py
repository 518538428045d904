"""Group commit: writers that wait together are committed together, and do not notice each other."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import Factory, define
from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import OperationalError
from twisted.internet.defer import Deferred, execute
from twisted.logger import LogEvent
from zope.interface import implementer

from registry.domain.errors import Conflict, NotFound, StorageFull, Unavailable
from registry.domain.model import Change
from registry.interfaces import IThreads
from registry.storage.catalog.commits import BATCH
from registry.storage.catalog.database import _STEP, Database, Writing
from registry.storage.catalog.tables import journal, packages, users
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, HeldThreads, done
from tests.conformance.clock import Clock

T = TypeVar("T")
Work = Callable[[Writing], str]


@define(eq=False)
class Bench:
    """A catalog whose writing thread works when told, and all that was told and answered."""

    database: Database
    writer: HeldThreads
    clock: Clock
    told: list[tuple[Change, ...]] = Factory(list)
    answers: dict[str, object] = Factory(dict)

    def begin(self, key: str, work: Work | None = None) -> "Deferred[None]":
        """Write under this key: a user of that name, unless it is other work."""
        waiting = Deferred.fromCoroutine(self.database.write(work or makes(key)))

        def answered(result: object) -> None:
            self.answers[key] = result

        return waiting.addCallbacks(answered, lambda failure: answered(failure.value))

    def names(self) -> list[str]:
        """All users, as somebody else would read them."""
        return list(
            done(self.database.read(lambda connection: connection.execute(select(users.c.username).order_by(users.c.id)).scalars().all()))
        )

    def journal(self) -> list[tuple[int, str]]:
        """All journal rows: serial and user."""
        rows = done(self.database.read(lambda connection: connection.execute(select(journal).order_by(journal.c.serial)).all()))
        return [(row.serial, row.detail["user"]) for row in rows]

    def heard(self) -> list[tuple[int, str]]:
        """All that was told: serial and user."""
        return [(change.serial, str(change.detail["user"])) for changes in self.told for change in changes]


def makes(name: str, key: str = "") -> Work:
    def work(writing: Writing) -> str:
        values = {"username": name, "username_key": key or name, "email": "", "admin": False, "blocked": False, "created_at": writing.at}
        writing.connection.execute(insert(users).values(values))
        writing.record("user.create", OPERATOR, user=name)
        return f"made {name}"

    return work


def then(work: Work, more: Callable[[Writing], object]) -> Work:
    def both(writing: Writing) -> str:
        result = work(writing)
        more(writing)
        return result

    return both


def fails(error: BaseException) -> Callable[[Writing], object]:
    def work(_: Writing) -> None:
        raise error

    return work


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bench]:
    """An empty catalog."""
    writer, clock = HeldThreads(), Clock()
    database = Database(path=tmp_path / "catalog.sqlite", readers=InlineThreads(), writer=writer, now=clock)
    database.open()
    made = Bench(database, writer, clock)
    database.subscribe(made.told.append)
    yield made
    database.close()


def commits(database: Database) -> list[object]:
    """One item for each commit from now on."""
    seen: list[object] = []
    event.listen(database._opened(), "commit", seen.append)
    return seen


# --- together -------------------------------------------------------------------------------------------------------------------------


def test_writers_that_wait_share_a_commit(one: Bench) -> None:
    """Works that come while the thread is busy are one visit and one commit, in the order they came, each with its own answer."""
    seen = commits(one.database)
    for name in "abc":
        one.begin(name)
    assert one.writer.waiting == 1
    one.writer.let()
    assert (len(seen), one.writer.waiting) == (1, 0)
    assert one.answers == {"a": "made a", "b": "made b", "c": "made c"}
    assert one.names() == ["a", "b", "c"]
    assert [name for _, name in one.journal()] == ["a", "b", "c"]


def test_a_batch_is_told_once_when_it_is_durable(one: Bench) -> None:
    """Listeners hear all of a batch at once, in journal order, when others can read it and before those who wait are answered."""
    seen: list[tuple[list[str], int]] = []
    one.database.subscribe(lambda _: seen.append((one.names(), len(one.answers))))
    for name in "ab":
        one.begin(name)
    one.writer.let()
    assert seen == [(["a", "b"], 0)]
    assert len(one.told) == 1
    assert one.heard() == one.journal()


@pytest.mark.parametrize(("count", "visits"), [(1, 1), (BATCH, 1), (BATCH + 1, 2), (2 * BATCH + 1, 3)])
def test_a_batch_is_bounded(one: Bench, count: int, visits: int) -> None:
    """At most so many works share a commit; the rest follow at once, in order, and all are done."""
    seen = commits(one.database)
    for number in range(count):
        one.begin(f"u{number}")
    one.writer.let_all()
    assert len(seen) == visits
    assert one.names() == [f"u{number}" for number in range(count)]
    assert len(one.answers) == count
    assert one.heard() == one.journal()


def test_what_comes_during_a_commit_is_in_the_next(one: Bench) -> None:
    """A work that comes when a batch has begun waits for the next one, which is arranged already when the first ends."""

    def meanwhile(_: Writing) -> None:
        one.begin("b")
        one.begin("c")

    seen = commits(one.database)
    one.begin("a", then(makes("a"), meanwhile))
    one.writer.let()
    assert (one.answers, one.writer.waiting) == ({"a": "made a"}, 1)
    one.writer.let()
    assert (len(seen), one.names()) == (2, ["a", "b", "c"])


def test_works_of_a_batch_see_each_other(one: Bench) -> None:
    """Sharing a commit is being one after the other: what the first made the second finds."""

    def look(writing: Writing) -> str:
        return str(writing.connection.execute(select(func.count()).select_from(users)).scalar_one())

    one.begin("a")
    one.begin("how many", look)
    one.writer.let()
    assert one.answers["how many"] == "1"


# --- failing alone --------------------------------------------------------------------------------------------------------------------


def dangling(writing: Writing) -> None:
    values = {"project_id": 99, "name": "x", "display_name": "x", "version_key": "1", "version": "1", "created_at": NOON}
    writing.connection.execute(insert(packages).values(values))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("more", "error"),
    [
        (fails(ValueError("no")), ValueError),
        (fails(OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))), Unavailable),
        (fails(OperationalError("", {}, sqlite3.OperationalError("database or disk is full"))), StorageFull),
        (fails(GeneratorExit()), GeneratorExit),
        (makes("x", key="twice"), Conflict),
        (dangling, NotFound),
    ],
)
def test_a_work_that_fails_fails_alone(one: Bench, place: int, more: Callable[[Writing], object], error: type[BaseException]) -> None:
    """One work's error takes back its own rows and journal rows and is its caller's alone, wherever in the batch it stands."""
    names = ["a", "b"]
    names.insert(place, "bad")
    for name in names:
        one.begin(name, then(makes("bad", key="twice"), more) if name == "bad" else None)
    one.writer.let()
    assert isinstance(one.answers.pop("bad"), error)
    assert one.answers == {"a": "made a", "b": "made b"}
    assert one.names() == ["a", "b"]
    assert [name for _, name in one.journal()] == ["a", "b"]
    assert one.heard() == one.journal()


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_transaction_the_database_ended_is_begun_again(one: Bench, place: int, *, swallowed: bool) -> None:
    """Where SQLite ends a whole transaction over one work, the others are done again by themselves, once (hardening row 46)."""

    def ends(writing: Writing) -> str:
        makes("bad")(writing)
        writing.connection.exec_driver_sql("ROLLBACK")
        if swallowed:
            return "never mind"
        raise OperationalError("", {}, sqlite3.OperationalError("database or disk is full"))

    names = ["a", "b"]
    names.insert(place, "bad")
    for name in names:
        one.begin(name, ends if name == "bad" else None)
    one.writer.let()
    assert isinstance(one.answers.pop("bad"), Unavailable if swallowed else StorageFull)
    assert (one.names(), one.answers) == (["a", "b"], {"a": "made a", "b": "made b"})
    assert one.heard() == one.journal()


# --- failing together -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("reason", "error"), [("database or disk is full", StorageFull), ("disk I/O error", Unavailable)])
def test_a_commit_that_fails_fails_for_all(one: Bench, count: int, reason: str, error: type[Exception]) -> None:
    """When the commit itself fails, nobody's work is there, nobody is told, all callers hear why, the next works (hardening row 46)."""
    engine = one.database._opened()

    def refuse(_: object) -> None:
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError(reason))

    for number in range(count):
        one.begin(f"u{number}")
    event.listen(engine, "commit", refuse)
    one.writer.let()
    event.remove(engine, "commit", refuse)
    assert [type(answer) for answer in one.answers.values()] == [error] * count
    assert (one.names(), one.journal(), one.told) == ([], [], [])
    one.begin("after")
    one.writer.let()
    assert (one.names(), one.heard()) == (["after"], one.journal())


def test_a_commit_that_sqlite_refuses_leaves_nothing(one: Bench) -> None:
    """A COMMIT that SQLite itself refuses is taken back as a whole, and the connection can be used again."""

    def late(writing: Writing) -> str:
        writing.connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        dangling(writing)
        return "nothing was wrong yet"

    one.begin("a")
    one.begin("late", late)
    one.writer.let()
    assert [type(answer) for answer in one.answers.values()] == [NotFound, NotFound]
    assert (one.names(), one.told) == ([], [])
    one.begin("a")
    one.writer.let()
    assert one.names() == ["a"]


def test_a_catalog_that_is_busy_refuses_all(one: Bench, tmp_path: Path) -> None:
    """When another process keeps the write lock for too long, all that wait hear that the catalog is not available."""

    @event.listens_for(one.database._opened(), "checkout")
    def impatient(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA busy_timeout=0")

    other = sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for name in "ab":
        one.begin(name)
    one.writer.let()
    other.execute("COMMIT")
    other.close()
    assert [type(answer) for answer in one.answers.values()] == [Unavailable, Unavailable]
    one.begin("c")
    one.writer.let()
    assert one.names() == ["c"]


def test_without_a_thread_all_that_wait_are_refused(one: Bench) -> None:
    """When the threads take no more work, everybody who waits hears it, and nothing is left for later."""
    for name in "ab":
        one.begin(name)
    one.writer.fail(Unavailable(part="storage"))
    assert [type(answer) for answer in one.answers.values()] == [Unavailable, Unavailable]
    one.begin("c")
    one.writer.let_all()
    assert one.names() == ["c"]


# --- waiting and hearing --------------------------------------------------------------------------------------------------------------


def test_a_wait_that_is_cancelled_stops_nothing(one: Bench) -> None:
    """The work of a caller who stopped waiting is done and told all the same, and the others get their answers."""
    waits = {name: one.begin(name) for name in "abc"}
    waits["b"].cancel()
    one.writer.let()
    assert one.names() == ["a", "b", "c"]
    assert one.heard() == one.journal()
    assert (one.answers["a"], one.answers["c"]) == ("made a", "made c")


@implementer(IThreads)
@define(eq=False)
class LateThreads:
    """Threads that work at once, and whose answers come when the test says so."""

    _answers: "list[tuple[Deferred[Any], Deferred[Any]]]" = Factory(list)

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        outcome: Deferred[T] = Deferred()
        self._answers.append((execute(work, *args), outcome))
        return outcome

    def answer(self) -> None:
        """Let the oldest answer arrive."""
        result, outcome = self._answers.pop(0)
        result.chainDeferred(outcome)


def test_a_change_that_a_poll_found_first_is_told_once(tmp_path: Path) -> None:
    """A poll that reads a commit back before its own thread is heard tells of it; nobody does a second time."""
    late, told = LateThreads(), list[Change]()
    database = Database(path=tmp_path / "catalog.sqlite", readers=InlineThreads(), writer=late, now=Clock())
    database.open()
    database.subscribe(told.extend)
    writing = Deferred.fromCoroutine(database.write(makes("a")))
    done(database.poll())
    assert len(told) == 1
    late.answer()
    assert done(writing) == "made a"
    done(database.poll())
    assert len(told) == 1
    database.close()


def test_two_polls_at_once_tell_once(tmp_path: Path) -> None:
    """Two polls that read the same rows tell them once."""
    late, told = LateThreads(), list[Change]()
    database = Database(path=tmp_path / "catalog.sqlite", readers=late, writer=InlineThreads(), now=Clock())
    database.open()
    database.subscribe(told.extend)
    other = Database(path=tmp_path / "catalog.sqlite", readers=InlineThreads(), writer=InlineThreads(), now=Clock())
    other.open()
    done(other.write(makes("a")))
    polls = [Deferred.fromCoroutine(database.poll()) for _ in range(2)]
    for _ in range(2):
        late.answer()
    for poll in polls:
        done(poll)
    assert [change.detail["user"] for change in told] == ["a"]
    other.close()
    database.close()


def test_a_listener_that_fails_harms_nobody(one: Bench, log_events: list[LogEvent]) -> None:
    """A listener's error is logged; the other listeners hear, and the writer gets his answer."""

    def broken(_: tuple[Change, ...]) -> None:
        raise RuntimeError("deaf")

    one.database._listeners.insert(0, broken)
    one.begin("a")
    one.writer.let()
    assert (one.answers, one.heard()) == ({"a": "made a"}, one.journal())
    assert [str(found["log_failure"].value) for found in log_events if "log_failure" in found] == ["deaf"]


# --- moments --------------------------------------------------------------------------------------------------------------------------


def moments(of: Bench) -> list[datetime]:
    return list(
        done(of.database.read(lambda connection: connection.execute(select(journal.c.at).order_by(journal.c.serial)).scalars().all()))
    )


@pytest.mark.parametrize(
    ("back", "held"), [(timedelta(0), True), (timedelta(microseconds=1), True), (_STEP - timedelta(microseconds=1), True), (_STEP, False)]
)
def test_a_clock_that_steps_back_a_little_is_held(one: Bench, back: timedelta, *, held: bool) -> None:
    """Moments of the journal never fall while a clock is set back by under ten minutes; a greater step is believed (hardening row 54)."""
    one.begin("a")
    one.begin("b", then(lambda _: "", lambda _: setattr(one.clock, "now", NOON - back)))
    one.begin("c")
    one.writer.let()
    assert moments(one) == [NOON, NOON if held else NOON - back]
    one.clock.now = NOON + timedelta(seconds=1)
    one.begin("d")
    one.writer.let()
    assert moments(one)[-1] == NOON + timedelta(seconds=1)


def test_a_clock_that_stepped_back_over_a_restart_is_held(one: Bench, tmp_path: Path) -> None:
    """The last moment of the journal counts also when another process wrote it (hardening row 54)."""
    one.begin("a")
    one.writer.let()
    again = Database(
        path=tmp_path / "catalog.sqlite", readers=InlineThreads(), writer=InlineThreads(), now=lambda: NOON - timedelta(minutes=1)
    )
    again.open()
    done(again.write(makes("b")))
    again.close()
    assert moments(one) == [NOON, NOON]
