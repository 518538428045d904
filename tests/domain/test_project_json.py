"""The project JSON tells what the pages tell, in PyPI's words."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.project_json import Releases, described, render_project, render_release
from registry.domain.simple import Links
from registry.domain.versions import Version
from tests.strategies import pages, texts

LINKS = Links(base="https://registry.test/packages", scope="projects/42")
TOP = "https://registry.test/packages/api/v4/projects/42/packages/pypi"
MOMENT = datetime(2026, 5, 4, 3, 2, 1, 987_654, tzinfo=UTC)

# Any text at all: half a surrogate pair is what a careless reader of an archive may leave behind.
_any_text = st.one_of(texts, st.text(max_size=20))
_metadata = st.dictionaries(
    st.sampled_from(["summary", "description", "author", "home_page", "download_url", "license", "keywords", "unknown", "name", "version"]),
    _any_text,
).flatmap(
    lambda told: st.dictionaries(
        st.sampled_from(["classifiers", "requires_dist", "project_urls", "provides_extras", "dynamic"]), st.lists(_any_text, max_size=4)
    ).map(lambda lists: {**told, **lists})
)
_digests = st.fixed_dictionaries({}, optional={"md5": st.just("0" * 32), "blake2b_256": st.just("1" * 64)})


@st.composite
def releases(draw: st.DrawFn) -> Releases:
    """A page and what is kept beside it."""
    page = draw(pages())
    file = described(page, None)
    return Releases(
        page=page,
        digests={one.id: draw(_digests) for one in page.files},
        described=file,
        metadata=draw(_metadata) if file is not None else {},
        serial=draw(st.integers(0, 2**40)),
    )


def published(version: str, ending: str = "-py3-none-any.whl", **changes: Any) -> File:
    """A file of demo."""
    facts: dict[str, Any] = {"id": 1, "sha256": "a" * 64, "size": 10, "requires_python": "", "uploaded_at": MOMENT}
    return File(**(facts | {"filename": f"demo-{version}{ending}", "version": version} | changes))


def page_of(*files: File, **changes: Any) -> Page:
    """A page of demo."""
    return Page(name=Name("demo"), display="Demo", files=files, **changes)


def project_of(page: Page, metadata: dict[str, object] | None = None, version: str | None = None) -> Any:
    """The JSON of a page, parsed."""
    wanted = None if version is None else Version(version)
    known = Releases(page=page, digests={}, described=described(page, wanted), metadata=metadata or {}, serial=7)
    return json.loads((render_project if version is None else render_release)(known, LINKS))


# --- the same facts -------------------------------------------------------------------------------------------------------------------


@given(releases())
def test_every_fact_of_the_model_is_told(known: Releases) -> None:
    """Any page renders to valid JSON whose files, by version from the lowest to the highest, are those of the model, fact by fact."""
    text = render_project(known, LINKS)
    text.decode("ascii")
    answer = json.loads(text)
    offered = known.page.files if known.page.status.offers_files else ()
    keys = [Version(key) for key in answer["releases"]]
    assert keys == sorted(set(keys), key=lambda version: version.order)
    assert set(keys) == {Version(file.version) for file in offered}
    for display, files in answer["releases"].items():
        mine = [file for file in offered if Version(file.version) == Version(display)]
        assert display == mine[0].version
        assert [facts_of(told) for told in files] == [facts(file, known) for file in mine]
    assert answer["last_serial"] == known.serial
    assert answer["vulnerabilities"] == []


@given(releases())
def test_one_version_is_told_as_it_is_among_all(known: Releases) -> None:
    """The JSON of a version is that of the project without the others; its files are those listed under it."""
    project, release = (json.loads(render(known, LINKS)) for render in (render_project, render_release))
    assert set(project) == {"info", "last_serial", "releases", "urls", "vulnerabilities"}
    everything = project.pop("releases")
    assert release == project
    version = release["info"]["version"]
    assert release["urls"] == (next(everything[one] for one in everything if Version(one) == Version(version)) if version else [])


@given(releases())
def test_no_text_is_null_and_none_is_half_a_letter(known: Releases) -> None:
    """What core metadata is silent about is an empty text, no address is null, and every text can be written as UTF-8."""
    info = json.loads(render_project(known, LINKS))["info"]
    for key in ("name", "version", "home_page", "summary", "license", "author", "requires_python", "description", "license_expression"):
        assert isinstance(info[key], str)
        info[key].encode()
    assert all(isinstance(one, str) for one in (*info["project_urls"], *info["project_urls"].values(), *info["classifiers"]))
    for key in ("summary", "author", "keywords"):
        assert info[key] == str(known.metadata.get(key, "")).encode("utf-8", "replace").decode()


def facts_of(told: Any) -> dict[str, object]:
    """What a reader makes of one file."""
    return {
        "filename": told["filename"],
        "url": told["url"],
        "digests": told["digests"],
        "size": told["size"],
        "uploaded": datetime.fromisoformat(told["upload_time_iso_8601"]),
        "to the second": datetime.fromisoformat(told["upload_time"]).replace(tzinfo=UTC),
        "python": told["requires_python"],
        "yank": (told["yanked"], told["yanked_reason"]),
        "metadata": told["core-metadata"],
        "signed": told["has_sig"],
        "type": told["packagetype"],
    }


def facts(file: File, known: Releases) -> dict[str, object]:
    """What he should."""
    return {
        "filename": file.filename,
        "url": LINKS.file(file),
        "digests": {"sha256": file.sha256, **known.digests[file.id]},
        "size": file.size,
        "uploaded": file.uploaded_at,
        "to the second": file.uploaded_at and file.uploaded_at and file.uploaded_at.replace(microsecond=0),
        "python": file.requires_python or None,
        "yank": (file.yanked is not None, file.yanked or None),
        "metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else False,
        "signed": file.gpg_sig is True,
        "type": "bdist_wheel" if file.filename.endswith(".whl") else "sdist",
    }


# --- which version speaks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        (["1.0", "1.10", "1.9"], "1.10"),
        (["1.0", "2.0rc1"], "1.0"),
        (["1.0", "2.0.dev3"], "1.0"),
        (["1.0a1", "1.0b2", "1.0a3"], "1.0b2"),
        (["1.0", "1.0.post1"], "1.0.post1"),
        (["1.0", "1!0.1", "9.0"], "1!0.1"),
        (["1.0", "2.0 yanked"], "1.0"),
        (["1.0 yanked", "2.0rc1"], "2.0rc1"),
        (["1.0 yanked", "2.0rc1 yanked"], "1.0"),
        (["1.0 yanked", "3.0 yanked", "2.0 yanked"], "3.0"),
        ([], ""),
    ],
)
def test_the_project_is_described_by_pypis_choice(versions: list[str], chosen: str) -> None:
    """Not yanked comes before yanked, final before pre-release, newer before older; of nothing, nothing."""
    split = [version.split() for version in versions]
    page = page_of(*(published(version, id=number, yanked="" if yank else None) for number, (version, *yank) in enumerate(split)))
    info = project_of(page)["info"]
    assert (info["name"], info["version"]) == ("Demo", chosen)
    assert info["yanked"] == (f"{chosen} yanked" in versions)


def test_a_version_is_yanked_when_all_its_files_are() -> None:
    """One file that is not keeps its version; the first reason that was given is told."""
    wheel = published("1.0", yanked="")
    sdist = published("1.0", ".tar.gz", id=2, yanked="broken on Tuesdays")
    other = published("0.9", id=3)
    assert project_of(page_of(wheel, sdist, other))["info"]["version"] == "0.9"
    info = project_of(page_of(wheel, sdist, other), version="1.0")["info"]
    assert (info["yanked"], info["yanked_reason"]) == (True, "broken on Tuesdays")
    info = project_of(page_of(evolve(wheel, yanked=None), sdist, other))["info"]
    assert (info["version"], info["yanked"], info["yanked_reason"]) == ("1.0", False, None)


def test_a_version_is_wanted_in_any_spelling() -> None:
    """Equal versions are one, under the spelling of the first file; a version that has no file has no description."""
    page = page_of(published("1.0.0", id=5), published("1.0", ".tar.gz", id=6), published("2.0", id=7))
    assert described(page, Version("v1")) == page.files[0]
    assert described(page, Version("3")) is None
    answer = project_of(page)
    assert [(key, [file["filename"] for file in files]) for key, files in answer["releases"].items()] == [
        ("1.0.0", ["demo-1.0.0-py3-none-any.whl", "demo-1.0.tar.gz"]),
        ("2.0", ["demo-2.0-py3-none-any.whl"]),
    ]
    assert [file["filename"] for file in project_of(page, version="1")["urls"]] == ["demo-1.0.0-py3-none-any.whl", "demo-1.0.tar.gz"]


def test_a_quarantined_name_has_nothing() -> None:
    """Of a quarantined name no version and no file is told, and nothing describes it (hardening row 22)."""
    page = page_of(published("1.0"), status=ProjectStatus.QUARANTINED, status_reason="malware")
    assert described(page, None) is None
    assert described(page, Version("1.0")) is None
    answer = project_of(page)
    assert (answer["releases"], answer["urls"], answer["info"]["version"]) == ({}, [], "")


# --- the words ------------------------------------------------------------------------------------------------------------------------


def test_a_file_has_pypis_keys() -> None:
    """A file is told under exactly the keys that PyPI's answers have, with times in both of its forms."""
    page = page_of(published("1.0", "-cp311-abi3-any.whl", requires_python=">=3.8", yanked="no", metadata_sha256="b" * 64, gpg_sig=True))
    (told,) = project_of(page)["urls"]
    assert told == {
        "comment_text": "",
        "core-metadata": {"sha256": "b" * 64},
        "digests": {"sha256": "a" * 64},
        "downloads": -1,
        "filename": "demo-1.0-cp311-abi3-any.whl",
        "has_sig": True,
        "packagetype": "bdist_wheel",
        "python_version": "cp311",
        "requires_python": ">=3.8",
        "size": 10,
        "upload_time": "2026-05-04T03:02:01",
        "upload_time_iso_8601": "2026-05-04T03:02:01.987654Z",
        "url": f"{TOP}/files/{'a' * 64}/demo-1.0-cp311-abi3-any.whl#sha256={'a' * 64}",
        "yanked": True,
        "yanked_reason": "no",
    }


