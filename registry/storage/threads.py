"""Where blocking work runs."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.errors import Unavailable
from registry.interfaces import IThreads

T = TypeVar("T")
_Job = tuple["Deferred[Any]", Callable[..., Any], tuple[object, ...]]


@implementer(IThreads)
@define(kw_only=True, eq=False)
class PooledThreads:
    """A pool of its own for one kind of work, so that a slow disk cannot starve the catalog or the other way round.

    Twisted's own pool takes twice the time for a hop to a thread and back, which is most of what publishing a small file costs. All but the
    threads' loop runs in the reactor thread.
    """

    reactor: IReactorFromThreads
    name: str
    size: int
    started: bool = False
    _jobs: "SimpleQueue[_Job | None]" = Factory(SimpleQueue)
    _threads: list[Thread] = Factory(list)  # grows to `size` as work comes that nobody is free for
    _open: int = 0  # jobs handed over and not answered

    @classmethod
    def named(cls, reactor: IReactorFromThreads, name: str, size: int) -> "PooledThreads":
        """A pool of at most `size` threads; none is made before there is work."""
        return cls(reactor=reactor, name=name, size=size)

    def start(self) -> None:
        """Accept work."""
        self.started = True

    def stop(self) -> None:
        """Finish the work in hand, then refuse more. Blocks for that long."""
        self.started = False
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        done: Deferred[T] = Deferred()
        if not self.started:
            done.errback(Unavailable(part="storage"))
            return done
        self._open += 1
        self._jobs.put((done, work, args))
        if self._open > len(self._threads) < self.size:
            thread = Thread(target=self._loop, name=f"{self.name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return done

    def _answer(self, done: "Deferred[object]", result: object) -> None:
        self._open -= 1
        # A wait that was cancelled has had its answer.
        if not done.called:
            done.callback(result)

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            done, work, args = job
            result: object
            try:
                result = work(*args)
            except BaseException:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
                result = Failure()
            self.reactor.callFromThread(self._answer, done, result)
            del job, done, work, args, result


@implementer(IThreads)
@frozen
class InlineThreads:
    """No threads at all: for the command line, which has no reactor to keep alive, and for tests."""

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        return execute(work, *args)
