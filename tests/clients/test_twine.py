"""Publishing with twine."""

import hashlib
from pathlib import Path

import pytest

from tests.clients.conftest import Built, Client
from tests.clients.distributions import wheel
from tests.clients.processes import Server, serving


def digests(*files: Path) -> dict[str, str]:
    """The SHA-256 of each file, by name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def held(server: Server, name: str) -> dict[str, str]:
    """The SHA-256 of each file that the registry gives out for a name, by file name."""
    return {filename: hashlib.sha256(server.ask("GET", path).body).hexdigest() for filename, path in server.files(name).items()}


@pytest.mark.parametrize("project", ["1", "root%2Fpackages", "ROOT%2fpackages"])
def test_what_twine_uploads_is_given_out_byte_by_byte(server: Server, client: Client, built: Built, project: str) -> None:
    """A project is published to by number or by path, and its files come out exactly as they were built."""
    client.twine(server, *built.old, *built.base, project=project).worked()
    assert held(server, "my-package") == digests(*built.old)
    assert held(server, "my-base") == digests(*built.base)


def test_a_pypirc_is_all_twine_needs(server: Server, client: Client, built: Built) -> None:
    """`twine upload -r NAME` works from a ~/.pypirc, and from one named by --config-file."""
    pypirc = client.folder / ".pypirc"
    pypirc.write_text(
        "[distutils]\nindex-servers = registry\n\n"
        f"[registry]\nrepository = {server.api()}\nusername = __token__\npassword = {server.token}\n"
    )
    client.upload("-r", "registry", *built.old).worked()
    elsewhere = pypirc.rename(client.folder / "elsewhere")
    client.upload("-r", "registry", "--config-file", elsewhere, *built.new).worked()
    assert held(server, "my-package") == digests(*built.old, *built.new)


def test_a_duplicate_is_told_in_words(server: Server, client: Client, built: Built) -> None:
    """A file name that is taken is refused, twine shows why, and the first file stays (hardening row 49)."""
    client.twine(server, built.old[0]).worked()
    again = client.twine(server, built.old[0]).failed()
    assert "400 Bad Request" in again.said
    assert "Validation failed: File name has already been taken (file already exists)" in again.said
    assert held(server, "my-package") == digests(built.old[0])


def test_identical_files_are_welcome_where_configured(tmp_path: Path, client: Client, built: Built) -> None:
    """`[uploads] accept_identical` makes a repeated upload a success, which twine's --skip-existing cannot (hardening row 49)."""
    with serving(tmp_path / "data", environ={"REGISTRY__UPLOADS__ACCEPT_IDENTICAL": "yes"}) as server:
        client.twine(server, *built.old).worked()
        client.twine(server, *built.old).worked()
        assert held(server, "my-package") == digests(*built.old)


def test_twine_itself_refuses_to_skip_existing(server: Server, client: Client, built: Built) -> None:
    """--skip-existing is refused by twine for every private index, before anything is sent: this fails when twine changes its mind."""
    outcome = client.twine(server, "--skip-existing", *built.old).failed()
    assert "UnsupportedConfiguration" in outcome.said
    assert "--skip-existing" in outcome.said
    assert server.files("my-package") == {}


def test_a_wrong_token_is_called_unauthorized(server: Server, client: Client, built: Built) -> None:
    """A wrong token shows 401 Unauthorized, not a broken connection, and nothing is published."""
    outcome = client.twine(server, *built.old, token="glpat-wrong").failed()
    assert "401 Unauthorized" in outcome.said
    assert server.files("my-package") == {}


def test_a_token_that_may_only_read_is_told_so(server: Server, client: Client, built: Built) -> None:
    """A token without the scope to publish shows 403, and nothing is published (hardening row 26)."""
    reader = server.command("token", "create", "--user", "root", "--name", "reader", "--scope", "read_api").worked().out.strip()
    outcome = client.twine(server, *built.old, token=reader).failed()
    assert "403 Forbidden" in outcome.said
    assert server.files("my-package") == {}


@pytest.mark.parametrize("project", ["77", "root%2Fnothing"])
def test_a_project_that_does_not_exist_is_told_so(server: Server, client: Client, built: Built, project: str) -> None:
    """A wrong project, by number or path, shows 404 and the words Project Not Found."""
    outcome = client.twine(server, *built.old, project=project).failed()
    assert "404 Not Found" in outcome.said
    assert "Project Not Found" in outcome.said


def test_a_large_refused_upload_still_shows_why(server: Server, client: Client, tmp_path: Path) -> None:
    """A refusal that comes before the body is read by twine even when it is still sending several megabytes."""
    filename, content = wheel("heavy", ballast=bytes(32 << 20))
    (tmp_path / filename).write_bytes(content)
    outcome = client.twine(server, tmp_path / filename, token="glpat-wrong").failed()
    assert "401 Unauthorized" in outcome.said
    assert server.leftovers() == []
