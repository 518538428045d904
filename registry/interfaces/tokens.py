"""Tokens of users, of bots and of places."""

from collections.abc import Callable, Mapping
from datetime import datetime

from zope.interface import Interface

from registry.domain.access import Place, Role
from registry.domain.credentials import DeployTokenInfo, NewDeployToken, PlaceToken, TokenFilter
from registry.domain.model import Actor, NewToken, TokenInfo


class ITokens(Interface):
    """Tokens of users: of people, and of the bots behind project and group access tokens."""

    async def create_token(user: int | str, new: NewToken, actor: Actor) -> TokenInfo:
        """Keep a `NewToken` for the user with this number or name; its `TokenInfo`. Raises `Missing`, or `Refused` if he is blocked."""

    async def tokens(username: str | None) -> list[TokenInfo]:
        """The `TokenInfo`s of one user, or of all (None), oldest first. Raises `Missing`."""

    async def find_tokens(wanted: TokenFilter, limit: int, offset: int) -> tuple[list[TokenInfo], int]:
        """A part of the `TokenInfo`s that a filter lets through, and how many there are in all."""

    async def token(token_id: int) -> TokenInfo | None:
        """The `TokenInfo` with this number; None if there is none."""

    async def revoke_token(token_id: int, actor: Actor) -> TokenInfo:
        """Revoke at once and for good; the `TokenInfo`. Raises `Missing`."""

    async def rotate_token(token_id: int, digest: str, expires_at: datetime, actor: Actor) -> TokenInfo:
        """Replace a token by one with this digest, of the same user, name and scopes, in one transaction; the new `TokenInfo`.

        A token that is revoked already takes its whole family of rotations with it. Raises `NotFound`, `TokenRevoked`, `TokenExpired`.
        """

    async def revoke_family(digest: str, actor: Actor) -> None:
        """Revoke all rotations of the revoked token whose secret has this digest; nothing if it is not revoked, or unknown."""

    async def used(moments: Mapping[int, datetime]) -> None:
        """Keep when tokens (by number) were last used. No journal row."""


class IPlaceTokens(Interface):
    """Project and group access tokens: each a bot user with a role in the place, and its token."""

    async def find_place_tokens(place: Place, wanted: TokenFilter, limit: int, offset: int) -> tuple[list[PlaceToken], int]:
        """A part of the `PlaceToken`s of a place that a filter lets through, and how many there are in all."""

    async def place_token(place: Place, token_id: int) -> PlaceToken | None:
        """The `PlaceToken` of this place with this number; None if there is none."""

    async def create_place_token(place: Place, new: NewToken, username: str, role: Role, actor: Actor) -> TokenInfo:
        """A new bot of that name, its membership and its token, in one transaction."""

    async def rotate_place_token(
        place: Place, token_id: int, digest: str, expires_at: datetime, actor: Actor, *, check: Callable[[PlaceToken], object]
    ) -> TokenInfo:
        """As `ITokens.rotate_token`, of this place only; `check` may raise what is wrong with it, in the transaction."""

    async def revoke_place_token(place: Place, token_id: int, actor: Actor) -> None:
        """Revoke; when it was the bot's last token, the bot leaves the place and is blocked. Raises `NotFound`."""


class IDeployTokens(Interface):
    """Deploy tokens of projects and groups."""

    async def find_deploy_tokens(
        place: Place | None, limit: int, offset: int, *, active: bool | None = None
    ) -> tuple[list[DeployTokenInfo], int]:
        """A part of the `DeployTokenInfo`s of a place, or of all (None), oldest first, and how many there are in all.

        `active`: only those that work, or only those that do not.
        """

    async def deploy_token(place: Place, token_id: int) -> DeployTokenInfo | None:
        """The `DeployTokenInfo` of this place with this number; None if there is none."""

    async def create_deploy_token(place: Place, new: NewDeployToken, actor: Actor) -> DeployTokenInfo:
        """Keep a `NewDeployToken`; its `DeployTokenInfo`."""

    async def delete_deploy_token(place: Place, token_id: int, actor: Actor) -> None:
        """Remove it altogether. Raises `NotFound`."""

    async def revoke_deploy_token(token_id: int, actor: Actor) -> DeployTokenInfo:
        """Make it useless, and keep it listed; the `DeployTokenInfo`. Raises `Missing`."""
