"""python-gitlab, as released, on packages, files, pipelines, protection rules and settings."""

from collections.abc import Iterator
from pathlib import Path

import gitlab
import pytest
import requests
from gitlab.v4.objects import Project

from tests.clients.distributions import form, wheel
from tests.clients.processes import Server, eventually, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A registry that holds three packages, one of them with the word alpha in its name."""
    with serving(tmp_path / "data") as running:
        for name, version in (("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0")):
            assert publish(running, name, version) == 201
        yield running


def publish(server: Server, name: str, version: str, token: str | None = None) -> int:
    content_type, body = form(*wheel(name, version, ballast=f"{name}{version}".encode()))
    return server.ask("POST", server.api(), body=body, token=token, content_type=content_type).status


@pytest.fixture
def project(server: Server) -> Project:
    """Its first project, as the administrator sees it."""
    return gitlab.Gitlab(server.url, private_token=server.token).projects.get(1, lazy=True)


def test_packages_are_listed_page_by_page(project: Project) -> None:
    """`list` follows the pages, and its filters and orders do what they say."""
    assert [one.name for one in project.packages.list(iterator=True, per_page=1)] == ["alpha", "alpha", "beta"]
    assert [one.version for one in project.packages.list(package_name="ALPHA", order_by="version", sort="desc")] == ["2.0", "1.0"]
    found = project.packages.list(iterator=True, per_page=2)
    assert (found.total, found.total_pages, found.next_page) == (3, 2, 2)
    assert project.packages.list(package_type="npm") == []


def test_a_package_is_read_and_deleted(server: Server, project: Project) -> None:
    """A package, its files and pipelines are read; deleting frees the name and version for other bytes."""
    package = project.packages.get(1)
    assert (package.name, package.version, [one["version"] for one in package.versions]) == ("alpha", "1.0", ["2.0"])
    (file,) = package.package_files.list()
    assert file.file_name == "alpha-1.0-py3-none-any.whl"
    assert package.pipelines.list() == []
    package.delete()
    with pytest.raises(gitlab.GitlabGetError) as caught:
        project.packages.get(1)
    assert (caught.value.response_code, caught.value.error_message) == (404, "Package not found")
    assert list(server.files("alpha")) == ["alpha-2.0-py3-none-any.whl"]
    assert publish(server, "alpha", "1.0") == 201
    (again,) = project.packages.list(package_name="alpha", package_version="1.0")
    project.packages.get(again.id).package_files.delete(again.package_files.list()[0].id)
    assert project.packages.list(package_name="alpha", package_version="1.0") == []
    # Two wheels are left, each with its METADATA beside it.
    assert len(list((server.data_dir / "blobs").glob("??/*"))) == 4


def test_protection_rules_are_made_changed_and_deleted(server: Server, project: Project) -> None:
    """Rules are made, listed, saved and deleted, and refuse with their own error class and GitLab's words."""
    made = {"package_name_pattern": "be*", "package_type": "pypi", "minimum_access_level_for_push": "admin"}
    rule = project.package_protection_rules.create(made)
    server.command("user", "create", "mia").worked()
    rule.minimum_access_level_for_push = "owner"
    rule.save()
    assert [one.minimum_access_level_for_push for one in project.package_protection_rules.list()] == ["owner"]
    with pytest.raises(gitlab.GitlabCreateError) as caught:
        project.package_protection_rules.create({**made, "package_name_pattern": "BE*"})
    assert caught.value.response_code == 422
    assert "Package name pattern has already been taken" in str(caught.value)
    rule.delete()
    assert project.package_protection_rules.list() == []


def test_settings_and_version_are_read_and_saved(server: Server) -> None:
    """The application's settings are saved, the version is known, and who is not an administrator gets an error of his own."""
    client = gitlab.Gitlab(server.url, private_token=server.token)
    assert client.version()[0] == "19.6.0-registry"
    settings = client.settings.get()
    settings.package_registry_allow_anyone_to_pull_option = False
    settings.save()
    assert client.settings.get().package_registry_allow_anyone_to_pull_option is False
    server.command("user", "create", "mia").worked()
    token = server.command("token", "create", "--user", "mia", "--name", "t", "--scope", "api").worked().out.strip()
    mia = gitlab.Gitlab(server.url, private_token=token)
    with pytest.raises(gitlab.GitlabGetError) as caught:
        mia.settings.get()
    assert caught.value.response_code == 403
    with pytest.raises(gitlab.GitlabAuthenticationError):
        gitlab.Gitlab(server.url, private_token="wrong").settings.get()


def test_when_a_package_was_downloaded_survives_a_restart(server: Server, project: Project) -> None:
    """The last download is written when the registry stops at the latest."""
    (path,) = server.files("beta").values()
    assert server.ask("GET", path).status == 200
    server.stop()
    with serving(server.data_dir) as again:
        answer = requests.get(f"{again.url}/api/v4/projects/1/packages/3", headers={"PRIVATE-TOKEN": again.token}, timeout=60)
        assert answer.json()["last_downloaded_at"] is not None


def test_a_deletion_by_the_shell_is_seen_by_the_server(server: Server, project: Project) -> None:
    """What the command line deletes is gone from the running server's pages within a second."""
    assert "alpha-1.0-py3-none-any.whl" in server.files("alpha")
    server.command("package", "delete", "1").worked()
    eventually(lambda: "alpha-1.0-py3-none-any.whl" not in server.files("alpha"), "the page to forget the file")
