"""Files that an upstream replaces under their name, where its index tells no sha256 to tell them apart by."""

import hashlib

import pytest
from attrs import evolve

from registry.config import Curation
from registry.domain.names import Name
from registry.domain.simple import BY_NAME
from registry.testing import OPERATOR, Built, FakeUpstream, Style, done, sdist
from tests.beyond import Beyond, configured, file_path, large
from tests.conftest import Start
from tests.web.doors import licensed

BIG = large("big", 300_000)
THERE = f"/files/{BIG.name}/{BIG.filename}"
ADDRESS = file_path(BIG, digest=BY_NAME)
NEW = evolve(BIG, content=BIG.content[:-1] + bytes([BIG.content[-1] ^ 1]))
LONGER = evolve(BIG, content=BIG.content + b"\0")


def kept(start: Start, hashes: tuple[str, ...], mode: str = "cache", *, json: bool = False) -> Beyond:
    """A registry that was asked for BIG, of which its upstream tells these digests; with `json`, its size, too."""
    upstream = FakeUpstream(style=Style(json=json, hashes=hashes, metadata=False))
    upstream.add(BIG)
    beyond = start(upstream, configured(mode=mode))
    assert beyond.ask(ADDRESS).body == BIG.content
    return beyond


def replace(beyond: Beyond, new: Built = NEW) -> None:
    """The upstream puts another file in the place of BIG."""
    beyond.upstream.remove("big")
    beyond.upstream.add(new)


def hashes_of(built: Built, *algorithms: str) -> dict[str, str]:
    """Its digests, as pages have them."""
    return {algorithm: hashlib.new(algorithm, built.content).hexdigest() for algorithm in algorithms}


def rows(beyond: Beyond) -> list[str]:
    """The sha256 of what is kept of big."""
    return [one.sha256 for one in done(beyond.registry.store.upstream.kept(Name("big")))]


@pytest.mark.parametrize("hashes", [("md5",), ("sha512",), ("md5", "sha512")], ids="+".join)
def test_a_file_that_is_replaced_under_its_name_is_the_new_one(start: Start, hashes: tuple[str, ...]) -> None:
    """Once the index tells another digest, what is kept is not given for it, nor is it kept any longer (hardening row 12)."""
    beyond = kept(start, hashes)
    first = hashes[:1]  # HTML tells one
    assert beyond.files("big")[BIG.filename]["hashes"] == hashes_of(BIG, "sha256", *first)
    replace(beyond)
    # What the index said is believed as long as any page is: until then page and file are the first, and fit each other.
    beyond.pass_time(299)
    assert beyond.files("big")[BIG.filename]["hashes"] == hashes_of(BIG, "sha256", *first)
    assert beyond.ask(ADDRESS).body == BIG.content
    beyond.pass_time(2)
    assert beyond.files("big")[BIG.filename]["hashes"] == hashes_of(NEW, *first)
    assert beyond.ask(ADDRESS).body == NEW.content
    assert beyond.files("big")[BIG.filename]["hashes"] == hashes_of(NEW, "sha256", *first)
    assert (beyond.ask(ADDRESS).body, beyond.upstream.asked(THERE)) == (NEW.content, 2)
    assert rows(beyond) == [NEW.sha256]
    assert NEW.sha256 in beyond.registry.kept_files()
    assert BIG.sha256 not in beyond.registry.kept_files()


def test_who_insists_has_the_page_and_the_file_of_this_moment(start: Start) -> None:
    """After a page that was asked for anew with no-cache the file is the one that it tells of, too, though the old one was in memory."""
    beyond = kept(start, ("md5",))
    assert beyond.ask(ADDRESS).body == BIG.content
    replace(beyond)
    beyond.pass_time(6)
    assert "sha256" not in beyond.page("big", cache_control="no-cache").json["files"][0]["hashes"]
    assert beyond.ask(ADDRESS).body == NEW.content


