"""Work that is finished even when its client has gone."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from registry.domain.errors import RegistryError

T = TypeVar("T")
_log = Logger()


def _unheard(failure: Failure) -> None:
    # Nobody is left to be told; only our own mistakes are worth a line.
    if not failure.check(RegistryError):
        _log.failure("failed after its client had gone", failure)


def shielded(work: Coroutine[Deferred[Any], Any, T]) -> "Deferred[T]":
    """Wait for `work` without stopping it when the wait is cancelled (Klein cancels a handler when its client goes)."""
    outcome: Deferred[T] = Deferred(lambda _: None)
    running: Deferred[T] = Deferred.fromCoroutine(work)
    running.addCallbacks(
        lambda result: None if outcome.called else outcome.callback(result),
        lambda failure: _unheard(failure) if outcome.called else outcome.errback(failure),
    )
    return outcome
