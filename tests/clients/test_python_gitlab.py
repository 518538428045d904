"""Users, groups, projects, members and pages of lists through python-gitlab, unmodified; tokens and packages have files of their own."""

from collections.abc import Iterator

import gitlab
import pytest
from gitlab.v4.objects import Group, Project, User

from tests.clients.processes import Server

DEVELOPER, MAINTAINER, OWNER = gitlab.const.AccessLevel.DEVELOPER, gitlab.const.AccessLevel.MAINTAINER, gitlab.const.AccessLevel.OWNER


@pytest.fixture
def root(server: Server) -> Iterator[gitlab.Gitlab]:
    """The administrator of a new registry."""
    with gitlab.Gitlab(server.url, private_token=server.token, timeout=30) as made:
        made.auth()
        yield made


@pytest.fixture
def ann(root: gitlab.Gitlab) -> User:
    """A user."""
    made = root.users.create({"username": "ann", "name": "Ann", "email": "ann@example.com", "force_random_password": True})
    assert isinstance(made, User)
    return made


def signed_in(server: Server, user: User) -> gitlab.Gitlab:
    """The client of `user`."""
    secret = server.command("token", "create", "--user", user.username, "--name", "test", "--scope", "api").worked().out.strip()
    return gitlab.Gitlab(server.url, private_token=secret, timeout=30)


def a_group(root: gitlab.Gitlab, path: str, **more: object) -> Group:
    made = root.groups.create({"name": path.title(), "path": path, **more})
    assert isinstance(made, Group)
    return made


def a_project(root: gitlab.Gitlab, **more: object) -> Project:
    made = root.projects.create(more)
    assert isinstance(made, Project)
    return made


def test_users_live_and_go(server: Server, root: gitlab.Gitlab, ann: User) -> None:
    """Users are made, found, listed, changed, blocked, unblocked and removed."""
    assert root.user is not None
    assert (root.user.username, root.user.is_admin) == ("root", True)
    assert (ann.state, ann.email, ann.is_admin) == ("active", "ann@example.com", False)
    assert root.users.get(ann.id).name == "Ann"
    assert [user.username for user in root.users.list(username="ann")] == ["ann"]
    assert [user.username for user in root.users.list(search="AN", iterator=True)] == ["ann"]
    ann.name = "Ann B."
    ann.save()
    assert root.users.get(ann.id).name == "Ann B."
    hers = signed_in(server, ann)
    hers.auth()
    assert hers.user is not None
    assert hers.user.email == "ann@example.com"
    assert ann.block() is True
    with pytest.raises(gitlab.GitlabListError) as refused:
        hers.projects.list()
    assert refused.value.response_code == 403
    with pytest.raises(gitlab.GitlabBlockError):
        ann.block()
    assert ann.unblock() is True
    assert root.users.list(active=True, get_all=True) != []
    ann.delete()
    with pytest.raises(gitlab.GitlabGetError, match="404 User Not Found"):
        root.users.get(ann.id)
    with pytest.raises(gitlab.GitlabAuthenticationError):
        hers.auth()


def test_groups_and_subgroups_live_and_go(root: gitlab.Gitlab) -> None:
    """Groups are made in one another, got by number and path, listed, renamed with all below them, and removed."""
    top = a_group(root, "team", visibility="internal")
    sub = a_group(root, "tools", parent_id=top.id)
    project = a_project(root, name="My Lib", namespace_id=sub.id)
    assert root.groups.get("team/tools").id == sub.id
    assert [group.full_path for group in root.groups.list(search="tool")] == ["team/tools"]
    assert [group.id for group in top.subgroups.list(get_all=True)] == [sub.id]
    assert [group.id for group in top.descendant_groups.list(get_all=True)] == [sub.id]
    assert top.projects.list(get_all=True) == []
    assert [one.id for one in top.projects.list(include_subgroups=True, get_all=True)] == [project.id]
    top.path, top.description = "crew", "We"
    top.save()
    assert root.projects.get("crew/tools/my-lib").name_with_namespace == "Team / Tools / My Lib"
    assert sorted(one.full_path for one in root.namespaces.list(get_all=True)) == ["crew", "crew/tools", "root"]
    assert root.namespaces.get("crew/tools").parent_id == top.id
    top.delete()
    assert root.groups.list(get_all=True) == []
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        root.projects.get(project.id)


