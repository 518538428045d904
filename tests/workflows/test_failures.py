"""Failed sign-ins, counted (hardening row 35)."""

from datetime import datetime, timedelta

import pytest
from attrs import define

from registry.domain.errors import TooManyFailures
from registry.testing import NOON
from registry.workflows.failures import Failures
from registry.workflows.moving_window import WATCHED, WindowStorage

HOME, ELSEWHERE = "192.0.2.7", "198.51.100.9"


@define
class Clock:
    """A wall clock that the test moves."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        """The moment."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def counting(clock: Clock, per_minute: int = 3) -> Failures:
    return Failures(per_minute=per_minute, now=clock)


def fail(failures: Failures, times: int, address: str = HOME, username: str = "") -> None:
    """Let `times` different credentials fail."""
    for number in range(times):
        failures.demand(f"bad {address} {username} {number}", address, username)
        failures.failed(f"bad {address} {username} {number}", address, username)


def held(failures: Failures, digest: str, address: str = HOME, username: str = "") -> int:
    """For how many seconds a credential is held up; 0: it is looked at."""
    try:
        failures.demand(digest, address, username)
    except TooManyFailures as error:
        return error.retry_after
    return 0


def test_the_last_failure_that_is_allowed_is_looked_at_and_the_next_is_not(clock: Clock) -> None:
    """With a limit of three, three failures are looked at and a fourth attempt waits out the minute (row 35)."""
    failures = counting(clock)
    fail(failures, 3)
    assert held(failures, "new") == 60
    clock.advance(59.5)
    assert held(failures, "another") == 1
    clock.advance(0.5)
    assert held(failures, "another") == 0


def test_addresses_are_counted_apart(clock: Clock) -> None:
    """Who comes from elsewhere is not held up for what others do (row 35)."""
    failures = counting(clock)
    fail(failures, 3)
    assert held(failures, "new", ELSEWHERE) == 0


def test_a_user_name_is_counted_wherever_it_is_tried_from(clock: Clock) -> None:
    """Failures for one user name add up over all addresses, in any case of letters (row 35)."""
    failures = counting(clock)
    for last in range(3):
        fail(failures, 1, f"203.0.113.{last}", "Ann")
    assert held(failures, "new", ELSEWHERE, "ann") == 60
    assert held(failures, "new", ELSEWHERE, "bob") == 0


@pytest.mark.parametrize("username", ["__token__", "gitlab-ci-token", ""])
def test_user_names_that_everybody_sends_are_not_counted(clock: Clock, username: str) -> None:
    """Failures under a name that says nothing about who asks hold up nobody at another address (row 35)."""
    failures = counting(clock)
    fail(failures, 3, HOME, username)
    assert held(failures, "new", ELSEWHERE, username) == 0


def test_a_credential_that_was_valid_is_never_held_up(clock: Clock) -> None:
    """Whatever fails around it, a credential seen valid is looked at (row 35)."""
    failures = counting(clock)
    failures.succeeded("good")
    fail(failures, 3)
    assert held(failures, "good") == 0
    assert held(failures, "new") == 60


def test_a_credential_that_is_valid_no_more_is_counted_like_any_other(clock: Clock) -> None:
    """A revoked token that is tried again and again is held up in the end (row 35)."""
    failures = counting(clock)
    failures.succeeded("good")
    for _ in range(3):
        assert held(failures, "good") == 0
        failures.failed("good", HOME, "")
    assert held(failures, "good") == 60


def test_nobodys_failures_hold_up_a_new_credential_for_longer_than_a_minute(clock: Clock) -> None:
    """Even while somebody behind the same address fails without end, a new credential is looked at after a minute (row 35)."""
    failures = counting(clock)
    for second in range(61):
        while held(failures, f"noise {second}") == 0:
            failures.failed(f"noise {second}", HOME, "")
        waits = held(failures, "new")
        assert waits == (60 - second if second < 60 else 0)
        clock.advance(1)


def test_whoever_guesses_is_slowed_down_though_he_waits(clock: Clock) -> None:
    """A guess that was held up and proves wrong is held up again, for another minute (row 35)."""
    failures = counting(clock)
    fail(failures, 3)
    assert held(failures, "guess")
    clock.advance(30)
    assert held(failures, "guess") == 30
    clock.advance(30)
    fail(failures, 3)
    assert held(failures, "guess") == 0
    failures.failed("guess", HOME, "")
    assert held(failures, "guess") == 60


def test_zero_switches_it_off(clock: Clock) -> None:
    """With a limit of zero nothing is ever held up."""
    failures = counting(clock, 0)
    fail(failures, 100)
    assert held(failures, "new") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.7", HOME, True),
        ("192.0.2.8", HOME, False),
        ("", "", True),
        ("not an address", "not an address", True),
    ],
)
def test_what_counts_as_one_address(clock: Clock, one: str, other: str, same: bool) -> None:
    """An IPv6 network that one customer has counts as one address, and so does an IPv4 address however it is written (row 35)."""
    failures = counting(clock)
    fail(failures, 3, one)
    assert bool(held(failures, "new", other)) is same


def test_a_clock_that_is_set_back_holds_nobody_up_for_long(clock: Clock) -> None:
    """After the clock was set back an hour, what was counted before is forgotten (row 54)."""
    failures = counting(clock)
    fail(failures, 3)
    assert held(failures, "new")
    clock.advance(-3600)
    assert held(failures, "new") == 0


def test_what_is_watched_is_bounded() -> None:
    """Of more keys than are watched, the one that was quiet for the longest is forgotten first."""
    storage = WindowStorage(lambda: 0.0)
    for number in range(WATCHED):
        assert storage.acquire_entry(str(number), 2, 60)
    assert storage.acquire_entry("0", 2, 60)
    assert not storage.acquire_entry("0", 2, 60)
    assert storage.acquire_entry("one more", 2, 60)
    assert storage.get_moving_window("0", 2, 60) == (0.0, 2)
    assert storage.get_moving_window("1", 2, 60) == (0.0, 0)
