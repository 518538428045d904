"""What goes on behind an answer."""

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from registry.domain.errors import StorageFull
from registry.testing import done
from registry.workflows.errands import Errands


async def wait_for(something: "Deferred[int]") -> int:
    return await something


def test_whoever_waits_for_everything_waits_for_what_was_begun_meanwhile() -> None:
    """`settled` returns when nothing is under way, and not before."""
    errands, first, second = Errands(), Deferred[int](), Deferred[int]()
    errands.begin("the first", wait_for(first))
    waiting = Deferred.fromCoroutine(errands.settled())
    errands.begin("the second", wait_for(second))
    first.callback(1)
    assert not waiting.called
    second.callback(2)
    assert waiting.called


def test_what_fails_holds_nobody_up() -> None:
    """An errand that failed is over, and whoever watched it is told."""
    errands, work = Errands(), Deferred[int]()
    watched = errands.watch(wait_for(work))
    work.errback(OSError("no"))
    waiting = Deferred.fromCoroutine(errands.settled())
    assert waiting.called
    watched.addErrback(lambda failure: failure.trap(OSError) and None)
    assert watched.called


def test_nothing_under_way_is_settled() -> None:
    """Where nothing was begun there is nothing to wait for; what is done at once gives its result at once."""
    errands = Errands()
    done(errands.settled())
    ready: Deferred[int] = Deferred()
    ready.callback(7)
    assert done(errands.watch(wait_for(ready))) == 7
    done(errands.settled())


@pytest.mark.parametrize(("error", "traceback"), [(StorageFull(), False), (OSError("no"), True)])
def test_what_fails_for_a_known_reason_is_a_line_in_the_log(error: Exception, traceback: bool) -> None:
    """A full disk, which thousands of errands may meet, is told in a sentence each; only what nobody has foreseen with a traceback."""
    errands, work = Errands(), Deferred[int]()
    with capturedLogs() as events:
        errands.begin("keeping it", wait_for(work))
        work.errback(error)
    (event,) = events
    said = formatEvent(event) or ""
    assert said.startswith("keeping it failed; it will be tried again")
    assert (str(error) in said, "log_failure" in event) == (not traceback, traceback)


def test_what_is_given_up_is_over_and_nothing_is_said_of_it() -> None:
    """A stop that waits for nothing gives up all that is under way; the log has nothing of it, for nothing has failed."""
    errands = Errands()
    with capturedLogs() as events:
        errands.begin("the first", wait_for(Deferred[int]()))
        errands.begin("the second", wait_for(Deferred[int]()))
        assert len(errands) == 2
        errands.cancel()
    assert (len(errands), list(events)) == (0, [])
