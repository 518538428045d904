"""What is kept in memory for the next who asks: bounded in bytes, the least recently used going first, forgotten exactly."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from attrs import Factory, define, field

# An entry's bookkeeping, roughly, so that many tiny things do not outgrow the budget.
ENTRY_BYTES = 600


@define(eq=False)
class Wire:
    """One finished HTTP answer, head and body, in a single object; empty once what it tells is no longer so.

    The value of its `Date` header begins at `date_at`; `second` is the one it was last set for. `kept` is what it was made of, None once
    that is forgotten: who remembers an answer keeps nothing else in memory.
    """

    data: bytes
    date_at: int
    second: int
    age_at: int = 0  # where the value of `Age` begins, 0 without one
    kept: "Kept | None" = None


@define(eq=False, kw_only=True)
class Kept:
    """Something that is kept, with the finished answers made of it. `cost` in bytes."""

    key: Hashable
    cost: int
    since: float | None = None  # when an upstream said it, in seconds since 1970; None: it is ours
    until: float | None = None  # until when it may be given; None: until it changes
    wires: dict[bytes, Wire] = Factory(dict)  # by what they look like without their date; filled by the edge
    memory: "Memory[Any] | None" = None  # where it is kept; None: nowhere, or no longer

    def touch(self) -> None:
        """It has been used."""
        if self.memory is not None:
            self.memory.touch(self)

    def grow(self, size: int) -> bool:
        """Take `size` bytes more. False, and nothing has happened, where it is not kept, or could not be with so many."""
        if self.memory is None or self.cost + size > self.memory.budget:
            return False
        self.memory.grow(self, size)
        return True

    def take_in(self, wire: Wire) -> int:
        """How many bytes need not be kept twice, now that `wire` holds them, too."""
        return 0

    def hold(self, look: bytes, wire: Wire) -> bool:
        """Keep a finished answer with it, for as long as it is kept itself; False where there is no room for that."""
        if not self.grow(len(wire.data) + len(look)):
            return False
        self.wires[look] = wire
        wire.kept = self
        if self.memory is not None and (saved := self.take_in(wire)):
            self.memory.grow(self, -saved)
        return True

    def empty(self) -> None:
        """It holds no longer: whoever has one of its answers in hand sees that."""
        self.memory = None
        for wire in self.wires.values():
            wire.data, wire.kept = b"", None
        self.wires.clear()


_T = TypeVar("_T", bound=Kept)


@define(eq=False, kw_only=True)
class Memory(Generic[_T]):
    """Keeps `Kept`s by their keys, up to `budget` bytes in all. `on_gone` hears the key of each that leaves, whatever the reason."""

    budget: int
    on_gone: Callable[[Hashable], object] = lambda _: None
    bytes: int = field(init=False, default=0)
    _kept: "OrderedDict[Hashable, _T]" = field(init=False, factory=OrderedDict)  # least recently used first

    def find(self, key: Hashable) -> _T | None:
        """What is kept under `key`."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def keep(self, kept: _T) -> None:
        """Take it in; something else may have to leave. What has its key already makes room for it; what is too large is not kept."""
        self.drop(kept.key)
        if ENTRY_BYTES + kept.cost > self.budget:
            return
        self._kept[kept.key] = kept
        kept.memory = self
        size, kept.cost = ENTRY_BYTES + kept.cost, 0
        self.grow(kept, size)

    def touch(self, kept: Kept) -> None:
        """It was used a moment ago."""
        self._kept.move_to_end(kept.key)

    def grow(self, kept: Kept, size: int) -> None:
        """It takes `size` bytes more, which leaves it within the budget; others may have to leave."""
        self.touch(kept)
        self.bytes += size
        kept.cost += size
        while self.bytes > self.budget:
            self.drop(next(iter(self._kept)))

    def drop(self, key: Hashable) -> None:
        """Forget what is kept under `key`, if anything is."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= kept.cost
            kept.empty()
            self.on_gone(key)

    def drop_where(self, unwanted: Callable[[Any], bool]) -> None:
        """Forget everything under the keys that are unwanted."""
        for key in [key for key in self._kept if unwanted(key)]:
            self.drop(key)

    def __len__(self) -> int:
        return len(self._kept)
