"""Work that goes on when whoever caused it has had his answer."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import Factory, define
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from registry.domain.errors import RegistryError

T = TypeVar("T")

_log = Logger()


@define(eq=False)
class Errands:
    """Work that nobody waits for. What fails is logged; then everything must be as if it had not been begun."""

    _under_way: "set[Deferred[Any]]" = Factory(set)

    def begin(self, what: str, work: Coroutine[Any, Any, object]) -> None:
        """Begin `work`; `what` is the subject of the sentence that is logged if it fails."""

        def tell(failure: Failure) -> None:
            if failure.check(CancelledError):
                return
            if isinstance(failure.value, RegistryError):
                # Its sentence says all there is to know.
                _log.error("{what} failed; it will be tried again: {error}", what=what, error=failure.value)
            else:
                _log.failure("{what} failed; it will be tried again", failure, what=what)

        self.watch(work).addErrback(tell)

    def watch(self, work: Coroutine[Any, Any, T]) -> "Deferred[T]":
        """Begin `work`; whoever gets its result takes care of its failure, too."""
        running: Deferred[T] = Deferred.fromCoroutine(work)
        if not running.called:
            self._under_way.add(running)
            running.addBoth(self._over, running)
        return running

    def cancel(self) -> None:
        """Give up all that is under way: for a stop that waits for none of it."""
        for running in list(self._under_way):
            running.cancel()

    def __len__(self) -> int:
        return len(self._under_way)

    async def settled(self) -> None:
        """Return when nothing is under way any more."""
        while self._under_way:
            waiting: Deferred[None] = Deferred()
            next(iter(self._under_way)).addBoth(_pass_on, waiting)
            await waiting

    def _over(self, result: T, running: "Deferred[Any]") -> T:
        self._under_way.discard(running)
        return result


def _pass_on(result: object, waiting: "Deferred[None]") -> object:
    waiting.callback(None)
    return result
