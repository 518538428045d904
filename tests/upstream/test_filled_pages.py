"""An index that tells nothing but names and digests, as clients of this registry see it once its files were looked at."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from registry.config import Curation
from registry.domain.names import Name
from registry.domain.simple import BY_NAME
from registry.testing import OPERATOR, Built, FakeUpstream, done, sdist, wheel
from registry.testing.troubles import HTML
from registry.testing.upstream import Style
from registry.workflows.glimpses import TAIL
from tests.beyond import Beyond, configured, file_path, large, page_path
from tests.conftest import Start

BARE = Style(json=False, metadata=False, times=False, etags=False, modified=True)
BIG, SOURCE = large("demo"), sdist("demo", "1.0")
UPLOADED = "2020-02-03T04:05:06.000000Z"


def bare(start: Start, *built: Built, style: Style = BARE, **settings: Any) -> Beyond:
    """A registry beside an index that tells as little as can be, whose page of demo was asked for."""
    upstream = FakeUpstream(style=style)
    upstream.add(*(built or (BIG, SOURCE)))
    beyond = start(upstream, configured(**settings), fills=True)
    assert beyond.page().code == 200
    beyond.settle()
    return beyond


def looked_at(beyond: Beyond) -> list[tuple[str, str]]:
    """How files were asked for, method and Range, since this was asked last."""
    asked = [(one.method, one.headers.get("range", "")) for one in beyond.upstream.requests if one.path.startswith("/files/")]
    beyond.upstream.requests.clear()
    return sorted(asked)


def sha256(data: bytes) -> str:
    """Its digest."""
    return hashlib.sha256(data).hexdigest()


def test_a_bare_index_becomes_a_full_one(start: Start) -> None:
    """Size, upload-time and core-metadata with its true digest are offered and marked as found out, by Range and HEAD alone."""
    beyond = bare(start)
    files = beyond.files()
    wheel_, tar = files[BIG.filename], files[SOURCE.filename]
    assert (wheel_["size"], wheel_["upload-time"]) == (len(BIG.content), UPLOADED)
    assert wheel_["core-metadata"] == wheel_["dist-info-metadata"] == {"sha256": sha256(BIG.metadata)}
    assert wheel_["_source"] == {"upstream": "upstream", "filled": ["size", "upload-time", "core-metadata"]}
    assert (tar["size"], tar["upload-time"], "core-metadata" in tar) == (len(SOURCE.content), UPLOADED, False)
    assert tar["_source"]["filled"] == ["size", "upload-time"]
    html = beyond.page(accept=HTML).body.decode()
    assert f'data-core-metadata="sha256={sha256(BIG.metadata)}"' in html
    answer = beyond.ask(f"{file_path(BIG)}.metadata")
    assert (answer.code, answer.body, answer.headers["x-cache"]) == (200, BIG.metadata, "hit")
    assert looked_at(beyond) == [("GET", f"bytes=-{TAIL}"), ("HEAD", "")]


def test_what_was_found_out_stays(start: Start) -> None:
    """After a restart, and when the index has sent its page anew or confirmed it, all is still told, and no file is asked for again."""
    for etags in (False, True):
        beyond = bare(start, style=evolve(BARE, etags=etags))
        known = beyond.files()
        looked_at(beyond)
        beyond.restart()
        assert beyond.files() == known
        beyond.pass_time(301)
        assert beyond.files() == known
        assert beyond.upstream.asked("/simple/demo/") == 1
        assert looked_at(beyond) == []


def test_a_page_from_before_is_filled_in_once_it_is_confirmed(start: Start) -> None:
    """A page that was kept by who could find nothing out is filled in though its index only says that it has not changed."""
    upstream = FakeUpstream(style=evolve(BARE, etags=True))
    upstream.add(BIG)
    beyond = start(upstream)
    assert "size" not in beyond.files()[BIG.filename]
    beyond.fills = True
    beyond.restart()
    beyond.pass_time(301)
    beyond.page()
    beyond.settle()
    assert beyond.files()[BIG.filename]["core-metadata"] == {"sha256": sha256(BIG.metadata)}


@pytest.mark.parametrize("etags", [False, True])
def test_what_is_found_out_while_the_page_is_asked_for_stays(start: Start, etags: bool) -> None:
    """Facts that come between the question for a page and its answer, be it that nothing has changed, are not lost with the answer."""
    upstream = FakeUpstream(style=evolve(BARE, etags=etags, modified=False))
    upstream.add(BIG)
    beyond = start(upstream, configured(fresh_for=1.0), fills=True)
    looked = upstream.hold("/files/")
    assert "size" not in beyond.files()[BIG.filename]
    answered = upstream.hold("/simple/demo/")
    beyond.pass_time(1)
    asking = beyond.begin(page_path("demo"))
    looked.open()
    beyond.settle(asking)
    answered.open()
    beyond.settle(asking)
    assert beyond.files()[BIG.filename]["core-metadata"] == {"sha256": sha256(BIG.metadata)}
    assert upstream.asked("/simple/demo/") == 2
    beyond.pass_time(1)
    assert beyond.files()[BIG.filename]["core-metadata"] == {"sha256": sha256(BIG.metadata)}
    assert looked_at(beyond) == [("GET", f"bytes=-{TAIL}")]


def test_metadata_that_made_room_is_read_again(start: Start) -> None:
    """Core metadata that is kept no more is read out of the wheel anew, by Range; if it cannot be, that is 502 (hardening row 17)."""
    beyond = bare(start, BIG)
    looked_at(beyond)

    def make_room() -> None:
        kept = done(beyond.registry.store.upstream.kept(Name("demo")))
        assert [one.filename for one in kept] == [f"{BIG.filename}.metadata"]
        gone = done(beyond.registry.store.keeping.evict([one.id for one in kept], OPERATOR))
        done(beyond.registry.store.blobs.release(list(gone.digests), _nobody))
        assert beyond.registry.kept_files() == []

    for _ in range(2):
        make_room()
        answer = beyond.ask(f"{file_path(BIG)}.metadata")
        assert (answer.code, answer.body, answer.headers["x-cache"]) == (200, BIG.metadata, "miss")
        assert looked_at(beyond) == [("GET", f"bytes=-{TAIL}")]
        assert beyond.ask(f"{file_path(BIG)}.metadata").headers["x-cache"] == "hit"
        looked_at(beyond)
    make_room()
    beyond.upstream.style = evolve(BARE, ranges=False)
    assert beyond.ask(f"{file_path(BIG)}.metadata").code == 502


async def _nobody(_: list[str]) -> set[str]:
    return set()


def fetched_instead(start: Start, other: Built) -> tuple[Beyond, dict[str, Any]]:
    """What the page says of BIG, which no digest names, after `other` was put in its place and was fetched."""
    beyond = bare(start, BIG, style=evolve(BARE, hashes=()))
    assert beyond.files()[BIG.filename]["core-metadata"] == {"sha256": sha256(BIG.metadata)}
    beyond.upstream.remove("demo")
    beyond.upstream.add(other)
    assert beyond.ask(file_path(BIG, digest=BY_NAME)).body == other.content
    beyond.pass_time(301)
    entry = beyond.files()[BIG.filename]
    assert (entry["size"], entry["hashes"]["sha256"]) == (len(other.content), sha256(other.content))
    return beyond, entry


def test_the_wheel_itself_goes_before_a_glimpse_of_it(start: Start) -> None:
    """Where a wheel that was fetched whole has other metadata than was read by Range, the page offers the wheel's (hardening row 17)."""
    other = wheel("demo", requires_python=">=3.9", payload=bytes(1 << 20))
    beyond, entry = fetched_instead(start, other)
    assert entry["core-metadata"] == {"sha256": sha256(other.metadata)}
    assert beyond.ask(f"{file_path(BIG, digest=BY_NAME)}.metadata").body == other.metadata


