"""Files that an upstream replaces under their name, where its index tells no sha256 to tell them apart by."""

import hashlib

import pytest
from attrs import evolve

from registry.domain.names import Name
from registry.domain.simple import BY_NAME
from registry.testing import OPERATOR, Built, FakeUpstream, Style, done
from tests.beyond import Beyond, configured, file_path, large
from tests.conftest import Start

BIG = large("big", 300_000)
THERE = f"/files/{BIG.name}/{BIG.filename}"


def replaced(start: Start, hashes: tuple[str, ...], mode: str) -> tuple[Beyond, Built, str]:
    """A registry whose upstream has put another file in the place of BIG after it was asked for here; the new one, and their address."""
    upstream = FakeUpstream(style=Style(json=False, hashes=hashes, metadata=False))
    upstream.add(BIG)
    beyond = start(upstream, configured(mode=mode))
    address = file_path(BIG, digest=BY_NAME)
    assert beyond.ask(address).body == BIG.content
    new = evolve(BIG, content=BIG.content[:-1] + bytes([BIG.content[-1] ^ 1]))
    upstream.remove("big")
    upstream.add(new)
    return beyond, new, address


@pytest.mark.parametrize("hashes", [("md5",), ()], ids=["md5", "no digest"])
def test_a_file_that_is_replaced_under_its_name_is_the_first_one_until_it_is_purged(start: Start, hashes: tuple[str, ...]) -> None:
    """Where no sha256 is told, what is kept under a name is given, with its own sha256, whatever its index has by now: until a purge."""
    beyond, new, address = replaced(start, hashes, "cache")
    beyond.pass_time(301)
    entry = beyond.files("big")[BIG.filename]
    # The index's own word stays its own word, and the sha256 is that of the bytes.
    told = {algorithm: hashlib.new(algorithm, new.content).hexdigest() for algorithm in hashes}
    assert entry["hashes"] == {"sha256": BIG.sha256, **told}
    assert "hashes" in entry["_source"]["filled"]
    assert (beyond.ask(address).body, beyond.upstream.asked(THERE)) == (BIG.content, 1)
    done(beyond.registry.store.keeping.purge([Name("big")], OPERATOR))
    assert beyond.ask(address).body == new.content
    entry = beyond.files("big")[BIG.filename]
    assert entry["hashes"] == {"sha256": new.sha256, **told}


def test_a_file_that_is_replaced_before_its_page_is_known_is_never_complete(start: Start) -> None:
    """Where nothing is kept, new bytes do not pass for those that the page known here tells of; when that is new, they do (row 12)."""
    beyond, new, address = replaced(start, ("md5",), "stream")
    wire = beyond.begin(address)
    assert (wire.answers("GET")[0].complete, wire.aborted) == (False, True)
    beyond.page("big", cache_control="no-cache")
    assert not beyond.begin(address).answers("GET")[0].complete
    beyond.pass_time(6)
    beyond.page("big", cache_control="no-cache")
    assert beyond.ask(address).body == new.content
