"""Protection rules over REST, and what they keep from being published or deleted."""

import base64
import json
from collections.abc import Mapping

import pytest

from registry.domain.access import Role
from registry.testing import FORM_TYPE, Answer, MemoryRegistry, form, wheel
from tests.rest.scene import Scene

PROJECT = "/api/v4/projects/1"
RULES = f"{PROJECT}/packages/protection/rules"
PUSH, DELETE = "minimum_access_level_for_push", "minimum_access_level_for_delete"


def send(registry: MemoryRegistry, method: str, path: str, body: Mapping[str, object] | None = None, token: str | None = None) -> Answer:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    sent = json.dumps(body).encode() if body is not None else b""
    return registry.ask(method, path, headers, sent, token=registry.root_token if token is None else token)


def protect(registry: MemoryRegistry, pattern: str, **levels: str | None) -> Answer:
    return send(registry, "POST", RULES, {"package_name_pattern": pattern, "package_type": "pypi", **levels})


def test_a_rule_has_gitlabs_shape(registry: MemoryRegistry) -> None:
    """A rule is made, listed, changed and deleted with GitLab's keys and statuses."""
    made = protect(registry, "my-*", **{PUSH: "maintainer"})
    expected = {"id": 1, "project_id": 1, "package_name_pattern": "my-*", "package_type": "pypi", PUSH: "maintainer", DELETE: None}
    assert (made.code, made.json) == (201, expected)
    listed = send(registry, "GET", RULES)
    assert (listed.code, listed.json, listed.headers["x-total"]) == (200, [expected], "1")
    changed = send(registry, "PATCH", f"{RULES}/1", {DELETE: "owner", PUSH: None, "package_name_pattern": "your-*"})
    assert (changed.code, changed.json) == (200, {**expected, "package_name_pattern": "your-*", PUSH: None, DELETE: "owner"})
    assert send(registry, "PATCH", f"{RULES}/1", {}).json == changed.json
    gone = send(registry, "DELETE", f"{RULES}/1")
    assert (gone.code, gone.body) == (204, b"")
    assert send(registry, "GET", RULES).json == []


def test_forms_make_rules_too(registry: MemoryRegistry) -> None:
    """A form body does what a JSON one does."""
    body = f"package_name_pattern=a*&package_type=pypi&{PUSH}=owner&{DELETE}=".encode()
    answer = registry.ask("POST", RULES, {"Content-Type": "application/x-www-form-urlencoded"}, body, token=registry.root_token)
    assert (answer.code, answer.json[PUSH], answer.json[DELETE]) == (201, "owner", None)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "package_name_pattern is missing"),
        ({"package_name_pattern": ""}, "package_name_pattern is empty"),
        ({"package_name_pattern": ["a"]}, "package_name_pattern is invalid"),
        ({"package_name_pattern": "a"}, "package_type is missing"),
        ({"package_name_pattern": "a", "package_type": "npm"}, "package_type does not have a valid value"),
        ({"package_name_pattern": "a", "package_type": "pypi", PUSH: "developer"}, f"{PUSH} does not have a valid value"),
        ({"package_name_pattern": "a", "package_type": "pypi", PUSH: 40}, f"{PUSH} does not have a valid value"),
        ({"package_name_pattern": "a", "package_type": "pypi", DELETE: "maintainer"}, f"{DELETE} does not have a valid value"),
    ],
)
def test_what_is_missing_or_wrong_is_named(registry: MemoryRegistry, body: Mapping[str, object], error: str) -> None:
    """A rule with parameters of the wrong kind is 400 and says which; nothing is made."""
    answer = send(registry, "POST", RULES, body)
    assert (answer.code, answer.json) == (400, {"error": error})
    assert send(registry, "GET", RULES).json == []


