"""What every command keeps to: streams, exit status, options, colours."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Registry, invoke
from tests.clients.processes import BIN, DEADLINE, environment, run

COMMANDS = [
    ("user", "list"),
    ("user", "create", "ann"),
    ("user", "block", "root"),
    ("token", "list"),
    ("token", "revoke", "1"),
    ("token", "create", "--user", "root", "--name", "x", "--scope", "api"),
    ("project", "list"),
    ("project", "show", "1"),
    ("project", "create", "root/x"),
    ("verify",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_a_registry_every_command_says_how_to_get_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    """On a directory that holds none: status 1, a helpful sentence on stderr, nothing on stdout, nothing created."""
    said = invoke(*words, "--data-dir", str(tmp_path / "none"))
    assert (said.status, said.out) == (1, "")
    assert f"there is no registry in {tmp_path / 'none'}: start one with `registry serve`, or say where it is with --data-dir" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words[1:2] in {("list",), ("show",)} or words == ("verify",)], ids=" ".join
)
def test_data_goes_to_stdout_and_nothing_else_does(registry: Registry, words: tuple[str, ...]) -> None:
    """With --json, stdout is one JSON document, whatever is said on stderr."""
    assert registry(*words, "--json").data is not None


def test_the_data_directory_may_be_given_before_the_command(data_dir: Path) -> None:
    """--data-dir and --config are taken before a command's name and after it, and the nearer one counts."""
    assert invoke("--data-dir", str(data_dir), "user", "list", "--json").status == 0
    assert invoke("--data-dir", "nowhere", "user", "list", "--data-dir", str(data_dir), "--json").status == 0


def test_the_data_directory_may_come_from_a_file_or_the_environment(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands read the same configuration as the server."""
    config = tmp_path / "registry.ini"
    config.write_text(f"[server]\ndata_dir = {data_dir}\n")
    assert invoke("user", "list", "--config", str(config)).status == 0
    monkeypatch.setenv("REGISTRY__SERVER__DATA_DIR", str(data_dir))
    assert invoke("user", "list").status == 0


@pytest.mark.parametrize(
    "words", [("bogus",), ("user", "bogus"), ("user", "create"), ("user", "list", "--bogus"), ("user", "list", "extra")]
)
def test_wrong_usage_is_status_2(words: tuple[str, ...]) -> None:
    """Unknown commands, options and arguments, and missing ones, are status 2 with the usage on stderr."""
    said = invoke(*words)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("Usage: registry ")


def test_a_bad_configuration_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that does not exist is status 2 and is named, whoever set it."""
    monkeypatch.setenv("REGISTRY__SERVER__DATADIR", "x")
    said = invoke("user", "list")
    assert said.status == 2
    assert "section [server] has no key 'datadir'; did you mean data_dir?" in said.err


@pytest.mark.parametrize(
    "words", [(), ("user",), ("user", "create"), ("token",), ("token", "create"), ("project", "create"), ("serve",), ("verify",)]
)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    """-h and --help print the usage on stdout with status 0."""
    short, long = invoke(*words, "-h"), invoke(*words, "--help")
    assert short == long
    assert short.status == 0
    assert short.out.startswith(f"Usage: {' '.join(('registry', *words))} ")


def test_the_version_is_told() -> None:
    """--version prints the name and the version."""
    said = invoke("--version")
    assert said.status == 0
    assert re.fullmatch(r"registry, version \d+\.\d+\.\d+\n", said.out)


@pytest.mark.parametrize("program", [(str(BIN / "registry"),), (sys.executable, "-m", "registry")], ids=["registry", "python -m registry"])
def test_real_processes_do_the_same(data_dir: Path, tmp_path: Path, program: tuple[str, ...]) -> None:
    """As a process too: the token alone on stdout, errors on stderr, status 0, 1 and 2."""
    env = environment(tmp_path)
    made = run((*program, "token", "create", "--user", "root", "--name", "x", "--scope", "api", "--data-dir", str(data_dir)), env)
    assert (made.status, made.err) == (0, "")
    assert re.fullmatch(r"glpat-[\w-]{32}\n", made.out)
    assert run((*program, "user", "block", "nobody", "--data-dir", str(data_dir)), env).failed(1).out == ""
    assert run((*program, "bogus"), env).failed(2).out == ""


def on_a_terminal(command: tuple[str, ...], env: dict[str, str]) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        printed = b""
        try:
            while data := os.read(ours, 1 << 16):
                printed += data
        except OSError:  # Linux's way to say that the other end is closed
            pass
        finally:
            os.close(ours)
        assert process.wait(DEADLINE) == 0
    return printed.decode()


def test_colours_are_left_out_when_nobody_wants_them(data_dir: Path, tmp_path: Path) -> None:
    """On a terminal a table is dressed up; with NO_COLOR set it is plain text."""
    command = (sys.executable, "-m", "registry", "user", "list", "--data-dir", str(data_dir))
    env = {**environment(tmp_path), "TERM": "xterm-256color", "COLUMNS": "100"}
    env.pop("NO_COLOR", None)
    assert "\x1b[" in on_a_terminal(command, env)
    plain = on_a_terminal(command, {**env, "NO_COLOR": "1"})
    assert "\x1b" not in plain
    assert "root" in plain


def test_a_pipe_that_closes_is_no_crash(data_dir: Path, tmp_path: Path) -> None:
    """`registry user list | head -0` shows no traceback."""
    command = f"'{sys.executable}' -m registry user list --data-dir '{data_dir}' | true"
    assert "Traceback" not in run(("sh", "-c", command), environment(tmp_path)).err
