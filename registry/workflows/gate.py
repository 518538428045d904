"""Who is asking, and may he: credentials to identities, identities to decisions, both remembered until something changes."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from attrs import Factory, define, frozen

from registry.domain.access import ANYBODY, Identity, Permission, Project, Token, demand
from registry.domain.errors import Forbidden, TokenExpired, TokenRevoked, Unauthenticated, expiry_passed
from registry.domain.model import Change
from registry.domain.tokens import Carrier, Credential
from registry.interfaces import IAccounts, IPackages

# GitLab: with this user name the password must be a job token or a token that works; anything else is refused even where anybody may read.
JOB_USER = "gitlab-ci-token"
_REMEMBERED = 10_000
# Changes that cannot alter who may do what, which are most of them: after these, decisions stay.
_HARMLESS = ("file.", "package.")

_Key = tuple[bytes, str | None, Permission]


@frozen(kw_only=True)
class Admission:
    """A caller who was let in: who he is, and the project he was let into (None for a route that is about no project)."""

    identity: Identity
    project: Project | None

    @property
    def entered(self) -> Project:
        """The project, where the route names one."""
        assert self.project is not None, "the route names no project"
        return self.project


@define(kw_only=True)
class Gate:
    """Admits callers. A remembered decision costs one lookup, and is forgotten as soon as the journal tells of what could alter it."""

    accounts: IAccounts
    packages: IPackages
    now: Callable[[], datetime]
    _admissions: "OrderedDict[_Key, Admission]" = Factory(OrderedDict)  # least recently used first
    _generation: int = 0  # counts what was forgotten, so that a decision begun before is not remembered after

    def remembered(self, fingerprint: bytes, project: str | None, permission: Permission) -> Admission | None:
        """The admission of this very credential to this very place, if it was given before and still holds."""
        key = (fingerprint, project, permission)
        admission = self._admissions.get(key)
        if admission is None:
            return None
        token = admission.identity.token
        if token is not None and token.expires_at is not None and expiry_passed(token.expires_at, self.now()):
            del self._admissions[key]
            return None
        self._admissions.move_to_end(key)
        return admission

    async def admit(self, credential: Credential | None, fingerprint: bytes, project: str | None, permission: Permission) -> Admission:
        """Let the caller in, or raise what he may be told.

        `fingerprint` stands for the credential as it was sent (empty without one); `project` is the id or path as text, None on a route
        about no project. Raises `Unauthenticated`, `TokenExpired`, `TokenRevoked`, `InsufficientScope`, `Forbidden` or `UnknownProject`.
        """
        known = self.remembered(fingerprint, project, permission)
        if known is not None:
            return known
        generation = self._generation
        identity = await self.identify(credential)
        place = None
        if project is not None:
            place = demand(permission, identity, await self.packages.project(_ref(project)))
        admission = Admission(identity=identity, project=place)
        # A wrong password makes the same anonymous caller as none: remembering each would let anybody fill the memory.
        if generation == self._generation and (credential is None or not identity.anonymous):
            self._admissions[fingerprint, project, permission] = admission
            if len(self._admissions) > _REMEMBERED:
                self._admissions.popitem(last=False)
        return admission

    async def identify(self, credential: Credential | None) -> Identity:
        """Who offers this credential. Raises `Unauthenticated`, `TokenExpired`, `TokenRevoked` or `Forbidden`."""
        if credential is None:
            return ANYBODY
        stored = await self.accounts.token(credential.secret.digest())
        if stored is None:
            # GitLab: an unknown Basic password is as good as none; an unknown token in a header is an error.
            if credential.carrier is Carrier.BASIC and credential.username != JOB_USER:
                return ANYBODY
            raise Unauthenticated
        if stored.info.revoked_at is not None:
            raise TokenRevoked
        if expiry_passed(stored.info.expires_at, self.now()):
            raise TokenExpired
        if stored.user.blocked:
            raise Forbidden(reason="Your account has been blocked.")
        token = Token(id=stored.info.id, name=stored.info.name, scopes=frozenset(stored.info.scopes), expires_at=stored.info.expires_at)
        return Identity(user=stored.user, token=token)

    def forget(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener)."""
        if any(not change.action.startswith(_HARMLESS) for change in changes):
            self._generation += 1
            self._admissions.clear()


# SQLite's integers end here; a longer number names nothing.
_LARGEST = 2**63 - 1


def _ref(project: str) -> int | str:
    # GitLab: a segment of digits is an id; paths always hold a slash.
    if project.isascii() and project.isdigit():
        return min(int(project[:20]), _LARGEST)
    return project
