"""A clock for catalogs."""

from datetime import datetime

from attrs import define

from registry.testing import NOON


@define
class Clock:
    """A wall clock that the test moves."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        """The moment."""
        return self.now
