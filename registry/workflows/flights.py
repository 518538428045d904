"""One piece of work for however many ask for it at once."""

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


@define(eq=False)
class Flight:
    """Work under way, and those who wait for it. `about` is for who wants to know what it is about."""

    about: Any
    overtaken: bool = False  # what it reads has changed since it began
    _landed: bool = False
    _result: Any = None
    _waiting: "list[Deferred[Any]]" = Factory(list)

    @property
    def abandoned(self) -> bool:
        """Whether all who waited have given up."""
        return bool(self._waiting) and all(waiter.called for waiter in self._waiting)

    def land(self, result: object) -> None:
        """The work has ended, with a result or a Failure."""
        self._landed, self._result = True, result
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            # A wait that was cancelled has had its answer.
            if not waiter.called:
                waiter.callback(result)

    def wait(self) -> "Deferred[Any]":
        """Fires when it has landed. Giving up the wait does not stop the work: others may wait for it, too."""
        waiter: Deferred[Any] = Deferred()
        if self._landed:
            waiter.callback(self._result)
        else:
            self._waiting.append(waiter)
        return waiter


@define(eq=False)
class Flights:
    """All work of one kind that is under way, by what it is for."""

    _under_way: dict[Hashable, Flight] = Factory(dict)

    async def once(self, key: Hashable, work: Callable[[Flight], Coroutine[Any, Any, T]], about: object = None) -> T:
        """The result of `work` for `key`, which is begun unless it is under way. What it raises, it raises to all who wait."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = self._under_way[key] = Flight(about)
            Deferred.fromCoroutine(work(flight)).addBoth(self._land, key, flight)
        result: T = await flight.wait()
        return result

    def overtake(self, which: Callable[[Any], bool]) -> None:
        """Whoever asks from now on must not be told what was read before now about what `which` picks: it is begun anew for him."""
        for key, flight in list(self._under_way.items()):
            if which(flight.about):
                flight.overtaken = True
                del self._under_way[key]

    def _land(self, result: object, key: Hashable, flight: Flight) -> None:
        if self._under_way.get(key) is flight:
            del self._under_way[key]
        if isinstance(result, Failure):
            result.cleanFailure()
        flight.land(result)
