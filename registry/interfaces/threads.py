"""Work that would make the reactor wait."""

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from zope.interface import Interface

T = TypeVar("T")


class IThreads(Interface):
    """Where blocking work goes, so that the reactor never waits."""

    def run(work: Callable[..., T], *args: object) -> "Deferred[T]":
        """Call `work(*args)` off the reactor thread; awaitable with its result or exception.

        Cancelling the wait does not stop the work.
        """
