"""Forgetting what upstreams said changes nothing that anybody is given."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.testing import done, wheel
from tests.beyond import Beyond, beyond_in


@pytest.fixture
def beyond(tmp_path: Path) -> Iterator[Beyond]:
    """A registry beside an upstream that has demo."""
    made = beyond_in(tmp_path / "data")
    yield made
    made.close()


def asked(beyond: Beyond, name: str) -> int:
    """How often upstream was asked for this name."""
    return beyond.upstream.asked(f"/simple/{name}/")


def test_that_there_is_no_such_name_is_believed_for_a_minute_all_the_same(beyond: Beyond) -> None:
    """No round makes upstream be asked before the minute is over; then it is, and has the name by now (hardening row 21)."""
    keeping = beyond.registry.parts.keeping
    assert beyond.page("later").code == 404
    for _ in range(2):
        beyond.pass_time(29)
        assert done(keeping.prune()) == 0
        assert beyond.page("later").code == 404
    assert asked(beyond, "later") == 1
    beyond.upstream.add(wheel("later", "1.0"))
    beyond.pass_time(100)
    assert done(keeping.prune()) == 1
    assert beyond.page("later").code == 200
    assert asked(beyond, "later") == 2


def test_a_page_stays_as_long_as_it_stands_in_for_its_upstream(beyond: Beyond) -> None:
    """While upstream is away its last page is given, whatever rounds there are, to the end of its time and not beyond."""
    keeping = beyond.registry.parts.keeping
    assert beyond.page().code == 200
    beyond.kill()
    beyond.pass_time(7 * 86400 - 60)
    assert done(keeping.retire()) == 0
    assert (beyond.page().code, beyond.page().headers["x-cache"]) == (200, "stale")
    beyond.pass_time(120)
    assert beyond.page().code == 503
    assert done(keeping.retire()) == 1
    assert beyond.page().code == 503


def test_a_page_in_use_is_never_old(beyond: Beyond) -> None:
    """A page that is asked for now and then is confirmed each time, so that no round ever takes it."""
    for _ in range(10):
        assert beyond.page().code == 200
        beyond.pass_time(86400)
        assert done(beyond.registry.parts.keeping.retire()) == 0
