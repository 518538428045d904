"""Work that is finished even when its client has gone."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def shielded(work: Coroutine[Deferred[Any], Any, T]) -> "Deferred[T]":
    """Wait for `work` without stopping it when the wait is cancelled (Klein cancels a handler when its client goes)."""
    outcome: Deferred[T] = Deferred(lambda _: None)
    running: Deferred[T] = Deferred.fromCoroutine(work)
    running.addCallbacks(
        lambda result: None if outcome.called else outcome.callback(result),
        lambda failure: None if outcome.called else outcome.errback(failure),
    )
    return outcome
