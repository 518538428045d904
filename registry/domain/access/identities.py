"""Who asks."""

from datetime import datetime

from attrs import frozen


@frozen(kw_only=True)
class User:
    """A person or bot that owns tokens."""

    id: int
    username: str
    admin: bool = False
    blocked: bool = False
    name: str = ""
    email: str = ""
    bot: bool = False
    created_at: datetime | None = None


@frozen(kw_only=True)
class Token:
    """A user's token in use. `scopes` are GitLab's names; an unknown one opens nothing."""

    id: int
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


@frozen(kw_only=True)
class DeployToken:
    """A token of a project, or of a group and all projects below it, that acts for nobody."""

    id: int
    name: str
    username: str
    scopes: frozenset[str]
    project_id: int | None = None
    group_id: int | None = None
    expires_at: datetime | None = None


@frozen(kw_only=True)
class Job:
    """A running CI job: the project it runs in, and the commit and pipeline it runs for. Its user is the identity's."""

    id: int  # of its token here
    project_id: int
    ref: str = ""
    sha: str = ""
    pipeline_id: int | None = None
    job_id: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


@frozen(kw_only=True)
class Identity:
    """Who asks. With nothing: anybody. A job has a user too, the one who triggered it; a deploy token has none."""

    user: User | None = None
    token: Token | None = None
    deploy: DeployToken | None = None
    job: Job | None = None

    @property
    def anonymous(self) -> bool:
        """Whether the caller is nobody in particular."""
        return self.user is None and self.deploy is None

    @property
    def expires_at(self) -> datetime | None:
        """When the credential stops to be one."""
        carrier = self.token or self.deploy or self.job
        return None if carrier is None else carrier.expires_at


ANYBODY = Identity()
