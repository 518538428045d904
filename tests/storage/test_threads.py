"""Where blocking work runs."""

import os
import threading
from collections.abc import Callable

import pytest
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface import implementer

from registry.domain.errors import Unavailable
from registry.storage.threads import PooledThreads
from registry.testing import done


@implementer(IReactorFromThreads)
class DirectReactor:
    """A reactor that takes calls from threads at once, in the thread."""

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:  # noqa: A002 - its name there
        """IReactorFromThreads."""
        callable(*args, **kwargs)


def test_threads_wait_for_their_turn() -> None:
    """A thread of a pool does not interrupt whoever runs when it is woken; the thread that asks is as it was."""
    pool, policies = PooledThreads.named(DirectReactor(), "test", 1), list[int]()
    before = os.sched_getscheduler(0)
    pool.start()
    pool.run(lambda: policies.append(os.sched_getscheduler(0)))
    pool.stop()
    assert (policies, os.sched_getscheduler(0)) == ([os.SCHED_BATCH], before)


def test_a_pool_that_may_not_choose_its_turn_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a thread may not say how it is scheduled, it works as any other."""

    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden, raising=False)
    pool, threads = PooledThreads.named(DirectReactor(), "test", 1), list[str]()
    pool.start()
    pool.run(lambda: threads.append(threading.current_thread().name))
    pool.stop()
    assert threads == ["test-0"]


def test_a_pool_that_has_stopped_refuses() -> None:
    """Before its start and after its stop a pool takes no work."""
    pool = PooledThreads.named(DirectReactor(), "test", 1)
    with pytest.raises(Unavailable):
        done(pool.run(int))
    pool.start()
    pool.stop()
    with pytest.raises(Unavailable):
        done(pool.run(int))
