"""Failed sign-ins, counted: who keeps failing has to wait."""

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Any

from attrs import Factory, define, field

from registry.domain.errors import TooManyFailures

WINDOW = 60  # seconds
_REMEMBERED = 10_000
# User names that everybody sends, whoever he is: counting them would let one stranger hold up all.
_ANYBODYS = {"", "__token__", "gitlab-ci-token"}


@define(kw_only=True)
class Failures:
    """Counts failed sign-ins by address and by user name; over `per_minute` of either, credentials are not looked at (0: never).

    A credential that was seen to be valid is always looked at. One that is new is, at the latest, a minute after it was first held up, so
    that nobody's failures can keep a valid one waiting for longer.
    """

    per_minute: int
    now: Callable[[], datetime]
    _valid: "OrderedDict[str, None]" = Factory(OrderedDict)  # digests, least recently used first
    _held: "OrderedDict[str, datetime]" = Factory(OrderedDict)  # digest -> when it was first held up
    _window: Any = field(init=False, default=None)  # of the library `limits`; made with the first failure
    _item: Any = field(init=False, default=None)

    def demand(self, digest: str, address: str, username: str) -> None:
        """Let pass a credential that may be looked at. Raises `TooManyFailures`."""
        if self._window is None or digest in self._valid:
            return
        wait = max(self._wait(key) for key in _keys(address, username))
        if wait <= 0:
            return
        began = self._held.setdefault(digest, self.now())
        waited = (self.now() - began).total_seconds()
        if 0 <= waited < WINDOW:
            _trim(self._held)
            raise TooManyFailures(retry_after=max(1, math.ceil(min(wait, WINDOW - waited))))
        del self._held[digest]

    def succeeded(self, digest: str) -> None:
        """A credential is valid."""
        if self.per_minute:
            self._valid[digest] = None
            self._valid.move_to_end(digest)
            self._held.pop(digest, None)
            _trim(self._valid)

    def failed(self, digest: str, address: str, username: str) -> None:
        """A credential that was offered is not valid (any more)."""
        self._valid.pop(digest, None)
        if not self.per_minute:
            return
        if self._window is None:
            self._begin()
        for key in _keys(address, username):
            self._window.hit(self._item, *key)

    def _begin(self) -> None:
        # Imported here: it takes 0.1 s, and most servers see no failure for a while.
        from limits import RateLimitItemPerMinute  # noqa: PLC0415
        from limits.strategies import MovingWindowRateLimiter  # noqa: PLC0415

        from registry.workflows.moving_window import WindowStorage  # noqa: PLC0415

        # The library's own storage starts a thread with each failure and never forgets a name.
        self._window = MovingWindowRateLimiter(WindowStorage(lambda: self.now().timestamp()))
        self._item = RateLimitItemPerMinute(self.per_minute)

    def _wait(self, key: tuple[str, str]) -> float:
        """How many seconds until one more failure is allowed; 0 if it is now."""
        if self._window.test(self._item, *key):
            return 0.0
        return float(self._window.get_window_stats(self._item, *key).reset_time) - self.now().timestamp()


def _keys(address: str, username: str) -> list[tuple[str, str]]:
    keys = [("address", _network(address))]
    if username.lower() not in _ANYBODYS:
        keys.append(("user", username.lower()))
    return keys


def _network(address: str) -> str:
    """What one caller can be expected to have: an IPv4 address, or a /64 of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else parsed.packed[:8].hex()


def _trim(remembered: "OrderedDict[str, Any]") -> None:
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)
