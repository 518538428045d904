"""What yanking, statuses and closed versions are to pip, uv and twine."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.clients.conftest import Built, Client, make_client
from tests.clients.processes import Outcome, Server, eventually, serving

WHY = "it <b>loses</b> \"data\" & 'more'"


@frozen(kw_only=True)
class Curated:
    """A registry that holds My.Package 1.0 and 1.1, of which 1.1 is yanked, and my-base, which it needs."""

    server: Server
    built: Built

    def put(self, path: str, /, **values: object) -> None:
        """PUT below the project's packages, which must work."""
        body = json.dumps(values).encode()
        answer = self.server.ask("PUT", f"/api/v4/projects/1/packages/{path}", body=body, content_type="application/json")
        assert answer.status == 200, answer

    def status(self, name: str, status: str, reason: str = "") -> None:
        """Give a name a status."""
        self.put(f"pypi/status/{name}", status=status, reason=reason)


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory, built: Built) -> Iterator[Curated]:
    folder = tmp_path_factory.mktemp("curated")
    with serving(folder / "data") as running:
        make_client(folder / "publisher").twine(running, *built.base, *built.old, *built.new).worked()
        found = json.loads(running.ask("GET", "/api/v4/projects/1/packages?package_name=my-package&order_by=version").body)
        made = Curated(server=running, built=built)
        assert [one["version"] for one in found] == ["1.0", "1.1"]
        made.put(f"{found[1]['id']}/yank", reason=WHY)
        yield made


def pip(client: Client, server: Server, *words: str | Path) -> Outcome:
    """`pip install` of `words` into the client's folder `site`."""
    return client.pip("install", "--no-cache-dir", "--index-url", server.index(), "--target", client.folder / "site", *words)


def uv(client: Client, server: Server, *words: str | Path) -> Outcome:
    """`uv pip install` of `words` into the client's folder `site`."""
    where = ("--index-url", server.index(), "--python", sys.executable, "--target", client.folder / "site")
    return client.uv("pip", "install", *where, *words)


Install = Callable[..., Outcome]
INSTALLERS = pytest.mark.parametrize("install", [pip, uv], ids=["pip", "uv"])


@INSTALLERS
@pytest.mark.parametrize("wanted", ["my-package", "my-package>=1.0"])
def test_installers_pass_over_what_is_yanked(curated: Curated, client: Client, install: Install, wanted: str) -> None:
    """The newest version that is not yanked is installed."""
    said = install(client, curated.server, wanted).worked().said
    assert client.version_in(client.folder / "site") == "1.0"
    assert "yanked" not in said


@INSTALLERS
def test_installers_take_what_is_yanked_when_it_is_pinned(curated: Curated, client: Client, install: Install) -> None:
    """Asked for exactly the yanked version they install it, and tell why they would rather not."""
    said = install(client, curated.server, "my-package==1.1").worked().said
    assert client.version_in(client.folder / "site") == "1.1"
    assert "yanked" in said
    assert WHY in said


@INSTALLERS
def test_installers_get_nothing_of_a_quarantined_name(curated: Curated, client: Client, install: Install) -> None:
    """Nothing is found under the name, as itself or as what something needs, until it is active again."""
    curated.status("my-base", "quarantined", "stolen token")
    try:
        for wanted in ("my-base", "my-package"):
            install(client, curated.server, wanted).failed()
        assert not (client.folder / "site" / "my_base").exists()
    finally:
        curated.status("my-base", "active")
    install(client, curated.server, "my-package").worked()


def test_pip_tells_why_a_file_it_knows_is_kept_back(curated: Curated, client: Client) -> None:
    """Who has a file's address, from a lock file, is told status and reason instead of being given the file."""
    (path,) = [path for name, path in curated.server.files("my-base").items() if name.endswith(".whl")]
    curated.status("my-base", "quarantined", "stolen token")
    try:
        address = curated.server.index().partition("/api/")[0] + path
        assert "'my-base' is quarantined: its files cannot be downloaded (stolen token)" in client.pip("install", address).failed().said
    finally:
        curated.status("my-base", "active")


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_twine_shows_why_a_name_takes_no_uploads(curated: Curated, client: Client, built: Built, status: str) -> None:
    """The status and its reason are in twine's own output, without `--verbose`."""
    curated.status("my-package", status, "moved to your-package")
    try:
        outcome = client.twine(curated.server, built.future[0]).failed()
        assert f"'my-package' is {status} and takes no uploads: moved to your-package" in outcome.said
    finally:
        curated.status("my-package", "active")
    assert built.future[0].name not in curated.server.files("my-package")


def test_uv_shows_why_a_name_takes_no_uploads(curated: Curated, client: Client, built: Built) -> None:
    """The same in uv's."""
    curated.status("my-package", "archived", "moved to your-package")
    try:
        where = ("--publish-url", curated.server.api(), "--username", "__token__", "--password", curated.server.token)
        assert "archived and takes no uploads: moved to your-package" in client.uv("publish", *where, built.future[0]).failed(2).said
    finally:
        curated.status("my-package", "active")


def test_twine_shows_that_a_version_is_closed(server: Server, client: Client, built: Built) -> None:
    """A file for a closed version is refused with the word, and taken once the version is reopened; the shell does as HTTP does."""
    wheel, sdist = built.old
    client.twine(server, wheel).worked()
    server.command("package", "close", "1").worked()
    assert "Version '1.0' is closed" in client.twine(server, sdist).failed().said
    server.command("package", "reopen", "1").worked()
    client.twine(server, sdist).worked()
    assert set(server.files("my-package")) == {wheel.name, sdist.name}


def test_what_the_shell_yanks_the_running_server_shows(server: Server, client: Client, built: Built) -> None:
    """A yank from the command line is on the server's pages within a second, those it had ready included."""
    client.twine(server, built.base[0]).worked()
    assert list(server.files("my-base")) == [built.base[0].name]
    server.command("package", "yank", "1", "--reason", "by hand").worked()

    def marked() -> bool:
        return b'data-yanked="by hand"' in server.ask("GET", f"{server.api()}/simple/my-base/").body

    eventually(marked, "the page to be marked")
