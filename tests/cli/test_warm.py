"""`registry warm` and `cache warm`, beside a running server and without one, with an upstream of this machine."""

import hashlib
from pathlib import Path

import pytest

from registry.testing import Built, sdist, wheel
from registry.testing.troubles import status
from registry.testing.upstream import FakeUpstream
from tests.cli.conftest import Registry, Said
from tests.clients.processes import serving

THING, SOURCE = wheel("thing", "1.0"), sdist("thing", "1.0")


@pytest.fixture(autouse=True)
def _offered(upstream: FakeUpstream) -> None:
    upstream.add(THING, SOURCE, wheel("thing", "2.0rc1"))


def digest(built: Built) -> str:
    """Of its bytes."""
    return hashlib.sha256(built.content).hexdigest()


def uv_lock(*files: tuple[str, str]) -> str:
    """A lock of thing 1.0 with these files and digests."""
    wheels = ", ".join(f'{{ url = "https://files.example/{name}", hash = "sha256:{sha256}" }}' for name, sha256 in files)
    return (
        f'version = 1\n[[package]]\nname = "thing"\nversion = "1.0"\nsource = {{ registry = "https://i.example" }}\nwheels = [{wheels}]\n'
    )


def filenames(said: Said) -> list[str]:
    """The files in `cache show --json`."""
    return sorted(one["filename"] for one in said.data["files"])


# --- warm -----------------------------------------------------------------------------------------------------------------------------


def test_a_list_is_fetched_without_a_server(registry: Registry, config: Path, tmp_path: Path, upstream: FakeUpstream) -> None:
    """Pages, files and metadata of a list and of those it names are kept; a second time nothing is fetched; no token is left."""
    (tmp_path / "more.txt").write_text("thing==1.0\n")
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("--index-url https://elsewhere.example/\n-r more.txt\n-r requirements.txt\n")
    said = registry("warm", "-r", str(wanted), "--config", str(config), "--json")
    assert [(one["name"], one["fetched"], one["kept_before"], one["problems"]) for one in said.data] == [("thing", 2, 0, [])]
    assert "--index-url" in said.err
    shown = registry("cache", "show", "thing", "--json")
    assert filenames(shown) == sorted([THING.filename, f"{THING.filename}.metadata", SOURCE.filename])
    asked = upstream.asked("/files/")
    again = registry("warm", "-r", str(wanted), "--config", str(config), "--json")
    assert [(one["fetched"], one["kept_before"]) for one in again.data] == [(0, 2)]
    assert upstream.asked("/files/") == asked
    assert registry("deploy-token", "list", "root/packages", "--json").data == []
    assert registry("verify").status == 0


def test_a_list_is_fetched_by_the_server_that_runs(registry: Registry, config: Path, tmp_path: Path, data_dir: Path) -> None:
    """Beside a running server the command asks it, at the address that is given, or that the configuration tells."""
    wanted = tmp_path / "uv.lock"
    wanted.write_text(uv_lock((THING.filename, digest(THING))))
    with serving(data_dir, "--config", str(config), environ={"REGISTRY__UPSTREAM__MODE": "cache"}) as server:
        said = registry("warm", "-r", str(wanted), "--config", str(config), "--url", server.url, "--json")
        assert [(one["fetched"], one["bytes"]) for one in said.data] == [(1, len(THING.content))]
        assert "--url" in registry("warm", "-r", str(wanted), "--config", str(unheard(config)), status=1).err
        told = tmp_path / "told.ini"
        told.write_text(config.read_text() + f"[server]\nlisten = tcp:{server.port}:interface=127.0.0.1\n")
        again = registry("warm", "-r", str(wanted), "--config", str(told), "--json")
        assert [(one["fetched"], one["kept_before"]) for one in again.data] == [(0, 1)]


def unheard(config: Path) -> Path:
    """The same configuration with a port that nobody can know."""
    path = config.with_name("unheard.ini")
    path.write_text(config.read_text() + "[server]\nlisten = tcp:0\n")
    return path


def test_digests_of_a_lock_are_compared(registry: Registry, config: Path, tmp_path: Path) -> None:
    """A file whose digest is not the lock's is not fetched, one that is not listed is told, what is right is kept; the status is 1."""
    wanted = tmp_path / "uv.lock"
    wanted.write_text(uv_lock((THING.filename, "0" * 64), (SOURCE.filename, digest(SOURCE)), ("thing-1.0-cp313-none-any.whl", "1" * 64)))
    said = registry("warm", "-r", str(wanted), "--config", str(config), status=1)
    assert f"{THING.filename} has sha256 {digest(THING)} upstream, but the list says {'0' * 64}" in said.err
    assert "thing-1.0-cp313-none-any.whl is not offered" in said.err
    assert "2 things could not be had" in said.err
    assert filenames(registry("cache", "show", "thing", "--json")) == [SOURCE.filename]


def test_what_upstream_breaks_is_told(registry: Registry, config: Path, upstream: FakeUpstream, tmp_path: Path) -> None:
    """Names and files that cannot be had are told one by one, and the rest is fetched all the same."""
    upstream.add(wheel("broken", "1.0"))
    upstream.on("/files/broken/", status(500))
    said = registry("cache", "warm", "thing==1.0", "absent", "broken", "held", "--config", str(config), "--json", status=1)
    found = {one["name"]: one for one in said.data}
    assert (found["thing"]["fetched"], found["thing"]["problems"]) == (2, [])
    assert all(found[name]["problems"] for name in ("absent", "broken", "held"))
    assert "of this registry's own" in found["held"]["problems"][0]
    assert not upstream.mentions("held")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("warm", "-r", "{absent}"), "does not exist"),
        (("warm",), "requirement"),
        (("warm", "-r", "{bad}"), "This is no"),
        (("cache", "warm", "two words"), "not a name"),
        (("cache", "warm", "-r x"), "such option"),
    ],
)
def test_what_cannot_be_warmed_is_said(registry: Registry, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """A list that is not there or cannot be read, and what is no requirement, end with a sentence before anybody is asked."""
    bad = tmp_path / "pylock.toml"
    bad.write_text("[")
    words = tuple(word.format(absent=tmp_path / "absent.txt", bad=bad) for word in words)
    assert said in registry(*words, status=1 if str(bad) in words else 2).err


def test_nothing_is_warmed_that_would_not_be_kept(registry: Registry, tmp_path: Path) -> None:
    """Where no upstream's files are kept the command says so instead of fetching in vain."""
    config = tmp_path / "stream.ini"
    config.write_text("[upstream]\nmode = stream\n")
    assert "mode = cache" in registry("cache", "warm", "thing", "--config", str(config), status=1).err
