"""`registry policy check`."""

import re
from pathlib import Path

import pytest

from registry.config import describe
from registry.domain.curation.judging import Rule
from tests.cli.conftest import Said, invoke
from tests.domain.curation.records import record

CONFIG = """
[names]
reserved = acme-*
[curation]
deny = evil-*
min_age = 7d
exceptions = app ==2.0 until 2026-12-01 because it mends the build
"""
CASES = """
[old enough]
name = app
version = 1.0
uploaded = 2026-11-14
now = 2026-11-21
expect = allow

[too young]
name = app
version = 1.1
uploaded = 2026-11-15
now = 2026-11-21
expect = cooldown

[let in]
name = app
version = 2.0
now = 2026-11-21
expect = exception

[ours]
name = Acme_Tool
version = 1.0
expect = reserved

[evil]
name = evil-twin
version = 1.0
expect = deny-list
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a policy."""
    path = tmp_path / "registry.ini"
    path.write_text(CONFIG)
    return path


def check(config: Path, cases: str, *words: str) -> Said:
    """`registry policy check` on these cases."""
    path = config.with_name("cases.ini")
    path.write_text(cases)
    return invoke("policy", "check", str(path), "--config", str(config), *words)


def test_a_policy_that_does_what_is_expected_is_told_so(config: Path) -> None:
    """Every case as expected: a table of them, a sentence, status 0, and no data directory is needed or made."""
    said = check(config, CASES)
    assert (said.status, said.err) == (0, "All 5 cases are as expected.\n")
    for words in ("old enough", "too young", "Blocked by cooldown until 2026-11-23T00:00Z", "let in", "it mends the build", "ours"):
        assert words in said.out
    assert sorted(path.name for path in config.parent.iterdir()) == ["cases.ini", "registry.ini"]


def test_a_case_that_differs_is_status_1(config: Path) -> None:
    """A case whose verdict is another one is shown with both, and the status is 1."""
    said = check(config, CASES.replace("expect = cooldown", "expect = allow"), "--json")
    assert said.status == 1
    assert "Error: 1 of 5 cases differ from what is expected" in said.err
    (differing,) = [row for row in said.data if not row["ok"]]
    assert (differing["case"], differing["expected"], differing["found"]) == ("too young", "allow", "cooldown")
    assert differing["reason"].startswith("Blocked by cooldown until 2026-11-23T00:00Z: app 1.1 ")


def test_the_configuration_may_stand_before_the_command(config: Path) -> None:
    """--config is taken before the command's name, too, as by every command."""
    cases = config.with_name("cases.ini")
    cases.write_text(CASES)
    assert invoke("--config", str(config), "policy", "check", str(cases)).status == 0
    assert invoke("policy", "check", str(cases)).status == 1, "by the default policy nothing is reserved or denied"


def test_advisories_are_read(config: Path) -> None:
    """The advisories of [curation] osv count, and records that cannot be read are told."""
    osv = config.with_name("osv")
    osv.mkdir()
    (osv / "A.json").write_bytes(record(id="MAL-1", versions=["1.0"]))
    (osv / "B.json").write_bytes(b"{")
    config.write_text(f"[curation]\nosv = {osv}\n")
    said = check(config, "[a]\nname = app\nversion = 1.0\nexpect = advisory\n")
    assert said.status == 0
    assert f"1 of the records in {osv} cannot be read; they are passed over." in said.err
    config.write_text(f"[curation]\nosv = {osv / 'none'}\n")
    said = check(config, "[a]\nname = app\nversion = 1.0\nexpect = advisory\n")
    assert (said.status, said.out) == (2, "")
    assert "[curation] osv" in said.err


@pytest.mark.parametrize(
    ("cases", "problem"),
    [
        ("", "has no section"),
        ("[a]\nname = app\nversion = 1\nexpect = nothing\n", "[a] expect 'nothing' is invalid: use one of allow"),
        ("[a]\nnames = app\n", "did you mean name?"),
    ],
)
def test_cases_that_cannot_be_read_are_wrong_usage(config: Path, cases: str, problem: str) -> None:
    """A slip in the file of cases is status 2, with its place on stderr and nothing on stdout."""
    said = check(config, cases)
    assert (said.status, said.out) == (2, "")
    assert problem in said.err


def test_a_file_of_other_bytes_or_none_is_wrong_usage(config: Path) -> None:
    """A file that is missing or is not text is status 2."""
    path = config.with_name("cases.ini")
    assert invoke("policy", "check", str(path)).status == 2
    path.write_bytes(b"[a]\nname = \xff\n")
    said = invoke("policy", "check", str(path))
    assert said.status == 2
    assert "is not UTF-8" in said.err


def test_the_example_of_the_documentation_does_what_it_says(tmp_path: Path) -> None:
    """The policy and the cases in docs/curation.md fit each other, rule by rule."""
    text = (Path(__file__).parent.parent.parent / "docs" / "curation.md").read_text(encoding="utf-8")
    policy, cases = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "registry.ini"
    path.write_text(policy)
    said = check(path, cases)
    assert (said.status, said.err) == (0, "All 6 cases are as expected.\n"), said.out


def test_the_documentation_names_every_rule_and_setting() -> None:
    """The table in docs/curation.md has the rules in the order in which they are asked, and the text every setting of the two sections."""
    text = (Path(__file__).parent.parent.parent / "docs" / "curation.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == [rule.value for rule in Rule]
    settings = {f"[{section}] {key}" for section, key, _, _ in describe() if section in {"names", "curation"}}
    assert {setting for setting in settings if setting not in text} == set()
