"""`registry deploy-token` and `job-token`."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.conftest import Registry


def test_a_deploy_token_is_printed_alone_once_listed_and_revoked(registry: Registry) -> None:
    """`create` prints nothing but the token; `list` tells all but the secret; `revoke` marks it and may be repeated."""
    secret = registry("deploy-token", "create", "root/packages", "--name", "ci", "--scope", "read_package_registry").out.strip()
    assert secret.startswith("gldt-")
    assert "\n" not in secret
    (listed,) = registry("deploy-token", "list", "root/packages", "--json").data
    assert (listed["id"], listed["name"], listed["username"]) == (1, "ci", "gitlab+deploy-token-1")
    assert secret not in str(listed)
    for _ in range(2):
        assert "Deploy token 1 (ci) is revoked." in registry("deploy-token", "revoke", "1").err
    (listed,) = registry("deploy-token", "list", "root/packages", "--json").data
    assert listed["revoked_at"] is not None


def test_a_deploy_token_of_a_group(registry: Registry) -> None:
    """A group's path is as good as a project's; user name and expiry are kept."""
    registry("group", "create", "team")
    words = ("--name", "x", "--scope", "write_package_registry", "--username", "bob", "--expires", "2040-01-31")
    registry("deploy-token", "create", "team", *words)
    (listed,) = registry("deploy-token", "list", "team", "--json").data
    assert (listed["username"], listed["expires_at"], listed["project_id"]) == ("bob", "2040-01-31T00:00:00.000Z", None)


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (("create", "nowhere/x", "--name", "x", "--scope", "read_package_registry"), "no project or group 'nowhere/x'", 1),
        (("create", "root", "--name", "x", "--scope", "read_package_registry"), "no project or group 'root'", 1),
        (("create", "root/packages", "--name", "x", "--scope", "api"), "Scope 'api' is invalid", 2),
        (
            ("create", "root/packages", "--name", "x", "--scope", "read_package_registry", "--expires", "2001-01-01"),
            "it has passed already",
            2,
        ),
        (("create", "root/packages", "--name", "x", "--scope", "read_package_registry", "--username", "a b"), "can contain only", 1),
        (("list", "nowhere"), "no project or group 'nowhere'", 1),
        (("revoke", "7"), "no deploy token '7'", 1),
    ],
)
def test_what_cannot_be_is_told(registry: Registry, words: tuple[str, ...], said: str, status: int) -> None:
    """Each mistake ends with a sentence and status 1, or 2 for a value that can never be right, and makes nothing."""
    assert said in registry("deploy-token", *words, status=status).err
    assert registry("deploy-token", "list", "root/packages", "--json").data == []


def test_a_job_token_is_printed_alone(registry: Registry) -> None:
    """`create` prints nothing but the token; without --user it is of the namespace's owner."""
    later = (datetime.now(UTC) + timedelta(hours=23)).isoformat()
    words = ("--ref", "main", "--sha", "a" * 40, "--pipeline-id", "5", "--job-id", "9", "--expires", later)
    secret = registry("job-token", "create", "root/packages", *words).out.strip()
    assert secret.startswith("glcbt-")
    assert "\n" not in secret
    assert registry("job-token", "create", "1", "--user", "root").out.startswith("glcbt-")


def test_what_cannot_be_a_job_is_told(registry: Registry) -> None:
    """An unknown project or user, a blocked user, an expiry too far away, or a group's project without a user: each has its sentence."""
    registry("user", "create", "ann")
    registry("user", "block", "ann")
    registry("group", "create", "team")
    registry("project", "create", "team/app")
    for words, said in (
        (("nowhere/x",), "no project or group"),
        (("team",), "no project 'team'"),
        (("root/packages", "--user", "eve"), "User Not Found"),
        (("root/packages", "--user", "ann"), "is blocked"),
        (("team/app",), "say with --user"),
    ):
        assert said in registry("job-token", "create", *words, status=1).err
    too_late = (datetime.now(UTC) + timedelta(hours=25)).isoformat()
    assert "within the next 24 hours" in registry("job-token", "create", "root/packages", "--expires", too_late, status=2).err
