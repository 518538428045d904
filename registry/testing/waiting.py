"""Work that waits only as long as a test says."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from attrs import Factory, define
from twisted.internet.defer import Deferred, execute
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.interfaces import IThreads

T = TypeVar("T")


def done(awaitable: "Awaitable[T] | Deferred[T]") -> T:
    """The result of something that must already have happened: waits for nothing. Raises what it failed with."""
    deferred = awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(cast("Coroutine[Deferred[Any], Any, T]", awaitable))
    results: list[T] = []
    failures: list[Failure] = []

    def keep(result: T) -> T:
        results.append(result)
        return result

    deferred.addCallbacks(keep, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "it has not happened yet"
    return results[0]


def gathered(batches: AsyncIterator[T]) -> list[T]:
    """All items of an asynchronous iterator that never has to wait."""

    async def collect() -> list[T]:
        return [item async for item in batches]

    return done(collect())


@implementer(IThreads)
@define(eq=False)
class HeldThreads:
    """Threads whose work runs only when the test says so: every order of events can be arranged."""

    _work: "list[tuple[Deferred[Any], Callable[..., Any], tuple[object, ...]]]" = Factory(list)  # oldest first

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._work)

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        outcome: Deferred[T] = Deferred()
        self._work.append((outcome, work, args))
        return outcome

    def let(self, count: int = 1) -> None:
        """Run the oldest `count` pieces of work."""
        for _ in range(count):
            outcome, work, args = self._work.pop(0)
            execute(work, *args).chainDeferred(outcome)

    def fail(self, error: Exception) -> None:
        """Let the oldest piece of work fail with `error` instead of running it."""
        outcome, _, _ = self._work.pop(0)
        outcome.errback(error)

    def let_all(self) -> None:
        """Run until nothing waits, what comes meanwhile included."""
        while self._work:
            self.let()
