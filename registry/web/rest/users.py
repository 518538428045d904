"""GitLab's users API."""

from collections.abc import Callable, Sequence

from attrs import frozen

from registry.domain.access import Permission, User
from registry.domain.people import NewUser, UserChange, UserListing
from registry.interfaces import IPeople
from registry.web.credentials import Door
from registry.web.rest import shapes
from registry.web.rest.answers import nothing, number, reply, reply_page
from registry.web.rest.listings import base_of
from registry.web.rest.paging import Paging
from registry.web.routes import Call, Route

_ALL = "/api/v4/users"
_ONE = f"{_ALL}/<segment:user_id>"
_ORDERS = ("id", "name", "username", "created_at", "updated_at")
_SORT = ("asc", "desc")


@frozen(kw_only=True)
class Users:
    """`external_url` gives the base of absolute links, empty while there is none."""

    people: IPeople
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Oneself, others, and what administrators do with them. There are no passwords here, so none is read."""
        admin = Permission.ADMINISTER
        return (
            Route(method="GET", rule="/api/v4/user", permission=Permission.READ_USER, handler=self.oneself, door=Door.REST),
            Route(method="GET", rule=_ALL, permission=Permission.SIGNED_IN, handler=self.list_all, door=Door.REST),
            Route(method="POST", rule=_ALL, permission=admin, handler=self.create, door=Door.REST),
            Route(method="GET", rule=_ONE, permission=Permission.SIGNED_IN, handler=self.one, door=Door.REST),
            Route(method="PUT", rule=_ONE, permission=admin, handler=self.change, door=Door.REST),
            Route(method="DELETE", rule=_ONE, permission=admin, handler=self.remove, door=Door.REST),
            Route(method="POST", rule=f"{_ONE}/block", permission=admin, handler=self.block, door=Door.REST),
            Route(method="POST", rule=f"{_ONE}/unblock", permission=admin, handler=self.unblock, door=Door.REST),
        )

    async def oneself(self, call: Call) -> bytes:
        """The user whose token this is."""
        assert call.identity.user is not None, "the gate lets nobody else in"
        # Anew: what the gate remembers of him may be without the latest name.
        return self._reply(call, await self.people.person(call.identity.user.id))

    async def list_all(self, call: Call) -> bytes:
        """Users; the newest first. Administrators may search for an email, too."""
        params = call.params()
        paging = Paging.of(params)
        blocked = True if params.flag("blocked") else False if params.flag("active") else None
        order = params.choice("order_by", _ORDERS, "id")
        wanted = UserListing(
            username=params.text("username", "").strip(),
            search=params.text("search", "").strip(),
            by_email=_is_admin(call),
            blocked=blocked,
            bots=not (params.flag("without_project_bots") or params.flag("humans")),
            order_by="id" if order == "updated_at" else order,
            descending=params.choice("sort", _SORT, "desc") == "desc",
        )
        found, total = await self.people.people(wanted, paging.per_page, paging.offset)
        return reply_page(call, [self._shown(call, each) for each in found], total, paging, self.external_url())

    async def create(self, call: Call) -> bytes:
        """A new user, with a namespace of his own."""
        params = call.params()
        params.require("email", "username", "name")
        new = NewUser(username=params.text("username"), email=params.text("email"), name=params.text("name"), admin=params.flag("admin"))
        return self._reply(call, await self.people.register(new, call.actor), 201)

    async def one(self, call: Call, user_id: str) -> bytes:
        """One user."""
        return self._reply(call, await self.people.person(number("id", user_id)))

    async def change(self, call: Call, user_id: str) -> bytes:
        """Another name or email, or being an administrator."""
        params = call.params()
        admin = params.flag("admin") if params.values.get("admin") is not None else None
        change = UserChange(name=params.optional_text("name"), email=params.optional_text("email"), admin=admin)
        return self._reply(call, await self.people.change_person(number("id", user_id), change, call.actor))

    async def remove(self, call: Call, user_id: str) -> bytes:
        """Remove a user; one who has published stays, blocked and without any right, as the author of his files."""
        await self.people.remove_person(number("id", user_id), call.actor)
        return nothing(call)

    async def block(self, call: Call, user_id: str) -> bytes:
        """Refuse a user everything, from the next request on."""
        await self.people.set_blocked(number("id", user_id), call.actor, blocked=True)
        return reply(call, True, 201)

    async def unblock(self, call: Call, user_id: str) -> bytes:
        """Undo a block."""
        await self.people.set_blocked(number("id", user_id), call.actor, blocked=False)
        return reply(call, True, 201)

    def _reply(self, call: Call, user: User, status: int = 200) -> bytes:
        return reply(call, self._shown(call, user), status)

    def _shown(self, call: Call, user: User) -> dict[str, object]:
        asking, admin = call.identity.user, _is_admin(call)
        private = admin or (asking is not None and asking.id == user.id)
        return shapes.account(user, base_of(call, self.external_url), private=private, admin=admin)


def _is_admin(call: Call) -> bool:
    return call.identity.user is not None and call.identity.user.admin
