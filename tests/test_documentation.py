"""The documents say what is true: commands exist, options are listed, links lead somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

from registry.cli.main import main
from registry.cli.serve import serve
from registry.config import describe
from registry.domain.archives.checks import Check
from registry.tap import Options

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [
    command
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    for command in line.split("&&")
    if shlex.split(command)[:1] in (["registry"], [".venv/bin/registry"])
]


def test_the_readme_opens_with_one_command_to_run_and_one_to_test() -> None:
    """The first block of the README holds the two commands that do everything on a fresh machine, and nothing else."""
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/registry serve",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest",
    ]


def test_ci_runs_the_readmes_test_command() -> None:
    """What .ci/run takes from the README is its test command, whole."""
    pattern = re.search(r"grep -m 1 -E '([^']+)' README\.md", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert pattern is not None
    found = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert found[0] == "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest"


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_of_the_readme_exists(text: str) -> None:
    """A `registry` command in the README has a name, arguments and options that the command line takes."""
    words = shlex.split(text)[1:]
    command: click.Command = main
    context = click.Context(main, info_name="registry", **main.context_settings)
    while isinstance(command, click.Group):
        assert words, f"{text!r} names a group of commands, not one"
        found = command.get_command(context, words.pop(0))
        assert found is not None, f"{text!r} does not exist"
        command = found
    command.make_context(command.name, words, parent=context)


def test_there_are_commands_to_check() -> None:
    """The README shows how to serve, and how to manage users, tokens and projects."""
    assert len(COMMANDS) > 8


def test_serve_and_twistd_take_the_options_that_the_readme_lists() -> None:
    """`registry serve` and `twistd registry` have the same options, and the README's table lists exactly these."""
    listed = set(re.findall(r"^\| `(--[a-z-]+) ", README, re.MULTILINE))
    of_serve = {option for parameter in serve.params for option in parameter.opts if option.startswith("--")}
    of_twistd = {f"--{name}" for name in [*(row[0] for row in Options.optParameters), "listen"]}
    assert listed == of_serve == of_twistd


def test_every_setting_named_in_a_document_exists() -> None:
    """Where a document writes `[section] key`, there is such a setting."""
    known = {(section, key) for section, key, _, _ in describe()}
    for document in DOCUMENTS:
        for section, key in re.findall(r"`\[([a-z]+)\] ([a-z_]+)", document.read_text("utf-8")):
            assert (section, key) in known, f"{document.name}: [{section}] {key}"


def test_every_check_is_documented_as_it_is() -> None:
    """docs/checks.md has a section for each check, in their order: at which levels it is on, its sentence, and how to fix a file."""
    levels = {(True, True): "On at both levels.", (True, False): "On at the strict level.", (False, False): "Off at both levels:"}
    text = (ROOT / "docs" / "checks.md").read_text("utf-8")
    sections = [" ".join(section.split()) for section in text.split("\n### ")[1:]]
    assert len(sections) == len(Check)
    for section, check in zip(sections, Check, strict=True):
        assert section.startswith(f"`{check.value}` {levels[check.strict, check.lenient]}"), check
        assert check.doc in section
        assert re.search(r"To fix a file: \S.{20}", section), check


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """A relative link in a document names a file that exists."""
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
