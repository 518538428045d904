"""`registry upstream`, on a data directory."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Registry, invoke


def told(registry: Registry, action: str) -> list[dict[str, Any]]:
    """The journal's entries for an action."""
    return [json.loads(line) for line in registry("audit", "--action", action, "--json").out.splitlines()]


def row(place: str, says: str, *, locked: bool = False, enabled: bool = True, locked_by: str | None = None) -> dict[str, object]:
    return {"place": place, "forwarding": says, "locked": locked, "enabled": enabled, "locked_by": locked_by}


@pytest.fixture
def grouped(registry: Registry) -> Registry:
    """With the project team/lib in a group."""
    registry("group", "create", "team")
    registry("project", "create", "team/lib")
    return registry


def test_names_are_shared_from_the_shell(registry: Registry) -> None:
    """A name in any spelling is shared with a project, listed, and taken back; the journal tells of the shell."""
    said = registry("upstream", "allow", "root/packages", "My.Demo").err
    assert "root/packages may fetch my-demo from upstream." in said
    registry("upstream", "allow", "1", "alpha")
    assert registry("upstream", "list", "1", "--json").data == [{"name": "alpha"}, {"name": "my-demo"}]
    assert "my-demo" in registry("upstream", "list", "root/packages").out
    assert "root/packages fetches my-demo from upstream no longer" in registry("upstream", "disallow", "1", "my_demo").err
    assert registry("upstream", "list", "1", "--json").data == [{"name": "alpha"}]
    (entry,) = told(registry, "upstream.unshare")
    assert (entry["user"], entry["package"], entry["address"].startswith("command line")) == (None, "my-demo", True)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("allow", "no/such", "demo"), 1, "There is no project 'no/such'"),
        (("allow", "1", "-"), 1, "Name is invalid"),
        (("allow", "1", "x" * 300), 2, "no file name has room"),
        (("list", "99"), 1, "There is no project"),
        (("forwarding", "perhaps"), 2, "'perhaps' is not one of"),
        (("forwarding", "on", "--group", "no-such"), 1, "There is no group 'no-such'"),
        (("forwarding", "on", "--group", "root"), 1, "There is no group 'root'"),
        (("forwarding", "on", "--project", "77"), 1, "There is no project '77'"),
        (("forwarding", "on", "--group", "team", "--project", "1"), 2, "Use --group or --project, not both."),
        (("forwarding", "--project", "1", "--lock"), 2, "nothing lies below the project root/packages"),
    ],
)
def test_what_cannot_be_is_told(registry: Registry, words: tuple[str, ...], status: int, message: str) -> None:
    """What is not there ends with status 1 and its name, what could never be with status 2."""
    assert message in registry("upstream", *words, status=status).err


def test_forwarding_is_switched_from_the_shell(grouped: Registry) -> None:
    """Instance, group and project are switched and shown with what counts there; without a word nothing is changed."""

    def said(*words: str) -> Any:
        return grouped("upstream", "forwarding", *words, "--json").data

    assert said() == row("the instance", "inherit")
    assert said("off") == row("the instance", "off", enabled=False)
    assert said("--project", "team/lib") == row("the project team/lib", "inherit", enabled=False)
    assert said("on", "--group", "team") == row("the group team", "on")
    assert said("--project", "team/lib") == row("the project team/lib", "inherit")
    assert said("off", "--project", "2") == row("the project team/lib", "off", enabled=False)
    assert said("inherit", "--project", "2") == row("the project team/lib", "inherit")
    assert said("inherit") == row("the instance", "inherit")
    actions = [(entry["detail"]["path"], entry["detail"]["enabled"]) for entry in told(grouped, "forwarding.update")]
    assert sorted(actions, key=str) == sorted([("team", True), ("team/lib", False), ("team/lib", None)], key=str)


def test_locks_are_set_from_the_shell(grouped: Registry) -> None:
    """A lock is set and taken off with or without a switch, and what it forbids ends with status 1 and the name of its holder."""

    def said(*words: str) -> Any:
        return grouped("upstream", "forwarding", *words, "--json").data

    assert said("off", "--group", "team", "--lock") == row("the group team", "off", locked=True, enabled=False)
    lib = row("the project team/lib", "inherit", enabled=False, locked_by="the group team")
    assert said("--project", "team/lib") == lib
    refused = grouped("upstream", "forwarding", "on", "--project", "team/lib", status=1)
    assert "cannot be changed because it is locked by the group team" in refused.err
    assert said("on", "--group", "team") == row("the group team", "on", locked=True)
    assert said("--group", "team", "--no-lock") == row("the group team", "on")
    assert said("off", "--lock") == row("the instance", "off", locked=True, enabled=False)
    assert said("--group", "team") == row("the group team", "on", enabled=False, locked_by="the instance")
    assert "the instance" in grouped("upstream", "forwarding", "--no-lock").out
    assert said("--project", "team/lib")["enabled"] is True


def test_the_configuration_speaks_first(data_dir: Path, tmp_path: Path) -> None:
    """With `[upstream] enabled = no` nothing is asked until somebody switches it on, which "inherit" takes back."""
    config = tmp_path / "registry.ini"
    config.write_text("[upstream]\nenabled = no\n", "utf-8")

    def said(*words: str) -> Any:
        done = invoke("upstream", "forwarding", *words, "--json", "--data-dir", str(data_dir), "--config", str(config))
        assert done.status == 0, done
        return done.data

    assert said() == row("the instance", "inherit", enabled=False)
    assert said("on")["enabled"] is True
    assert said("--project", "1")["enabled"] is True
    assert said("inherit") == row("the instance", "inherit", enabled=False)
