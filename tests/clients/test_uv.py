"""Publishing and installing with uv."""

import hashlib
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import Built, Client
from tests.clients.processes import Outcome, Server

PROJECTS = ["1", "root%2Fpackages"]


def publish(client: Client, server: Server, *words: str | Path, project: str = "1", token: str | None = None) -> Outcome:
    """`uv publish` of `words`."""
    secret = server.token if token is None else token
    return client.uv("publish", "--publish-url", server.api(project), "--username", "__token__", "--password", secret, *words)


def install(client: Client, server: Server, *words: str | Path, project: str = "1", token: str | None = None) -> Outcome:
    """`uv pip install` of `words` into the client's folder `site`."""
    where = ("--index-url", server.index(project, token), "--python", sys.executable, "--target", client.folder / "site")
    return client.uv("pip", "install", *where, *words)


@pytest.mark.parametrize("project", PROJECTS)
def test_uv_publishes_byte_by_byte(server: Server, client: Client, built: Built, project: str) -> None:
    """What `uv publish` sends, to a number or a path, is given out exactly as it was built."""
    publish(client, server, *built.old, project=project).worked()
    got = {name: server.ask("GET", path).body for name, path in server.files("my-package").items()}
    assert got == {file.name: file.read_bytes() for file in built.old}


def test_uv_publishes_with_a_token_alone(server: Server, client: Client, built: Built) -> None:
    """`uv publish --token` needs no user name."""
    client.uv("publish", "--publish-url", server.api(), "--token", server.token, *built.old).worked()
    assert set(server.files("my-package")) == {file.name for file in built.old}


def test_uv_skips_what_its_check_url_has(server: Server, client: Client, built: Built) -> None:
    """With --check-url (and credentials in it) a first publish works, and a second one skips every file (hardening row 49)."""
    check = ("--check-url", server.index())
    publish(client, server, *check, *built.old).worked()
    again = publish(client, server, *check, *built.old, *built.new).worked().said
    for file in built.old:
        assert f"File {file.name} already exists, skipping" in again
    assert set(server.files("my-package")) == {file.name for file in (*built.old, *built.new)}


def test_uv_shows_why_it_was_refused(server: Server, client: Client, built: Built) -> None:
    """A duplicate, a wrong token and a wrong project are each told in words."""
    publish(client, server, built.old[0]).worked()
    assert "File name has already been taken (file already exists)" in publish(client, server, built.old[0]).failed(2).said
    assert "401 Unauthorized" in publish(client, server, built.old[1], token="glpat-wrong").failed(2).said
    assert "404 Project Not Found" in publish(client, server, built.old[1], project="77").failed(2).said
    assert list(server.files("my-package")) == [built.old[0].name]


@pytest.mark.parametrize("project", PROJECTS)
@pytest.mark.parametrize("spelling", ["my-package", "My.Package", "MY__PACKAGE"])
def test_uv_installs_a_wheel_and_what_it_needs(stocked: Server, client: Client, project: str, spelling: str) -> None:
    """In any spelling, by number or path, the newest version that this Python may use comes with its dependency."""
    install(client, stocked, spelling, project=project).worked()
    assert client.version_in(client.folder / "site") == "1.1"


def test_uv_installs_from_an_sdist(stocked: Server, client: Client) -> None:
    """Sdists of hatchling and of setuptools are downloaded, built and installed."""
    install(client, stocked, "--no-binary", ":all:", "--no-build-isolation", "my-package==1.0").worked()
    assert client.version_in(client.folder / "site") == "1.0"


def test_uv_resolves_without_the_wheels(stocked: Server, client: Client, built: Built) -> None:
    """Only resolving, uv reads the metadata beside wheels, whose digest it verifies, and no wheel (PEP 658, hardening row 17)."""
    (client.folder / "wanted.in").write_text("my-package\n")
    where = ("--index-url", stocked.index(), "--python", sys.executable, "--only-binary", ":all:")
    with stocked.log_of("/files/") as asked:
        said = client.uv("pip", "compile", *where, "--generate-hashes", "wanted.in").worked().out
    assert "my-package==1.1" in said
    assert "my-base==1.0" in said
    digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (built.new[0], built.base[0])]
    assert all(f"--hash=sha256:{digest}" in said for digest in digests)
    assert {Path(path).name for path in asked()} == {f"{wheel.name}.metadata" for wheel in (built.new[0], built.base[0])}


def test_uv_keeps_away_from_a_python_to_come(stocked: Server, client: Client) -> None:
    """A file whose Requires-Python leaves this Python out cannot be installed, and uv says that Python is why."""
    assert "Python>=99" in install(client, stocked, "my-package==2.0").failed().said


def test_uv_tells_wrong_credentials(stocked: Server, client: Client) -> None:
    """A wrong token in the index address is named as the reason."""
    assert "401 Unauthorized" in install(client, stocked, "my-package", token="glpat-wrong").failed().said