def test_projects_live_and_go(root: gitlab.Gitlab, ann: User) -> None:
    """Projects are made in a namespace, for others, listed, changed, moved and removed."""
    project = a_project(root, name="Lib", visibility="internal", package_registry_access_level="private")
    assert (project.path_with_namespace, project.package_registry_access_level) == ("root/lib", "private")
    hers = ann.projects.create({"name": "gift"})
    assert hers.path_with_namespace == "ann/gift"
    assert [one.path for one in root.projects.list(search="lib", owned=True)] == ["lib"]
    assert [one.path for one in root.projects.list(order_by="path", sort="asc", get_all=True)] == ["gift", "lib", "packages"]
    project.description, project.packages_enabled = "D", False
    project.save()
    again = root.projects.get("root/lib")
    assert (again.description, again.packages_enabled, again.package_registry_access_level) == ("D", False, "disabled")
    group = a_group(root, "team")
    project.transfer(group.id)
    assert root.projects.get(project.id).path_with_namespace == "team/lib"
    assert root.projects.get(project.id).visibility == "private"
    project.delete()
    with pytest.raises(gitlab.GitlabGetError):
        root.projects.get(project.id)


def test_members_come_and_go(server: Server, root: gitlab.Gitlab, ann: User) -> None:
    """Members are added, listed with those inherited, found, promoted and removed, in projects and groups; they may leave."""
    group = a_group(root, "team")
    project = a_project(root, name="lib", namespace_id=group.id)
    hers = signed_in(server, ann)
    with pytest.raises(gitlab.GitlabGetError):
        hers.projects.get(project.id)
    member = group.members.create({"user_id": ann.id, "access_level": DEVELOPER})
    assert hers.projects.get(project.id).permissions["group_access"]["access_level"] == DEVELOPER
    assert project.members.list(get_all=True) == []
    assert [one.username for one in project.members_all.list(get_all=True)] == ["root", "ann"]
    assert project.members_all.get(ann.id).access_level == DEVELOPER
    member.access_level = MAINTAINER
    member.expires_at = "2099-12-31"
    member.save()
    found = group.members.get(ann.id)
    assert (found.access_level, found.expires_at) == (MAINTAINER, "2099-12-31")
    with pytest.raises(gitlab.GitlabCreateError) as again:
        group.members.create({"user_id": ann.id, "access_level": DEVELOPER})
    assert (again.value.response_code, again.value.error_message) == (409, "Member already exists")
    with pytest.raises(gitlab.GitlabCreateError) as below:
        project.members.create({"user_id": ann.id, "access_level": DEVELOPER})
    assert below.value.response_code == 400
    project.members.create({"username": "ann", "access_level": OWNER})
    assert [one.id for one in project.members.list(query="an")] == [ann.id]
    assert root.user is not None
    with pytest.raises(gitlab.GitlabDeleteError) as last:
        group.members.delete(root.user.id)
    assert last.value.response_code == 403
    hers.groups.get(group.id).members.delete(ann.id)
    with pytest.raises(gitlab.GitlabGetError):
        hers.projects.get(project.id)


def test_lists_are_walked_page_by_page(root: gitlab.Gitlab) -> None:
    """python-gitlab's iterator visits every row once, in order, by the links and totals of the pages' headers."""
    made = [root.groups.create({"name": f"g{number:02}", "path": f"g{number:02}"}).path for number in range(25)]
    walked = root.groups.list(iterator=True, per_page=10, order_by="path")
    assert [group.path for group in walked] == made
    assert (walked.total, walked.total_pages, walked.per_page) == (25, 3, 10)
    second = root.groups.list(page=2, per_page=10, order_by="path", get_all=False)
    assert [group.path for group in second] == made[10:20]
    assert root.groups.list(page=4, per_page=10, order_by="path", get_all=False) == []


