"""Tokens: how they look, what is kept of them, when they end."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.errors import InvalidSetting, expiry_passed
from registry.domain.tokens import Carrier, Credential, Scope, Secret, mint, parse_expiry
from tests.strategies import moments

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@given(st.text(min_size=4))
def test_a_secret_never_shows_itself(text: str) -> None:
    """However a secret is printed, alone or inside another value, only stars appear (hardening row 31)."""
    secret = Secret(text)
    credential = Credential(carrier=Carrier.BASIC, secret=secret, username="u")
    assert [str(secret), f"{secret}", f"{secret!s}", f"{secret!r}", repr(secret)] == ["***", "***", "***", "Secret('***')", "Secret('***')"]
    assert repr(credential).count("Secret('***')") == 1
    assert repr(secret) in repr([secret])
    assert secret.reveal() == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_only_the_digest_is_kept(text: str) -> None:
    """What the catalog looks up is the SHA-256 of the secret, for any text a header may carry (hardening row 31)."""
    assert Secret(text).digest() == hashlib.sha256(text.encode("utf-8")).hexdigest()


@pytest.mark.parametrize("text", [chr(0xDCFF), chr(0xD800)])
def test_a_secret_of_odd_bytes_has_a_digest(text: str) -> None:
    """Bytes that are not UTF-8 make a wrong token, not an error."""
    assert len(Secret(text).digest()) == 64


def test_minted_tokens_are_random_and_recognisable() -> None:
    """A new token has GitLab's prefix, 192 random bits in URL-safe letters, and is never seen twice (hardening row 30)."""
    minted = [mint().reveal() for _ in range(1000)]
    assert all(re.fullmatch(r"glpat-[A-Za-z0-9_-]{32}", token) for token in minted)
    assert len(set(minted)) == len(minted)
    # Not one position is constant: a counter or a clock would leave some.
    assert all(len({token[at] for token in minted}) > 16 for at in range(6, 38))


@pytest.mark.parametrize("scope", list(Scope))
def test_scopes_have_gitlabs_names(scope: Scope) -> None:
    """Every scope is found by its name."""
    assert Scope.parse(scope.value) is scope


@pytest.mark.parametrize("text", ["", "API", "api ", "sudo", "read_registry"])
def test_an_unknown_scope_is_refused_with_the_known_ones(text: str) -> None:
    """The message lists what would be right."""
    with pytest.raises(InvalidSetting, match="use api, read_api, read_package_registry, write_package_registry"):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
        ("2026-03-01T12:00:01Z", datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)),
        ("2026-03-01T14:00:01+02:00", datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_date_or_a_moment(text: str, expected: datetime) -> None:
    """A date means 00:00 UTC of that day, as in GitLab; a time says its zone and is kept in UTC."""
    found = parse_expiry(text, NOW)
    assert found == expected
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "use a date such as"),
        ("tomorrow", "use a date such as"),
        ("2026-02-30", "use a date such as"),
        ("31.01.2030", "use a date such as"),
        ("\u0662030-01-31", "use a date such as"),
        ("2030-01-31T12:00:00", "it has no time zone"),
        ("20300131", "use a date such as|it has no time zone"),
        ("2026-03-01", "it has passed already"),
        ("2026-02-28", "it has passed already"),
        ("2026-03-01T12:00:00Z", "it has passed already"),
        ("0001-01-01T00:00:00+01:00", "it has passed already"),
    ],
)
def test_any_other_expiry_is_refused(text: str, reason: str) -> None:
    """What is no date, has no zone, or lies at or before now is refused, with the reason."""
    with pytest.raises(InvalidSetting, match=reason):
        parse_expiry(text, NOW)


@given(moments)
def test_a_future_moment_round_trips(moment: datetime) -> None:
    """A moment after now is read as it was written; one at or before now is refused."""
    if moment > NOW:
        assert parse_expiry(moment.isoformat(), NOW) == moment
    else:
        with pytest.raises(InvalidSetting):
            parse_expiry(moment.isoformat(), NOW)


@given(
    st.one_of(
        st.text(max_size=30),
        st.text("0123456789-:TZ+.W", max_size=30),
        st.sampled_from(["9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59"]),
    )
)
def test_nothing_but_an_invalid_setting_is_raised(text: str) -> None:
    """Any text is a moment in the future or an InvalidSetting."""
    try:
        moment = parse_expiry(text, NOW)
    except InvalidSetting:
        return
    assert moment > NOW


def test_an_expiry_passes_at_its_moment() -> None:
    """A token is good until the instant before its expiry; one without expiry is always good."""
    assert expiry_passed(NOW, NOW)
    assert expiry_passed(NOW - timedelta(microseconds=1), NOW)
    assert not expiry_passed(NOW + timedelta(microseconds=1), NOW)
    assert not expiry_passed(None, NOW)


def test_a_secret_stays_secret_in_an_error() -> None:
    """A traceback that shows a function's arguments shows stars (hardening row 31)."""
    secret = mint()
    assert secret.reveal() not in repr(ValueError(secret, {"token": secret}))
