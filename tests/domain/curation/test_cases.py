"""Cases that a policy is tested with."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.curation.cases import read_cases
from registry.domain.curation.policy import Policy
from registry.domain.curation.waivers import waivers
from registry.domain.errors import InvalidSetting
from registry.domain.model import ProjectStatus
from tests.domain.curation.policies import NOW

NEEDED = "name = app\nversion = 1.0\nexpect = allow\n"


def test_a_case_says_what_it_needs_and_no_more() -> None:
    """Name, version and expectation make a case: an active, unyanked wheel of unknown age and licence, now."""
    (case,) = read_cases(f"[plain]\n{NEEDED}", NOW)
    assert (case.title, case.name.normalized, case.status, case.now, case.licence, case.expect) == (
        "plain",
        "app",
        ProjectStatus.ACTIVE,
        NOW,
        None,
        "allow",
    )
    assert (case.file.filename, case.file.uploaded_at, case.file.yanked) == ("app-1.0-py3-none-any.whl", None, None)


def test_a_case_may_say_everything() -> None:
    """Each fact of a file can be given, and is what the policy hears."""
    text = """
[full]
name = My_App
version = 1.0
filename = my_app-1.0.tar.gz
uploaded = 2026-11-20
yanked = broken 50%
status = deprecated
licence = MIT
  BSD License
now = 2026-11-21T09:00:00Z
expect = cooldown
"""
    (case,) = read_cases(text, datetime(2000, 1, 1, tzinfo=UTC))
    assert (case.file.filename, case.file.yanked) == ("my_app-1.0.tar.gz", "broken 50%")
    assert case.file.uploaded_at == datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC)
    assert (case.status, case.licence, case.now) == (ProjectStatus.DEPRECATED, "MIT\nBSD License", NOW)
    assert case.fulfilled(case.judged(Policy(min_age=timedelta(days=7))))
    assert not case.fulfilled(case.judged(Policy()))
    assert not case.fulfilled(case.judged(Policy(hide_yanked=True))), "another rule is not the one that was expected"


@pytest.mark.parametrize(("expect", "bare", "lifted"), [("allow", False, True), ("exception", False, True), ("cooldown", True, False)])
def test_what_an_exception_lets_in_is_allowed(expect: str, bare: bool, lifted: bool) -> None:
    """Who expects that a file comes in need not say how, but may."""
    (case,) = read_cases(f"[x]\nname = app\nversion = 1.0\nexpect = {expect}\n", NOW)
    policy = Policy(min_age=timedelta(days=7))
    assert case.fulfilled(case.judged(policy)) is bare
    assert case.fulfilled(case.judged(evolve(policy, exceptions=waivers("app until 2027-01-01 because of a test")))) is lifted


@pytest.mark.parametrize(("word", "yanked"), [("no", None), ("No", None), ("yes", ""), ("bad", "bad")])
def test_yanked_is_a_word_or_a_reason(word: str, yanked: str | None) -> None:
    """No is not yanked, yes is yanked without a reason, anything else is the reason."""
    (case,) = read_cases(f"[x]\n{NEEDED}yanked = {word}\n", NOW)
    assert case.file.yanked == yanked


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no section"),
        ("name = app", "is not INI"),
        (f"[a]\n{NEEDED}[a]\n{NEEDED}", "is not INI"),
        ("[a]\nversion = 1\nexpect = allow", r"\[a\] name '' is invalid: say it"),
        ("[a]\nname = app\nexpect = allow", r"\[a\] version '' is invalid: say it"),
        ("[a]\nname = app\nversion = 1", r"\[a\] expect '' is invalid: say it"),
        (f"[a]\n{NEEDED}expekt = deny", r"\[a\] expekt .* did you mean expect\?"),
        (f"[a]\n{NEEDED}xyzzy = deny", r"\[a\] xyzzy .* use name, version"),
        ("[a]\nname = app\nversion = 1\nexpect = deny", r"\[a\] expect 'deny' is invalid: use one of allow, exception, reserved"),
        ("[a]\nname = -\nversion = 1\nexpect = allow", r"\[a\] name '-' is invalid: Name is invalid"),
        (f"[a]\n{NEEDED}now = soon", r"\[a\] now 'soon' is invalid"),
        (f"[a]\n{NEEDED}uploaded = soon", r"\[a\] uploaded 'soon' is invalid"),
        (f"[a]\n{NEEDED}status = gone", r"\[a\] status 'gone' is invalid"),
    ],
)
def test_a_slip_in_a_case_is_told(text: str, problem: str) -> None:
    """What is missing, unknown or cannot be read is refused with its section and key."""
    with pytest.raises(InvalidSetting, match=problem):
        read_cases(text, NOW)


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_is_cases_or_refused(text: str, value: str) -> None:
    """Whatever the file holds, it is cases or an InvalidSetting."""
    for whole in (
        text,
        f"[a]\n{NEEDED}now = {value}",
        f"[a]\n{NEEDED}licence = {value}",
        f"[a]\nname = {value}\nversion = 1\nexpect = allow",
    ):
        try:
            for case in read_cases(whole, NOW):
                case.judged(Policy())
        except InvalidSetting as error:
            assert str(error)  # noqa: PT017 - most texts are refused; what matters is that nothing else comes out
