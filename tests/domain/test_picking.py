"""Which files of a page a list asks for."""

from typing import Any

import pytest

from registry.domain.locks import read_requirements, read_uv_lock
from registry.domain.picking import chosen

A, B, C = "a" * 64, "b" * 64, "c" * 64


def entry(filename: str, sha256: str, **facts: Any) -> dict[str, Any]:
    """A file as a page of this registry lists it."""
    url = f"https://packages.example/prefix/api/v4/projects/7/packages/pypi/files/{sha256}/{filename}"
    return {"filename": filename, "url": url, "hashes": {"sha256": sha256}, "size": 5, "core-metadata": False, **facts}


PAGE = [
    entry("thing-1.0.tar.gz", A),
    entry("thing-1.0-py3-none-any.whl", B, **{"core-metadata": {"sha256": C}}),
    entry("thing-2.0-py3-none-any.whl", C, yanked="broken"),
    entry("thing-3.0rc1-py3-none-any.whl", "d" * 64),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thing", ["thing-1.0.tar.gz", "thing-1.0-py3-none-any.whl"]),
        ("thing==1", ["thing-1.0.tar.gz", "thing-1.0-py3-none-any.whl"]),
        ("thing==2.0", ["thing-2.0-py3-none-any.whl"]),
        ("thing>=2.0rc0", ["thing-3.0rc1-py3-none-any.whl"]),
        (f"thing==1.0 --hash=sha256:{B}", ["thing-1.0-py3-none-any.whl"]),
        ("thing>4", []),
    ],
)
def test_a_requirement_means_the_files_of_one_version(text: str, expected: list[str]) -> None:
    """The best version that fits counts, as installers choose it: no yanked or early one unless it is asked for; hashes name files."""
    problems: list[str] = []
    found = chosen(read_requirements(text).needs[0], PAGE, problems)
    assert [wish.filename for wish in found] == expected
    assert bool(problems) is not bool(expected)


def test_files_are_asked_for_behind_the_index() -> None:
    """Wherever a page's links lead from outside, what is asked for is the part behind the project's index."""
    wish = chosen(read_requirements("thing==1.0").needs[0], PAGE, [])[1]
    assert (wish.path, wish.sha256, wish.size, wish.metadata) == (f"files/{B}/thing-1.0-py3-none-any.whl", B, 5, True)


def test_a_lock_names_files_and_their_digests() -> None:
    """A file of a lock is fetched if it is offered with the digest that the lock has; one that is not, or is another, is told."""
    lock = f"""
version = 1
[[package]]
name = "thing"
version = "1.0"
source = {{ registry = "https://index.example/" }}
sdist = {{ url = "https://files.example/thing-1.0.tar.gz", hash = "sha256:{C}" }}
wheels = [
    {{ url = "https://files.example/thing-1.0-py3-none-any.whl", hash = "sha256:{B}" }},
    {{ url = "https://files.example/thing-1.0-cp313-cp313-win32.whl", hash = "sha256:{A}" }},
]
"""
    problems: list[str] = []
    found = chosen(read_uv_lock(lock).needs[0], PAGE, problems)
    assert [(wish.filename, wish.sha256) for wish in found] == [("thing-1.0-py3-none-any.whl", B)]
    assert any("win32.whl is not offered" in problem for problem in problems)
    assert any(f"has sha256 {A} upstream, but the list says {C}" in problem for problem in problems)
    assert len(problems) == 2


def test_a_hash_that_no_file_has_is_told() -> None:
    """Digests that no file offered has are told, one by one."""
    problems: list[str] = []
    assert chosen(read_requirements(f"thing==1.0 --hash=sha256:{'e' * 64}").needs[0], PAGE, problems) == []
    assert problems == [f"thing: no file offered has sha256 {'e' * 64}"]


def test_a_page_of_nonsense_gives_nothing() -> None:
    """Entries without a version in their name are passed over."""
    problems: list[str] = []
    page: list[dict[str, Any]] = [{}, {"filename": "x.whl"}, {"filename": "thing-.tar.gz"}, {"filename": 7, "hashes": []}]
    assert chosen(read_requirements("thing").needs[0], page, problems) == []
    assert problems == ["thing: no version offered fits"]
