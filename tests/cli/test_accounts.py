"""`registry user`, `token` and `project`."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry.domain.tokens import PERSONAL_SCOPES, Scope
from tests.cli.conftest import Registry

# --- users ---


def test_a_user_is_created_and_listed(registry: Registry) -> None:
    """`user create` shows the new user, `user list` shows all, oldest first; --json prints the same as data."""
    assert "ann" in registry("user", "create", "ann").out
    made = registry("user", "create", "bob", "--admin", "--json")
    assert made.data == {"id": 3, "username": "bob", "admin": True, "state": "active"}
    assert made.err == ""
    assert [one["username"] for one in registry("user", "list", "--json").data] == ["root", "ann", "bob"]


def test_a_blocked_user_is_shown_as_blocked(registry: Registry) -> None:
    """`user block` and `user unblock` say what they did on stderr, print no data, and may be repeated."""
    registry("user", "create", "ann")
    for command, state in (("block", "blocked"), ("block", "blocked"), ("unblock", "active"), ("unblock", "active")):
        said = registry("user", command, "ann")
        assert (said.out, said.err) == ("", f"ann is {state}.\n")
        assert registry("user", "list", "--json").data[1]["state"] == state


@pytest.mark.parametrize("name", ["ann", "ANN"])
def test_a_user_name_is_taken_once(registry: Registry, name: str) -> None:
    """A second user of one name, in any case, is refused with status 1 and a sentence."""
    registry("user", "create", "ann")
    said = registry("user", "create", name, status=1)
    assert (said.out, said.err) == ("", f"Error: User name '{name}' has already been taken\n")


@pytest.mark.parametrize("name", ["", "a b", "12", ".x", "x.", "x.git", "x.atom", "a/b", "..", "\u00e4", "x\x1b[31m", "a" * 256])
def test_a_user_name_that_cannot_be_is_wrong_usage(registry: Registry, name: str) -> None:
    """A name that could not stand in a path is refused with status 2, in printable ASCII (hardening row 2)."""
    said = registry("user", "create", name, status=2).err
    assert said.isascii()
    assert said.replace("\n", "").isprintable()
    assert [one["username"] for one in registry("user", "list", "--json").data] == ["root"]


@pytest.mark.parametrize("name", ["a", "_", "a" * 255, "a.b-c_d", "0a"])
def test_a_user_name_that_can_be_is_taken(registry: Registry, name: str) -> None:
    """Names up to 255 characters of GitLab's kind are accepted."""
    assert registry("user", "create", name, "--json").data["username"] == name


@pytest.mark.parametrize("command", ["block", "unblock"])
def test_a_user_who_is_not_there_is_told(registry: Registry, command: str) -> None:
    """An unknown user is status 1 and a sentence."""
    assert registry("user", command, "nobody", status=1).err == "Error: There is no user 'nobody'\n"


# --- tokens ---


def test_a_token_is_printed_alone_and_once(registry: Registry, data_dir: Path) -> None:
    """`token create` prints the token and a newline, nothing else, and keeps only a digest of it (hardening row 30)."""
    said = registry("token", "create", "--user", "root", "--name", "ci", "--scope", "api")
    assert re.fullmatch(r"glpat-[\w-]{32}\n", said.out)
    assert said.err == ""
    secret = said.out.strip()
    assert secret not in registry("token", "list").out + registry("token", "list", "--json").out
    for path in data_dir.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_tokens_are_listed(registry: Registry) -> None:
    """`token list` shows scopes and expiry, of everybody or of one user."""
    registry("user", "create", "ann")
    registry(
        "token",
        "create",
        "--user",
        "ann",
        "--name",
        "ci",
        "--scope",
        "read_api",
        "--scope",
        "api",
        "--scope",
        "api",
        "--expires",
        "2099-01-31",
    )
    everybody = registry("token", "list", "--json").data
    assert [one["username"] for one in everybody] == ["root", "ann"]
    (hers,) = registry("token", "list", "--user", "ann", "--json").data
    assert hers == everybody[1]
    assert (hers["id"], hers["name"], hers["scopes"]) == (2, "ci", ["read_api", "api"])
    assert (hers["expires_at"], hers["revoked_at"]) == ("2099-01-31T00:00:00.000Z", None)
    assert "2099-01-31 00:00:00Z" in registry("token", "list").out


def test_a_revoked_token_is_shown_as_revoked(registry: Registry) -> None:
    """`token revoke` says whose token it was, and may be repeated without changing when it happened."""
    assert registry("token", "revoke", "1").err == "Token 1 (initial root token) of root is revoked.\n"
    (first,) = registry("token", "list", "--json").data
    assert first["revoked_at"] is not None
    registry("token", "revoke", "1")
    assert registry("token", "list", "--json").data == [first]


@pytest.mark.parametrize("number", ["2", str(2**63 - 1)])
def test_a_token_that_is_not_there_is_told(registry: Registry, number: str) -> None:
    """An unknown token is status 1 and a sentence."""
    assert registry("token", "revoke", number, status=1).err == f"Error: There is no token '{number}'\n"


@pytest.mark.parametrize("number", ["0", str(2**63), "one", ""])
def test_a_token_number_that_cannot_be_is_wrong_usage(registry: Registry, number: str) -> None:
    """What is no number a token could have is status 2."""
    assert "TOKEN_ID" in registry("token", "revoke", number, status=2).err