def test_its_error_classes_are_raised(server: Server, root: gitlab.Gitlab, ann: User) -> None:
    """What GitLab refuses is refused with the class and the words that python-gitlab makes of GitLab's answers."""
    group = a_group(root, "team")
    with pytest.raises(gitlab.GitlabCreateError) as taken:
        root.groups.create({"name": "x", "path": "team"})
    refused: object = taken.value.error_message  # what python-gitlab types as text is GitLab's object here
    assert (taken.value.response_code, refused) == (400, {"path": ["has already been taken"]})
    with pytest.raises(gitlab.GitlabCreateError) as higher:
        root.projects.create({"name": "x", "namespace_id": group.id, "visibility": "public"})
    assert (higher.value.response_code, list(higher.value.error_message)) == (400, ["visibility_level"])
    with pytest.raises(gitlab.GitlabCreateError, match="Username has already been taken") as named:
        root.users.create({"username": "ann", "name": "x", "email": "x@example.com", "reset_password": True})
    assert named.value.response_code == 409
    with pytest.raises(gitlab.GitlabCreateError, match="403 Forbidden"):
        signed_in(server, ann).users.create({"username": "x", "name": "x", "email": "x@example.com", "reset_password": True})
    with pytest.raises(gitlab.GitlabAuthenticationError):
        gitlab.Gitlab(server.url, private_token="glpat-unknown").auth()


def test_lists_are_read_page_by_page(root: gitlab.Gitlab) -> None:
    """An iterator walks all pages by their Link header, and knows how many rows there are."""
    for count in range(7):
        a_group(root, f"g{count}")
    walked = root.groups.list(iterator=True, per_page=3, order_by="path")
    assert walked.total == 7
    assert [group.path for group in walked] == [f"g{count}" for count in range(7)]
    assert [group.path for group in root.groups.list(page=2, per_page=3, get_all=False)] == ["g3", "g4", "g5"]


def test_the_shell_makes_groups_and_members(server: Server, root: gitlab.Gitlab, ann: User) -> None:
    """What `registry group` and `member` make beside a running server is there at its next look, and the reverse."""
    server.command("group", "create", "team", "--visibility", "internal").worked()
    server.command("group", "create", "team/sub").worked()
    server.command("project", "create", "team/sub/lib").worked()
    server.command("member", "add", "team", "ann", "developer", "--expires", "2099-01-01").worked()
    assert [one.full_path for one in root.groups.list(order_by="id", get_all=True)] == ["team", "team/sub"]
    member = root.projects.get("team/sub/lib").members_all.get(ann.id)
    assert (member.access_level, member.expires_at) == (DEVELOPER, "2099-01-01")
    assert '"role": "developer"' in server.command("member", "list", "team/sub/lib", "--inherited", "--json").worked().out
    assert server.command("member", "list", "team/sub/lib", "--json").worked().out.strip() == "[]"
    assert "Member already exists" in server.command("member", "add", "team", "ann", "guest").failed().said
    assert "There is no user 'bob'" in server.command("member", "add", "team", "bob", "guest").failed().said
    assert "There is no group or project 'crew'" in server.command("member", "add", "crew", "ann", "guest").failed().said
    assert "There is no group 'crew'" in server.command("group", "create", "crew/sub").failed().said
    assert "has already been taken" in server.command("group", "create", "TEAM").failed().said
    assert "no direct member" in server.command("member", "remove", "team/sub", "ann").failed().said
    server.command("member", "remove", "team", "ann").worked()
    assert root.groups.get("team").members.list(get_all=True) == []
    assert '"path": "team/sub"' in server.command("group", "list", "--json").worked().out
