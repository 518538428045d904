"""`registry cache` on a data directory, beside a running server or not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from registry.composition import Store
from registry.domain.model import File, Page
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, Said
from registry.storage.threads import InlineThreads
from registry.testing import NOON, done
from tests.cli.conftest import Registry
from tests.clients.processes import eventually, serving


@contextmanager
def opened(data_dir: Path) -> Iterator[Store]:
    """The store of a data directory."""
    threads = InlineThreads()
    store = Store.of(data_dir, readers=threads, writer=threads, files=threads, clock=lambda: NOON)
    store.database.open()
    yield store
    store.database.close()


def keep(data_dir: Path, name: str, data: bytes) -> str:
    """Let a data directory keep a page and a file of it; the file's sha256."""
    with opened(data_dir) as store:
        staged = store.blobs.stage(lambda: None, lambda: None)
        staged.write(data)
        sha256 = done(staged.finish()).sha256
        done(staged.keep())
        staged.discard()
        filename = f"{name}-1.0.tar.gz"
        file = File(
            id=0,
            filename=filename,
            version="1.0",
            sha256=sha256,
            size=len(data),
            requires_python="",
            uploaded_at=NOON,
            source="pypi",
            url=f"https://files.example/{filename}",
        )
        page = Page(name=Name(name), display=name, files=(file,))
        done(store.upstream.keep_page(Said(source="pypi", name=Name(name), page=page, etag="", fetched_at=NOON)))
        done(store.upstream.keep_file(KeptFile(source="pypi", name=name, filename=filename, sha256=sha256, size=len(data))))
    return sha256


def blob(data_dir: Path, sha256: str) -> Path:
    """Where the bytes lie."""
    return data_dir / "blobs" / sha256[:2] / sha256


def test_what_is_kept_is_listed_and_shown(registry: Registry, data_dir: Path) -> None:
    """Names, and of one name pages and files, are told with size and moments, in tables and as JSON."""
    assert "Nothing" in registry("cache", "list").err
    sha256 = keep(data_dir, "alpha", b"a" * 10)
    keep(data_dir, "beta", b"b" * 20)
    listed = registry("cache", "list", "--json").data
    assert [(one["name"], one["upstream"], one["files"], one["bytes"]) for one in listed] == [
        ("alpha", "pypi", 1, 10),
        ("beta", "pypi", 1, 20),
    ]
    assert listed[0]["asked_at"] == f"{NOON:%Y-%m-%dT%H:%M:%S}.000Z"
    assert "alpha" in registry("cache", "list").out
    shown = registry("cache", "show", "ALPHA", "--json").data
    assert (shown["name"], [one["files"] for one in shown["pages"]], [one["sha256"] for one in shown["files"]]) == ("alpha", [1], [sha256])
    assert "alpha-1.0.tar.gz" in registry("cache", "show", "alpha").out
    assert "nothing is kept of gamma" in registry("cache", "show", "gamma", status=1).err


def test_the_size_is_told_beside_the_budget(registry: Registry, data_dir: Path, tmp_path: Path) -> None:
    """How much is kept is told by upstream, in all, and with what the configuration allows."""
    keep(data_dir, "alpha", b"a" * 10)
    config = tmp_path / "registry.ini"
    config.write_text("[upstream]\ncache_size = 3M\n")
    said = registry("cache", "size", "--json", "--config", str(config)).data
    assert said == {
        "pages": 1,
        "files": 1,
        "bytes": 10,
        "budget": 3 << 20,
        "upstreams": [{"upstream": "pypi", "pages": 1, "files": 1, "bytes": 10}],
    }
    assert "cache_size is 3,145,728 bytes" in registry("cache", "size", "--config", str(config)).err


def test_what_is_purged_is_gone_with_its_bytes(registry: Registry, data_dir: Path) -> None:
    """Without a server the command frees the disk itself; of what is published, and of other names, nothing goes."""
    alpha, beta = keep(data_dir, "alpha", b"a"), keep(data_dir, "beta", b"b")
    before = sum(path.is_file() for path in (data_dir / "blobs").rglob("*"))
    assert "1 page and 1 file (1 byte)" in registry("cache", "purge", "Alpha").err
    assert (blob(data_dir, alpha).exists(), blob(data_dir, beta).exists()) == (False, True)
    assert sum(path.is_file() for path in (data_dir / "blobs").rglob("*")) == before - 1
    assert "0 pages and 0 files" in registry("cache", "purge", "alpha").err
    registry("cache", "purge", "--all")
    assert not blob(data_dir, beta).exists()
    assert registry("cache", "list", "--json").data == []
    assert registry("verify").status == 0
    rows = [json.loads(line) for line in registry("audit", "--action", "upstream.purge", "--json").out.splitlines()]
    assert [(row["package"], row["detail"]["files"]) for row in rows] == [("alpha", 1), (None, 1)]


def test_a_running_server_frees_what_is_purged(registry: Registry, data_dir: Path) -> None:
    """Beside a running server the command leaves the bytes to it, which hears of the purge and removes them."""
    alpha, beta = keep(data_dir, "alpha", b"a"), keep(data_dir, "beta", b"b")
    with serving(data_dir):
        assert "running server" in registry("cache", "purge", "alpha").err
        eventually(lambda: not blob(data_dir, alpha).exists(), "the bytes to be removed")
        assert blob(data_dir, beta).exists()


@pytest.mark.parametrize("words", [(), ("alpha", "--all")])
def test_what_to_purge_must_be_said(registry: Registry, words: tuple[str, ...]) -> None:
    """Nothing is purged by a command that names nothing, or names and everything."""
    assert "or --all" in registry("cache", "purge", *words, status=2).err