def test_a_token_for_nobody_is_refused(registry: Registry) -> None:
    """Tokens are made for, and listed of, users there are."""
    assert (
        registry("token", "create", "--user", "nobody", "--name", "x", "--scope", "api", status=1).err
        == "Error: There is no user 'nobody'\n"
    )
    assert registry("token", "list", "--user", "nobody", status=1).err == "Error: There is no user 'nobody'\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--name", "x", "--scope", "write_everything"), "Scope 'write_everything' is invalid"),
        (("--name", "x", "--scope", "API"), "Scope 'API' is invalid"),
        (("--name", "x"), "Missing option '--scope'"),
        (("--scope", "api"), "Missing option '--name'"),
        (("--name", " ", "--scope", "api"), "Token name ' ' is invalid"),
        (("--name", "x", "--scope", "api", "--expires", "2020-01-01"), "Expiry '2020-01-01' is invalid: it has passed already"),
        (("--name", "x", "--scope", "api", "--expires", "soon"), "use a date such as 2030-01-31"),
        (("--name", "x", "--scope", "api", "--expires", "2099-02-30"), "use a date such as 2030-01-31"),
        (("--name", "x", "--scope", "api", "--expires", "2099-01-31T12:00:00"), "it has no time zone"),
    ],
)
def test_a_token_that_cannot_be_is_wrong_usage(registry: Registry, words: tuple[str, ...], told: str) -> None:
    """A scope, expiry or name that could never be right is status 2, says what would be, and makes no token."""
    said = registry("token", "create", "--user", "root", *words, status=2)
    assert told in said.err
    assert said.out == ""
    assert len(registry("token", "list", "--json").data) == 1


def test_an_unknown_scope_is_answered_with_the_known_ones(registry: Registry) -> None:
    """Whoever misspells a scope is told every one there is."""
    said = registry("token", "create", "--user", "root", "--name", "x", "--scope", "write_everything", status=2)
    told = said.err.partition("use at least one of ")[2].strip().split(", ")
    assert set(told) == PERSONAL_SCOPES
    assert {scope.value for scope in Scope} <= set(told)


def test_an_expiry_is_a_day_that_has_not_begun(registry: Registry) -> None:
    """Today (expired from 00:00 UTC) is refused, a later day is accepted."""
    today = datetime.now(UTC).date()
    create = ("token", "create", "--user", "root", "--name", "x", "--scope", "api", "--expires")
    registry(*create, today.isoformat(), status=2)
    registry(*create, (today + timedelta(days=2)).isoformat())


# --- projects ---


def test_a_project_is_created_and_shown(registry: Registry) -> None:
    """`project create` shows the new project, private unless told; `show` finds it by number and by path in any case."""
    made = registry("project", "create", "root/tools", "--visibility", "internal", "--json").data
    assert (made["id"], made["path"], made["name"], made["visibility"], made["files"]) == (2, "root/tools", "tools", "internal", 0)
    for ref in ("2", "root/tools", "ROOT/Tools"):
        assert registry("project", "show", ref, "--json").data == made
    assert registry("project", "create", "root/other", "--json").data["visibility"] == "private"
    assert [one["path"] for one in registry("project", "list", "--json").data] == ["root/packages", "root/tools", "root/other"]
    assert "root/tools" in registry("project", "list").out


def test_a_project_shows_what_it_holds(registry: Registry) -> None:
    """Packages, files and bytes are counted."""
    shown = registry("project", "show", "1", "--json").data
    assert (shown["packages"], shown["files"]) == (2, 2)
    assert shown["bytes"] > 0


def test_a_project_path_is_taken_once(registry: Registry) -> None:
    """A second project at one path, in any case, is status 1 and a sentence."""
    said = registry("project", "create", "Root/PACKAGES", status=1)
    assert said.err == "Error: Project path 'Root/PACKAGES' has already been taken\n"


def test_a_project_needs_a_namespace_there_is(registry: Registry) -> None:
    """A project of nobody is status 1 and a sentence."""
    assert registry("project", "create", "nobody/x", status=1).err == "Error: There is no user or group called 'nobody'\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tools",), "use NAMESPACE/PROJECT, such as root/packages"),
        (("root/",), "Project path '' is invalid"),
        (("/tools",), "Namespace '' is invalid"),
        (("root/../x",), "Namespace '..' is invalid"),
        (("root/7",), "not only digits"),
        (("root/x", "--visibility", "secret"), "use private, internal or public"),
    ],
)
def test_a_project_that_cannot_be_is_wrong_usage(registry: Registry, words: tuple[str, ...], told: str) -> None:
    """A path or visibility that could never be right is status 2 and says what would be."""
    assert told in registry("project", "create", *words, status=2).err
    assert len(registry("project", "list", "--json").data) == 1


@pytest.mark.parametrize("ref", ["77", str(2**63 - 1), str(2**63), "9" * 40, "9" * 5000, "root/none", "none", "", "a\nb", "\u0663"])
def test_a_project_that_is_not_there_is_told(registry: Registry, ref: str) -> None:
    """Whatever names no project is status 1 and a sentence in printable ASCII."""
    said = registry("project", "show", ref, status=1)
    assert said.out == ""
    assert re.fullmatch(r"Error: There is no project '[ -~]*'\n", said.err)
