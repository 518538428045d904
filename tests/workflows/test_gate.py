"""Admission: who is who, what is remembered, and for how long."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from attrs import define
from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from registry.domain.access import ANYBODY, Permission, Role, Visibility
from registry.domain.errors import Forbidden, InsufficientScope, RegistryError, TokenExpired, TokenRevoked, Unauthenticated, UnknownProject
from registry.domain.model import Change
from registry.domain.tokens import Carrier, Credential, Secret
from registry.interfaces import IThreads
from registry.testing import NOON, OPERATOR, HeldThreads, MemoryRegistry, done, registry_in_memory
from registry.workflows.gate import _REMEMBERED, JOB_USER, Admission, Gate, Where

READ, CREATE = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE
PRIVATE, INTERNAL, PUBLIC = "2", "3", "4"
MARK = b"mark"
T = TypeVar("T")


@implementer(IThreads)
@define(eq=False)
class CountedThreads:
    """Threads that count the work they are given: how often the catalog was asked."""

    count: int = 0

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        self.count += 1
        return execute(work, *args)


@define
class Door:
    """A gate before one catalog: ann owns ann/private (2), ann/internal (3) and ann/public (4); bob owns nothing."""

    registry: MemoryRegistry
    readers: CountedThreads

    @property
    def gate(self) -> Gate:
        """The gate."""
        return self.registry.gate

    @property
    def asked(self) -> int:
        """How often the catalog was read."""
        return self.readers.count

    def pass_time(self, seconds: float) -> None:
        """Let the clock run."""
        self.registry.clock.advance(seconds)

    def token(self, user: str, *scopes: str, expires_in: timedelta | None = None) -> Secret:
        """A new token."""
        return Secret(self.registry.token(user, *scopes, expires_at=None if expires_in is None else NOON + expires_in))

    def revoke(self, user: str) -> None:
        """Revoke the first token of a user."""
        done(self.registry.store.tokens.revoke_token(done(self.registry.store.tokens.tokens(user))[0].id, OPERATOR))

    def block(self, user: str) -> None:
        """Block a user."""
        done(self.registry.store.users.block_user(user, OPERATOR, blocked=True))

    def admit(
        self, secret: Secret | None, project: str | None = PRIVATE, permission: Permission = READ, *, mark: bytes = MARK
    ) -> Admission:
        """Ask as a caller with this token would."""
        credential = None if secret is None else Credential(carrier=Carrier.HEADER, secret=secret)
        return done(self.gate.admit(credential, b"" if secret is None else mark, at(project), permission))

    def remembered(self, project: str | None = PRIVATE, permission: Permission = READ, mark: bytes = MARK) -> Admission | None:
        """What is remembered of a caller."""
        return self.gate.remembered(mark, at(project), permission)

    def refused(
        self, error: type[RegistryError], secret: Secret | None, project: str | None = PRIVATE, permission: Permission = READ
    ) -> None:
        """Ask, and be refused."""
        with pytest.raises(error):
            self.admit(secret, project, permission)


def at(project: str | None) -> Where | None:
    """The place that a project route names."""
    return None if project is None else Where("project", project)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A gate with a clock that the test moves."""
    readers = CountedThreads()
    registry = registry_in_memory(tmp_path / "data", readers=readers)
    for user in ("ann", "bob"):
        registry.user(user)
    for visibility in Visibility:
        registry.project(f"ann/{visibility.value}", visibility)
    yield Door(registry=registry, readers=readers)
    registry.close()


# What may hold a user's token.
USERS_CARRIERS = (Carrier.BASIC, Carrier.HEADER, Carrier.BEARER)


# --- who ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", USERS_CARRIERS)
def test_a_token_is_its_user_however_it_came(door: Door, carrier: Carrier) -> None:
    """A token that works names its user and itself, by every carrier that may hold it and beside any user name."""
    secret = door.token("ann", "read_api")
    for username in ("", "bob", JOB_USER):
        identity = done(door.gate.identify(Credential(carrier=carrier, secret=secret, username=username)))
        assert identity.user is not None
        assert identity.token is not None
        assert (identity.user.username, identity.token.scopes) == ("ann", frozenset({"read_api"}))


