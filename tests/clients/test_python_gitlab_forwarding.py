"""Forwarding switches and shared names through python-gitlab, unmodified."""

from collections.abc import Iterator

import gitlab
import pytest
from gitlab.v4.objects import Group, Project

from tests.clients.processes import Server


@pytest.fixture
def root(server: Server) -> Iterator[gitlab.Gitlab]:
    """The administrator of a new registry."""
    with gitlab.Gitlab(server.url, private_token=server.token, timeout=30) as made:
        yield made


@pytest.fixture
def team(root: gitlab.Gitlab) -> Group:
    """A group."""
    made = root.groups.create({"name": "Team", "path": "team"})
    assert isinstance(made, Group)
    return made


@pytest.fixture
def lib(root: gitlab.Gitlab, team: Group) -> Project:
    """A project in it."""
    made = root.projects.create({"name": "lib", "namespace_id": team.id})
    assert isinstance(made, Project)
    return made


def test_the_instances_switch_is_saved(root: gitlab.Gitlab) -> None:
    """The application's setting and its lock are read, saved and read again, and are at once those of every place."""
    settings = root.settings.get()
    assert (settings.pypi_package_requests_forwarding, settings.lock_pypi_package_requests_forwarding) == (True, False)
    settings.pypi_package_requests_forwarding = False
    settings.lock_pypi_package_requests_forwarding = True
    settings.save()
    again = root.settings.get()
    assert (again.pypi_package_requests_forwarding, again.lock_pypi_package_requests_forwarding) == (False, True)
    project = root.projects.get(1)
    assert project.pypi_package_requests_forwarding is None
    assert project.pypi_package_requests_forwarding_effective is False
    project.pypi_package_requests_forwarding = True
    with pytest.raises(gitlab.GitlabUpdateError, match="locked by the instance") as refused:
        project.save()
    assert refused.value.response_code == 400


def test_groups_and_projects_have_switches(root: gitlab.Gitlab, team: Group, lib: Project) -> None:
    """A group's switch and lock and a project's switch are attributes like any other: set, saved, set back to null."""
    team.pypi_package_requests_forwarding = False
    team.save()
    assert team.pypi_package_requests_forwarding_effective is False
    lib = root.projects.get("team/lib")
    assert (lib.pypi_package_requests_forwarding, lib.pypi_package_requests_forwarding_effective) == (None, False)
    lib.pypi_package_requests_forwarding = True
    lib.save()
    assert lib.pypi_package_requests_forwarding_effective is True
    team = root.groups.get("team")
    team.lock_pypi_package_requests_forwarding = True
    team.save()
    lib = root.projects.get("team/lib")
    assert (lib.pypi_package_requests_forwarding, lib.pypi_package_requests_forwarding_locked) == (True, True)
    assert lib.pypi_package_requests_forwarding_effective is False
    root.groups.update(team.id, {"lock_pypi_package_requests_forwarding": False, "pypi_package_requests_forwarding": None})
    root.projects.update(lib.id, {"pypi_package_requests_forwarding": None})
    lib = root.projects.get("team/lib")
    assert (lib.pypi_package_requests_forwarding, lib.pypi_package_requests_forwarding_effective) == (None, True)


def test_names_are_shared(root: gitlab.Gitlab, lib: Project) -> None:
    """The client's own verbs reach the list of names that a project may fetch from upstream, too."""
    names = f"/projects/{lib.id}/packages/pypi/upstream"
    root.http_put(f"{names}/My.Demo")
    assert root.http_list(names, get_all=True) == [{"name": "my-demo"}]
    root.http_delete(f"{names}/my-demo")
    assert root.http_list(names, get_all=True) == []