def test_a_new_file_that_cannot_be_had_is_not_the_old_one(start: Start) -> None:
    """Where the index has been replaced and the file cannot be fetched it is an error, and the first bytes are no substitute (row 12)."""
    beyond = kept(start, ("md5",))
    replace(beyond)
    beyond.pass_time(301)
    beyond.files("big")
    beyond.kill()
    assert beyond.ask(ADDRESS).code == 503
    assert rows(beyond) == [BIG.sha256]


def test_who_can_ask_nobody_does_not_list_what_was_replaced(start: Start) -> None:
    """In mode offline a file whose bytes here are not those that its index tells of is left out, as if it were not kept."""
    beyond = kept(start, ("md5",))
    beyond.upstream.add(sdist("big", "2.0"))
    replace(beyond)
    beyond.pass_time(301)
    beyond.files("big")
    beyond.config = configured(mode="offline")
    beyond.restart()
    assert [beyond.page("big").code, beyond.ask(ADDRESS).code] == [404, 404]


def test_the_licence_of_the_first_file_is_not_that_of_the_second(start: Start) -> None:
    """Under a policy for licences a file that replaces another is judged by its own core metadata, before its first byte (row 22)."""
    first, second = licensed("1.0", "MIT"), licensed("1.0", "AGPL-3.0-only")
    upstream = FakeUpstream(style=Style(json=False, hashes=("md5",)))
    upstream.add(first)
    beyond = start(upstream, configured(curation=Curation(licences_deny=("AGPL-*",))))
    address = file_path(first, digest=BY_NAME)
    assert beyond.ask(address).body == first.content
    beyond.upstream.remove("demo")
    beyond.upstream.add(second)
    beyond.pass_time(301)
    beyond.files()
    assert (second.filename, beyond.ask(address).code) == (first.filename, 403)
    assert [one.path for one in beyond.upstream.requests].count(f"/files/demo/{second.filename}") == 1


def test_another_size_tells_files_apart(start: Start) -> None:
    """An index that tells sizes alone has replaced a file if that is another; the same size is the same file (hardening row 12)."""
    beyond = kept(start, (), json=True)
    replace(beyond)
    beyond.pass_time(301)
    assert beyond.files("big")[BIG.filename]["hashes"] == hashes_of(BIG, "sha256")
    assert beyond.ask(ADDRESS).body == BIG.content
    replace(beyond, LONGER)
    beyond.pass_time(301)
    assert beyond.files("big")[BIG.filename]["hashes"] == {}
    assert beyond.ask(ADDRESS).body == LONGER.content
    assert rows(beyond) == [LONGER.sha256]
    assert BIG.sha256 not in beyond.registry.kept_files()


def test_where_nothing_is_told_the_first_file_stands_until_it_is_purged(start: Start) -> None:
    """An index that tells neither digest nor size cannot be noticed to replace a file: the first bytes, with their sha256, are given."""
    beyond = kept(start, ())
    replace(beyond, LONGER)
    beyond.pass_time(301)
    entry = beyond.files("big")[BIG.filename]
    assert entry["hashes"] == hashes_of(BIG, "sha256")
    assert "hashes" in entry["_source"]["filled"]
    assert (beyond.ask(ADDRESS).body, beyond.upstream.asked(THERE)) == (BIG.content, 1)
    done(beyond.registry.store.keeping.purge([Name("big")], OPERATOR))
    assert beyond.ask(ADDRESS).body == LONGER.content
    assert beyond.files("big")[BIG.filename]["hashes"] == hashes_of(LONGER, "sha256")


def test_a_file_that_is_replaced_before_its_page_is_known_is_never_complete(start: Start) -> None:
    """Where nothing is kept, new bytes do not pass for those that the page known here tells of; when that is new, they do (row 12)."""
    beyond = kept(start, ("md5",), "stream")
    replace(beyond)
    wire = beyond.begin(ADDRESS)
    assert (wire.answers("GET")[0].complete, wire.aborted) == (False, True)
    beyond.page("big", cache_control="no-cache")
    assert not beyond.begin(ADDRESS).answers("GET")[0].complete
    beyond.pass_time(6)
    beyond.page("big", cache_control="no-cache")
    assert beyond.ask(ADDRESS).body == NEW.content
