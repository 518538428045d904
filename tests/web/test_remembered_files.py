"""Files of upstreams that came a moment ago: given again from memory, for as long as they may be."""

from typing import Any

import pytest

from registry.config import Curation
from registry.domain.names import Name
from registry.testing import OPERATOR, Built, FakeUpstream, Style, done, wheel
from tests.beyond import Beyond, configured, file_path
from tests.conftest import Start
from tests.web.doors import licensed

SMALL = wheel("demo", "1.0")


def fetched_once(start: Start, built: Built = SMALL, ending: str = "", **settings: Any) -> Beyond:
    """A registry that a client has fetched a file from, and whose disk has lost its bytes since: what it gives now it has in memory."""
    upstream = FakeUpstream()
    upstream.add(built)
    beyond = start(upstream, configured(**settings))
    assert beyond.ask(file_path(built) + ending).headers["x-cache"] == "miss"
    for sha256 in beyond.registry.kept_files():
        (lost,) = beyond.registry.store.data_dir.blobs.rglob(sha256)
        lost.unlink()
    return beyond


@pytest.mark.parametrize("ending", ["", ".metadata"])
def test_the_second_client_has_it_from_memory(start: Start, ending: str) -> None:
    """A small file, or core metadata, is given to the second who asks without a look at the disk, as a hit with its age."""
    beyond = fetched_once(start, ending=ending)
    asked = beyond.upstream.asked()
    beyond.pass_time(5)
    answer = beyond.ask(file_path(SMALL) + ending)
    assert (answer.code, answer.headers["x-cache"], int(answer.headers["age"])) == (200, "hit", 5)
    assert answer.body == (SMALL.metadata if ending else SMALL.content)
    assert beyond.upstream.asked() == asked


@pytest.mark.parametrize("ending", ["", ".metadata"])
def test_it_is_remembered_for_no_longer_than_its_page(start: Start, ending: str) -> None:
    """When its page has to be asked for again, so has what is remembered: the upstream may have taken the file back."""
    beyond = fetched_once(start, ending=ending, fresh_for=60)
    beyond.upstream.remove("demo")
    beyond.pass_time(59)
    assert beyond.ask(file_path(SMALL) + ending).code == 200
    beyond.pass_time(1)
    assert beyond.ask(file_path(SMALL) + ending).code == 404


def test_a_purge_takes_it_out_of_memory(start: Start) -> None:
    """What was purged is not given from memory afterwards, but fetched again."""
    beyond = fetched_once(start)
    done(beyond.registry.store.keeping.purge([Name("demo")], OPERATOR))
    assert beyond.ask(file_path(SMALL)).headers["x-cache"] == "miss"


def test_what_a_licence_could_still_forbid_is_judged_again(start: Start) -> None:
    """Of a file whose licence nobody knew when it came, the second client is told what its metadata said, not what is in memory."""
    forbidden = licensed("1.0", "AGPL-3.0-only")
    upstream = FakeUpstream(style=Style(metadata=False))
    upstream.add(forbidden)
    beyond = start(upstream, configured(curation=Curation(licences_deny=("AGPL-*",))))
    assert beyond.ask(file_path(forbidden)).code == 200
    assert beyond.ask(file_path(forbidden)).code == 403


def test_mode_stream_remembers_nothing(start: Start) -> None:
    """In mode `stream` memory keeps as little as the disk."""
    beyond = fetched_once(start, mode="stream")
    assert beyond.ask(file_path(SMALL)).headers["x-cache"] == "miss"
    beyond = fetched_once(start, ending=".metadata", mode="stream")
    assert beyond.ask(file_path(SMALL) + ".metadata").headers["x-cache"] == "miss"
