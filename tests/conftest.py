"""What tests of every floor share."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import Factory, define
from hypothesis import settings
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from registry.config import Config
from registry.testing import FakeUpstream, MemoryRegistry, registry_in_memory
from tests.beyond import Beyond, beyond_in

# Started in the background of a shell, we would ignore Ctrl-C, and so would every server that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

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


Start = Callable[..., Beyond]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts registries beside an upstream: of `upstream` and `config`, unless it is demo 1.0 and 2.0 and nothing else is set."""
    started: list[Beyond] = []

    def starting(upstream: FakeUpstream | None = None, config: Config | None = None, *, fills: bool = False) -> Beyond:
        started.append(beyond_in(tmp_path / f"beyond{len(started)}", upstream, config, fills=fills))
        return started[-1]

    yield starting
    for one in started:
        one.close()


@pytest.fixture
def beyond(start: Start) -> Beyond:
    """A registry beside an upstream that has demo 1.0 and 2.0."""
    return start()