@pytest.mark.parametrize("carrier", [carrier for carrier in Carrier if carrier not in USERS_CARRIERS])
def test_a_token_in_anothers_header_is_unknown(door: Door, carrier: Carrier) -> None:
    """GitLab: the headers for deploy and job tokens hold nothing else; a user's token there is as wrong as a made-up one."""
    for secret in (door.token("ann"), Secret("glpat-unknown")):
        with pytest.raises(Unauthenticated):
            done(door.gate.identify(Credential(carrier=carrier, secret=secret)))


@pytest.mark.parametrize("carrier", Carrier)
@pytest.mark.parametrize("username", ["deployer", JOB_USER])
@pytest.mark.parametrize("kind", ["deploy", "job"])
def test_other_tokens_are_shown_as_gitlab_shows_them(door: Door, kind: str, username: str, carrier: Carrier) -> None:
    """A deploy token comes by Basic, Bearer or its own header; a job token by its own header, or by Basic with its user's name."""
    secret = door.registry.deploy_token("ann/private") if kind == "deploy" else door.registry.job_token("ann/private", "ann")
    works = {
        "deploy": carrier in {Carrier.BASIC, Carrier.BEARER, Carrier.DEPLOY_HEADER},
        "job": carrier is Carrier.JOB_HEADER or (carrier is Carrier.BASIC and username == JOB_USER),
    }[kind]
    credential = Credential(carrier=carrier, secret=Secret(secret), username=username)
    if works:
        identity = done(door.gate.identify(credential))
        assert (identity.deploy is not None, identity.job is not None, identity.token) == (kind == "deploy", kind == "job", None)
    elif carrier is Carrier.BASIC and username != JOB_USER:
        assert done(door.gate.identify(credential)) == ANYBODY
    else:
        with pytest.raises(Unauthenticated):
            done(door.gate.identify(credential))


@pytest.mark.parametrize("kind", ["deploy", "job"])
def test_other_tokens_end_silently(door: Door, kind: str) -> None:
    """GitLab: a deploy or job token that is over is as unknown as one that never was, from its very moment on."""
    ends = NOON + timedelta(minutes=1)
    if kind == "deploy":
        credential = Credential(carrier=Carrier.DEPLOY_HEADER, secret=Secret(door.registry.deploy_token("ann/private", expires_at=ends)))
    else:
        secret = Secret(door.registry.job_token("ann/private", "ann", expires_at=ends))
        credential = Credential(carrier=Carrier.BASIC, secret=secret, username=JOB_USER)
    door.pass_time(59)
    assert not done(door.gate.identify(credential)).anonymous
    admission = done(door.gate.admit(credential, MARK, at(PRIVATE), READ))
    assert door.remembered() is admission
    door.pass_time(1)
    assert door.remembered() is None
    with pytest.raises(Unauthenticated):
        done(door.gate.identify(credential))


def test_a_job_is_nobody_once_its_user_is_blocked(door: Door) -> None:
    """A job can do what the one who triggered it can, and no more once he is blocked."""
    credential = Credential(carrier=Carrier.JOB_HEADER, secret=Secret(door.registry.job_token("ann/private", "ann")))
    assert done(door.gate.identify(credential)).user is not None
    door.block("ann")
    with pytest.raises(Forbidden):
        done(door.gate.identify(credential))


def test_no_credential_is_anybody(door: Door) -> None:
    """Who offers nothing is anybody."""
    assert done(door.gate.identify(None)) == ANYBODY


