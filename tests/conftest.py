"""What tests of every floor share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import Factory, define
from hypothesis import settings
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from registry.testing import MemoryRegistry, registry_in_memory

# Two cores shared with other work make single examples slow for reasons that are nobody's fault; how long a test takes proves nothing.
settings.register_profile("registry", deadline=None)
settings.load_profile("registry")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[MemoryRegistry]:
    """A founded registry in memory: user root, project root/packages with id 1."""
    made = registry_in_memory(tmp_path / "data")
    yield made
    made.close()


@implementer(ILogObserver)
@define
class _Observer:
    events: list[LogEvent] = Factory(list)

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)


@pytest.fixture
def log_events() -> Iterator[list[LogEvent]]:
    """Everything that is logged during the test."""
    observer = _Observer()
    globalLogPublisher.addObserver(observer)
    yield observer.events
    globalLogPublisher.removeObserver(observer)
