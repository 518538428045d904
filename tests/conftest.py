"""What tests of every floor share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
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


@pytest.fixture
def logged_errors() -> Iterator[list[BaseException]]:
    """Every exception that is logged during the test."""
    found: list[BaseException] = []

    @implementer(ILogObserver)
    class Observer:
        def __call__(self, event: LogEvent) -> None:
            if "log_failure" in event:
                found.append(event["log_failure"].value)

    observer = Observer()
    globalLogPublisher.addObserver(observer)
    yield found
    globalLogPublisher.removeObserver(observer)