@pytest.mark.parametrize(
    ("carrier", "username", "anybody"),
    [
        (Carrier.BASIC, "", True),
        (Carrier.BASIC, "ann", True),
        (Carrier.BASIC, JOB_USER.upper(), True),
        (Carrier.BASIC, JOB_USER, False),
        (Carrier.HEADER, "", False),
        (Carrier.BEARER, "", False),
        (Carrier.DEPLOY_HEADER, "", False),
        (Carrier.JOB_HEADER, "", False),
    ],
)
def test_an_unknown_secret(door: Door, carrier: Carrier, username: str, *, anybody: bool) -> None:
    """GitLab: an unknown password is as good as none, except a job's; an unknown token in a header is an error."""
    credential = Credential(carrier=carrier, secret=Secret("glpat-unknown"), username=username)
    if anybody:
        assert done(door.gate.identify(credential)) == ANYBODY
    else:
        with pytest.raises(Unauthenticated):
            done(door.gate.identify(credential))


@pytest.mark.parametrize("carrier", USERS_CARRIERS)
@pytest.mark.parametrize(("passed", "error"), [(59.999_999, None), (60, TokenExpired)])
def test_a_token_ends_at_its_moment(door: Door, carrier: Carrier, passed: float, error: type[RegistryError] | None) -> None:
    """A token works until the very moment of its expiry, and not at it."""
    credential = Credential(carrier=carrier, secret=door.token("ann", expires_in=timedelta(minutes=1)))
    door.pass_time(passed)
    if error is None:
        assert done(door.gate.identify(credential)).user is not None
    else:
        with pytest.raises(error):
            done(door.gate.identify(credential))


def test_revoked_comes_before_expired_before_blocked(door: Door) -> None:
    """A token that is ended in several ways says the first that its owner can do something about."""
    secret = door.token("ann", expires_in=timedelta(minutes=1))
    door.block("ann")
    door.refused(Forbidden, secret)
    door.pass_time(120)
    door.refused(TokenExpired, secret)
    door.revoke("ann")
    door.refused(TokenRevoked, secret)


@pytest.mark.parametrize("project", ["2", "ann/private", "ANN/Private", "002"])
def test_a_project_is_named_by_number_or_path(door: Door, project: str) -> None:
    """What is all digits is a number, anything else a path."""
    assert door.admit(door.token("ann"), project).project.path == "ann/private"


@pytest.mark.parametrize("project", ["9" * 4000, str(2**63), str(2**64), "0", "-1", "\u0661", "1.0", "", "ann", "private"])
def test_what_names_no_project_is_unknown(door: Door, project: str) -> None:
    """Numbers beyond every database, digits of other scripts and halves of paths name nothing."""
    door.refused(UnknownProject, door.token("ann"), project)
    door.refused(Unauthenticated, None, project)


def test_a_route_about_no_project_needs_none(door: Door) -> None:
    """Where there is no project to enter, only who asks is found out."""
    admission = door.admit(door.token("ann"), None, Permission.SIGNED_IN)
    assert admission.place is None
    for ask in (lambda: admission.project, lambda: admission.group):
        with pytest.raises(AssertionError):
            ask()
    door.refused(Unauthenticated, None, None, Permission.SIGNED_IN)


# --- what is remembered ---------------------------------------------------------------------------------------------------------------


def test_a_decision_is_made_once(door: Door) -> None:
    """The same credential at the same door is admitted again without asking the catalog."""
    secret = door.token("ann")
    first = door.admit(secret)
    asked = door.asked
    assert door.admit(secret) is first
    assert door.remembered() is first
    assert door.asked == asked


def test_a_decision_is_for_its_door_only(door: Door) -> None:
    """What was decided for one project and permission says nothing about another (hardening row 32)."""
    secret = door.token("ann", "read_api")
    door.admit(secret)
    for project, permission in ((INTERNAL, READ), ("ann/private", READ), (PRIVATE, CREATE), (None, READ)):
        assert door.remembered(project, permission) is None
    assert door.remembered(mark=b"other") is None
    assert door.gate.remembered(MARK, Where("group", PRIVATE), READ) is None
    door.refused(InsufficientScope, secret, PRIVATE, CREATE)


