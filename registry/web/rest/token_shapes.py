"""Tokens in GitLab's shape, and requests for them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time

from registry.domain.credentials import DeployTokenInfo, Minted, PlaceToken, TokenFilter, TokenOrder, is_active
from registry.domain.errors import InvalidParameters, MissingFields
from registry.domain.model import TokenInfo
from registry.domain.tokens import Secret, parse_expiry
from registry.web.rest.answers import day, iso
from registry.web.rest.params import Params
from registry.workflows.tokens import Request

_NAME_LIMIT = 255
_MOMENTS = ("created", "expires", "last_used")


def shown_token(token: TokenInfo, now: datetime) -> dict[str, object]:
    """A personal access token."""
    return {
        "id": token.id,
        "name": token.name,
        "revoked": token.revoked_at is not None,
        "created_at": iso(token.created_at),
        "description": token.description or None,
        "scopes": list(token.scopes),
        "user_id": token.user_id,
        "last_used_at": iso(token.last_used_at),
        "active": is_active(token.revoked_at, token.expires_at, now),
        "expires_at": day(token.expires_at),
    }


def shown_place_token(token: PlaceToken, now: datetime) -> dict[str, object]:
    """A project or group access token."""
    return {**shown_token(token.token, now), "access_level": int(token.role)}


def shown_minted(minted: Minted, now: datetime) -> dict[str, object]:
    """A new token with its secret, this once."""
    bot = {"access_level": int(minted.role)} if minted.role else {}
    return {**shown_token(minted.token, now), **bot, "token": minted.secret.reveal()}


def shown_deploy_token(token: DeployTokenInfo, now: datetime, secret: Secret | None = None) -> dict[str, object]:
    """A deploy token; with its secret when it is new."""
    shown = {
        "id": token.id,
        "name": token.name,
        "username": token.username,
        "expires_at": iso(token.expires_at),
        "scopes": list(token.scopes),
        "revoked": token.revoked_at is not None,
        "expired": token.expires_at is not None and token.expires_at <= now,
    }
    return shown if secret is None else {**shown, "token": secret.reveal()}


def demand_given(params: Params, names: Sequence[str]) -> None:
    """Raises `MissingFields` with all of `names` that are not there (Grape)."""
    missing = tuple(name for name in names if params.values.get(name) is None)
    if missing:
        raise MissingFields(names=missing)


def asked_expiry(params: Params, now: datetime) -> datetime | None:
    """`expires_at`: a date, or a time with a zone. Raises `InvalidSetting` for one that is over."""
    text = params.optional_text("expires_at")
    return parse_expiry(text, now) if text else None


def asked_token(params: Params, now: datetime) -> Request:
    """What is asked for of a new token."""
    demand_given(params, ("name", "scopes"))
    return Request(
        name=params.text("name", limit=_NAME_LIMIT),
        scopes=params.texts("scopes"),
        expires_at=asked_expiry(params, now),
        description=params.text("description", "", limit=_NAME_LIMIT),
    )


def asked_filter(params: Params) -> TokenFilter:
    """Which tokens a list is to show."""
    state = params.optional_choice("state", ("active", "inactive"))
    return TokenFilter(
        user_id=params.optional_integer("user_id"),
        active=None if state is None else state == "active",
        revoked=params.flag("revoked") if params.given("revoked") else None,
        search=params.text("search", ""),
        after=_moments(params, "after"),
        before=_moments(params, "before"),
        order=TokenOrder(params.choice("sort", [order.value for order in TokenOrder], TokenOrder.CREATED_ASC.value)),
    )


def _moments(params: Params, side: str) -> Mapping[str, datetime]:
    found = {}
    for name in _MOMENTS:
        text = params.optional_text(f"{name}_{side}")
        if text:
            found[name] = _moment(f"{name}_{side}", text)
    return found


def _moment(name: str, text: str) -> datetime:
    """A date (00:00 UTC), or a time, taken for UTC if it has no zone. Raises `InvalidParameters`."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = datetime.combine(moment.date(), moment.time() or time.min, tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidParameters(problem=f"{name} is invalid") from None
