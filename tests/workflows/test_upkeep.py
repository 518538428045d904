"""Founding, sweeping and verifying."""

import pytest

from registry.domain.model import Digests, NewFile
from registry.domain.names import Name
from registry.domain.tokens import Secret
from registry.domain.versions import Version
from registry.testing import OPERATOR, Built, MemoryBlobs, MemoryCatalog, done, gathered, wheel
from registry.workflows.founding import FIRST_PROJECT, ROOT, found
from registry.workflows.upkeep import Trouble, sweep, verify

# --- founding -------------------------------------------------------------------------------------------------------------------------


def test_the_first_start_hands_over_a_token_that_works() -> None:
    """On an empty catalog the administrator's new token is handed over, opens everything, and is kept as a digest (hardening row 30)."""
    catalog, handed = MemoryCatalog(), list[Secret]()

    async def hand_over(secret: Secret) -> None:
        handed.append(secret)

    assert done(found(catalog, hand_over)) is True
    (secret,) = handed
    assert secret.reveal().startswith("glpat-")
    stored = done(catalog.token(secret.digest()))
    assert stored is not None
    assert (stored.user.username, stored.user.admin, stored.info.scopes, stored.info.expires_at) == (ROOT, True, ("api",), None)
    project = done(catalog.project(str(FIRST_PROJECT)))
    assert project is not None
    assert (project.id, project.path, project.visibility.value) == (1, "root/packages", "private")


def test_no_two_first_tokens_are_alike() -> None:
    """Every registry has a secret of its own (hardening row 30)."""
    handed: list[str] = []

    async def hand_over(secret: Secret) -> None:
        handed.append(secret.reveal())

    for _ in range(20):
        done(found(MemoryCatalog(), hand_over))
    assert len(set(handed)) == 20


def test_a_later_start_hands_over_nothing() -> None:
    """A catalog that has users is left as it is."""
    catalog = MemoryCatalog()
    done(catalog.create_user("ann", "", OPERATOR))

    async def hand_over(secret: Secret) -> None:
        raise AssertionError("a second first token")

    assert done(found(catalog, hand_over)) is False
    assert [user.username for user in done(catalog.users())] == ["ann"]


def test_a_token_that_cannot_be_handed_over_founds_nothing() -> None:
    """If the token cannot be written down, nothing is founded: the next start does it all again."""
    catalog, attempts = MemoryCatalog(), list[Secret]()

    async def fail(secret: Secret) -> None:
        attempts.append(secret)
        raise OSError(28, "No space left on device")

    async def succeed(secret: Secret) -> None:
        attempts.append(secret)

    with pytest.raises(OSError, match="No space"):
        done(found(catalog, fail))
    assert done(catalog.users()) == []
    assert catalog.changes == []
    assert done(found(catalog, succeed)) is True
    assert done(catalog.token(attempts[0].digest())) is None
    assert done(catalog.token(attempts[1].digest())) is not None


# --- sweeping and verifying -----------------------------------------------------------------------------------------------------------


def held(*built: Built) -> tuple[MemoryCatalog, MemoryBlobs]:
    """A catalog and a store that agree on these files."""
    catalog, blobs = MemoryCatalog(), MemoryBlobs()

    async def hand_over(secret: Secret) -> None:
        pass

    done(found(catalog, hand_over))
    for one in built:
        blobs.place(one.sha256, one.content)
        new = NewFile(
            name=Name(one.name),
            version=Version(one.version),
            filename=one.filename,
            digests=Digests(size=len(one.content), sha256=one.sha256, others={}),
            requires_python="",
            metadata={},
        )
        done(catalog.add_file(1, new, OPERATOR))
    return catalog, blobs


FILES = (wheel("one"), wheel("two"), wheel("three"))


def test_what_agrees_is_no_trouble() -> None:
    """One item a blob, all of them well; nothing at all for an empty registry."""
    assert gathered(verify(*held(*FILES))) == [None, None, None]
    assert gathered(verify(*held())) == []


def test_bytes_that_are_gone_are_told() -> None:
    """A row without bytes is trouble, with the file's name (hardening row 45)."""
    catalog, blobs = held(*FILES)
    blobs.spoil(FILES[1].sha256, None)
    troubles = [trouble for trouble in gathered(verify(catalog, blobs)) if trouble is not None]
    assert [(trouble.sha256, trouble.filename) for trouble in troubles] == [(FILES[1].sha256, FILES[1].filename)]
    assert f"({len(FILES[1].content):,} bytes), but its bytes are gone" in str(troubles[0])


def test_bytes_that_changed_are_told() -> None:
    """A blob that is no longer what its name says is trouble, with what it is now."""
    catalog, blobs = held(*FILES)
    blobs.spoil(FILES[0].sha256, b"rot")
    troubles = [trouble for trouble in gathered(verify(catalog, blobs)) if trouble is not None]
    assert [trouble.sha256 for trouble in troubles] == [FILES[0].sha256]
    assert "has changed on disk" in str(troubles[0])
    assert FILES[0].filename in str(troubles[0])


def test_bytes_that_nobody_names_are_told_and_swept() -> None:
    """A blob without a row is trouble until the next sweep removes it; what is named stays (hardening row 45)."""
    catalog, blobs = held(*FILES)
    blobs.place("f" * 64, b"orphan")
    troubles = [trouble for trouble in gathered(verify(catalog, blobs)) if trouble is not None]
    assert troubles == [Trouble(sha256="f" * 64, problem="is on disk, but no file in the catalog names it (the next sweep removes it)")]
    assert done(sweep(catalog, blobs)) == 1
    assert gathered(verify(catalog, blobs)) == [None, None, None]


def test_every_trouble_is_told() -> None:
    """One trouble does not hide another."""
    catalog, blobs = held(*FILES)
    blobs.spoil(FILES[0].sha256, b"rot")
    blobs.spoil(FILES[1].sha256, None)
    blobs.place("f" * 64, b"orphan")
    assert len([trouble for trouble in gathered(verify(catalog, blobs)) if trouble is not None]) == 3