@pytest.mark.parametrize(
    ("filename", "kind", "tag"),
    [
        ("demo-1.0-py2.py3-none-any.whl", "bdist_wheel", "py2.py3"),
        ("demo-1.0-1build-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "bdist_wheel", "cp312"),
        ("demo-1.0.tar.gz", "sdist", "source"),
        ("my-demo-1.0-1.zip", "sdist", "source"),
    ],
)
def test_the_kind_is_read_off_the_file_name(filename: str, kind: str, tag: str) -> None:
    """A wheel has the Python tag of its name, with or without a build number; whatever else there is is a source distribution."""
    (told,) = project_of(page_of(published("1.0", filename=filename)))["urls"]
    assert (told["packagetype"], told["python_version"]) == (kind, tag)


def test_times_are_utc() -> None:
    """A moment kept in another zone is told in UTC, which PyPI's first form does not say."""
    east = published("1.0", uploaded_at=MOMENT.astimezone(timezone(timedelta(hours=14))))
    (told,) = project_of(page_of(east))["urls"]
    assert (told["upload_time"], told["upload_time_iso_8601"]) == ("2026-05-04T03:02:01", "2026-05-04T03:02:01.987654Z")


def test_core_metadata_is_told_in_pypis_words() -> None:
    """What the described file says of itself stands in `info`, renamed where PyPI's names differ, and cannot contradict the catalog."""
    metadata: dict[str, object] = {
        "name": "Another",
        "version": "99",
        "summary": "for tests",
        "description": "<b>long</b>",
        "license_expression": "MIT",
        "classifiers": ["A :: B"],
        "requires_dist": ["attrs>=25"],
        "provides_extras": ["s3"],
        "project_urls": ["Source, https://example.test/a,b", "Changelog,https://example.test/news", "no address", "Source, twice"],
        "home_page": "https://example.test/",
        "download_url": "https://example.test/a,b",
    }
    info = project_of(page_of(published("1.0")), metadata)["info"]
    assert (info["name"], info["version"], info["summary"], info["description"]) == ("Demo", "1.0", "for tests", "<b>long</b>")
    assert (info["license"], info["license_expression"], info["classifiers"]) == ("", "MIT", ["A :: B"])
    assert (info["requires_dist"], info["provides_extra"], info["dynamic"]) == (["attrs>=25"], ["s3"], None)
    assert info["project_urls"] == {
        "Source": "https://example.test/a,b",
        "Changelog": "https://example.test/news",
        "Homepage": "https://example.test/",
    }


def test_addresses_are_ours() -> None:
    """A project leads to its page and a release to its own JSON, in this registry; a local version is quoted."""
    info = project_of(page_of(published("1!2.0+cu12")))["info"]
    assert (info["package_url"], info["project_url"]) == (f"{TOP}/simple/demo/",) * 2
    assert info["release_url"] == f"{TOP}/pypi/demo/1%212.0%2Bcu12/json"
