"""Who is asking, and may he: credentials to identities, identities to decisions, both remembered until something changes."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime

from attrs import Factory, define, frozen

from registry.domain.access import ANYBODY, STRANGER, Group, Identity, Permission, Place, Project, Standing, demand, demand_signed_in, may
from registry.domain.errors import (
    Forbidden,
    TokenExpired,
    TokenRevoked,
    Unauthenticated,
    UnknownGroup,
    UnknownProject,
    expiry_passed,
)
from registry.domain.model import Change, Memberships, StoredCredential
from registry.domain.paths import LARGEST_ID
from registry.domain.tokens import Carrier, Credential, Secret
from registry.interfaces import IAccess
from registry.workflows.failures import Failures

# GitLab: with this user name the password must be a job token or a token that works; anything else is refused even where anybody may read.
JOB_USER = "gitlab-ci-token"
_REMEMBERED = 10_000
# Changes that cannot alter who may do what, which are most of them: after these, decisions stay.
# A new job token opens what nobody was let into with it; busy CI systems make several a second.
_HARMLESS = ("file.", "package.", "rule.", "job_token.create", "policy.")
# What each carrier may carry (GitLab).
_CARRIED = {
    Carrier.BASIC: {"personal", "deploy", "job"},
    Carrier.HEADER: {"personal"},
    Carrier.BEARER: {"personal", "deploy"},
    Carrier.DEPLOY_HEADER: {"deploy"},
    Carrier.JOB_HEADER: {"job"},
}


@frozen
class Where:
    """The place a request names: `kind` is "project" or "group", `ref` an id or a path as text."""

    kind: str
    ref: str


_Key = tuple[bytes, Where | None, Permission]


_NO_MEMBERSHIPS = Memberships(projects={}, groups={})


@define(kw_only=True)
class Admission:
    """A caller who was let in: who he is, the place he was let into (None for a route that names none), and how he stands there."""

    identity: Identity
    place: Place | None
    standing: Standing = STRANGER
    generation: int = -1  # of the gate's knowledge when it was given; -1: not to be given again unasked
    # Found when first asked for: in which projects below the group this caller has a permission.
    below: dict[Permission, tuple[int, ...]] = Factory(dict)

    @property
    def project(self) -> Project:
        """The project, where the route names one."""
        assert isinstance(self.place, Project), "the route names no project"
        return self.place

    @property
    def group(self) -> Group:
        """The group, where the route names one."""
        assert isinstance(self.place, Group), "the route names no group"
        return self.place


@define(kw_only=True)
class Gate:
    """Admits callers. A remembered decision costs one lookup, and is forgotten as soon as the journal tells of what could alter it."""

    access: IAccess
    now: Callable[[], datetime]
    failures: Failures = Factory(lambda self: Failures(per_minute=0, now=self.now), takes_self=True)
    used: Callable[[int], object] = lambda _: None  # hears of every use of a user's token, by number
    # Who runs the job with a token that is none of ours: asks a GitLab instance.
    foreign_job: Callable[[Secret], Awaitable[Identity | None]] | None = None
    _admissions: "OrderedDict[_Key, Admission]" = Factory(OrderedDict)  # least recently used first
    _generation: int = 0  # counts what was forgotten, so that a decision begun before is not remembered after

    @property
    def generation(self) -> int:
        """How often what was decided before has been forgotten: no admission given under another number holds."""
        return self._generation

    def remembered(self, fingerprint: bytes, where: Where | None, permission: Permission) -> Admission | None:
        """The admission of this very credential to this very place, if it was given before and still holds."""
        key = (fingerprint, where, permission)
        admission = self._admissions.get(key)
        if admission is None:
            return None
        if admission.standing.until is not None and expiry_passed(admission.standing.until, self.now()):
            del self._admissions[key]
            return None
        self._admissions.move_to_end(key)
        if admission.identity.token is not None:
            self.used(admission.identity.token.id)
        return admission

    def holds(self, admission: Admission) -> bool:
        """Whether an admission given before still holds; a use of its token is noted if it does."""
        if admission.generation != self._generation:
            return False
        until = admission.standing.until
        if until is not None and expiry_passed(until, self.now()):
            return False
        if admission.identity.token is not None:
            self.used(admission.identity.token.id)
        return True

    async def admit(
        self,
        credential: Credential | None,
        fingerprint: bytes,
        where: Where | None,
        permission: Permission,
        *,
        challenge: bool = True,
        address: str = "",
    ) -> Admission:
        """Let the caller in, or raise what he may be told.

        `fingerprint` stands for the credential as it was sent (empty without one); `where` is the place the route names, None if none.
        `challenge`: an anonymous caller is asked to sign in rather than told that there is nothing (PyPI routes). `address` is where he
        comes from: who fails too often from there has to wait. Raises `TooManyFailures`, `Unauthenticated`, `TokenExpired`,
        `TokenRevoked`, `InsufficientScope`, `Forbidden`, `UnknownProject` or `UnknownGroup`.
        """
        known = self.remembered(fingerprint, where, permission)
        if known is not None:
            return known
        generation = self._generation
        identity = await self.identify(credential, address)
        place, standing = None, STRANGER
        if where is None:
            demand_signed_in(permission, identity)
        else:
            place, standing = await self.access.enter(where.kind, _ref(where.ref), identity)
            try:
                demand(permission, identity, place, standing, challenge=challenge)
            except UnknownProject:
                # Of permissions that projects and groups share, `demand` cannot tell which is missing. (No stand-in for a missing group: an
                # administrator would be let into it.)
                raise UnknownGroup if where.kind == "group" else UnknownProject from None
        admission = Admission(identity=identity, place=place, standing=standing.not_after(identity.expires_at))
        # A wrong password makes the same anonymous caller as none: remembering each would let anybody fill the memory, and whoever guesses
        # would be counted once only.
        if generation == self._generation and (credential is None or not identity.anonymous):
            admission.generation = generation
            self._admissions[fingerprint, where, permission] = admission
            if len(self._admissions) > _REMEMBERED:
                self._admissions.popitem(last=False)
        return admission

    async def identify(self, credential: Credential | None, address: str = "") -> Identity:
        """Who offers this credential. Raises `TooManyFailures`, `Unauthenticated`, `TokenExpired`, `TokenRevoked` or `Forbidden`."""
        if credential is None:
            return ANYBODY
        digest = credential.secret.digest()
        self.failures.demand(digest, address, credential.username)
        try:
            identity = await self._identify(credential, digest)
        except (Unauthenticated, TokenExpired, TokenRevoked):
            self.failures.failed(digest, address, credential.username)
            raise
        if identity.anonymous:
            self.failures.failed(digest, address, credential.username)
        else:
            self.failures.succeeded(digest)
        if identity.token is not None:
            self.used(identity.token.id)
        return identity

    async def _identify(self, credential: Credential, digest: str) -> Identity:
        stored = await self.access.credential(digest)
        if stored is None and self.foreign_job is not None and _may_be_job(credential):
            identity = await self.foreign_job(credential.secret)
            if identity is not None:
                stored = StoredCredential(kind="job", identity=identity, revoked=False)
        if stored is None or stored.kind not in _CARRIED[credential.carrier]:
            return _unknown(credential)
        over = expiry_passed(stored.identity.expires_at, self.now())
        if stored.kind == "personal":
            if stored.revoked:
                raise TokenRevoked
            if over:
                raise TokenExpired
        elif stored.revoked or over or (stored.kind == "job" and credential.carrier is Carrier.BASIC and credential.username != JOB_USER):
            return _unknown(credential)
        if stored.identity.user is not None and stored.identity.user.blocked:
            raise Forbidden(reason="Your account has been blocked.")
        return stored.identity

    async def readable(self, admission: Admission) -> tuple[int, ...]:
        """The ids of the projects below the admission's group whose packages this caller may read. Remembered with the admission."""
        return await self.permitted(admission, Permission.READ_GROUP_PACKAGE)

    async def permitted(self, admission: Admission, permission: Permission) -> tuple[int, ...]:
        """The ids of the projects below the admission's group in which the caller has `permission`. Remembered with the admission."""
        known = admission.below.get(permission)
        if known is not None:
            return known
        group, identity = admission.group, admission.identity
        generation = self._generation
        below = await self.access.below(group)
        roles = await self.access.memberships(identity.user.id) if identity.user is not None else _NO_MEMBERSHIPS
        admitting = await self.access.admitting(identity.job.project_id) if identity.job is not None else None
        found = tuple(
            project.id
            for project in below
            if may(
                permission,
                identity,
                project,
                Standing(role=roles.in_(project), admits_job=admitting is None or project.id in admitting),
            )
        )
        if generation == self._generation:
            admission.below[permission] = found
            # A membership below the group that ends takes the admission with it.
            admission.standing = admission.standing.not_after(roles.until)
        return found

    def forget(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener)."""
        if any(not change.action.startswith(_HARMLESS) for change in changes):
            self._generation += 1
            self._admissions.clear()


def _may_be_job(credential: Credential) -> bool:
    return credential.carrier is Carrier.JOB_HEADER or (credential.carrier is Carrier.BASIC and credential.username == JOB_USER)


def _unknown(credential: Credential) -> Identity:
    # GitLab: an unknown Basic password is as good as none; an unknown token in a header is an error.
    if credential.carrier is Carrier.BASIC and credential.username != JOB_USER:
        return ANYBODY
    raise Unauthenticated


def _ref(ref: str) -> int | str:
    # GitLab: a segment of digits is an id; a path of digits only cannot be made.
    if ref.isascii() and ref.isdigit():
        return min(int(ref[:20]), LARGEST_ID)
    return ref
