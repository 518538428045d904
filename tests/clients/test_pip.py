"""Installing with pip."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.clients.conftest import Built, Client
from tests.clients.distributions import wheel
from tests.clients.processes import Server, eventually

SPELLINGS = ["my-package", "My.Package", "my_package", "MY--PACKAGE", "my-_.package"]
PROJECTS = ["1", "root%2Fpackages"]


def index(server: Server, project: str = "1") -> tuple[str, str]:
    """Pip's option for where to look."""
    return "--index-url", server.index(project)


@pytest.mark.parametrize("project", PROJECTS)
def test_pip_installs_a_wheel_and_what_it_needs(stocked: Server, client: Client, project: str) -> None:
    """Package and dependency come from the project, by number or path; the newest version that this Python may use is chosen."""
    target = client.folder / "site"
    client.pip("install", *index(stocked, project), "--target", target, "my-package").worked()
    assert client.version_in(target) == "1.1"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_pip_finds_every_spelling_of_a_name(stocked: Server, client: Client, built: Built, spelling: str) -> None:
    """However the name is spelt, pip downloads the file, byte by byte as it was built."""
    client.pip("download", *index(stocked), "--no-deps", "--dest", client.folder / "got", spelling).worked()
    (got,) = (client.folder / "got").iterdir()
    assert (got.name, got.read_bytes()) == (built.new[0].name, built.new[0].read_bytes())


def test_pip_installs_from_an_sdist(stocked: Server, client: Client) -> None:
    """Sdists of hatchling and of setuptools are downloaded, built and installed."""
    target = client.folder / "site"
    options = ("--no-binary", ":all:", "--no-build-isolation", "--target", target)
    said = client.pip("install", *index(stocked), *options, "my-package==1.0").worked().said
    assert client.version_in(target) == "1.0"
    assert "my_package-1.0.tar.gz" in said
    assert "my_base-1.0.tar.gz" in said


def test_pip_downloads_wheels_and_sdists_as_built(stocked: Server, client: Client, built: Built) -> None:
    """`pip download` leaves exactly the bytes that were built, for both kinds of file."""
    for options in ((), ("--no-binary", ":all:", "--no-build-isolation")):
        client.pip("download", *index(stocked), *options, "--dest", client.folder / "got", "my-package==1.0").worked()
    got = {file.name: file.read_bytes() for file in (client.folder / "got").iterdir()}
    assert got == {file.name: file.read_bytes() for file in (*built.old, *built.base)}


def test_pip_resolves_without_the_wheels(stocked: Server, client: Client, built: Built) -> None:
    """Only resolving, pip reads metadata beside wheels and no wheel (PEP 658), and finds there what they need (hardening row 17)."""
    report = client.folder / "report.json"
    options = ("--dry-run", "--ignore-installed", "--only-binary", ":all:", "--report", report)
    with stocked.log_of("/files/") as asked:
        client.pip("install", *index(stocked), *options, "my-package").worked()
    found = {item["metadata"]["name"]: item["metadata"] for item in json.loads(report.read_text())["install"]}
    assert {name: data["version"] for name, data in found.items()} == {"My.Package": "1.1", "my-base": "1.0"}
    assert found["My.Package"]["requires_dist"] == ["my-base>=1.0"]
    assert {Path(path).name for path in asked()} == {f"{one.name}.metadata" for one in (built.new[0], built.base[0])}


def test_what_lies_beside_a_built_wheel_is_in_it(stocked: Server, built: Built) -> None:
    """Metadata of wheels that real backends built is byte by byte what the wheels hold (hardening row 17)."""
    for name, wheels in (("my-package", (built.old[0], built.new[0], built.future[0])), ("my-base", built.base[:1])):
        paths = stocked.files(name)
        for one in wheels:
            with zipfile.ZipFile(one) as archive:
                (inside,) = [archive.read(path) for path in archive.namelist() if path.endswith(".dist-info/METADATA")]
            assert stocked.ask("GET", f"{paths[one.name]}.metadata").body == inside


def test_pip_keeps_away_from_a_python_to_come(stocked: Server, client: Client) -> None:
    """A file whose Requires-Python leaves this Python out is neither chosen nor installable, and pip says that this is why."""
    outcome = client.pip("download", *index(stocked), "--no-deps", "my-package==2.0").failed()
    assert "Requires-Python >=99" in outcome.said


def test_pip_lists_versions(stocked: Server, client: Client) -> None:
    """`pip index versions` shows what this Python may use, newest first."""
    assert "Available versions: 1.1, 1.0\n" in client.pip("index", "versions", *index(stocked), "my.package").worked().out


def test_pip_asks_again_with_what_it_remembers(stocked: Server, client: Client) -> None:
    """With its cache on, pip's second look at a page is answered 304, and it sees a file published in between."""

    def look() -> str:
        # pip keeps nothing that came over plain HTTP, unless the host is one it was told to trust.
        where = (*index(stocked), "--trusted-host", f"127.0.0.1:{stocked.port}", "--cache-dir", client.folder / "pip-cache")
        return client.pip("index", "versions", *where, "cached").worked().out

    for version, seen in (("1", "Available versions: 1\n"), ("2", "Available versions: 2, 1\n")):
        filename, content = wheel("cached", version)
        (client.folder / filename).write_bytes(content)
        client.twine(stocked, client.folder / filename).worked()
        assert seen in look()
        assert seen in look()
    log = stocked.data_dir / "access.log"

    def answers() -> list[str]:
        lines = [line for line in log.read_text().splitlines() if '/simple/cached/ HTTP/1.1"' in line and " root " in line]
        return [line.split('HTTP/1.1" ')[1][:3] for line in lines]

    eventually(lambda: len(answers()) >= 4, "the log of four looks")
    assert answers() == ["200", "304", "200", "304"]


def test_pip_tells_wrong_credentials(stocked: Server, client: Client) -> None:
    """A wrong token in the index address is named as the reason."""
    outcome = client.pip("install", "--index-url", stocked.index(token="glpat-wrong"), "--target", client.folder / "site", "my-package")
    assert "401 Error, Credentials not correct" in outcome.failed().said


def test_pip_tells_a_name_that_is_not_here(stocked: Server, client: Client) -> None:
    """A name that the project does not hold is not found, without a detour and without another index."""
    outcome = client.pip("download", *index(stocked), "no-such-package").failed()
    assert "No matching distribution found for no-such-package" in outcome.said


def test_pip_installs_from_a_public_project_without_a_token(stocked: Server, client: Client, tmp_path: Path, built: Built) -> None:
    """A public project is open to everybody."""
    made = stocked.command("project", "create", "root/open", "--visibility", "public", "--json").worked()
    assert '"visibility": "public"' in made.out
    client.twine(stocked, *built.base, project="root%2Fopen").worked()
    target = tmp_path / "site"
    client.pip("install", "--index-url", f"{stocked.api('root%2Fopen')}/simple/", "--target", target, "my-base").worked()
    assert (target / "my_base" / "__init__.py").exists()