def test_a_wheel_that_cannot_be_read_takes_back_what_was_read_of_it(start: Start) -> None:
    """Where a wheel that was fetched whole turns out to be none, the page offers no core metadata any more (hardening row 17)."""
    _, entry = fetched_instead(start, evolve(BIG, content=BIG.content.replace(b"for tests", b"otherwise")))
    assert "core-metadata" not in entry
    assert "core-metadata" not in entry["_source"]["filled"]


def test_a_time_that_was_found_out_is_no_age(start: Start) -> None:
    """Under a cooldown a file whose upload time its index does not tell stays out, however old its server says it is."""
    beyond = bare(start, curation=Curation(min_age=timedelta(days=7).total_seconds()))
    assert beyond.files() == {}
    answer = beyond.ask(file_path(BIG))
    assert (answer.code, "cooldown" in answer.reason) == (403, True)


def test_what_is_streamed_only_has_no_metadata(start: Start) -> None:
    """Of an upstream of which nothing may be kept, size and time are told, and nothing of it is kept."""
    beyond = bare(start, mode="stream")
    entry = beyond.files()[BIG.filename]
    assert (entry["size"], "core-metadata" in entry) == (len(BIG.content), False)
    assert looked_at(beyond) == [("HEAD", ""), ("HEAD", "")]
    assert beyond.registry.kept_files() == []


def test_small_wheels_cost_a_question_each(start: Start) -> None:
    """A page of wheels that fit in what is asked of their ends takes one question for each."""
    beyond = bare(start, *(wheel("demo", f"1.{number}") for number in range(20)))
    assert all("core-metadata" in entry for entry in beyond.files().values())
    assert looked_at(beyond) == [("GET", f"bytes=-{TAIL}")] * 20
