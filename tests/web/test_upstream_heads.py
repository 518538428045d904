"""HEAD of what is not held here: what GET would say, without its body."""

import pytest

from registry.testing import Answer, FakeUpstream, Style, sdist, wheel
from registry.testing.troubles import HTML, JSON, status
from tests.beyond import Beyond, file_path, large, page_path
from tests.conftest import Start

BIG = large("big", 300_000)
SMALL, SOURCE = wheel("small"), sdist("big")
TIMELY = {"date", "age"}
PATHS = {
    "page": (page_path("big"), JSON),
    "page in HTML": (page_path("big"), HTML),
    "file": (file_path(BIG), ""),
    "metadata": (f"{file_path(BIG)}.metadata", ""),
    "small file": (file_path(SMALL), ""),
    "small metadata": (f"{file_path(SMALL)}.metadata", ""),
    "no page": (page_path("nowhere"), JSON),
    "no file": (file_path(sdist("nowhere")), ""),
    "no metadata": (f"{file_path(sdist('big'))}.metadata", ""),
}


def beside(start: Start, style: Style | None = None) -> Beyond:
    """A registry beside an upstream that has BIG, SOURCE and SMALL."""
    upstream = FakeUpstream(style=style or Style())
    upstream.add(BIG, SOURCE, SMALL)
    return start(upstream)


def both(
    start: Start, path: str, accept: str = "", *, kept: bool = False, style: Style | None = None, spec: str = "", etag: str = ""
) -> list[Answer]:
    """What HEAD and GET are answered, each by a registry of its own; with `kept` after that was asked before."""
    said = {name: value for name, value in (("Accept", accept), ("Range", spec), ("If-None-Match", etag)) if value}
    answers = []
    for method in ("HEAD", "GET"):
        beyond = beside(start, style)
        if kept:
            beyond.ask(path, headers=said)
        answers.append(beyond.ask(path, method, headers=said))
    return answers


def alike(head: Answer, whole: Answer) -> bool:
    """Whether HEAD says what GET says, and no more."""
    said, meant = ({key: value for key, value in answer.headers.items() if key not in TIMELY} for answer in (head, whole))
    assert said == meant
    assert head.headers.get("age", "").strip("0") == whole.headers.get("age", "").strip("0")
    return (head.code, head.reason, head.body) == (whole.code, whole.reason, b"")


@pytest.mark.parametrize("kept", [False, True], ids=["cold", "kept"])
@pytest.mark.parametrize("what", PATHS)
def test_a_head_is_that_of_the_answer(start: Start, what: str, *, kept: bool) -> None:
    """HEAD of a page, a file or core metadata has the status and every header of GET, X-Cache included, and no body (hardening row 18)."""
    head, whole = both(start, *PATHS[what], kept=kept)
    assert alike(head, whole)
    assert int(head.headers["content-length"]) == len(whole.body)
    if not what.startswith("no "):
        assert (head.headers["x-cache"], "etag" in head.headers) == ("hit" if kept else "miss", True)


@pytest.mark.parametrize("kept", [False, True], ids=["cold", "kept"])
@pytest.mark.parametrize("spec", ["bytes=0-9", "bytes=-10", "bytes=300000-"])
def test_a_head_with_a_range(start: Start, spec: str, *, kept: bool) -> None:
    """HEAD with a range has the status and headers that GET with it has: 206 or 416."""
    assert alike(*both(start, file_path(BIG), kept=kept, spec=spec))


@pytest.mark.parametrize("what", ["page", "file", "metadata"])
def test_a_head_of_what_the_client_has(start: Start, what: str) -> None:
    """HEAD with the validator of the answer is 304, as GET is."""
    path, accept = PATHS[what]
    etag = beside(start).ask(path, headers={"Accept": accept}).headers["etag"]
    head, whole = both(start, path, accept, etag=etag)
    assert alike(head, whole)
    assert head.code == 304


@pytest.mark.parametrize(
    "style", [Style(json=False, times=False), Style(json=False, hashes=("md5",), metadata=False)], ids=["sha256", "md5"]
)
def test_a_head_of_a_file_whose_size_no_page_tells(start: Start, style: Style) -> None:
    """Where the index does not tell how long a file is HEAD does all the same, as GET would (hardening row 18)."""
    path = file_path(BIG, digest=BIG.sha256 if "sha256" in style.hashes else "by-name")
    head, whole = both(start, path, style=style)
    assert alike(head, whole)
    assert head.headers["content-length"] == str(len(BIG.content))


@pytest.mark.parametrize("what", ["page", "file", "metadata"])
@pytest.mark.parametrize("code", [404, 429, 500])
def test_a_head_of_what_cannot_be_had(start: Start, what: str, code: int) -> None:
    """While pages cannot be asked for HEAD has the status that GET has, with its headers and no body."""
    path, accept = PATHS[what]
    answers = []
    for method in ("HEAD", "GET"):
        beyond = beside(start)
        beyond.upstream.on("/simple/big/", status(code))
        answers.append(beyond.ask(path, method, headers={"Accept": accept}))
    assert alike(*answers)
    assert answers[0].code == (404 if code == 404 else 503)


def test_a_head_of_a_file_leaves_it_where_it_is(start: Start) -> None:
    """HEAD does not have the file fetched: its bytes are asked for when somebody wants them, and nothing is kept before."""
    beyond = beside(start)
    for _ in range(3):
        assert beyond.ask(file_path(BIG), "HEAD").code == 200
    assert beyond.upstream.asked(f"/files/big/{BIG.filename}") == 0
    assert beyond.registry.kept_files() == []
    assert beyond.ask(file_path(BIG)).headers["x-cache"] == "miss"
    assert beyond.ask(file_path(BIG), "HEAD").headers["x-cache"] == "hit"
