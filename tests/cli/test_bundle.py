"""`registry bundle`: from a site with an upstream to one without."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import frozen

from registry.testing import sdist, wheel
from registry.testing.upstream import FakeUpstream
from tests.cli.conftest import Registry, Said, invoke
from tests.clients.processes import Server, serving

JSON = "application/vnd.pypi.simple.v1+json"
CACHE, OFFLINE = ({"REGISTRY__UPSTREAM__MODE": mode} for mode in ("cache", "offline"))


@frozen(kw_only=True)
class Elsewhere:
    """Another registry. Called, it runs a command there."""

    data_dir: Path

    def __call__(self, *words: str, status: int = 0) -> Said:
        """Run `registry WORDS`, which must end with `status`."""
        said = invoke(*words, "--data-dir", str(self.data_dir))
        assert said.status == status, said
        return said


def page(server: Server, name: str) -> dict[str, Any]:
    """A page, addresses without their host."""
    answer = server.ask("GET", f"{server.api()}/simple/{name}/", Accept=JSON)
    assert answer.status == 200, answer
    found: dict[str, Any] = json.loads(answer.body)
    for file in found["files"]:
        file["url"] = urlsplit(file["url"]).path
    return found


@pytest.fixture
def exported(registry: Registry, config: Path, upstream: FakeUpstream, tmp_path: Path) -> Path:
    """A bundle of one name, all of whose files were fetched."""
    upstream.add(wheel("thing", "1.0"), sdist("thing", "1.0"))
    registry("cache", "warm", "thing", "--config", str(config))
    registry("bundle", "export", str(tmp_path / "site.tar"))
    return tmp_path / "site.tar"


@pytest.fixture
def elsewhere(founded: Path, tmp_path: Path) -> Elsewhere:
    """Another registry."""
    return Elsewhere(data_dir=shutil.copytree(founded, tmp_path / "other"))


def files_below(folder: Path) -> set[Path]:
    """Every file there."""
    return {path for path in folder.rglob("*") if path.is_file() and path.name not in {"lock", "catalog.sqlite-shm", "catalog.sqlite-wal"}}


def test_a_site_without_upstream_answers_the_same(
    exported: Path, data_dir: Path, elsewhere: Elsewhere, config: Path, upstream: FakeUpstream
) -> None:
    """What was fetched on one site is served on the other, the same pages, files and metadata, and no upstream is asked."""
    with serving(data_dir, "--config", str(config), environ=CACHE) as here:
        expected = page(here, "thing")
    offline = config.with_name("offline.ini")
    offline.write_text(config.read_text() + "mode = offline\n")
    said = elsewhere("bundle", "import", str(exported), "--config", str(offline))
    assert "1 page and 3 files" in said.err
    assert "mode = offline" not in said.err
    asked = len(upstream.requests)
    with serving(elsewhere.data_dir, "--config", str(offline), environ=OFFLINE) as there:
        assert page(there, "thing") == expected
        for file in expected["files"]:
            answer = there.ask("GET", file["url"])
            assert (answer.status, hashlib.sha256(answer.body).hexdigest()) == (200, file["hashes"]["sha256"])
            if file.get("core-metadata"):
                answer = there.ask("GET", file["url"] + ".metadata")
                assert (answer.status, hashlib.sha256(answer.body).hexdigest()) == (200, file["core-metadata"]["sha256"])
        assert there.ask("GET", f"{there.api()}/simple/absent/").status == 404
    assert len(upstream.requests) == asked
    assert elsewhere("verify").status == 0


def test_an_offline_site_lists_what_is_here(
    exported: Path, data_dir: Path, elsewhere: Elsewhere, config: Path, upstream: FakeUpstream
) -> None:
    """A version that upstream has and the bundle has not is not listed where it could not be fetched: resolvers take another."""
    upstream.add(wheel("thing", "2.0"))
    fresh = config.with_name("fresh.ini")
    fresh.write_text(config.read_text() + "fresh_for = 0\n")
    with serving(data_dir, "--config", str(fresh), environ=CACHE) as here:
        assert len(page(here, "thing")["files"]) == 3
    assert invoke("bundle", "export", str(exported), "THING", "absent", "--data-dir", str(data_dir)).status == 0
    offline = config.with_name("offline.ini")
    offline.write_text(config.read_text() + "mode = offline\n")
    elsewhere("bundle", "import", str(exported), "--config", str(offline))
    with serving(elsewhere.data_dir, "--config", str(offline), environ=OFFLINE) as there:
        assert page(there, "thing")["versions"] == ["1.0"]


def test_the_same_contents_make_the_same_bytes(registry: Registry, exported: Path, tmp_path: Path) -> None:
    """A second export is the first, byte for byte, and leaves nothing half-written; names that are not kept are told."""
    said = registry("bundle", "export", str(tmp_path / "again.tar"), "thing", "absent")
    assert "Nothing is kept of absent" in said.err
    assert (tmp_path / "again.tar").read_bytes() == exported.read_bytes()
    assert list(tmp_path.glob(".*")) == []


def test_a_bundle_is_not_taken_in_under_a_running_server(registry: Registry, exported: Path, data_dir: Path) -> None:
    """While a server runs the import says what to do; the export works."""
    with serving(data_dir):
        assert "stop it" in registry("bundle", "import", str(exported), status=1).err
        registry("bundle", "export", str(exported))


def test_what_the_configuration_lacks_is_said(exported: Path, elsewhere: Elsewhere) -> None:
    """An import into a registry that still asks its upstream says how not to; a second one changes nothing."""
    assert "mode = offline in [upstream]" in elsewhere("bundle", "import", str(exported)).err
    assert "newer than what was known: 0 pages" in elsewhere("bundle", "import", str(exported)).err


def test_a_bundle_that_does_not_fit_is_refused(exported: Path, elsewhere: Elsewhere, config: Path) -> None:
    """Where the room for upstreams' files is too small nothing is taken in, and the command says what to change; where it fits, all is."""
    before = files_below(elsewhere.data_dir)
    size = sum(one["bytes"] for one in invoke("cache", "list", "--json", "--data-dir", str(elsewhere.data_dir.with_name("data"))).data)
    for room, status in ((size - 1, 1), (size, 0)):
        small = config.with_name("small.ini")
        small.write_text(config.read_text() + f"cache_size = {room}\n")
        said = elsewhere("bundle", "import", str(exported), "--config", str(small), status=status)
        assert ("cache_size" in said.err) is bool(status)
        assert (files_below(elsewhere.data_dir) == before) is bool(status)


