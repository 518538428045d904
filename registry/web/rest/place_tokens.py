"""GitLab's project and group access tokens."""

from collections.abc import Callable, Sequence
from datetime import datetime

from attrs import frozen

from registry.domain.access import Permission, Place, Role, role_in
from registry.domain.tokens import PERSONAL_SCOPES
from registry.web.credentials import Door
from registry.web.rest.answers import nothing, number, reply, reply_page
from registry.web.rest.paging import Paging
from registry.web.rest.token_shapes import asked_expiry, asked_filter, asked_token, shown_minted, shown_place_token
from registry.web.routes import Call, Route
from registry.web.simple import mount
from registry.workflows.tokens import PlaceTokens, Tokens, role_named


@frozen(kw_only=True)
class PlaceTokenRoutes:
    """Tokens of bots that belong to a project or a group."""

    tokens: PlaceTokens
    personal: Tokens
    now: Callable[[], datetime]
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """The same for projects and for groups."""
        read, change, reused = Permission.READ_ACCESS_TOKENS, Permission.ADMIN_ACCESS_TOKENS, self.personal.reused
        made: list[Route] = []
        for top in ("/api/v4/projects/<segment:project>/access_tokens", "/api/v4/groups/<segment:group>/access_tokens"):
            one = f"{top}/<segment:token_id>"
            own = f"{top}/self/rotate"
            made += [
                Route(method="GET", rule=top, permission=read, handler=self.page, door=Door.REST),
                Route(method="POST", rule=top, permission=change, handler=self.create, door=Door.REST),
                Route(method="GET", rule=one, permission=read, handler=self.one, door=Door.REST),
                Route(method="DELETE", rule=one, permission=change, handler=self.revoke, door=Door.REST),
                Route(method="POST", rule=f"{one}/rotate", permission=change, handler=self.rotate, door=Door.REST, on_revoked=reused),
                Route(
                    method="POST", rule=own, permission=Permission.ROTATE_SELF, handler=self.rotate_own, door=Door.REST, on_revoked=reused
                ),
            ]
        return made

    async def page(self, call: Call) -> bytes:
        """The place's tokens that the filters let through."""
        params = call.params()
        paging = Paging.of(params)
        found, total = await self.tokens.page(_place(call), asked_filter(params), paging.per_page, paging.offset)
        now = self.now()
        return reply_page(call, [shown_place_token(one, now) for one in found], total, paging, self.external_url() or mount(call.request))

    async def one(self, call: Call, token_id: str) -> bytes:
        """One of the place's tokens."""
        return reply(call, shown_place_token(await self.tokens.one(_place(call), number("token_id", token_id)), self.now()))

    async def create(self, call: Call) -> bytes:
        """A new bot and its token."""
        params = call.params()
        asked = asked_token(params, self.now())
        role = role_named(params.integer("access_level", int(Role.MAINTAINER)))
        user = call.identity.user
        assert user is not None, "the permission asks for a user"
        made = await self.tokens.create(_place(call), asked, role, PERSONAL_SCOPES, call.actor, by=user, own=_role(call))
        return reply(call, shown_minted(made, self.now()), 201)

    async def rotate(self, call: Call, token_id: str) -> bytes:
        """A new token instead of one, for the same bot."""
        return await self._rotate(call, number("token_id", token_id), _role(call))

    async def rotate_own(self, call: Call) -> bytes:
        """A new token instead of the one that asks; 404 unless it is one of this place's."""
        token = call.identity.token
        assert token is not None, "the permission asks for a user's token"
        return await self._rotate(call, token.id, Role.OWNER)  # nothing is gained by it

    async def revoke(self, call: Call, token_id: str) -> bytes:
        """The end of a token, and of its bot."""
        await self.tokens.revoke(_place(call), number("token_id", token_id), call.actor)
        return nothing(call)

    async def _rotate(self, call: Call, token_id: int, own: Role) -> bytes:
        expiry = asked_expiry(call.params(), self.now())
        return reply(call, shown_minted(await self.tokens.rotate(_place(call), token_id, expiry, call.actor, own=own), self.now()))


def _place(call: Call) -> Place:
    place = call.admission.place
    assert place is not None, "the route names a place"
    return place


def _role(call: Call) -> Role:
    return role_in(call.identity, _place(call), call.admission.standing)