def test_no_refusal_is_remembered(door: Door) -> None:
    """Who is refused is looked at anew the next time: what opens a door opens it at once."""
    bob = door.token("bob")
    door.refused(UnknownProject, bob)
    assert door.remembered() is None
    asked = door.asked
    door.refused(UnknownProject, bob)
    assert door.asked > asked


def test_wrong_passwords_are_not_remembered(door: Door) -> None:
    """A wrong password is anybody, but is not kept as such: guessing cannot fill the memory."""
    credential = Credential(carrier=Carrier.BASIC, secret=Secret("wrong"), username="ann")
    admission = done(door.gate.admit(credential, b"wrong", at(PUBLIC), READ))
    assert admission.identity == ANYBODY
    assert door.remembered(PUBLIC, mark=b"wrong") is None


def test_anybody_is_remembered_once(door: Door) -> None:
    """Callers without a credential share one decision for each open door."""
    first = door.admit(None, PUBLIC)
    assert door.remembered(PUBLIC, mark=b"") is first
    door.refused(Unauthenticated, None, INTERNAL)
    assert door.remembered(INTERNAL, mark=b"") is None


def test_a_remembered_token_ends_at_its_moment(door: Door) -> None:
    """An expiry that passes while a decision is remembered ends it, at that moment."""
    secret = door.token("ann", expires_in=timedelta(minutes=1))
    door.admit(secret)
    door.pass_time(59)
    assert door.remembered() is not None
    door.pass_time(1)
    assert door.remembered() is None
    door.refused(TokenExpired, secret)


@pytest.mark.parametrize("change", ["revoke", "block", "create"])
def test_a_change_is_felt_at_once(door: Door, change: str) -> None:
    """Every change that may alter who may do what drops what was decided before it."""
    secret = door.token("ann")
    door.admit(secret)
    if change == "revoke":
        door.revoke("ann")
        door.refused(TokenRevoked, secret)
    elif change == "block":
        door.block("ann")
        door.refused(Forbidden, secret)
    else:
        door.registry.project("bob/new", Visibility.PUBLIC)
        assert door.remembered() is None


def test_a_role_that_ends_takes_the_decision_with_it(door: Door) -> None:
    """A membership that expires while a decision is remembered ends it, at that moment."""
    door.registry.member("ann/private", "bob", Role.GUEST, expires_at=NOON + timedelta(minutes=1))
    bob = door.token("bob")
    door.admit(bob)
    door.pass_time(59)
    assert door.remembered() is not None
    door.pass_time(1)
    assert door.remembered() is None
    door.refused(UnknownProject, bob)


@pytest.mark.parametrize(
    ("actions", "kept"),
    [
        (("file.publish",), True),
        (("package.delete", "file.publish"), True),
        (("project.update",), False),
        (("file.publish", "token.revoke"), False),
        (("rule.create",), True),
        (("member.add",), False),
        (("something.new",), False),
        (("filet",), False),
        ((), True),
    ],
)
def test_only_changes_of_files_and_packages_are_harmless(door: Door, actions: tuple[str, ...], *, kept: bool) -> None:
    """Publishing keeps decisions, since it alters nobody's rights; a kind of change nobody thought of does not."""
    door.admit(door.token("ann"))
    changes = tuple(Change(serial=number, at=NOON, action=action, actor=OPERATOR, detail={}) for number, action in enumerate(actions))
    door.gate.forget(changes)
    assert (door.remembered() is not None) is kept


def test_the_memory_has_an_end(door: Door) -> None:
    """So many decisions are remembered and no more; the least recently used one goes first."""
    for number in range(_REMEMBERED):
        done(door.gate.admit(None, b"%d" % number, at(PUBLIC), READ))
    assert door.remembered(PUBLIC, mark=b"0") is not None
    done(door.gate.admit(None, b"one more", at(PUBLIC), READ))
    assert door.remembered(PUBLIC, mark=b"0") is not None
    assert door.remembered(PUBLIC, mark=b"1") is None
    assert len(door.gate._admissions) == _REMEMBERED


