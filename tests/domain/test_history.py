"""Pages replayed from the journal, where the store cannot lead: clocks that go back, rows of older releases, changes yet unknown."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.filenames import METADATA_ENDING
from registry.domain.history import deleted_at, facts_for_replay, is_listed_at, names_in, page_at
from registry.domain.model import Change, File, ProjectStatus
from registry.domain.names import Name
from registry.testing import NOON, OPERATOR
from tests.strategies import Distribution, distributions, files

DEMO = Name("demo")
SHA = "a" * 64


def change(serial: int, action: str, *, at: float | None = None, project: int = 1, name: str = "demo", **detail: object) -> Change:
    """A journal row, `at` seconds after noon (its serial unless said otherwise)."""
    moment = NOON + timedelta(seconds=serial if at is None else at)
    return Change(serial=serial, at=moment, action=action, actor=OPERATOR, project_id=project, name=name, detail=detail)


def published(serial: int, filename: str = "demo-1.0.tar.gz", *, at: float | None = None, project: int = 1, **facts: object) -> Change:
    given_facts: dict[str, Any] = {
        "version": "1.0",
        "sha256": SHA,
        "size": 1,
        "requires_python": "",
        "file_id": serial,
        "display": "demo",
        **facts,
    }
    return change(serial, "file.publish", at=at, project=project, filename=filename, **given_facts)


def filenames(changes: Sequence[Change], at: float) -> list[str] | None:
    page = page_at(changes, DEMO, NOON + timedelta(seconds=at))
    return None if page is None else [file.filename for file in page.files]


@given(files(parts=["demo"]))
def test_facts_come_back(file: File) -> None:
    """What the row of a publication tells of a file is what a replayed page says of it."""
    file = evolve(file, gpg_sig=None)  # of files that are held here, nothing is known of signatures
    assert file.uploaded_at is not None
    row = Change(
        serial=1, at=file.uploaded_at, action="file.publish", actor=OPERATOR, project_id=1, name="demo", detail=facts_for_replay(file)
    )
    page = page_at([row], DEMO, file.uploaded_at)
    assert page is not None
    assert page.files == (file,)


def test_both_ends_of_an_instant() -> None:
    """A change counts from the very microsecond it was made, and not one earlier."""
    changes = [published(1)]
    assert filenames(changes, 1) == ["demo-1.0.tar.gz"]
    assert filenames(changes, 0.999999) is None
    assert is_listed_at(changes, NOON + timedelta(seconds=1))
    assert not is_listed_at(changes, NOON + timedelta(seconds=0.999999))


def test_serials_order_whatever_the_clock_says() -> None:
    """When the clock goes back, changes are replayed in the order they were made, up to the last that counts (hardening row 54)."""
    changes = [
        published(1, at=100),
        change(2, "file.delete", at=50, version="1.0", filename="demo-1.0.tar.gz", sha256=SHA),
        published(3, "demo-1.0-py3-none-any.whl", at=60),
        published(4, "demo-2.0.tar.gz", version="2.0", at=200),
    ]
    assert filenames(changes, 49) is None
    assert filenames(changes, 55) is None
    assert filenames(changes, 60) == ["demo-1.0-py3-none-any.whl"]
    assert filenames(changes, 150) == ["demo-1.0-py3-none-any.whl"]
    assert filenames(changes, 200) == ["demo-1.0-py3-none-any.whl", "demo-2.0.tar.gz"]


def test_rows_of_older_releases_tell_less() -> None:
    """A file that was gone before the journal told all of it is shown with what is known."""
    changes = [change(1, "file.publish", version="1.0", filename="demo-1.0.tar.gz", sha256=SHA, size=7)]
    page = page_at(changes, DEMO, NOON + timedelta(days=1))
    assert page is not None
    (file,) = page.files
    assert (page.display, file.size, file.requires_python, file.yanked, file.metadata_sha256) == ("demo", 7, "", None, "")


def test_other_changes_say_nothing() -> None:
    """What is recorded of a name and is not on its page, now or in times to come, is passed over."""
    changes = [published(1), change(2, "package.close", version="1.0"), change(3, "package.applaud", version="1.0")]
    assert filenames(changes, 9) == ["demo-1.0.tar.gz"]


def test_what_is_not_there_is_not_marked() -> None:
    """Yanks and deletions of what is gone, or was never there, change nothing."""
    gone: dict[str, Any] = {"version": "2.0", "filename": "demo-2.0.tar.gz"}
    changes = [
        published(1),
        change(2, "file.yank", reason="no", **gone),
        change(3, "package.yank", version="1.0", reason="", files=["other.tar.gz"]),
        change(4, "file.delete", sha256=SHA, **gone),
        change(5, "package.delete", version="2.0", files=[]),
    ]
    page = page_at(changes, DEMO, NOON + timedelta(days=1))
    assert page is not None
    assert [(file.filename, file.yanked) for file in page.files] == [("demo-1.0.tar.gz", None)]


def test_a_quarantine_hides_its_own_projects_files_only() -> None:
    """Of several projects, the one that is quarantined is left out; when all are, the page says so."""
    quarantine: dict[str, Any] = {"status": "quarantined", "reason": "malware"}
    changes = [published(1), published(2, "demo-2.0.tar.gz", project=2), change(3, "package.status", **quarantine)]
    assert filenames(changes, 9) == ["demo-2.0.tar.gz"]
    both = [*changes, change(4, "package.status", project=2, **quarantine)]
    page = page_at(both, DEMO, NOON + timedelta(seconds=9))
    assert page is not None
    assert (page.status, page.status_reason) == (ProjectStatus.QUARANTINED, "malware")
    assert is_listed_at(both, NOON + timedelta(seconds=3))
    assert not is_listed_at(both, NOON + timedelta(seconds=4))


_versions = st.sampled_from(["1.0", "2.0"])
_rows = st.one_of(
    st.builds(lambda version, file: ("file.publish", version, f"demo-{version}.{file}"), _versions, st.sampled_from(["zip", "tar.gz"])),
    st.builds(lambda version, file: ("file.delete", version, f"demo-{version}.{file}"), _versions, st.sampled_from(["zip", "tar.gz"])),
    st.builds(lambda version: ("package.delete", version, ""), _versions),
    st.builds(lambda status: ("package.status", status, ""), st.sampled_from([status.value for status in ProjectStatus])),
)


@given(st.lists(st.tuples(_rows, st.integers(1, 2)), max_size=12), st.integers(0, 13))
def test_an_index_lists_what_has_a_page(rows: list[tuple[tuple[str, str, str], int]], at: int) -> None:
    """A name is listed exactly when its page of the same instant offers files, however they came and went."""
    facts: dict[str, Any] = {"sha256": SHA, "size": 1}
    changes = [
        change(serial, action, project=project, version=which, status=which, filename=filename, **facts)
        for serial, ((action, which, filename), project) in enumerate(rows, 1)
    ]
    moment = NOON + timedelta(seconds=at)
    page = page_at(changes, DEMO, moment)
    assert is_listed_at(changes, moment) == (page is not None and page.status.offers_files)


def test_a_deletion_is_dated() -> None:
    """The last deletion of a file of that name and digest is told, unless such a file is held, in any of the projects."""
    deleted = change(2, "file.delete", version="1.0", filename="demo-1.0.tar.gz", sha256=SHA)
    wanted = (SHA, "demo-1.0.tar.gz")
    assert deleted_at([], *wanted) is None
    assert deleted_at([published(1)], *wanted) is None
    assert deleted_at([published(1), deleted], *wanted) == deleted.at
    assert deleted_at([published(1), deleted], SHA, "demo-1.0.tar.gz.metadata") == deleted.at
    assert deleted_at([published(1)], SHA, "demo-1.0.tar.gz.metadata") is None
    assert deleted_at([published(1), deleted], "b" * 64, "demo-1.0.tar.gz") is None
    assert deleted_at([published(1), deleted], SHA, "demo-1.0.zip") is None
    assert deleted_at([published(1), deleted, published(3, sha256="b" * 64)], *wanted) == deleted.at
    assert deleted_at([published(1), deleted, published(3)], *wanted) is None
    assert deleted_at([published(1), deleted, published(3, project=2)], *wanted) is None
    again = change(4, "package.delete", version="1.0", files=["demo-1.0.tar.gz"])
    assert deleted_at([published(1), deleted, published(3), again], *wanted) == again.at


@given(distributions())
def test_the_name_is_among_those_in_a_file_name(built: Distribution) -> None:
    """Whatever a distribution is called, its project is one of the names that are looked for, for its metadata too."""
    assert Name(built.name).normalized in names_in(built.filename)
    assert names_in(built.filename + METADATA_ENDING) == names_in(built.filename)


@pytest.mark.parametrize(
    ("filename", "names"),
    [
        ("my_demo-1.0-py3-none-any.whl", {"my-demo", "my-demo-1-0", "my-demo-1-0-py3", "my-demo-1-0-py3-none"}),
        ("my-demo-1.0.tar.gz", {"my", "my-demo"}),
        ("demo", set()),
        ("-", set()),
        ("_-1.0.tar.gz", set()),
        ("", set()),
    ],
)
def test_names_in_a_file_name(filename: str, names: set[str]) -> None:
    """Every part before a hyphen that can be a name is one, and nothing else."""
    assert names_in(filename) == names
