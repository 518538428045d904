"""Group commit: the works that wait while one commit is under way share the next one."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Protocol, TypeVar

from attrs import Factory, define, frozen
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from registry.domain.errors import Conflict, NotFound, StorageFull, Unavailable
from registry.domain.model import Change
from registry.interfaces import IThreads

T = TypeVar("T")

# A batch keeps the write lock for its whole length, and the first of it waits for the last.
BATCH = 64


class Recorded(Protocol):
    """What a work is given: it knows what was changed."""

    @property
    def changes(self) -> Sequence[Change]:
        """The journal rows written so far."""


@define(eq=False)
class _Work:
    """One caller's work, and where he waits."""

    run: Callable[[Any], Any]
    outcome: "Deferred[Any]"


@frozen
class _Done:
    """What a work returned, and what it changed."""

    result: object
    changes: Sequence[Change]


class _TransactionLostError(Exception):
    """The database has taken back all of the transaction; the cause is why."""


@define(kw_only=True, eq=False)
class Commits:
    """Runs works in transactions, in the order they come: what waits when a transaction begins is run in that one, each in a savepoint.

    A commit waits for the disk, whatever it holds; so many writers at once cost little more than one. `told` hears what a transaction has
    changed, once it is durable and before those who wait for it.
    """

    threads: IThreads  # one at a time
    engine: Callable[[], Engine]
    writing: Callable[[Connection], Recorded]
    told: Callable[[tuple[Change, ...]], None]
    _lock: Lock = Factory(Lock)  # guards the two below: filled in the reactor thread, emptied in the writing one
    _waiting: "deque[_Work]" = Factory(deque)
    _called: bool = False  # a visit to the thread is arranged and has not begun

    def run(self, work: Callable[[Any], T]) -> "Deferred[T]":
        """The result of `work`, durably committed. On an exception nothing of it is, and the others of its batch do not notice.

        Cancelling the wait does not stop the work. Raises `StorageFull` or `Unavailable` (for all of a batch whose commit failed),
        `Conflict`, `NotFound`.
        """
        outcome: Deferred[T] = Deferred()
        with self._lock:
            self._waiting.append(_Work(work, outcome))
            called, self._called = self._called, True
        if not called:
            self._call()
        return outcome

    def _call(self) -> None:
        self.threads.run(self._do_batch).addCallbacks(self._settle, self._refused)

    def _refused(self, failure: Failure) -> None:
        # There is no thread (any more).
        with self._lock:
            works, self._called = list(self._waiting), False
            self._waiting.clear()
        for work in works:
            work.outcome.errback(failure)

    def _settle(self, batch: Sequence[tuple[_Work, _Done | Failure]]) -> None:
        self.told(tuple(change for _, done in batch if isinstance(done, _Done) for change in done.changes))
        with self._lock:
            # More waited than one batch takes.
            call = bool(self._waiting) and not self._called
            self._called = self._called or call
        if call:
            self._call()
        for work, done in batch:
            # A wait that was cancelled has had its answer.
            if not work.outcome.called:
                work.outcome.callback(done.result if isinstance(done, _Done) else done)

    # --- in a thread ---

    def _do_batch(self) -> list[tuple[_Work, _Done | Failure]]:
        with self._lock:
            works = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._called = False
        return list(zip(works, self._do_together(works) if len(works) > 1 else map(self._do_alone, works), strict=True))

    def _do_alone(self, work: _Work) -> _Done | Failure:
        try:
            with _named(), self.engine().connect().execution_options(immediate=True) as connection, connection.begin():
                return self._do_work(connection, work)
        except BaseException:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
            return Failure()

    def _do_together(self, works: Sequence[_Work]) -> "list[_Done | Failure]":
        done: list[_Done | Failure] = []
        try:
            with _named(), self.engine().connect().execution_options(immediate=True) as connection, connection.begin():
                for work in works:
                    done.append(self._do_in_savepoint(connection, work))  # noqa: PERF401 - what is done when one fails counts
        except _TransactionLostError:
            # Nothing was committed, so each may begin again; the culprit among them fails alone this time.
            return [self._do_alone(work) for work in works]
        except BaseException:  # noqa: BLE001
            return [Failure()] * len(works)
        return done

    def _do_in_savepoint(self, connection: Connection, work: _Work) -> _Done | Failure:
        connection.exec_driver_sql("SAVEPOINT work")
        try:
            with _named():
                done: _Done | Failure = self._do_work(connection, work)
        except BaseException:  # noqa: BLE001
            done = Failure()
        try:
            if isinstance(done, Failure):
                connection.exec_driver_sql("ROLLBACK TO work")
            connection.exec_driver_sql("RELEASE work")
        except DBAPIError as error:
            # SQLite answers some errors (a full disk, a failed read) by ending the transaction, savepoints and all.
            raise _TransactionLostError from error
        return done

    def _do_work(self, connection: Connection, work: _Work) -> _Done:
        writing = self.writing(connection)
        done = _Done(work.run(writing), writing.changes)
        # A work that went on after SQLite had ended its transaction would be told as done, and is not.
        if not getattr(connection.connection, "in_transaction", True):
            raise Unavailable(part="catalog")
        return done


@contextmanager
def _named() -> Iterator[None]:
    """The database's errors as what they mean to who asked."""
    try:
        yield
    except IntegrityError as error:
        # The database's own rules are the last to be asked: something went, or came, between a check and its use.
        if "FOREIGN KEY" in str(error.orig):
            raise NotFound from error
        raise Conflict(text="It has just been made by somebody else") from error
    except OperationalError as error:
        if "full" in str(error.orig):
            raise StorageFull from error
        raise Unavailable(part="catalog") from error
