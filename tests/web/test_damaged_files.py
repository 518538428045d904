"""Bytes that the disk has spoilt, and what puts them right: fetching them again, or uploading them again."""

from pathlib import Path

import pytest

from registry.domain.names import Name
from registry.testing import OPERATOR, Built, FakeUpstream, MemoryRegistry, done, registry_in_memory, wheel
from tests.beyond import Beyond, configured, file_path, large
from tests.conftest import Start

FILES = [wheel("demo", "1.0"), large("demo", 300_000)]
KINDS = ["small", "large"]
HARMS = ["same size", "shorter", "empty", "gone"]


def harm(registry: MemoryRegistry, built: Built, how: str) -> Path:
    """Spoil its bytes, or lose them."""
    path = Path(registry.store.data_dir.blobs) / built.sha256[:2] / built.sha256
    whole = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"same size": bytes([whole[0] ^ 1]) + whole[1:], "shorter": whole[:-1], "empty": b""}[how])
    return path


# --- kept of upstreams ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("built", FILES, ids=KINDS)
def test_what_is_purged_and_fetched_again_is_right(start: Start, built: Built, how: str) -> None:
    """After a purge beside a running registry the next who asks has the right bytes, and so has the disk (hardening row 12)."""
    beyond = filled(start, built)
    path = harm(beyond.registry, built, how)
    done(beyond.registry.store.keeping.purge([Name("demo")], OPERATOR))
    assert beyond.ask(file_path(built)).body == built.content
    assert path.read_bytes() == built.content
    assert beyond.ask(file_path(built)).body == built.content


@pytest.mark.parametrize("how", ["same size", "shorter", "empty"])
@pytest.mark.parametrize("built", FILES, ids=KINDS)
def test_fetching_again_puts_published_bytes_right_too(start: Start, built: Built, how: str) -> None:
    """Bytes that a published file has as well outlive the purge, and are replaced when they are fetched again (hardening row 45)."""
    beyond = filled(start, built)
    assert beyond.registry.upload(1, built).code == 201
    other = beyond.registry.project("root/other")
    done(beyond.registry.store.upstream.share(other.id, Name("demo"), OPERATOR, shared=True))
    path = harm(beyond.registry, built, how)
    done(beyond.registry.store.keeping.purge([Name("demo")], OPERATOR))
    assert path.read_bytes() != built.content
    assert beyond.ask(file_path(built, f"projects/{other.id}")).body == built.content
    assert path.read_bytes() == built.content
    assert beyond.ask(file_path(built)).body == built.content


def filled(start: Start, built: Built) -> Beyond:
    """A registry that keeps a file of its upstream's, and has its bytes in memory if they are few."""
    upstream = FakeUpstream()
    upstream.add(built)
    beyond = start(upstream, configured())
    for _ in range(2):
        assert beyond.ask(file_path(built)).body == built.content
    return beyond


# --- published here -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("built", FILES, ids=KINDS)
def test_uploading_the_same_again_puts_it_right(tmp_path: Path, built: Built, how: str) -> None:
    """With accept_identical the same upload again is 201 and puts the bytes right, on the disk and in memory (hardening row 49)."""
    registry = registry_in_memory(tmp_path / "data", accept_identical=True)
    headers = {"PRIVATE-TOKEN": registry.root_token}
    assert registry.upload(1, built).code == 201
    path = harm(registry, built, how)
    if how in {"same size", "shorter"}:
        # So it is in memory, if it is small.
        assert registry.ask("GET", file_path(built), headers).body != built.content
    assert registry.upload(1, built).code == 201
    assert path.read_bytes() == built.content
    assert registry.ask("GET", file_path(built), headers).body == built.content
    assert registry.staged_files() == []
    registry.close()


def test_what_is_refused_puts_nothing_right(tmp_path: Path) -> None:
    """Without accept_identical the same upload again is refused, and changes nothing, not even for the better (hardening row 49)."""
    registry = registry_in_memory(tmp_path / "data")
    built = FILES[0]
    assert registry.upload(1, built).code == 201
    path = harm(registry, built, "same size")
    spoilt = path.read_bytes()
    assert registry.upload(1, built).code == 400
    assert path.read_bytes() == spoilt
    registry.close()