# --- what still holds -------------------------------------------------------------------------------------------------------------------


def test_an_admission_holds_until_something_changes(door: Door) -> None:
    """An admission that was given holds, and is a use of its token each time, until any change that may alter who may do what."""
    uses: list[int] = []
    admission = door.admit(door.token("ann"))
    door.gate.used = uses.append
    assert door.gate.holds(admission)
    assert admission.identity.token is not None
    assert uses == [admission.identity.token.id]
    door.gate.forget((Change(serial=99, at=NOON, action="file.publish", actor=OPERATOR, project_id=1, name="demo", detail={}),))
    assert door.gate.holds(admission)
    door.block("bob")
    assert not door.gate.holds(admission)
    assert len(uses) == 2


def test_an_admission_holds_until_its_moment(door: Door) -> None:
    """An admission does not outlast the token it was given to, to the moment."""
    admission = door.admit(door.token("ann", expires_in=timedelta(minutes=1)))
    door.pass_time(59.999)
    assert door.gate.holds(admission)
    door.pass_time(0.001)
    assert not door.gate.holds(admission)


def test_an_admission_holds_though_it_was_pushed_out(door: Door) -> None:
    """An admission that is no longer remembered, as too many others came, was not taken back."""
    admission = door.admit(door.token("ann"))
    for number in range(_REMEMBERED):
        done(door.gate.admit(None, b"%d" % number, at(PUBLIC), READ))
    assert door.remembered() is None
    assert door.gate.holds(admission)


def test_a_failed_sign_in_never_holds(door: Door) -> None:
    """Who is let in as anybody because his password is wrong is let in once: the next time it counts as a failure again."""
    credential = Credential(carrier=Carrier.BASIC, secret=Secret("wrong"), username="ann")
    admission = done(door.gate.admit(credential, b"wrong", at(PUBLIC), READ))
    assert admission.identity == ANYBODY
    assert not door.gate.holds(admission)
    assert door.gate.holds(door.admit(None, PUBLIC))


def test_an_admission_that_nobody_gave_does_not_hold(door: Door) -> None:
    """An admission that was made elsewhere, as for a route that is open, holds nothing."""
    assert not door.gate.holds(Admission(identity=ANYBODY, place=None))


# --- groups ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def team(door: Door) -> Door:
    """The same gate, before a public group team with projects open (public, 5) and secret (private, 6), and team/sub/deep (private, 7)."""
    door.registry.group("team", Visibility.PUBLIC)
    door.registry.group("team/sub", Visibility.PUBLIC)
    numbers = [
        door.registry.project(path, visibility).id
        for path, visibility in (
            ("team/open", Visibility.PUBLIC),
            ("team/secret", Visibility.PRIVATE),
            ("team/sub/deep", Visibility.PRIVATE),
        )
    ]
    assert numbers == [5, 6, 7]
    return door


TEAM = Where("group", "team")


def enter(door: Door, secret: Secret | None) -> Admission:
    """Admit to the group."""
    credential = None if secret is None else Credential(carrier=Carrier.HEADER, secret=secret)
    return done(door.gate.admit(credential, b"" if secret is None else MARK, TEAM, Permission.READ_GROUP_PACKAGE))


def test_each_caller_reads_his_own_projects_of_a_group(team: Door) -> None:
    """Of the projects below a group each caller is told those whose packages he may read, by number (hardening row 25)."""
    team.registry.member("team/sub", "bob", Role.GUEST)
    for secret, expected in ((None, (5,)), (team.token("ann"), (5,)), (team.token("bob"), (5, 7)), (team.token("root"), (5, 6, 7))):
        team.gate.forget((Change(serial=99, at=NOON, action="token.create", actor=OPERATOR, detail={}),))
        admission = enter(team, secret)
        assert admission.group.path == "team"
        assert done(team.gate.readable(admission)) == expected


