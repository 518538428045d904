"""Tokens: how they look, what is kept of them, what they may open."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from enum import Enum

from attrs import field, frozen

from registry.domain.errors import InvalidSetting

_RANDOM_BYTES = 24


class Carrier(Enum):
    """How a credential came: GitLab treats a wrong password and a wrong header differently."""

    BASIC = "basic"
    HEADER = "private-token"
    BEARER = "bearer"
    DEPLOY_HEADER = "deploy-token"
    JOB_HEADER = "job-token"


@frozen
class Secret:
    """Text that must never be printed: its `repr` and `str` are stars. Call `reveal` where the secret itself is meant."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """The secret. Only for handing it to its owner, once."""
        return self._text

    def digest(self) -> str:
        """What the catalog keeps: SHA-256 in hex.

        A token is 192 random bits, so a fast digest gives nothing away, and looking one up by its digest takes the same time whether or not
        some prefix of it is known.
        """
        return hashlib.sha256(self._text.encode("utf-8", "surrogatepass")).hexdigest()

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret('***')"


@frozen(kw_only=True)
class Credential:
    """What a request offers to prove who it is from."""

    carrier: Carrier
    secret: Secret
    username: str = ""


class Scope(Enum):
    """What a token may be used for, by GitLab's names."""

    API = "api"
    READ_API = "read_api"
    READ_PACKAGE_REGISTRY = "read_package_registry"
    WRITE_PACKAGE_REGISTRY = "write_package_registry"
    READ_USER = "read_user"
    SELF_ROTATE = "self_rotate"

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope called `text`. Raises `InvalidSetting` with the known ones."""
        try:
            return cls(text)
        except ValueError:
            raise InvalidSetting(what="Scope", value=text, allowed=f"use {', '.join(scope.value for scope in cls)}") from None


# GitLab's other scopes: accepted, so that scripts run unchanged, and powerless here.
POWERLESS = frozenset(
    {
        "admin_mode",
        "ai_features",
        "create_runner",
        "k8s_proxy",
        "manage_runner",
        "read_registry",
        "read_repository",
        "read_service_ping",
        "read_virtual_registry",
        "sudo",
        "write_registry",
        "write_repository",
        "write_virtual_registry",
    }
)


def check_scopes(scopes: Sequence[str], allowed: frozenset[str]) -> tuple[str, ...]:
    """`scopes` without repetitions. Raises `InvalidSetting` when there is none, or one that is not allowed."""
    wanted = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in allowed]
    if unknown or not wanted:
        raise InvalidSetting(what="Scope", value=", ".join(unknown), allowed=f"use at least one of {', '.join(sorted(allowed))}")
    return wanted


PERSONAL_SCOPES = frozenset(scope.value for scope in Scope) | POWERLESS
DEPLOY_SCOPES = frozenset({"read_package_registry", "write_package_registry", "read_repository", "read_registry", "write_registry"})


class Prefix(Enum):
    """How a token begins, by its kind; GitLab's."""

    PERSONAL = "glpat-"
    DEPLOY = "gldt-"
    JOB = "glcbt-"


def mint(prefix: Prefix = Prefix.PERSONAL) -> Secret:
    """Make a new token."""
    return Secret(prefix.value + secrets.token_urlsafe(_RANDOM_BYTES))


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_expiry(text: str, now: datetime) -> datetime:
    """When a token expires: a date (00:00 UTC of that day, as GitLab) or a time with a zone. Raises `InvalidSetting` for a past one."""
    allowed = "use a date such as 2030-01-31 (expired from 00:00 UTC of that day) or a time such as 2030-01-31T12:00:00Z"
    try:
        is_date = _DATE.fullmatch(text)
        moment = datetime.combine(date.fromisoformat(text), time.min, tzinfo=UTC) if is_date else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidSetting(what="Expiry", value=text, allowed=allowed) from None
    if moment.tzinfo is None:
        raise InvalidSetting(what="Expiry", value=text, allowed=f"it has no time zone; {allowed}")
    if moment <= now:
        raise InvalidSetting(what="Expiry", value=text, allowed="it has passed already")
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the last hours of the year 9999, in a zone behind UTC
        raise InvalidSetting(what="Expiry", value=text, allowed=allowed) from None
