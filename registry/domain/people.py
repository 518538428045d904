"""Users as administrators see and change them."""

import re

from attrs import frozen

from registry.domain.errors import InvalidSetting, Refused
from registry.domain.paths import check_segment
from registry.domain.places import check_name, check_top_level

_EMAIL_LIMIT = 254
# Enough to catch what was meant for another field; whether mail arrives only mail can tell.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@frozen(kw_only=True)
class NewUser:
    """A user about to be registered. Raises `Refused` for what no user can have."""

    username: str
    email: str
    name: str
    admin: bool = False

    def __attrs_post_init__(self) -> None:
        """Raises `Refused`."""
        try:
            check_segment("User name", self.username)
            check_top_level(self.username)
        except (InvalidSetting, Refused):
            words = (
                "can contain only letters, digits, '_', '-' and '.'; cannot begin with '-' or '.', end in '.', '.git' or '.atom', be only "
                "digits, or be an address of the registry's own"
            )
            raise Refused(problems={"username": (words,)}) from None
        check_name(self.name)
        check_email(self.email)


@frozen(kw_only=True)
class UserChange:
    """What shall become of a user; None leaves as it is. Raises `Refused` for what no user can have."""

    name: str | None = None
    email: str | None = None
    admin: bool | None = None

    def __attrs_post_init__(self) -> None:
        """Raises `Refused`."""
        if self.name is not None:
            check_name(self.name)
        if self.email is not None:
            check_email(self.email)


@frozen(kw_only=True)
class UserListing:
    """Which users a list shows, and in which order. `search` is in names; `by_email`: or is the email."""

    username: str = ""
    search: str = ""
    by_email: bool = False
    blocked: bool | None = None
    bots: bool = True
    order_by: str = "id"
    descending: bool = True


def check_email(email: str) -> None:
    """Raises `Refused` for what is no email address."""
    if len(email) > _EMAIL_LIMIT or not _EMAIL.fullmatch(email) or not email.isprintable():
        raise Refused(problems={"email": ("is invalid",)})
