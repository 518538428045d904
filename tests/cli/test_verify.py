"""`registry verify`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from registry.testing import FakeUpstream, wheel
from tests.cli.conftest import Registry
from tests.cli.test_cache import blob as path_of
from tests.cli.test_cache import keep


@pytest.fixture
def blobs(data_dir: Path) -> list[Path]:
    """The blobs on disk: two wheels, which come first, and the METADATA of each."""
    found = sorted(path for path in (data_dir / "blobs").glob("??/*") if path.is_file())
    assert len(found) == 4
    return sorted(found, key=lambda path: (not path.read_bytes().startswith(b"PK"), path.name))


def test_a_registry_that_is_whole_is_told_so(registry: Registry, blobs: list[Path]) -> None:
    """Nothing wrong: status 0, an empty list as data, a sentence as message."""
    said = registry("verify")
    assert (said.out, said.err) == ("", "Everything is as it should be.\n")
    assert registry("verify", "--json").data == []


@pytest.mark.parametrize("change", ["flipped", "shorter", "longer", "empty"])
@pytest.mark.parametrize(("which", "ending"), [(0, ".whl"), (3, ".whl.metadata")])
def test_changed_bytes_are_found(registry: Registry, blobs: list[Path], which: int, ending: str, change: str) -> None:
    """A blob whose bytes changed, be it a file or metadata beside one, is named with its file, and the status is 1 (hardening row 17)."""
    blob = blobs[which]
    content = blob.read_bytes()
    changed = {"flipped": bytes([content[0] ^ 1]) + content[1:], "shorter": content[:-1], "longer": content + b"\0", "empty": b""}
    blob.write_bytes(changed[change])
    said = registry("verify", "--json", status=1)
    (trouble,) = said.data
    assert trouble["sha256"] == blob.name
    assert trouble["filename"].startswith("held-")
    assert trouble["filename"].endswith(ending)
    assert "has changed on disk" in trouble["problem"]
    assert said.err.endswith("Error: 1 problems found\n")
    assert f"{blob.name} ({trouble['filename']}) has changed on disk" in registry("verify", status=1).out


def test_missing_bytes_are_found(registry: Registry, blobs: list[Path]) -> None:
    """A file of the catalog whose bytes are gone is named, and the status is 1 (hardening row 45)."""
    for blob in blobs:
        blob.unlink()
    found = registry("verify", "--json", status=1).data
    assert sorted(one["sha256"] for one in found) == sorted(blob.name for blob in blobs)
    assert all("its bytes are gone" in one["problem"] for one in found)


def test_bytes_without_a_row_are_found(registry: Registry, blobs: list[Path], data_dir: Path) -> None:
    """A blob that no file names is reported as what the next sweep removes, and the status is 1 (hardening row 45)."""
    orphan = data_dir / "blobs" / "ab" / ("ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"nobody's")
    (found,) = registry("verify", "--json", status=1).data
    assert (found["sha256"], found["filename"]) == (orphan.name, "")
    assert "no file in the catalog names it" in found["problem"]
    assert orphan.exists(), "verify changes nothing"


@pytest.mark.parametrize(
    ("damage", "words"), [(lambda path: path.write_bytes(b"x"), "has changed on disk"), (Path.unlink, "its bytes are gone")]
)
def test_kept_files_of_upstreams_are_checked(registry: Registry, data_dir: Path, damage: Callable[[Path], object], words: str) -> None:
    """A damaged or lost file of an upstream is told with the upstream, its name and what to do, and after that all is well."""
    sha256 = keep(data_dir, "alpha", b"a" * 10)
    keep(data_dir, "beta", b"b" * 10)
    assert registry("verify", "--json").data == []
    damage(path_of(data_dir, sha256))
    (trouble,) = registry("verify", "--json", status=1).data
    assert (trouble["sha256"], trouble["filename"], trouble["upstream"]) == (sha256, "alpha-1.0.tar.gz", "pypi")
    assert words in trouble["problem"]
    assert trouble["problem"].endswith("`registry cache purge alpha` forgets it, and who asks for it next has it fetched again")
    assert f"{sha256} (alpha-1.0.tar.gz of pypi) " in registry("verify", status=1).out
    registry("cache", "purge", "alpha")
    assert registry("verify", "--json").data == []


def test_a_damaged_file_is_repaired_as_verify_says(registry: Registry, data_dir: Path, upstream: FakeUpstream, config: Path) -> None:
    """After the purge that verify asks for the file comes from its upstream again, whole; one that is lost does without a purge."""
    built = wheel("demo", "1.0")
    upstream.add(built)
    kept = path_of(data_dir, built.sha256)

    def fetched() -> bytes:
        registry("cache", "warm", "demo==1.0", "--config", str(config))
        return kept.read_bytes()

    assert fetched() == built.content
    for harm in (lambda: kept.write_bytes(b"damaged"), kept.unlink):
        harm()
        (trouble,) = registry("verify", "--json", status=1).data
        assert (trouble["filename"], trouble["upstream"]) == (built.filename, "upstream")
        if kept.exists():
            registry("cache", "purge", "demo")
        assert fetched() == built.content
        assert registry("verify", "--json").data == []


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"x"), lambda path: path.write_bytes(b"b" * 10)])
def test_a_bundle_repairs_what_nobody_can_be_asked_for(
    registry: Registry, data_dir: Path, tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    """Where upstream cannot be asked, importing the bundle again brings the bytes back, lost or damaged, without a purge."""
    kept, bundle = path_of(data_dir, keep(data_dir, "alpha", b"a" * 10)), str(tmp_path / "site.tar")
    registry("bundle", "export", bundle)
    harm(kept)
    assert len(registry("verify", "--json", status=1).data) == 1
    registry("bundle", "import", bundle)
    assert kept.read_bytes() == b"a" * 10
    assert registry("verify", "--json").data == []
