"""Version, settings and limits of the whole registry."""

import json
from pathlib import Path

import pytest

from registry.domain.access import Role, Visibility
from registry.testing import Answer, MemoryRegistry, registry_in_memory, wheel
from tests.rest.scene import Scene

SETTINGS, LIMITS = "/api/v4/application/settings", "/api/v4/application/plan_limits"
FORWARDING, ANYONE = "pypi_package_requests_forwarding", "package_registry_allow_anyone_to_pull_option"
LOCK = f"lock_{FORWARDING}"


def put(registry: MemoryRegistry, path: str, body: object, token: str | None = None) -> Answer:
    sent = json.dumps(body).encode()
    return registry.ask("PUT", path, {"Content-Type": "application/json"}, sent, token=registry.root_token if token is None else token)


def get(registry: MemoryRegistry, path: str, token: str | None = None) -> Answer:
    return registry.ask("GET", path, token=registry.root_token if token is None else token)


def test_the_version_is_for_who_is_signed_in(registry: MemoryRegistry, scene: Scene) -> None:
    """Anybody with a token hears whose protocol this is and which release; nobody else does."""
    token = scene.member("ann", Role.NONE)
    answer = get(registry, "/api/v4/version", token)
    assert (answer.code, answer.json["version"]) == (200, "19.6.0-registry")
    assert set(answer.json) == {"version", "revision"}
    metadata = get(registry, "/api/v4/metadata", token).json
    assert metadata == {
        **answer.json,
        "kas": {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None},
        "enterprise": False,
    }
    for path in ("/api/v4/version", "/api/v4/metadata"):
        assert registry.ask("GET", path).json == {"message": "401 Unauthorized"}


@pytest.mark.parametrize("path", [SETTINGS, LIMITS])
def test_settings_are_administrators_business(registry: MemoryRegistry, scene: Scene, path: str) -> None:
    """Only an administrator, with a token that has the scope, reads or changes what holds for all (row 26)."""
    token = scene.member("ann", Role.OWNER, project=1)
    reading = registry.token("root", "read_api")
    body = {"plan_name": "default", "pypi_max_file_size": 10, FORWARDING: False}
    before = get(registry, path).json
    for who, reads, writes in ((token, 403, 403), (reading, 200, 403), ("wrong", 401, 401)):
        assert get(registry, path, who).code == reads
        assert put(registry, path, body, who).code == writes
    assert registry.ask("GET", path).code == 401
    assert get(registry, path).json == before


def test_switches_are_kept(registry: MemoryRegistry) -> None:
    """Settings are as GitLab's until changed, stay when the registry starts again, and a change is a journal row."""
    assert get(registry, SETTINGS).json == {"id": 1, FORWARDING: True, LOCK: False, ANYONE: True}
    changed = {"id": 1, FORWARDING: False, LOCK: False, ANYONE: True}
    assert put(registry, SETTINGS, {FORWARDING: False, "unknown": 1}).json == changed
    assert get(registry, SETTINGS).json == changed
    assert put(registry, SETTINGS, {LOCK: True}).json == {**changed, LOCK: True}


def test_a_registry_that_starts_again_remembers(tmp_path: Path) -> None:
    """What was set holds in the next process."""
    first = registry_in_memory(tmp_path / "data")
    put(first, SETTINGS, {ANYONE: False})
    put(first, LIMITS, {"plan_name": "default", "pypi_max_file_size": 5})
    token = first.root_token
    first.close()
    again = registry_in_memory(tmp_path / "data")
    assert get(again, SETTINGS, token).json[ANYONE] is False
    assert get(again, LIMITS, token).json == {"pypi_max_file_size": 5}
    again.close()


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        (SETTINGS, {}, f"{FORWARDING}, {LOCK}, {ANYONE} are missing, at least one parameter must be provided"),
        (SETTINGS, {FORWARDING: None}, f"{FORWARDING}, {LOCK}, {ANYONE} are missing, at least one parameter must be provided"),
        (SETTINGS, {FORWARDING: "perhaps"}, f"{FORWARDING} is invalid"),
        (SETTINGS, {ANYONE: []}, f"{ANYONE} is invalid"),
        (LIMITS, {"pypi_max_file_size": 5}, "plan_name is missing"),
        (LIMITS, {"plan_name": "gold", "pypi_max_file_size": 5}, "plan_name does not have a valid value"),
        (LIMITS, {"plan_name": "default"}, "pypi_max_file_size is missing, at least one parameter must be provided"),
        (LIMITS, {"plan_name": "default", "pypi_max_file_size": -1}, "pypi_max_file_size is invalid"),
        (LIMITS, {"plan_name": "default", "pypi_max_file_size": 1.5}, "pypi_max_file_size is invalid"),
        (LIMITS, {"plan_name": "default", "pypi_max_file_size": 2**63}, "pypi_max_file_size is invalid"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(registry: MemoryRegistry, path: str, body: object, error: str) -> None:
    """A value that cannot be one is 400 and changes nothing."""
    before = get(registry, path).json
    answer = put(registry, path, body)
    assert (answer.code, answer.json) == (400, {"error": error})
    assert get(registry, path).json == before


def test_the_limit_counts_from_the_next_upload_on(registry: MemoryRegistry) -> None:
    """A new limit is that of the next upload, to the byte, and 0 gives the configured one back."""
    built = wheel()
    configured = get(registry, LIMITS).json
    size = len(built.content)
    put(registry, LIMITS, {"plan_name": "default", "pypi_max_file_size": size - 1})
    refused = registry.upload(1, built)
    assert (refused.code, f"{size - 1:,} bytes" in refused.json["message"]) == (413, True)
    assert put(registry, LIMITS, {"plan_name": "default", "pypi_max_file_size": size}).json == {"pypi_max_file_size": size}
    assert registry.upload(1, built).code == 201
    assert put(registry, LIMITS, {"plan_name": "default", "pypi_max_file_size": 0}).json == configured


def test_nobody_pulls_from_outside_when_the_switch_is_off(registry: MemoryRegistry, scene: Scene) -> None:
    """With the option off, a project whose registry is public is open to those who see the project only, at once, and back again."""
    project = scene.project("root/shared")
    built = wheel()
    registry.upload(project, built)
    scene.set_project(project, registry_access="public")
    page = f"/api/v4/projects/{project}/packages/pypi/simple/demo"
    file = f"/api/v4/projects/{project}/packages/pypi/files/{built.sha256}/{built.filename}"
    listing = f"/api/v4/projects/{project}/packages"
    stranger = scene.member("ann", Role.NONE)
    guest = scene.member("gus", Role.GUEST, project=project)
    for on, outside, strange in ((True, 200, 200), (False, 401, 404), (True, 200, 200)):
        assert put(registry, SETTINGS, {ANYONE: on}).code == 200
        for path in (page, file):
            assert registry.ask("GET", path).code == outside
            assert get(registry, path, stranger).code == strange
            assert get(registry, path, guest).code == 200
        assert get(registry, listing, stranger).code == strange


def test_the_switch_says_nothing_about_visible_projects(registry: MemoryRegistry, scene: Scene) -> None:
    """A public project's packages stay public whatever the option says."""
    project = scene.project("root/open", Visibility.PUBLIC)
    registry.upload(project, wheel())
    scene.set_project(project, registry_access="public")
    put(registry, SETTINGS, {ANYONE: False})
    assert registry.ask("GET", f"/api/v4/projects/{project}/packages/pypi/simple/demo").code == 200
