"""Where blocking work runs."""

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


def test_every_answer_arrives() -> None:
    """What a pool was given before it stops is done, each once, by its own threads; results and errors both arrive."""
    pool, names = PooledThreads.named(DirectReactor(), "test", 2), list[str]()
    pool.start()
    results = [pool.run(lambda: names.append(threading.current_thread().name)) for _ in range(50)]
    failed = pool.run(int, "x")
    pool.stop()
    assert [done(result) for result in results] == [None] * 50
    with pytest.raises(ValueError, match="invalid literal"):
        done(failed)
    assert len(names) == 50
    assert set(names) <= {"test-0", "test-1"}


def test_a_pool_that_has_stopped_refuses() -> None:
    """Before its start and after its stop a pool takes no work."""
    pool = PooledThreads.named(DirectReactor(), "test", 1)
    with pytest.raises(Unavailable):
        done(pool.run(int))
    pool.start()
    pool.stop()
    with pytest.raises(Unavailable):
        done(pool.run(int))
