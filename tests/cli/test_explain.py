"""`registry explain`, on a data directory."""

import sys
from pathlib import Path

import pytest

from registry.testing import FakeUpstream, sdist, serving_upstream, wheel
from tests.cli.conftest import Registry, invoke
from tests.clients.processes import environment, run

OLD, NEW = wheel("demo", "1.0"), sdist("demo", "2.0")


def configuration(tmp_path: Path, more: str = "", url: str = "http://127.0.0.1:9/simple/") -> Path:
    """A configuration whose upstream is at `url`, by default where nobody answers."""
    path = tmp_path / "registry.ini"
    path.write_text(f"[upstream]\nurl = {url}\nmode = cache\nallow_private = 127.0.0.0/8\n[curation]\ndeny = demo <2\n{more}")
    return path


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstreams may be asked: the configuration says which."""
    monkeypatch.delenv("REGISTRY__UPSTREAM__MODE", raising=False)


@pytest.mark.usefixtures("asked")
def test_an_operator_is_told_all(registry: Registry, tmp_path: Path) -> None:
    """A name of ours is told with the projects that hold it, wherever they are, and its files, as JSON and as a table."""
    config = str(configuration(tmp_path))
    told = registry("explain", "Held", "--json", "--config", config).data
    assert (told["name"], told["standing"], told["rule"], told["projects"]) == ("held", "ours", "published here", ["root/packages"])
    assert [(file["version"], file["source"], file["kept"], file["rule"]) for file in told["files"]] == [
        ("1.0", "local", True, "local"),
        ("2.0", "local", True, "local"),
    ]
    said = registry("explain", "held", "--version", "2", "--project", "root/packages", "--config", config).out
    assert "held was published in this registry, so no upstream is ever asked about it (published here)." in said
    assert "Published in: root/packages." in said
    assert "held-2.0-py3-none-any.whl" in said
    assert "held-1.0" not in said
    registry("project", "create", "root/other")
    elsewhere = registry("explain", "held", "--project", "root/other", "--json", "--config", config).data
    assert (elsewhere["standing"], elsewhere["projects"], elsewhere["files"]) == ("ours", ["root/packages"], [])


@pytest.mark.usefixtures("asked")
def test_a_group_is_explained_as_a_whole(registry: Registry, tmp_path: Path) -> None:
    """In a group the files of all that lies below it are candidates."""
    config = str(configuration(tmp_path))
    registry("group", "create", "team")
    registry("project", "create", "team/lib")
    assert registry("explain", "held", "--group", "team", "--json", "--config", config).data["files"] == []
    registry("upstream", "forwarding", "off", "--group", "team")
    assert registry("explain", "demo", "--group", "team", "--json", "--config", config).data["standing"] == "off"
    assert registry("explain", "demo", "--json", "--config", config).data["standing"] == "forwarded"


@pytest.mark.usefixtures("asked")
def test_nobody_is_asked_unless_told_to(registry: Registry, data_dir: Path, tmp_path: Path) -> None:
    """Without --ask what an upstream said before counts, and of the rest nothing is known; with it, it is asked and judged."""
    upstream = FakeUpstream()
    upstream.add(OLD, NEW)
    with serving_upstream(upstream) as url:
        config = str(configuration(tmp_path, url=url))
        told = registry("explain", "demo", "--json", "--config", config).data
        assert (told["standing"], told["files"], upstream.requests) == ("forwarded", [], [])
        assert [(one["upstream"], one["outcome"], one["found"]) for one in told["upstreams"]] == [("upstream", "unasked", None)]
        command = [sys.executable, "-m", "registry", "explain", "demo", "--ask", "--config", config, "--data-dir", str(data_dir)]
        said = run(command, environment(tmp_path, REGISTRY__UPSTREAM__MODE="cache")).worked().out
        assert "demo is not held here, so upstreams are asked" in said
        assert "Blocked by deny-list: demo 1.0 is denied here" in said
        assert upstream.asked("/simple/demo/") == 1
        told = registry("explain", "demo", "--json", "--config", config).data
        assert told["upstreams"][0]["outcome"] == "hit"
        assert [(file["filename"], file["kept"], file["rule"]) for file in told["files"]] == [
            (OLD.filename, False, "deny-list"),
            (NEW.filename, True, "allow"),
        ]
        assert upstream.asked("/simple/demo/") == 1


@pytest.mark.usefixtures("asked")
def test_an_upstream_that_does_not_answer_is_told(data_dir: Path, tmp_path: Path) -> None:
    """What kept an upstream from answering is a row with its sentence, and the command ends well: that is what was asked for."""
    config = str(configuration(tmp_path))
    command = [sys.executable, "-m", "registry", "explain", "demo", "--ask", "--json", "--config", config, "--data-dir", str(data_dir)]
    said = run(command, environment(tmp_path, REGISTRY__UPSTREAM__MODE="cache")).worked()
    assert '"outcome": "failed"' in said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("-",), 1, "Name is invalid"),
        (("demo", "--version", "x y"), 1, "Version is invalid"),
        (("demo", "--project", "no/such"), 1, "There is no project 'no/such'"),
        (("demo", "--group", "no-such"), 1, "There is no group 'no-such'"),
        (("demo", "--group", "a", "--project", "b"), 2, "Use --group or --project, not both."),
    ],
)
def test_what_cannot_be_is_told(registry: Registry, words: tuple[str, ...], status: int, message: str) -> None:
    """What is not there, or no name, ends the command with a sentence."""
    assert message in registry("explain", *words, status=status).err


def test_without_a_data_directory_nothing_is_explained(tmp_path: Path) -> None:
    """A directory that holds no registry is told, and not made."""
    assert invoke("explain", "demo", "--data-dir", str(tmp_path / "none")).status == 1
    assert not (tmp_path / "none").exists()