@pytest.mark.parametrize("kind", ["foreign", "cut", "damaged", "more", "empty"])
def test_a_hostile_bundle_leaves_nothing(exported: Path, elsewhere: Elsewhere, tmp_path: Path, kind: str) -> None:
    """A bundle that is none, incomplete, damaged or more than it lists is refused in a sentence, and nothing is kept (hardening row 38)."""
    data = exported.read_bytes()
    place = data.index(b"Metadata-Version")
    exported.write_bytes(
        {
            "foreign": Path(shutil.make_archive(str(tmp_path / "foreign"), "tar", elsewhere.data_dir / "blobs")).read_bytes(),
            "cut": data[: len(data) // 2],
            "damaged": data[:place] + b"?" + data[place + 1 :],
            "more": data + bytes(512) + b"more",
            "empty": b"",
        }[kind]
    )
    before = files_below(elsewhere.data_dir)
    said = elsewhere("bundle", "import", str(exported), status=1)
    assert said.err.startswith("Error: ")
    assert "Traceback" not in said.err
    assert files_below(elsewhere.data_dir) == before
    assert elsewhere("cache", "list", "--json").data == []


def test_a_file_that_cannot_be_written_is_said(registry: Registry, exported: Path, tmp_path: Path) -> None:
    """Where the bundle cannot be written the command says so, and what was there before stays."""
    assert "cannot be written" in registry("bundle", "export", str(tmp_path / "absent" / "site.tar"), status=1).err
    before = exported.read_bytes()
    kept = next(
        path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file() and b"Metadata-Version" in path.read_bytes()[:20]
    )
    kept.write_bytes(b"spoilt")
    assert "registry verify" in registry("bundle", "export", str(exported), status=1).err
    assert exported.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "site.tar" in path.name) == ["site.tar"]