def test_a_groups_projects_are_found_once(team: Door) -> None:
    """What a caller may read below a group is remembered with his admission, and found anew after a change."""
    bob = team.token("bob")
    admission = enter(team, bob)
    assert done(team.gate.readable(admission)) == (5,)
    asked = team.asked
    assert done(team.gate.readable(enter(team, bob))) == (5,)
    assert team.asked == asked
    team.registry.member("team/secret", "bob", Role.GUEST)
    assert done(team.gate.readable(enter(team, bob))) == (5, 6)


def test_a_role_below_a_group_that_ends_is_noticed(team: Door) -> None:
    """A membership in one project of a group ends at its moment for the group's pages too."""
    team.registry.member("team/secret", "bob", Role.GUEST, expires_at=NOON + timedelta(minutes=1))
    bob = team.token("bob")
    assert done(team.gate.readable(enter(team, bob))) == (5, 6)
    team.pass_time(59)
    assert done(team.gate.readable(enter(team, bob))) == (5, 6)
    team.pass_time(1)
    assert done(team.gate.readable(enter(team, bob))) == (5,)


# --- races ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[MemoryRegistry, HeldThreads]]:
    """A registry whose catalog is read when told."""
    readers = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", readers=readers)
    yield registry, readers
    registry.close()


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_decision_overtaken_by_a_change_is_not_remembered(slow: tuple[MemoryRegistry, HeldThreads], steps: int) -> None:
    """A change that comes while a decision is being made, at any step, is never hidden behind that decision."""
    registry, readers = slow
    credential = Credential(carrier=Carrier.HEADER, secret=Secret(registry.root_token))
    outcomes: list[object] = []
    asking = Deferred.fromCoroutine(registry.gate.admit(credential, MARK, at("1"), READ))
    asking.addBoth(outcomes.append)
    readers.let(steps)
    done(registry.store.tokens.revoke_token(1, OPERATOR))
    readers.let_all()
    assert len(outcomes) == 1
    assert registry.gate.remembered(MARK, at("1"), READ) is None
    assert not any(isinstance(one, Admission) and registry.gate.holds(one) for one in outcomes)


def test_a_harmless_change_does_not_overtake(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """Publishing while a decision is being made does not make it forgotten."""
    registry, readers = slow
    credential = Credential(carrier=Carrier.HEADER, secret=Secret(registry.root_token))
    asking = Deferred.fromCoroutine(registry.gate.admit(credential, MARK, at("1"), READ))
    registry.gate.forget((Change(serial=99, at=NOON, action="file.publish", actor=OPERATOR, project_id=1, name="demo", detail={}),))
    readers.let_all()
    assert registry.gate.remembered(MARK, at("1"), READ) is done(asking)


@pytest.mark.parametrize("steps", range(5))
def test_what_a_caller_reads_below_a_group_may_be_overtaken(slow: tuple[MemoryRegistry, HeldThreads], steps: int) -> None:
    """A change that comes while a group's projects are found for a caller, at any step, ends his admission."""
    registry, readers = slow
    registry.group("team")
    registry.token("root")
    registry.project("team/app")

    async def enter() -> tuple[Admission, tuple[int, ...]]:
        credential = Credential(carrier=Carrier.HEADER, secret=Secret(registry.root_token))
        admission = await registry.gate.admit(credential, MARK, TEAM, Permission.READ_GROUP_PACKAGE)
        return admission, await registry.gate.readable(admission)

    entering = Deferred.fromCoroutine(enter())
    readers.let(min(steps, readers.waiting))
    done(registry.store.tokens.revoke_token(2, OPERATOR))
    readers.let_all()
    admission, _ = done(entering)
    assert not registry.gate.holds(admission)
