"""Founding, sweeping and verifying."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from zope.interface import implementer

from registry.composition import Store
from registry.domain.model import Change, Digests, NewFile, NewToken
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.tokens import Secret
from registry.domain.upstream import KeptFile
from registry.domain.versions import Version
from registry.interfaces import IFounding
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, Built, MemoryBlobs, MemoryPackages, done, gathered, sdist, wheel
from registry.workflows.founding import FIRST_PROJECT, ROOT, found
from registry.workflows.upkeep import Trouble, sweep, verify

# --- founding -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The store of a data directory that is empty."""
    threads = InlineThreads()
    made = Store.of(tmp_path / "data", readers=threads, writer=threads, files=threads, clock=lambda: NOON)
    made.data_dir.create()
    made.database.open()
    yield made
    made.database.close()


def test_the_first_start_hands_over_a_token_that_works(store: Store) -> None:
    """On an empty catalog the administrator's new token is handed over, opens everything, and is kept as a digest (hardening row 30)."""
    handed: list[Secret] = []

    async def hand_over(secret: Secret) -> None:
        handed.append(secret)

    assert done(found(store.founding, hand_over)) is True
    (secret,) = handed
    assert secret.reveal().startswith("glpat-")
    stored = done(store.access.credential(secret.digest()))
    assert stored is not None
    identity = stored.identity
    assert identity.user is not None
    assert identity.token is not None
    assert (stored.kind, stored.revoked, identity.user.username, identity.user.admin) == ("personal", False, ROOT, True)
    assert (identity.token.scopes, identity.expires_at) == (frozenset({"api"}), None)
    (project,) = done(store.places.projects())
    assert (project.id, project.path, project.visibility.value) == (1, str(FIRST_PROJECT), "private")
    assert str(FIRST_PROJECT) == "root/packages"


def test_no_two_first_tokens_are_alike() -> None:
    """Every registry has a secret of its own (hardening row 30)."""
    handed: list[str] = []

    async def hand_over(secret: Secret) -> None:
        handed.append(secret.reveal())

    for _ in range(20):
        assert done(found(Unfounded(), hand_over)) is True
    assert len(set(handed)) == 20


@implementer(IFounding)
class Unfounded:
    """A catalog that nobody has founded, and that keeps nothing."""

    async def empty(self) -> bool:
        """IFounding."""
        return True

    async def found(self, username: str, token: NewToken, project: ProjectPath) -> bool:
        """IFounding."""
        return True


def test_a_later_start_hands_over_nothing(store: Store) -> None:
    """A catalog that has users is left as it is."""
    done(store.users.create_user("ann", "", OPERATOR))

    async def hand_over(secret: Secret) -> None:
        raise AssertionError("a second first token")

    assert done(found(store.founding, hand_over)) is False
    assert [user.username for user in done(store.users.users())] == ["ann"]


def test_a_token_that_cannot_be_handed_over_founds_nothing(store: Store) -> None:
    """If the token cannot be written down, nothing is founded: the next start does it all again."""
    attempts, changes = list[Secret](), list[Change]()
    store.database.subscribe(changes.extend)

    async def fail(secret: Secret) -> None:
        attempts.append(secret)
        raise OSError(28, "No space left on device")

    async def succeed(secret: Secret) -> None:
        attempts.append(secret)

    with pytest.raises(OSError, match="No space"):
        done(found(store.founding, fail))
    assert done(store.users.users()) == []
    assert changes == []
    assert done(found(store.founding, succeed)) is True
    assert done(store.access.credential(attempts[0].digest())) is None
    assert done(store.access.credential(attempts[1].digest())) is not None


# --- sweeping and verifying -----------------------------------------------------------------------------------------------------------


def held(*built: Built) -> tuple[MemoryPackages, MemoryBlobs]:
    """A catalog and a store that agree on these files."""
    catalog, blobs = MemoryPackages(), MemoryBlobs()
    for one in built:
        blobs.place(one.sha256, one.content)
        beside = (hashlib.sha256(one.metadata).hexdigest(), len(one.metadata)) if one.metadata else None
        if beside is not None:
            blobs.place(beside[0], one.metadata)
        new = NewFile(
            name=Name(one.name),
            version=Version(one.version),
            filename=one.filename,
            digests=Digests(size=len(one.content), sha256=one.sha256, others={}),
            requires_python="",
            metadata={},
            metadata_blob=beside,
        )
        done(catalog.add_file(1, new, OPERATOR))
    return catalog, blobs


