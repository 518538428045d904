"""The first start, and the people and bots that come after it."""

from zope.interface import Interface

from registry.domain.access import User
from registry.domain.model import Actor, NewToken
from registry.domain.paths import ProjectPath
from registry.domain.people import NewUser, UserChange, UserListing


class IFounding(Interface):
    """The first start."""

    async def empty() -> bool:
        """Whether the catalog has no users yet."""

    async def found(username: str, token: NewToken, project: ProjectPath) -> bool:
        """On an empty catalog: create the administrator, his token and his first (private) project; tell whether it was empty."""


class IUsers(Interface):
    """People and bots."""

    async def create_user(username: str, email: str, actor: Actor, *, admin: bool = False, name: str = "") -> User:
        """A new `User` with a personal namespace. Raises `AlreadyTaken`."""

    async def users() -> list[User]:
        """All `User`s, oldest first."""

    async def block_user(username: str, actor: Actor, *, blocked: bool) -> User:
        """Block or unblock; the changed `User`. Raises `Missing`."""


class IPeople(Interface):
    """Users by number, as administrators find and change them."""

    async def people(listing: UserListing, limit: int, offset: int) -> tuple[list[User], int]:
        """A part of the `User`s that a listing wants, and how many there are in all."""

    async def person(user_id: int) -> User:
        """The `User`. Raises `NotFound`."""

    async def register(new: NewUser, actor: Actor) -> User:
        """A new `User` with a personal namespace. Raises `Conflict` when user name or email is taken (any case)."""

    async def change_person(user_id: int, change: UserChange, actor: Actor) -> User:
        """The changed `User`. Raises `NotFound`, `Refused` for an email that is taken, `Forbidden` to who would take his own rights."""

    async def set_blocked(user_id: int, actor: Actor, *, blocked: bool) -> None:
        """Block or unblock. Raises `NotFound`, and `Forbidden` when it is so already, or the actor's own."""

    async def remove_person(user_id: int, actor: Actor) -> None:
        """Remove a user with his tokens and memberships; one who has published stays, blocked, as the author of his files.

        Raises `NotFound`, `Forbidden` to himself, and `Refused` while he has projects of his own or is the only owner of a group.
        """
