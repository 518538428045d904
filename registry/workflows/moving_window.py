"""A storage for the library `limits` that has no threads, no clock of its own, and a bound. Imported with the first failed sign-in."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from limits.storage import MovingWindowSupport, Storage

# How many keys are watched: beyond, the one that was quiet for the longest is forgotten.
WATCHED = 10_000


class WindowStorage(Storage, MovingWindowSupport):
    """Counts in moving windows only. `seconds` tells the time; what is counted is kept in the caller's thread and nowhere else."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__()
        self._seconds = seconds
        self._hits: OrderedDict[str, deque[float]] = OrderedDict()  # oldest hit first, longest quiet key first

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """MovingWindowSupport."""
        hits = self._current(key, expiry)
        if len(hits) + amount > limit:
            return False
        hits.extend([self._seconds()] * amount)
        self._hits[key] = hits
        self._hits.move_to_end(key)
        if len(self._hits) > WATCHED:
            self._hits.popitem(last=False)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """MovingWindowSupport: when the window began, and what it holds."""
        hits = self._current(key, expiry)
        return (hits[0] if hits else self._seconds(), len(hits))

    def _current(self, key: str, expiry: int) -> "deque[float]":
        hits = self._hits.get(key, deque())
        now = self._seconds()
        # Nothing was counted in the future, except before a clock was set back.
        while hits and not now - expiry < hits[0] <= now:
            hits.popleft()
        return hits

    def clear(self, key: str) -> None:
        """Storage."""
        self._hits.pop(key, None)

    def reset(self) -> int | None:
        """Storage."""
        count = len(self._hits)
        self._hits.clear()
        return count

    def check(self) -> bool:
        """Storage."""
        return True

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Storage."""
        return ValueError

    # --- what only other strategies ask for ---

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Storage."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """Storage."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> Any:
        """Storage."""
        raise NotImplementedError
