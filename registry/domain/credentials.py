"""Credentials as they are issued, listed and withdrawn: everything about them but their secrets."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum

from attrs import field, frozen

from registry.domain.access import Role
from registry.domain.errors import InvalidSetting, Refused, expiry_passed
from registry.domain.model import TokenInfo
from registry.domain.tokens import Secret

# GitLab has no such limit: its job tokens end with their jobs, which are not ours to watch.
JOB_LONGEST = timedelta(hours=24)
JOB_DEFAULT = timedelta(hours=1)
ROTATED_DEFAULT = timedelta(days=7)
_USERNAME = re.compile(r"[A-Za-z0-9._+-]{1,255}")


class TokenOrder(Enum):
    """How lists of tokens are sorted; GitLab's words."""

    CREATED_ASC = "created_asc"
    CREATED_DESC = "created_desc"
    EXPIRES_ASC = "expires_asc"
    EXPIRES_DESC = "expires_desc"
    LAST_USED_ASC = "last_used_asc"
    LAST_USED_DESC = "last_used_desc"
    NAME_ASC = "name_asc"
    NAME_DESC = "name_desc"


@frozen(kw_only=True)
class TokenFilter:
    """Which tokens of users a list shows, and in which order. None: it does not matter."""

    user_id: int | None = None
    active: bool | None = None  # neither revoked nor expired
    revoked: bool | None = None
    search: str = ""  # a part of the name, in any case
    after: Mapping[str, datetime] = field(factory=dict)  # created, expires, last_used: after this moment
    before: Mapping[str, datetime] = field(factory=dict)
    order: TokenOrder = TokenOrder.CREATED_ASC


@frozen(kw_only=True)
class PlaceToken:
    """A project or group access token: one of the place's own bot users, who has a role there."""

    token: TokenInfo
    role: Role


@frozen(kw_only=True)
class Minted:
    """A token just made, with its secret, which nobody will be told again."""

    token: TokenInfo
    secret: Secret
    role: Role = Role.NONE  # of the bot, where it is one


@frozen(kw_only=True)
class NewDeployToken:
    """A deploy token about to be kept. Without a `username` it gets GitLab's, `gitlab+deploy-token-` and its number."""

    name: str
    digest: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    username: str = ""


@frozen(kw_only=True)
class DeployTokenInfo:
    """A deploy token as its place's maintainers may see it."""

    id: int
    name: str
    username: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    project_id: int | None = None
    group_id: int | None = None


@frozen(kw_only=True)
class NewJobToken:
    """A job token about to be kept, with what is known of its job."""

    digest: str
    expires_at: datetime
    ref: str = ""
    sha: str = ""
    pipeline_id: int | None = None
    job_id: int | None = None


@frozen(kw_only=True)
class JobTokenInfo:
    """A job token as whoever made it may see it."""

    id: int
    project_id: int
    user_id: int
    username: str
    ref: str
    sha: str
    pipeline_id: int | None
    job_id: int | None
    created_at: datetime
    expires_at: datetime


@frozen(kw_only=True)
class JobClaim:
    """What a GitLab instance says of a running job: whose it is, and in which of *its* projects it runs."""

    username: str
    project_path: str
    ref: str = ""
    sha: str = ""
    pipeline_id: int | None = None
    job_id: int | None = None


@frozen(kw_only=True)
class ListedProject:
    """A project on another's allowlist."""

    id: int
    path: str
    name: str
    description: str
    created_at: datetime


def check_deploy_username(text: str) -> str:
    """Return `text` if it may be a deploy token's user name, or is empty. Raises `Refused` with GitLab's words."""
    if text and not _USERNAME.fullmatch(text):
        raise Refused(problems={"username": ("can contain only letters, digits, '_', '-', '+', and '.'",)})
    return text


def is_active(revoked_at: datetime | None, expires_at: datetime | None, now: datetime) -> bool:
    """Whether a token opens anything at all."""
    return revoked_at is None and not expiry_passed(expires_at, now)


def job_expiry(asked: datetime | None, now: datetime) -> datetime:
    """When a job token ends: `asked`, or an hour from now. Raises `InvalidSetting` outside of the next 24 hours."""
    if asked is None:
        return now + JOB_DEFAULT
    if not now < asked <= now + JOB_LONGEST:
        raise InvalidSetting(what="expires_at", value=asked.isoformat(), allowed="use a time within the next 24 hours")
    return asked


def rotated_expiry(now: datetime) -> datetime:
    """When a rotated token ends unless somebody says otherwise. GitLab: a week from today, at 00:00 UTC of that day."""
    return (now + ROTATED_DEFAULT).replace(hour=0, minute=0, second=0, microsecond=0)