@pytest.mark.parametrize(
    ("pattern", "levels", "problem"),
    [
        ("My_*", {PUSH: "owner"}, "Package name pattern has already been taken"),
        ("a b", {PUSH: "owner"}, "Package name pattern should be a valid PyPI package name with optional wildcard characters."),
        ("a" * 256, {PUSH: "owner"}, "Package name pattern is too long (maximum is 255 characters)"),
        ("new", {}, "A rule must have at least a minimum access role for push or delete."),
        ("new", {PUSH: None, DELETE: ""}, "A rule must have at least a minimum access role for push or delete."),
    ],
)
def test_a_rule_that_cannot_be_is_422(registry: MemoryRegistry, pattern: str, levels: Mapping[str, str], problem: str) -> None:
    """A pattern that is taken (in any spelling) or no pattern, and a rule that protects from nothing, are 422 with GitLab's words."""
    assert protect(registry, "my-*", **{PUSH: "owner"}).code == 201
    answer = protect(registry, pattern, **levels)
    assert (answer.code, answer.json) == (422, {"message": [problem]})
    assert len(send(registry, "GET", RULES).json) == 1


def test_changing_a_rule_keeps_what_holds_for_making_one(registry: MemoryRegistry) -> None:
    """A change that takes the last level away, or another rule's pattern, changes nothing; its own pattern in another spelling is fine."""
    protect(registry, "one", **{PUSH: "owner"})
    protect(registry, "two", **{PUSH: "owner"})
    before = send(registry, "GET", RULES).json
    assert send(registry, "PATCH", f"{RULES}/1", {PUSH: None}).code == 422
    assert send(registry, "PATCH", f"{RULES}/1", {"package_name_pattern": "TWO"}).code == 422
    assert send(registry, "PATCH", f"{RULES}/1", {"package_type": "npm"}).code == 400
    assert send(registry, "GET", RULES).json == before
    assert send(registry, "PATCH", f"{RULES}/1", {"package_name_pattern": "ONE"}).json["package_name_pattern"] == "ONE"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_rules_of_other_projects_do_not_exist_here(registry: MemoryRegistry, scene: Scene, method: str) -> None:
    """A rule of another project answers exactly like one that there never was (row 27)."""
    elsewhere = scene.project("root/other")
    protect(registry, "a", **{PUSH: "owner"})
    other, unknown = (
        send(registry, method, f"/api/v4/projects/{elsewhere}/packages/protection/rules/{number}", {} if method == "PATCH" else None)
        for number in (1, 99)
    )
    assert (other.code, other.body) == (404, unknown.body)
    assert send(registry, method, f"{RULES}/x", {} if method == "PATCH" else None).json == {
        "error": "package_protection_rule_id is invalid"
    }
    assert len(send(registry, "GET", RULES).json) == 1


def test_rules_are_maintainers_business(registry: MemoryRegistry, scene: Scene) -> None:
    """Who is less than a Maintainer neither sees nor makes rules, and neither does a token without the scope (row 26)."""
    developer, maintainer = scene.member("dev", Role.DEVELOPER, project=1), scene.member("main", Role.MAINTAINER, project=1)
    reading = registry.token("main", "read_api")
    body = {"package_name_pattern": "a", "package_type": "pypi", PUSH: "owner"}
    assert send(registry, "GET", RULES, token=developer).code == 403
    assert send(registry, "POST", RULES, body, token=developer).code == 403
    assert send(registry, "GET", RULES, token=reading).code == 200
    assert send(registry, "POST", RULES, body, token=reading).code == 403
    assert send(registry, "POST", RULES, body, token=maintainer).code == 201
    assert registry.ask("GET", RULES).code == 401


# --- what they do ---


def push(registry: MemoryRegistry, name: str, secret: str, user: str = "any") -> Answer:
    built = wheel(name)
    basic = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
    body = form(built.fields, ("content", built.filename, built.content))
    return registry.ask("POST", f"{PROJECT}/packages/pypi", {"Authorization": basic, "Content-Type": FORM_TYPE}, body)


