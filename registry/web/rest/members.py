"""GitLab's members API, of projects and groups alike."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from attrs import frozen

from registry.domain.access import Permission, Place, Role
from registry.domain.errors import InvalidParameters, InvalidSetting, Refused
from registry.domain.members import Grant, Member, Seats
from registry.domain.tokens import parse_expiry
from registry.interfaces import IMembers
from registry.web.credentials import Door
from registry.web.rest import shapes
from registry.web.rest.answers import nothing, number, reply, reply_page
from registry.web.rest.listings import base_of
from registry.web.rest.paging import Paging
from registry.web.rest.params import Params
from registry.web.routes import Call, Route

_PLACES = ("/api/v4/projects/<segment:project>/members", "/api/v4/groups/<segment:group>/members")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@frozen(kw_only=True)
class Members:
    """`external_url` gives the base of absolute links, empty while there is none."""

    members: IMembers
    external_url: Callable[[], str]
    now: Callable[[], datetime]

    def routes(self) -> Sequence[Route]:
        """Direct members, and all with those inherited from groups above."""
        read, admin = Permission.READ_MEMBERS, Permission.ADMIN_MEMBERS
        made: list[Route] = []
        for place in _PLACES:
            one = f"{place}/<segment:user_id>"
            made += [
                Route(method="GET", rule=place, permission=read, handler=self.list_direct, door=Door.REST),
                Route(method="GET", rule=f"{place}/all", permission=read, handler=self.list_all, door=Door.REST),
                Route(method="GET", rule=f"{place}/all/<segment:user_id>", permission=read, handler=self.one_of_all, door=Door.REST),
                Route(method="GET", rule=one, permission=read, handler=self.one, door=Door.REST),
                Route(method="POST", rule=place, permission=admin, handler=self.add, door=Door.REST),
                Route(method="PUT", rule=one, permission=admin, handler=self.change, door=Door.REST),
                # Members may leave; whoever is to take another out is asked for more in the transaction.
                Route(method="DELETE", rule=one, permission=Permission.LEAVE, handler=self.remove, door=Door.REST),
            ]
        return made

    async def list_direct(self, call: Call) -> bytes:
        """Members of this very place."""
        return await self._list(call, inherited=False)

    async def list_all(self, call: Call) -> bytes:
        """Members here and above, each with the highest of his roles."""
        return await self._list(call, inherited=True)

    async def one(self, call: Call, user_id: str) -> bytes:
        """One member of this very place."""
        return self._reply(call, await self._member(call, user_id, inherited=False))

    async def one_of_all(self, call: Call, user_id: str) -> bytes:
        """One member, with his highest role from here or above."""
        return self._reply(call, await self._member(call, user_id, inherited=True))

    async def add(self, call: Call) -> bytes:
        """Give one or several users a role; of several, all get it or none."""
        params = call.params()
        named = _named(params)
        role, expires_at = _role(params), self._expiry(params)
        grants = [Grant(user=each, role=role, expires_at=expires_at) for each in named]
        made = await self.members.add(_place(call), grants, call.actor, call.identity)
        return self._reply(call, made[0], 201) if len(made) == 1 else reply(call, {"status": "success"}, 201)

    async def change(self, call: Call, user_id: str) -> bytes:
        """Give a member another role; the expiry stays unless it is given."""
        params = call.params()
        grant = Grant(user=number("user_id", user_id), role=_role(params), expires_at=self._expiry(params))
        keep = not params.given("expires_at")
        changed = await self.members.change(_place(call), grant, call.actor, call.identity, keep_expiry=keep)
        return self._reply(call, changed)

    async def remove(self, call: Call, user_id: str) -> bytes:
        """Take a member out, or leave."""
        await self.members.remove(_place(call), number("user_id", user_id), call.actor, call.identity)
        return nothing(call)

    async def _list(self, call: Call, *, inherited: bool) -> bytes:
        params = call.params()
        paging = Paging.of(params)
        numbers = tuple(number("user_ids", each) for each in params.texts("user_ids"))
        seats = Seats(inherited=inherited, query=params.text("query", "").strip(), user_ids=numbers)
        found, total = await self.members.members(_place(call), seats, paging.per_page, paging.offset)
        base = base_of(call, self.external_url)
        return reply_page(call, [shapes.member(each, base) for each in found], total, paging, self.external_url())

    async def _member(self, call: Call, user_id: str, *, inherited: bool) -> Member:
        return await self.members.member(_place(call), number("user_id", user_id), inherited=inherited)

    def _expiry(self, params: Params) -> datetime | None:
        text = params.optional_text("expires_at")
        if not text:
            return None
        try:
            moment = parse_expiry(text, _LONG_AGO)
        except InvalidSetting:
            raise InvalidParameters(problem="expires_at is invalid") from None
        if moment <= self.now():
            raise Refused(problems={"expires_at": ("cannot be a date in the past",)})
        return moment

    def _reply(self, call: Call, found: Member, status: int = 200) -> bytes:
        return reply(call, shapes.member(found, base_of(call, self.external_url)), status)


def _place(call: Call) -> Place:
    place = call.admission.place
    assert place is not None, "every route here names one"
    return place


def _role(params: Params) -> Role:
    level = params.integer("access_level")
    if level not in set(Role) - {Role.NONE}:
        raise InvalidParameters(problem="access_level does not have a valid value")
    return Role(level)


def _named(params: Params) -> list[int | str]:
    numbers, names = params.texts("user_id"), params.texts("username")
    if numbers and names:
        raise InvalidParameters(problem="user_id, username are mutually exclusive")
    if not numbers and not names:
        raise InvalidParameters(problem="user_id, username are missing, exactly one parameter must be provided")
    found: list[int | str] = [number("user_id", each) for each in numbers] if numbers else [*names]
    return list(dict.fromkeys(found))
