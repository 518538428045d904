"""`registry package`, `protect` and `audit` on a data directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Registry
from tests.clients.processes import environment


def test_packages_are_listed_and_shown(registry: Registry) -> None:
    """A project's packages are listed by number or path, one is shown with its files, in tables and as JSON."""
    listed = registry("package", "list", "root/packages", "--json").data
    assert [(one["id"], one["name"], one["version"], one["project"]) for one in listed] == [
        (1, "held", "1.0", "root/packages"),
        (2, "held", "2.0", "root/packages"),
    ]
    assert registry("package", "list", "1", "--name", "HEL", "--json").data == listed
    assert registry("package", "list", "1", "--name", "%", "--json").data == []
    assert "root/packages" in registry("package", "list", "1").out
    shown = registry("package", "show", "1", "--json").data
    assert [one["filename"] for one in shown["files"]] == ["held-1.0-py3-none-any.whl"]
    assert "held-1.0-py3-none-any.whl" in registry("package", "show", "1").out


def test_packages_are_deleted_protected_or_not(registry: Registry) -> None:
    """Whoever has the shell deletes whole packages and single files, whatever rules say; the journal tells of the shell."""
    registry("protect", "add", "1", "*", "--delete", "admin")
    assert "held 1.0" in registry("package", "delete", "1").err
    assert "File 2" in registry("package", "delete", "2", "--file", "2").err
    assert registry("package", "list", "1", "--json").data == []
    rows = [json.loads(line) for line in registry("audit", "--action", "package.delete", "--json").out.splitlines()]
    assert [(row["package"], row["detail"]["version"], row["user"]) for row in rows] == [("held", "1.0", None), ("held", "2.0", None)]
    assert all(row["address"].startswith("command line") for row in rows)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("package", "list", "nobody/nothing"), 1, "There is no project"),
        (("package", "list", "9" * 40), 1, "There is no project"),
        (("package", "show", "99"), 1, "Package not found"),
        (("package", "delete", "99"), 1, "Package not found"),
        (("package", "delete", "1", "--file", "99"), 1, "Not Found"),
        (("package", "show", "0"), 2, "0"),
        (("package", "show", "x"), 2, "x"),
        (("package", "show", str(2**63)), 2, "range"),
        (("protect", "add", "1", "a"), 1, "at least a minimum access role"),
        (("protect", "add", "1", "a b", "--push", "owner"), 1, "valid PyPI package name"),
        (("protect", "add", "1", "a", "--push", "developer"), 2, "developer"),
        (("protect", "remove", "1", "99"), 1, "Not Found"),
        (("audit", "--since", "yesterday"), 2, "Time 'yesterday' is invalid"),
        (("audit", "--until", "2030-01-01T00:00:00"), 2, "no time zone"),
        (("audit", "--limit", "0"), 2, "0"),
        (("audit", "--project", "nobody/nothing"), 1, "There is no project"),
        (("audit", "--package", "a b"), 1, "Name is invalid"),
    ],
)
def test_what_cannot_be_is_said(registry: Registry, words: tuple[str, ...], status: int, said: str) -> None:
    """What does not exist ends with status 1, what could never be right with 2, each with a sentence."""
    assert said in registry(*words, status=status).err


def test_rules_are_added_listed_and_removed(registry: Registry) -> None:
    """Rules are those of the REST API."""
    made = registry("protect", "add", "root/packages", "my-*", "--push", "maintainer", "--delete", "owner", "--json").data
    assert made == {"id": 1, "pattern": "my-*", "push": "maintainer", "delete": "owner"}
    assert registry("protect", "list", "1", "--json").data == [made]
    assert "already been taken" in registry("protect", "add", "1", "MY_*", "--push", "owner", status=1).err
    assert "my-*" in registry("protect", "remove", "1", "1").err
    assert registry("protect", "list", "1", "--json").data == []


def test_the_journal_is_filtered(registry: Registry) -> None:
    """Each filter of `audit` narrows what is shown, the newest last, and no secret is among it."""
    registry("user", "create", "mia")
    registry("token", "create", "--user", "mia", "--name", "ci", "--scope", "api")

    def actions(*words: str) -> list[str]:
        return [json.loads(line)["action"] for line in registry("audit", "--json", *words).out.splitlines()]

    everything = actions()
    assert everything[-2:] == ["user.create", "token.create"]
    assert actions("--project", "root/packages").count("file.publish") == 2
    assert actions("--project", "1") == actions("--project", "root/packages")
    assert actions("--project", "999") == []
    assert actions("--package", "HELD") == ["file.publish", "file.publish"]
    assert set(actions("--action", "token")) == {"token.create"}
    assert actions("--action", "tok") == []
    assert actions("--action", "%") == []
    assert actions("--user", "ROOT") == ["file.publish", "file.publish"]
    assert actions("--since", "2000-01-01", "--until", "2001-01-01") == []
    assert actions("--since", "2000-01-01") == everything
    assert actions("--limit", "1") == ["token.create"]
    assert "glpat-" not in registry("audit", "--json").out
    table = registry("audit").out
    assert "file.publish" in table
    assert "root/packages" in table


def test_the_journal_is_followed(data_dir: Path, registry: Registry) -> None:
    """`--follow` goes on with what happens from then on, a line each, and ends quietly when interrupted."""
    command = [sys.executable, "-m", "registry", "audit", "--json", "--follow", "--limit", "1", "--data-dir", str(data_dir)]
    env = {**environment(data_dir.parent), "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        registry("user", "create", "mia")
        second = json.loads(process.stdout.readline())
        assert (second["action"], second["serial"]) == ("user.create", first["serial"] + 1)
        process.send_signal(2)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
