"""Where blocking work runs."""

from collections.abc import Callable
from typing import TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from registry.interfaces import IThreads

T = TypeVar("T")


@implementer(IThreads)
@frozen(kw_only=True)
class PooledThreads:
    """A pool of its own for one kind of work, so that a slow disk cannot starve the catalog or the other way round."""

    reactor: IReactorFromThreads
    pool: ThreadPool

    @classmethod
    def named(cls, reactor: IReactorFromThreads, name: str, size: int) -> "PooledThreads":
        """A pool of at most `size` threads; none is made before there is work."""
        return cls(reactor=reactor, pool=ThreadPool(minthreads=0, maxthreads=size, name=name))

    def start(self) -> None:
        """Accept work."""
        self.pool.start()

    def stop(self) -> None:
        """Finish the work in hand, then refuse more. Blocks for that long."""
        self.pool.stop()

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        return deferToThreadPool(self.reactor, self.pool, work, *args)


@implementer(IThreads)
@frozen
class InlineThreads:
    """No threads at all: for the command line, which has no reactor to keep alive, and for tests."""

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        return execute(work, *args)