async def nothing() -> AsyncIterator[list[KeptFile]]:
    """Of upstreams nothing is kept; `test_keeping` has a place where something is."""
    for files in list[list[KeptFile]]():
        yield files


FILES = (wheel("one"), wheel("two"), wheel("three"), sdist("four"))
ALL = [blob for built in FILES for blob in built.blobs]


def test_what_agrees_is_no_trouble() -> None:
    """One item a blob, all of them well; nothing at all for an empty registry."""
    assert gathered(verify(*held(*FILES), nothing)) == [None] * len(ALL)
    assert gathered(verify(*held(), nothing)) == []


def test_bytes_that_are_gone_are_told() -> None:
    """A row without bytes is trouble, with the file's name (hardening row 45)."""
    catalog, blobs = held(*FILES)
    blobs.spoil(FILES[1].sha256, None)
    troubles = [trouble for trouble in gathered(verify(catalog, blobs, nothing)) if trouble is not None]
    assert [(trouble.sha256, trouble.filename) for trouble in troubles] == [(FILES[1].sha256, FILES[1].filename)]
    assert f"({len(FILES[1].content):,} bytes), but its bytes are gone" in str(troubles[0])


def test_bytes_that_changed_are_told() -> None:
    """A blob that is no longer what its name says is trouble, with what it is now."""
    catalog, blobs = held(*FILES)
    blobs.spoil(FILES[0].sha256, b"rot")
    troubles = [trouble for trouble in gathered(verify(catalog, blobs, nothing)) if trouble is not None]
    assert [trouble.sha256 for trouble in troubles] == [FILES[0].sha256]
    assert "has changed on disk" in str(troubles[0])
    assert FILES[0].filename in str(troubles[0])


@pytest.mark.parametrize(("now", "words"), [(b"Metadata-Version: 2.1\n", "has changed on disk"), (None, "its bytes are gone")])
def test_metadata_that_is_not_what_it_was_is_told(now: bytes | None, words: str) -> None:
    """Core metadata kept beside a wheel is held to its digest like any file, under the name it is served as (hardening row 17)."""
    catalog, blobs = held(*FILES)
    sha256 = hashlib.sha256(FILES[2].metadata).hexdigest()
    blobs.spoil(sha256, now)
    (trouble,) = [trouble for trouble in gathered(verify(catalog, blobs, nothing)) if trouble is not None]
    assert (trouble.sha256, trouble.filename) == (sha256, f"{FILES[2].filename}.metadata")
    assert words in trouble.problem


def test_a_sweep_leaves_metadata_beside_its_file() -> None:
    """What is kept beside a file is named by it, and so is never swept."""
    catalog, blobs = held(*FILES)
    assert done(sweep(catalog, blobs)) == 0
    assert sorted(name for batch in gathered(blobs.listing()) for name in batch) == sorted(ALL)


def test_bytes_that_nobody_names_are_told_and_swept() -> None:
    """A blob without a row is trouble until the next sweep removes it; what is named stays (hardening row 45)."""
    catalog, blobs = held(*FILES)
    blobs.place("f" * 64, b"orphan")
    troubles = [trouble for trouble in gathered(verify(catalog, blobs, nothing)) if trouble is not None]
    assert troubles == [Trouble(sha256="f" * 64, problem="is on disk, but no file in the catalog names it (the next sweep removes it)")]
    assert done(sweep(catalog, blobs)) == 1
    assert gathered(verify(catalog, blobs, nothing)) == [None] * len(ALL)


def test_every_trouble_is_told() -> None:
    """One trouble does not hide another."""
    catalog, blobs = held(*FILES)
    blobs.spoil(FILES[0].sha256, b"rot")
    blobs.spoil(FILES[1].sha256, None)
    blobs.place("f" * 64, b"orphan")
    assert len([trouble for trouble in gathered(verify(catalog, blobs, nothing)) if trouble is not None]) == 3
