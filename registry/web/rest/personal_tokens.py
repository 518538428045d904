"""GitLab's personal access tokens."""

from collections.abc import Callable, Sequence
from datetime import datetime

from attrs import frozen

from registry.domain.access import Permission, Token
from registry.domain.tokens import PERSONAL_SCOPES
from registry.web.credentials import Door
from registry.web.rest.answers import nothing, number, reply, reply_page
from registry.web.rest.paging import Paging
from registry.web.rest.token_shapes import asked_expiry, asked_filter, asked_token, shown_minted, shown_token
from registry.web.routes import Call, Route
from registry.web.simple import mount
from registry.workflows.tokens import OWN_SCOPES, Tokens

_ALL = "/api/v4/personal_access_tokens"
_ONE = f"{_ALL}/<segment:token_id>"


@frozen(kw_only=True)
class PersonalTokens:
    """One's own tokens, and everybody's for administrators."""

    tokens: Tokens
    now: Callable[[], datetime]
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Lists, single ones, `self`, and the two ways to make one."""
        of_user = "/api/v4/users/<segment:user_id>/personal_access_tokens"
        reused = self.tokens.reused
        rotate, rotate_self = Permission.ACT, Permission.ROTATE_SELF
        return (
            Route(method="GET", rule=_ALL, permission=Permission.SIGNED_IN, handler=self.page, door=Door.REST),
            Route(method="GET", rule=f"{_ALL}/self", permission=Permission.READ_SELF, handler=self.own, door=Door.REST),
            Route(method="DELETE", rule=f"{_ALL}/self", permission=Permission.REVOKE_SELF, handler=self.revoke_own, door=Door.REST),
            Route(
                method="POST",
                rule=f"{_ALL}/self/rotate",
                permission=rotate_self,
                handler=self.rotate_own,
                door=Door.REST,
                on_revoked=reused,
            ),
            Route(method="GET", rule=_ONE, permission=Permission.SIGNED_IN, handler=self.one, door=Door.REST),
            Route(method="DELETE", rule=_ONE, permission=Permission.ACT, handler=self.revoke, door=Door.REST),
            Route(method="POST", rule=f"{_ONE}/rotate", permission=rotate, handler=self.rotate, door=Door.REST, on_revoked=reused),
            Route(method="POST", rule=of_user, permission=Permission.ADMINISTER, handler=self.create, door=Door.REST),
            Route(
                method="POST",
                rule="/api/v4/user/personal_access_tokens",
                permission=Permission.ACT,
                handler=self.create_own,
                door=Door.REST,
            ),
        )

    async def page(self, call: Call) -> bytes:
        """The tokens that the filters let through."""
        params = call.params()
        paging = Paging.of(params)
        found, total = await self.tokens.page(call.identity, asked_filter(params), paging.per_page, paging.offset)
        now = self.now()
        return reply_page(call, [shown_token(one, now) for one in found], total, paging, self.external_url() or mount(call.request))

    async def one(self, call: Call, token_id: str) -> bytes:
        """One token."""
        return reply(call, shown_token(await self.tokens.one(call.identity, number("id", token_id)), self.now()))

    async def own(self, call: Call) -> bytes:
        """The token that asks."""
        return reply(call, shown_token(await self.tokens.one(call.identity, _own(call).id), self.now()))

    async def create(self, call: Call, user_id: str) -> bytes:
        """A token for anybody, by an administrator."""
        asked = asked_token(call.params(), self.now())
        made = await self.tokens.create(number("user_id", user_id), asked, PERSONAL_SCOPES, call.actor)
        return reply(call, shown_minted(made, self.now()), 201)

    async def create_own(self, call: Call) -> bytes:
        """A token for oneself, which can do next to nothing (GitLab)."""
        asked = asked_token(call.params(), self.now())
        assert call.identity.user is not None, "the permission asks for a user"
        made = await self.tokens.create(call.identity.user.id, asked, OWN_SCOPES, call.actor)
        return reply(call, shown_minted(made, self.now()), 201)

    async def rotate(self, call: Call, token_id: str) -> bytes:
        """A new token instead of one."""
        return await self._rotate(call, number("id", token_id))

    async def rotate_own(self, call: Call) -> bytes:
        """A new token instead of the one that asks."""
        return await self._rotate(call, _own(call).id)

    async def revoke(self, call: Call, token_id: str) -> bytes:
        """The end of a token."""
        await self.tokens.revoke(call.identity, number("id", token_id), call.actor)
        return nothing(call)

    async def revoke_own(self, call: Call) -> bytes:
        """The end of the token that asks."""
        await self.tokens.revoke(call.identity, _own(call).id, call.actor)
        return nothing(call)

    async def _rotate(self, call: Call, token_id: int) -> bytes:
        expiry = asked_expiry(call.params(), self.now())
        return reply(call, shown_minted(await self.tokens.rotate(call.identity, token_id, expiry, call.actor), self.now()))


def _own(call: Call) -> Token:
    assert call.identity.token is not None, "the permission asks for a user's token"
    return call.identity.token
