"""Admission: who is who, what is remembered, and for how long."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import define
from twisted.internet.defer import Deferred

from registry.domain.access import ANYBODY, Permission, Project, Visibility
from registry.domain.errors import Forbidden, InsufficientScope, RegistryError, TokenExpired, TokenRevoked, Unauthenticated, UnknownProject
from registry.domain.model import Change, NewToken, StoredToken
from registry.domain.paths import ProjectPath
from registry.domain.tokens import Carrier, Credential, Secret, mint
from registry.testing import NOON, OPERATOR, HeldThreads, MemoryCatalog, MemoryRegistry, done, registry_in_memory
from registry.workflows.gate import _REMEMBERED, JOB_USER, Admission, Gate

READ, CREATE = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE
MARK = b"mark"


@define(eq=False)
class Watched(MemoryCatalog):
    """A catalog that counts what it is asked."""

    asked: int = 0

    async def token(self, digest: str) -> StoredToken | None:
        """IAccounts."""
        self.asked += 1
        return await super().token(digest)

    async def project(self, ref: int | str) -> Project | None:
        """IPackages."""
        self.asked += 1
        return await super().project(ref)


@define
class Door:
    """A gate before one catalog: ann owns ann/private (1), ann/internal (2) and ann/public (3); bob owns nothing."""

    catalog: Watched
    gate: Gate
    now: "list[timedelta]"

    def token(self, user: str, *scopes: str, expires_in: timedelta | None = None) -> Secret:
        """A new token."""
        secret = mint()
        expires_at = None if expires_in is None else NOON + expires_in
        done(
            self.catalog.create_token(
                user, NewToken(name="x", digest=secret.digest(), scopes=scopes or ("api",), expires_at=expires_at), OPERATOR
            )
        )
        return secret

    def admit(self, secret: Secret | None, project: str | None = "1", permission: Permission = READ, *, mark: bytes = MARK) -> Admission:
        """Ask as a caller with this token would."""
        credential = None if secret is None else Credential(carrier=Carrier.HEADER, secret=secret)
        return done(self.gate.admit(credential, b"" if secret is None else mark, project, permission))

    def refused(self, error: type[RegistryError], secret: Secret | None, project: str | None = "1", permission: Permission = READ) -> None:
        """Ask, and be refused."""
        with pytest.raises(error):
            self.admit(secret, project, permission)


@pytest.fixture
def door() -> Door:
    """A gate with a clock that the test moves."""
    passed = [timedelta(0)]
    catalog = Watched(now=lambda: NOON + passed[0])
    for user in ("ann", "bob"):
        done(catalog.create_user(user, "", OPERATOR))
    for visibility in Visibility:
        done(catalog.create_project(ProjectPath.parse(f"ann/{visibility.value}"), visibility, OPERATOR))
    gate = Gate(accounts=catalog, packages=catalog, now=lambda: NOON + passed[0])
    catalog.subscribe(gate.forget)
    return Door(catalog=catalog, gate=gate, now=passed)


# --- who ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", Carrier)
def test_a_token_is_its_user_however_it_came(door: Door, carrier: Carrier) -> None:
    """A token that works names its user and itself, by every carrier and beside any user name."""
    secret = door.token("ann", "read_api")
    for username in ("", "bob", JOB_USER):
        identity = done(door.gate.identify(Credential(carrier=carrier, secret=secret, username=username)))
        assert identity.user is not None
        assert identity.token is not None
        assert (identity.user.username, identity.token.scopes) == ("ann", frozenset({"read_api"}))


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


@pytest.mark.parametrize("carrier", Carrier)
@pytest.mark.parametrize(("passed", "error"), [(timedelta(seconds=59, microseconds=999_999), None), (timedelta(minutes=1), TokenExpired)])
def test_a_token_ends_at_its_moment(door: Door, carrier: Carrier, passed: timedelta, error: type[RegistryError] | None) -> None:
    """A token works until the very moment of its expiry, and not at it."""
    credential = Credential(carrier=carrier, secret=door.token("ann", expires_in=timedelta(minutes=1)))
    door.now[0] = passed
    if error is None:
        assert done(door.gate.identify(credential)).user is not None
    else:
        with pytest.raises(error):
            done(door.gate.identify(credential))


def test_revoked_comes_before_expired_before_blocked(door: Door) -> None:
    """A token that is ended in several ways says the first that its owner can do something about."""
    secret = door.token("ann", expires_in=timedelta(minutes=1))
    done(door.catalog.block_user("ann", OPERATOR, blocked=True))
    door.refused(Forbidden, secret)
    door.now[0] = timedelta(minutes=2)
    door.refused(TokenExpired, secret)
    done(door.catalog.revoke_token(1, OPERATOR))
    door.refused(TokenRevoked, secret)


@pytest.mark.parametrize("project", ["1", "ann/private", "ANN/Private", "001"])
def test_a_project_is_named_by_number_or_path(door: Door, project: str) -> None:
    """What is all digits is a number, anything else a path."""
    assert door.admit(door.token("ann"), project).entered.path == "ann/private"


@pytest.mark.parametrize("project", ["9" * 4000, str(2**63), str(2**64), "0", "-1", "\u0661", "1.0", "", "ann", "private"])
def test_what_names_no_project_is_unknown(door: Door, project: str) -> None:
    """Numbers beyond every database, digits of other scripts and halves of paths name nothing."""
    door.refused(UnknownProject, door.token("ann"), project)
    door.refused(Unauthenticated, None, project)


def test_a_route_about_no_project_needs_none(door: Door) -> None:
    """Where there is no project to enter, only who asks is found out."""
    admission = door.admit(door.token("ann"), None)
    assert admission.project is None
    with pytest.raises(AssertionError):
        _ = admission.entered


# --- what is remembered ---------------------------------------------------------------------------------------------------------------


def test_a_decision_is_made_once(door: Door) -> None:
    """The same credential at the same door is admitted again without asking the catalog."""
    secret = door.token("ann")
    first = door.admit(secret)
    asked = door.catalog.asked
    assert door.admit(secret) is first
    assert door.gate.remembered(MARK, "1", READ) is first
    assert door.catalog.asked == asked


def test_a_decision_is_for_its_door_only(door: Door) -> None:
    """What was decided for one project and permission says nothing about another (hardening row 32)."""
    secret = door.token("ann", "read_api")
    door.admit(secret)
    for project, permission in (("2", READ), ("ann/private", READ), ("1", CREATE), (None, READ)):
        assert door.gate.remembered(MARK, project, permission) is None
    assert door.gate.remembered(b"other", "1", READ) is None
    door.refused(InsufficientScope, secret, "1", CREATE)


def test_no_refusal_is_remembered(door: Door) -> None:
    """Who is refused is looked at anew the next time: what opens a door opens it at once."""
    bob = door.token("bob")
    door.refused(UnknownProject, bob)
    assert door.gate.remembered(MARK, "1", READ) is None
    asked = door.catalog.asked
    door.refused(UnknownProject, bob)
    assert door.catalog.asked > asked


def test_wrong_passwords_are_not_remembered(door: Door) -> None:
    """A wrong password is anybody, but is not kept as such: guessing cannot fill the memory."""
    credential = Credential(carrier=Carrier.BASIC, secret=Secret("wrong"), username="ann")
    admission = done(door.gate.admit(credential, b"wrong", "3", READ))
    assert admission.identity == ANYBODY
    assert door.gate.remembered(b"wrong", "3", READ) is None


def test_anybody_is_remembered_once(door: Door) -> None:
    """Callers without a credential share one decision for each open door."""
    first = door.admit(None, "3")
    assert door.gate.remembered(b"", "3", READ) is first
    door.refused(Unauthenticated, None, "2")
    assert door.gate.remembered(b"", "2", READ) is None


def test_a_remembered_token_ends_at_its_moment(door: Door) -> None:
    """An expiry that passes while a decision is remembered ends it, at that moment."""
    secret = door.token("ann", expires_in=timedelta(minutes=1))
    door.admit(secret)
    door.now[0] = timedelta(seconds=59)
    assert door.gate.remembered(MARK, "1", READ) is not None
    door.now[0] = timedelta(seconds=60)
    assert door.gate.remembered(MARK, "1", READ) is None
    door.refused(TokenExpired, secret)


@pytest.mark.parametrize("change", ["revoke", "block", "create"])
def test_a_change_is_felt_at_once(door: Door, change: str) -> None:
    """Every change that may alter who may do what drops what was decided before it."""
    secret = door.token("ann")
    door.admit(secret)
    if change == "revoke":
        done(door.catalog.revoke_token(1, OPERATOR))
        door.refused(TokenRevoked, secret)
    elif change == "block":
        done(door.catalog.block_user("ann", OPERATOR, blocked=True))
        door.refused(Forbidden, secret)
    else:
        done(door.catalog.create_project(ProjectPath.parse("bob/new"), Visibility.PUBLIC, OPERATOR))
        assert door.gate.remembered(MARK, "1", READ) is None


@pytest.mark.parametrize(
    ("actions", "kept"),
    [
        (("file.publish",), True),
        (("package.delete", "file.publish"), True),
        (("project.update",), False),
        (("file.publish", "token.revoke"), False),
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
    assert (door.gate.remembered(MARK, "1", READ) is not None) is kept


def test_the_memory_has_an_end(door: Door) -> None:
    """So many decisions are remembered and no more; the least recently used one goes first."""
    secret = door.token("ann")
    for number in range(_REMEMBERED):
        door.admit(secret, mark=b"%d" % number)
    assert door.gate.remembered(b"0", "1", READ) is not None
    door.admit(secret, mark=b"one more")
    assert door.gate.remembered(b"0", "1", READ) is not None
    assert door.gate.remembered(b"1", "1", READ) is None
    assert len(door.gate._admissions) == _REMEMBERED


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
    asking = Deferred.fromCoroutine(registry.gate.admit(credential, MARK, "1", READ))
    asking.addBoth(outcomes.append)
    readers.let(steps)
    done(registry.store.accounts.revoke_token(1, OPERATOR))
    readers.let_all()
    assert len(outcomes) == 1
    assert registry.gate.remembered(MARK, "1", READ) is None


def test_a_harmless_change_does_not_overtake(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """Publishing while a decision is being made does not make it forgotten."""
    registry, readers = slow
    credential = Credential(carrier=Carrier.HEADER, secret=Secret(registry.root_token))
    asking = Deferred.fromCoroutine(registry.gate.admit(credential, MARK, "1", READ))
    registry.gate.forget((Change(serial=99, at=NOON, action="file.publish", actor=OPERATOR, project_id=1, name="demo", detail={}),))
    readers.let_all()
    assert registry.gate.remembered(MARK, "1", READ) is done(asking)