@pytest.mark.parametrize(
    ("least", "allowed"),
    [("maintainer", {"main", "owner", "root"}), ("owner", {"owner", "root"}), ("admin", {"root"})],
)
def test_protected_packages_take_the_rules_role(registry: MemoryRegistry, scene: Scene, least: str, allowed: set[str]) -> None:
    """Publishing a protected name, in any spelling, takes the rule's role; a refused file leaves nothing behind."""
    tokens = {
        "dev": scene.member("dev", Role.DEVELOPER, project=1),
        "main": scene.member("main", Role.MAINTAINER, project=1),
        "owner": scene.member("owner", Role.OWNER, project=1),
        "root": registry.root_token,
    }
    protect(registry, "my-*", **{PUSH: least})
    for user, token in tokens.items():
        answer = push(registry, f"My.{user}", token)
        assert answer.code == (201 if user in allowed else 403)
        if user not in allowed:
            assert answer.json == {"message": "403 Forbidden - Package protected."}
        assert push(registry, f"other-{user}", token).code == 201
    # Each wheel has its METADATA beside it.
    assert len(registry.kept_files()) == 2 * (len(tokens) + len(allowed))
    assert registry.staged_files() == []


def test_a_deploy_token_never_pushes_what_is_protected(registry: MemoryRegistry, scene: Scene) -> None:
    """A deploy token that may write packages publishes anything but what a rule protects."""
    token = scene.deploy_token(["write_package_registry"], project=1)
    protect(registry, "my-*", **{PUSH: "maintainer"})
    assert push(registry, "other", token).code == 201
    assert push(registry, "my-thing", token).json == {"message": "403 Forbidden - Package protected."}


def test_a_job_pushes_with_the_role_of_its_user(registry: MemoryRegistry, scene: Scene) -> None:
    """A job token passes a rule exactly if the user who triggered the job would."""
    protect(registry, "my-*", **{PUSH: "maintainer"})
    for username, role, code in (("dev", Role.DEVELOPER, 403), ("main", Role.MAINTAINER, 201)):
        user = registry.user(username)
        scene.join(user.id, role, project=1)
        assert push(registry, f"my-{username}", scene.job_token(user.id, 1), "gitlab-ci-token").code == code


def test_a_rule_that_is_gone_protects_no_more(registry: MemoryRegistry, scene: Scene) -> None:
    """Making, changing and deleting a rule counts from the next upload on."""
    token = scene.member("dev", Role.DEVELOPER, project=1)
    assert push(registry, "a", token).code == 201
    protect(registry, "*", **{PUSH: "owner"})
    assert push(registry, "b", token).code == 403
    send(registry, "PATCH", f"{RULES}/1", {"package_name_pattern": "c*"})
    assert push(registry, "b", token).code == 201
    send(registry, "DELETE", f"{RULES}/1")
    assert push(registry, "c", token).code == 201


@pytest.mark.parametrize("path", ["packages/1", "packages/1/package_files/1"])
def test_deleting_takes_the_rules_role_too(registry: MemoryRegistry, scene: Scene, path: str) -> None:
    """A package under a rule for deleting is deleted by whom the rule names, whole or file by file, and by nobody else."""
    registry.upload(1, wheel("My.Thing"))
    maintainer, owner = scene.member("main", Role.MAINTAINER, project=1), scene.member("owner", Role.OWNER, project=1)
    protect(registry, "my-thing", **{DELETE: "owner"})
    refused = send(registry, "DELETE", f"{PROJECT}/{path}", token=maintainer)
    assert (refused.code, refused.json) == (403, {"message": "403 Forbidden - Package is deletion protected."})
    assert send(registry, "GET", f"{PROJECT}/packages/1").code == 200
    assert send(registry, "DELETE", f"{PROJECT}/{path}", token=owner).code == 204


def test_one_projects_rules_are_not_anothers(registry: MemoryRegistry, scene: Scene) -> None:
    """A rule counts in its own project only."""
    elsewhere = scene.project("root/other")
    token = scene.member("dev", Role.DEVELOPER, project=elsewhere)
    protect(registry, "*", **{PUSH: "admin", DELETE: "admin"})
    assert registry.upload(elsewhere, wheel(), token=token).code == 201
