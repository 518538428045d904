"""What a resolver is about to ask for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from registry.domain.ahead import CLAUSES, LINES, LONGEST, likeliest, wanted_next
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from tests.strategies import names


def page(*filenames: str, status: ProjectStatus = ProjectStatus.ACTIVE, **facts: Any) -> Page:
    name = Name("demo")
    return Page(name=name, display="demo", files=tuple(file(filename, **facts) for filename in filenames), status=status)


def file(filename: str, **facts: Any) -> File:
    told = {"version": filename.split("-")[1].removesuffix(".tar.gz"), "metadata_sha256": "b" * 64, **facts}
    return File(id=0, filename=filename, sha256="a" * 64, size=1, requires_python="", uploaded_at=None, **told)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("b", "b"),
        ("B.b-B >=1,<2", "b-b-b"),
        ("b[fast]>=1", "b"),
        ('b; python_version >= "3.8"', "b"),
        ('b; sys_platform == "win32"', "b"),
        ('b; extra == "test"', None),
        ('b; python_version > "3" and extra == "test"', None),
        ("b @ https://example.com/b-1.0-py3-none-any.whl", None),
        ("b (", None),
        ("", None),
        ("-", None),
    ],
)
def test_a_requirement_is_a_name_to_ask_for(line: str, name: str | None) -> None:
    """Every requirement of an installation without extras is, whatever its platform; but not an address, or what cannot be read."""
    assert [wanted.name.normalized for wanted in wanted_next([line], 9)] == ([] if name is None else [name])


@pytest.mark.parametrize("beyond", [0, 1], ids=["as much as may be", "one more"])
@pytest.mark.parametrize("limit", ["lines", "length", "clauses"])
def test_only_so_much_is_read(limit: str, beyond: int) -> None:
    """A thousand lines of a thousand characters and twenty clauses are read; what is more is passed over (hardening row 39)."""
    lines = {
        "lines": ["!"] * (LINES - 1 + beyond) + ["b"],
        "length": ["b".ljust(LONGEST + beyond)],
        "clauses": ["b " + ",".join(f"!={number}" for number in range(CLAUSES + beyond))],
    }
    assert len(wanted_next(lines[limit], 9)) == 1 - beyond


def test_what_is_nested_too_deeply_is_passed_over() -> None:
    """A marker of more parentheses than can be read is no requirement, and no error (hardening row 39)."""
    depth = (LONGEST - 40) // 2
    assert wanted_next([f"b; {'(' * depth}python_version > '3'{')' * depth}"], 9) == []


def test_a_name_is_asked_for_once_and_not_too_many_are() -> None:
    """Of several lines about one name, as there are for several platforms, the first counts; the rest begins after as many names."""
    lines = ["a>=1", "A<1; python_version < '3'", "b", "c", "d"]
    found = wanted_next(lines, 3)
    assert [(wanted.name.normalized, str(wanted.versions)) for wanted in found] == [("a", ">=1"), ("b", ""), ("c", "")]
    assert len(wanted_next(lines, 4)) == len(wanted_next(lines, 5)) == 4


@given(st.lists(st.text(max_size=40) | names(), max_size=8))
def test_whatever_is_required_is_read(lines: list[str]) -> None:
    """No line, however odd, is an error; as many names are found as lines at most."""
    assert len(wanted_next(lines, 5)) <= min(5, len(lines))


@pytest.mark.parametrize(
    ("versions", "filenames", "chosen"),
    [
        ("", ["demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"], "demo-2.0-py3-none-any.whl"),
        ("<2", ["demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"], "demo-1.0-py3-none-any.whl"),
        ("", ["demo-1.9-py3-none-any.whl", "demo-1.10-py3-none-any.whl"], "demo-1.10-py3-none-any.whl"),
        ("", ["demo-1.0-py3-none-any.whl", "demo-2.0rc1-py3-none-any.whl"], "demo-1.0-py3-none-any.whl"),
        (">=2.0rc1", ["demo-1.0-py3-none-any.whl", "demo-2.0rc1-py3-none-any.whl"], "demo-2.0rc1-py3-none-any.whl"),
        ("", ["demo-2.0rc1-py3-none-any.whl"], "demo-2.0rc1-py3-none-any.whl"),
        ("", ["demo-1.0.tar.gz", "demo-1.0-py2.py3-none-any.whl"], "demo-1.0-py2.py3-none-any.whl"),
        ("", ["demo-1.0-py3-none-any.whl", "demo-2.0.tar.gz"], None),
        ("", ["demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "demo-1.0-cp311-cp311-win_amd64.whl"], None),
        (">3", ["demo-1.0-py3-none-any.whl"], None),
        ("", [], None),
    ],
)
def test_the_newest_wheel_for_any_platform_is_the_likeliest(versions: str, filenames: list[str], chosen: str | None) -> None:
    """It is that of the newest version that fits, a pre-release only where nothing else does; if it has none, nobody can tell."""
    found = likeliest(page(*filenames), SpecifierSet(versions))
    assert (None if found is None else found.filename) == chosen


@pytest.mark.parametrize("unlikely", [{"yanked": ""}, {"metadata_sha256": ""}, {"version": "nonsense"}])
def test_what_no_client_chooses_first_is_not_likely(unlikely: dict[str, Any]) -> None:
    """A file that is yanked, has no core metadata to be asked for, or has no version that can be read is not chosen."""
    assert likeliest(page("demo-1.0-py3-none-any.whl", **unlikely), SpecifierSet()) is None


def test_nothing_of_a_quarantined_name_is_likely() -> None:
    """Where no file is offered none is chosen."""
    assert likeliest(page("demo-1.0-py3-none-any.whl", status=ProjectStatus.QUARANTINED), SpecifierSet()) is None
