"""GitLab's deploy tokens."""

from collections.abc import Callable, Sequence
from datetime import datetime

from attrs import frozen

from registry.domain.access import Permission, Place
from registry.domain.credentials import NewDeployToken, check_deploy_username
from registry.domain.errors import NotFound
from registry.domain.tokens import DEPLOY_SCOPES, Prefix, check_scopes, mint
from registry.interfaces import IDeployTokens
from registry.web.credentials import Door
from registry.web.rest.answers import nothing, number, reply, reply_page
from registry.web.rest.paging import Paging
from registry.web.rest.token_shapes import asked_expiry, demand_given, shown_deploy_token
from registry.web.routes import Call, Route
from registry.web.simple import mount

_LIMIT = 255


@frozen(kw_only=True)
class DeployTokens:
    """Deploy tokens of projects and groups, and the list of all for administrators."""

    tokens: IDeployTokens
    now: Callable[[], datetime]
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """The same for projects and for groups, and one list of all."""
        read, change = Permission.READ_DEPLOY_TOKENS, Permission.ADMIN_DEPLOY_TOKENS
        made = [Route(method="GET", rule="/api/v4/deploy_tokens", permission=Permission.READ_INSTANCE, handler=self.page, door=Door.REST)]
        for top in ("/api/v4/projects/<segment:project>/deploy_tokens", "/api/v4/groups/<segment:group>/deploy_tokens"):
            one = f"{top}/<segment:token_id>"
            made += [
                Route(method="GET", rule=top, permission=read, handler=self.page, door=Door.REST),
                Route(method="POST", rule=top, permission=change, handler=self.create, door=Door.REST),
                Route(method="GET", rule=one, permission=read, handler=self.one, door=Door.REST),
                Route(method="DELETE", rule=one, permission=change, handler=self.delete, door=Door.REST),
            ]
        return made

    async def page(self, call: Call) -> bytes:
        """The tokens of the place, or all."""
        params = call.params()
        paging = Paging.of(params)
        active = params.flag("active") if params.given("active") else None
        found, total = await self.tokens.find_deploy_tokens(call.admission.place, paging.per_page, paging.offset, active=active)
        now = self.now()
        return reply_page(call, [shown_deploy_token(one, now) for one in found], total, paging, self.external_url() or mount(call.request))

    async def one(self, call: Call, token_id: str) -> bytes:
        """One of the place's tokens."""
        found = await self.tokens.deploy_token(_place(call), number("token_id", token_id))
        if found is None:
            raise NotFound
        return reply(call, shown_deploy_token(found, self.now()))

    async def create(self, call: Call) -> bytes:
        """A new token."""
        params = call.params()
        demand_given(params, ("name", "scopes"))
        secret = mint(Prefix.DEPLOY)
        new = NewDeployToken(
            name=params.text("name", limit=_LIMIT),
            digest=secret.digest(),
            scopes=check_scopes(params.texts("scopes"), DEPLOY_SCOPES),
            expires_at=asked_expiry(params, self.now()),
            username=check_deploy_username(params.text("username", "", limit=_LIMIT)),
        )
        made = await self.tokens.create_deploy_token(_place(call), new, call.actor)
        return reply(call, shown_deploy_token(made, self.now(), secret), 201)

    async def delete(self, call: Call, token_id: str) -> bytes:
        """The end of a token."""
        await self.tokens.delete_deploy_token(_place(call), number("token_id", token_id), call.actor)
        return nothing(call)


def _place(call: Call) -> Place:
    place = call.admission.place
    assert place is not None, "the route names a place"
    return place
