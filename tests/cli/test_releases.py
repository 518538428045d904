"""`registry package yank`, `unyank`, `close` and `reopen`, and `registry status`, on a data directory."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Registry

FILE = "held-1.0-py3-none-any.whl"


def shown(registry: Registry) -> tuple[dict[str, Any], dict[str, Any]]:
    """Package 1, and its one file."""
    package = registry("package", "show", "1", "--json").data
    (file,) = package["files"]
    return package, file


def told(registry: Registry, action: str) -> list[dict[str, Any]]:
    """The journal's entries for an action."""
    return [json.loads(line) for line in registry("audit", "--action", action, "--json").out.splitlines()]


def test_a_package_is_yanked_from_the_shell(registry: Registry) -> None:
    """Lists, the package and its files show that it is yanked and why, until that is taken back; the journal tells of the shell."""
    assert "held 1.0 in root/packages is yanked" in registry("package", "yank", "1", "--reason", "it's <broken>").err
    for one in shown(registry):
        assert (one["yanked"], one["yanked_reason"]) == (True, "it's <broken>")
    assert [one["yanked"] for one in registry("package", "list", "1", "--json").data] == [True, False]
    assert "it's <broken>" in registry("package", "list", "1").out
    assert "is not yanked" in registry("package", "unyank", "1").err
    for one in shown(registry):
        assert (one["yanked"], one["yanked_reason"]) == (False, None)
    (row,) = told(registry, "package.yank")
    assert (row["user"], row["package"], row["detail"]) == (None, "held", {"version": "1.0", "reason": "it's <broken>", "files": [FILE]})
    assert row["address"].startswith("command line")


def test_a_file_is_yanked_from_the_shell(registry: Registry) -> None:
    """`--file` marks that file and not its package; a reason is not needed."""
    assert FILE in registry("package", "yank", "1", "--file", "1").err
    package, file = shown(registry)
    assert (package["yanked"], file["yanked"], file["yanked_reason"]) == (False, True, None)
    registry("package", "unyank", "1", "--file", "1")
    assert shown(registry)[1]["yanked"] is False


def test_a_package_is_closed_and_reopened_from_the_shell(registry: Registry) -> None:
    """A package is neither closed nor kept open until somebody says so."""
    assert shown(registry)[0]["closed"] is None
    assert "takes no more files" in registry("package", "close", "1").err
    assert shown(registry)[0]["closed"] is True
    assert "is open" in registry("package", "reopen", "1").err
    assert shown(registry)[0]["closed"] is False


def test_names_are_given_statuses_from_the_shell(registry: Registry) -> None:
    """A name, held or not, is given a status in any spelling, and listed until it is active again."""
    registry("status", "set", "root/packages", "HELD", "archived", "--reason", "moved")
    registry("status", "set", "1", "Not.Yet", "quarantined")
    listed = registry("status", "list", "root/packages", "--json").data
    assert [(one["name"], one["status"], one["reason"]) for one in listed] == [
        ("held", "archived", "moved"),
        ("not-yet", "quarantined", None),
    ]
    assert "moved" in registry("status", "list", "1").out
    for name in ("held", "not-yet"):
        assert f"{name} in root/packages is active" in registry("status", "set", "1", name, "active").err
    assert registry("status", "list", "1", "--json").data == []
    assert [row["detail"]["status"] for row in told(registry, "package.status")] == ["archived", "quarantined", "active", "active"]


def test_the_shell_is_above_protection_rules(registry: Registry) -> None:
    """Whoever has the shell curates whatever rules say."""
    registry("protect", "add", "1", "*", "--push", "admin")
    registry("package", "yank", "1")
    registry("package", "close", "1")
    registry("status", "set", "1", "held", "archived")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("package", "yank", "99"), 1, "Package not found"),
        (("package", "yank", "1", "--file", "2"), 1, "Not Found"),
        (("package", "unyank", "1", "--file", "99"), 1, "Not Found"),
        (("package", "close", "99"), 1, "Package not found"),
        (("package", "yank", "0"), 2, "0"),
        (("package", "yank", "1", "--file", "x"), 2, "x"),
        (("package", "yank", "1", "--reason", "a\nb"), 2, "one line"),
        (("package", "yank", "1", "--reason", "\x1b[2J"), 2, "one line"),
        (("package", "yank", "1", "--reason", "x" * 513), 2, "512"),
        (("package", "unyank", "1", "--reason", "x"), 2, "--reason"),
        (("status", "set", "nobody/nothing", "a", "archived"), 1, "There is no project"),
        (("status", "set", "1", "a b", "archived"), 1, "Name is invalid"),
        (("status", "set", "1", "x" * 256, "archived"), 2, "255"),
        (("status", "set", "1", "held", "gone"), 2, "'active', 'archived', 'deprecated', 'quarantined'"),
        (("status", "set", "1", "held", "archived", "--reason", "a\rb"), 2, "one line"),
        (("status", "list", "nobody/nothing"), 1, "There is no project"),
    ],
)
def test_what_cannot_be_done_is_told(registry: Registry, words: tuple[str, ...], status: int, said: str) -> None:
    """A command that cannot do what it is told says why, with status 2 if it could never, and changes nothing."""
    assert said in registry(*words, status=status).err
    assert [one["yanked"] for one in shown(registry)] == [False, False]
    assert registry("status", "list", "1", "--json").data == []
