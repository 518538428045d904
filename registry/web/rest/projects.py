"""GitLab's projects API."""

from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, frozen

from registry.domain.access import Permission
from registry.domain.errors import InvalidParameters
from registry.domain.places import ProjectDetails
from registry.interfaces import IForwarding, IProjects
from registry.web.credentials import Door
from registry.web.rest import shapes
from registry.web.rest.answers import number, reply, reply_page
from registry.web.rest.listings import PROJECT_ORDERS, base_of, listing, place_ref, wishes
from registry.web.rest.paging import Paging
from registry.web.rest.params import Params
from registry.web.rest.switches import switches, turn
from registry.web.routes import Call, Route

_ALL = "/api/v4/projects"
_ONE = f"{_ALL}/<segment:project>"


@frozen(kw_only=True)
class Projects:
    """`external_url` gives the base of absolute links, empty while there is none."""

    projects: IProjects
    forwarding: IForwarding
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Projects. Packages, members and tokens of a project have routes of their own."""
        for_user, move = f"{_ALL}/user/<segment:user_id>", f"{_ONE}/transfer"
        return (
            Route(method="GET", rule=_ALL, permission=Permission.BROWSE, handler=self.list_all, door=Door.REST),
            Route(method="POST", rule=_ALL, permission=Permission.ACT, handler=self.create, door=Door.REST),
            Route(method="POST", rule=for_user, permission=Permission.ADMINISTER, handler=self.create_for, door=Door.REST),
            Route(method="GET", rule=_ONE, permission=Permission.READ_PROJECT, handler=self.one, door=Door.REST),
            Route(method="PUT", rule=_ONE, permission=Permission.ADMIN_PROJECT, handler=self.change, door=Door.REST),
            Route(method="DELETE", rule=_ONE, permission=Permission.REMOVE_PROJECT, handler=self.remove, door=Door.REST),
            Route(method="PUT", rule=move, permission=Permission.REMOVE_PROJECT, handler=self.transfer, door=Door.REST),
        )

    async def list_all(self, call: Call) -> bytes:
        """The projects that the caller may see, newest first."""
        params = call.params()
        paging, wanted = Paging.of(params), listing(params, orders=PROJECT_ORDERS, order="created_at", descending=True)
        found, total = await self.projects.projects(wanted, call.identity, paging.per_page, paging.offset)
        base, signed_in = base_of(call, self.external_url), call.identity.user is not None
        simple = params.flag("simple")
        rows = [shapes.project(each, base, simple=simple, permissions=signed_in) for each in found]
        return reply_page(call, rows, total, paging, self.external_url())

    async def create(self, call: Call) -> bytes:
        """A new project, in the caller's own namespace or in a group where he is at least Maintainer."""
        params = _named(call)
        namespace = place_ref(params, "namespace_id")
        made = await self.projects.create(wishes(params, switches=True), namespace, call.actor, call.identity)
        return self._reply(call, made, 201)

    async def create_for(self, call: Call, user_id: str) -> bytes:
        """A new project in another user's own namespace."""
        asked = wishes(_named(call), switches=True)
        made = await self.projects.create_for(number("user_id", user_id), asked, call.actor, call.identity)
        return self._reply(call, made, 201)

    async def one(self, call: Call) -> bytes:
        """One project."""
        found = await self.projects.project(call.project.id, call.identity)
        return self._reply(call, found, more=await switches(call, self.forwarding))

    async def change(self, call: Call) -> bytes:
        """Another name, path, description, visibility or package registry; the forwarding switch."""
        params = call.params()
        asked = evolve(wishes(params, switches=True), forwarding=turn(params, lockable=False))
        changed = await self.projects.change(call.project.id, asked, call.actor, call.identity)
        return self._reply(call, changed, more=await switches(call, self.forwarding))

    async def remove(self, call: Call) -> bytes:
        """Remove the project with all it holds. GitLab answers before it has done so; here it is done."""
        await self.projects.remove(call.project.id, call.actor)
        return reply(call, {"message": "202 Accepted"}, 202)

    async def transfer(self, call: Call) -> bytes:
        """Move the project to another namespace."""
        params = call.params()
        params.require("namespace")
        target = place_ref(params, "namespace")
        assert target is not None, "it was required"
        return self._reply(call, await self.projects.transfer(call.project.id, target, call.actor, call.identity))

    def _reply(self, call: Call, found: ProjectDetails, status: int = 200, more: Mapping[str, object] | None = None) -> bytes:
        shown = shapes.project(found, base_of(call, self.external_url), permissions=call.identity.user is not None)
        return reply(call, {**shown, **(more or {})}, status)


def _named(call: Call) -> Params:
    params = call.params()
    if not params.optional_text("name") and not params.optional_text("path"):
        raise InvalidParameters(problem="name, path are missing, at least one parameter must be provided")
    return params
