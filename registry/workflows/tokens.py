"""Tokens of people and of bots: who may see, make, renew and end which."""

from collections.abc import Callable
from datetime import datetime
from secrets import token_hex

from attrs import evolve, frozen

from registry.domain.access import Identity, Place, Project, Role, User
from registry.domain.credentials import Minted, PlaceToken, TokenFilter, rotated_expiry
from registry.domain.errors import BadRequest, Forbidden, Missing, NotFound, Refused, Unauthenticated
from registry.domain.model import Actor, NewToken, TokenInfo
from registry.domain.tokens import Secret, check_scopes, mint
from registry.interfaces import IPlaceTokens, ITokens
from registry.workflows.uses import TokenUses

# GitLab: what somebody may make a token for without an administrator.
OWN_SCOPES = frozenset({"k8s_proxy", "self_rotate"})


@frozen(kw_only=True)
class Request:
    """What a new token is to be."""

    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None = None
    description: str = ""

    def new(self, secret: Secret, allowed: frozenset[str]) -> NewToken:
        """As the catalog takes it. Raises `InvalidSetting` for a scope that is not allowed."""
        scopes = check_scopes(self.scopes, allowed)
        return NewToken(name=self.name, digest=secret.digest(), scopes=scopes, expires_at=self.expires_at, description=self.description)


@frozen(kw_only=True)
class Tokens:
    """Personal access tokens."""

    tokens: ITokens
    uses: TokenUses
    now: Callable[[], datetime]

    async def page(self, identity: Identity, wanted: TokenFilter, limit: int, offset: int) -> tuple[list[TokenInfo], int]:
        """What a filter lets through: of one's own tokens, or of all for an administrator. Raises `Unauthenticated` (GitLab)."""
        user = _user(identity)
        if not user.admin:
            if wanted.user_id not in {None, user.id}:
                raise Unauthenticated
            wanted = evolve(wanted, user_id=user.id)
        found, total = await self.tokens.find_tokens(wanted, limit, offset)
        return [self.uses.seen(one) for one in found], total

    async def one(self, identity: Identity, token_id: int) -> TokenInfo:
        """One's own token, or anybody's for an administrator. Raises `NotFound` for all others alike."""
        user, found = _user(identity), await self.tokens.token(token_id)
        if found is None or not (user.admin or found.user_id == user.id):
            raise NotFound
        return self.uses.seen(found)

    async def create(self, user_id: int, request: Request, allowed: frozenset[str], actor: Actor) -> Minted:
        """A new token for a user. Raises `NotFound` for an unknown one, `Refused` for a blocked one."""
        secret = mint()
        try:
            return Minted(token=await self.tokens.create_token(user_id, request.new(secret, allowed), actor), secret=secret)
        except Missing:
            raise NotFound(what="User") from None

    async def rotate(self, identity: Identity, token_id: int, expires_at: datetime | None, actor: Actor) -> Minted:
        """A new token instead of this one. Raises `NotFound`, `TokenExpired` or, with its whole family revoked, `TokenRevoked`."""
        await self.one(identity, token_id)
        secret = mint()
        made = await self.tokens.rotate_token(token_id, secret.digest(), expires_at or rotated_expiry(self.now()), actor)
        return Minted(token=made, secret=secret)

    async def revoke(self, identity: Identity, token_id: int, actor: Actor) -> None:
        """End a token. Raises `NotFound`."""
        await self.one(identity, token_id)
        await self.tokens.revoke_token(token_id, actor)

    async def reused(self, digest: str, actor: Actor) -> None:
        """A revoked token was offered to be rotated: it is in two hands, so what was made of it ends too (GitLab)."""
        await self.tokens.revoke_family(digest, actor)


@frozen(kw_only=True)
class PlaceTokens:
    """Project and group access tokens."""

    tokens: IPlaceTokens
    uses: TokenUses
    now: Callable[[], datetime]

    async def page(self, place: Place, wanted: TokenFilter, limit: int, offset: int) -> tuple[list[PlaceToken], int]:
        """What a filter lets through of a place's tokens."""
        found, total = await self.tokens.find_place_tokens(place, wanted, limit, offset)
        return [evolve(one, token=self.uses.seen(one.token)) for one in found], total

    async def one(self, place: Place, token_id: int) -> PlaceToken:
        """A place's own token. Raises `NotFound`."""
        found = await self.tokens.place_token(place, token_id)
        if found is None:
            raise NotFound
        return evolve(found, token=self.uses.seen(found.token))

    async def create(
        self, place: Place, request: Request, role: Role, allowed: frozenset[str], actor: Actor, *, by: User, own: Role
    ) -> Minted:
        """A new bot with a token, made by somebody with the role `own`. Raises `Forbidden` to bots, `BadRequest` for a higher role."""
        if by.bot:
            raise Forbidden(reason="A bot cannot make access tokens")  # GitLab: else a token that leaked would live on in its offspring
        check_role(role, own)
        secret = mint()
        kind = "project" if isinstance(place, Project) else "group"
        username = f"{kind}_{place.id}_bot_{token_hex(16)}"
        made = await self.tokens.create_place_token(place, request.new(secret, allowed), username, role, actor)
        return Minted(token=made, secret=secret, role=role)

    async def rotate(self, place: Place, token_id: int, expires_at: datetime | None, actor: Actor, *, own: Role) -> Minted:
        """A new token instead of this one, for the same bot. Raises `NotFound`, `BadRequest`, `TokenExpired`, `TokenRevoked`."""
        secret, roles = mint(), []

        def check(token: PlaceToken) -> None:
            check_role(token.role, own)
            roles.append(token.role)

        expiry = expires_at or rotated_expiry(self.now())
        made = await self.tokens.rotate_place_token(place, token_id, secret.digest(), expiry, actor, check=check)
        return Minted(token=made, secret=secret, role=roles[0])

    async def revoke(self, place: Place, token_id: int, actor: Actor) -> None:
        """End a token, and its bot with the last of them. Raises `NotFound`."""
        await self.tokens.revoke_place_token(place, token_id, actor)


def check_role(role: Role, own: Role) -> None:
    """Raises `BadRequest` when a token would have more rights than who makes it; GitLab's words."""
    if role > own:
        raise BadRequest(text="Access level of the token can't be greater the access level of the user who created the token")


def role_named(level: int) -> Role:
    """The role with this number. Raises `Refused`."""
    try:
        role = Role(level)
    except ValueError:
        role = Role.NONE
    if role is Role.NONE:
        raise Refused(problems={"access_level": ("is not included in the list",)})
    return role


def _user(identity: Identity) -> User:
    if identity.user is None:
        raise Unauthenticated
    return identity.user
