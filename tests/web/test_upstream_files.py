"""Files that are not held here: streamed while they come, complete only once they are proven, and kept."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import evolve
from twisted.logger import LogEvent

from registry.domain.simple import BY_NAME
from registry.testing import Built, FakeUpstream, Style, sdist, wheel
from registry.testing.troubles import Reply, Trouble, cut, damaged, gzipped, redirect, status, without_length, wrong_length
from registry.workflows.transfer import HELD_BACK, NEARLY
from tests.beyond import Beyond, configured, file_path, large, page_path, path_in
from tests.conftest import Start

MB = 1 << 20
BIG = large("big", MB)


def stocked(start: Start, *built: Built, **settings: Any) -> Beyond:
    """A registry beside an upstream that has these files."""
    upstream = FakeUpstream()
    upstream.add(*(built or (BIG,)))
    return start(upstream, configured(**settings))


def there(built: Built) -> str:
    """Where the upstream has a file."""
    return f"/files/{built.name}/{built.filename}"


def nothing_kept(beyond: Beyond) -> bool:
    """Whether no byte was kept, or is lying about."""
    return beyond.registry.kept_files() == [] and beyond.registry.staged_files() == []


def sized(size: int) -> Built:
    """A file of any size; one that is too small for a wheel is only called so."""
    if size > 2000:
        return large("big", size)
    return Built(name="big", version="1.0", filename="big-1.0-py3-none-any.whl", content=b"x" * size)


SIZES = pytest.mark.parametrize("size", [0, 1, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1, MB])


# --- once, for all ---


@SIZES
def test_a_cold_file_comes_as_it_is(start: Start, size: int) -> None:
    """A file of any size is given to its first client byte by byte, as a miss, and to the next as a hit without asking again."""
    built = sized(size)
    beyond = stocked(start, built)
    for state in ("miss", "hit", "hit"):
        answer = beyond.ask(file_path(built))
        assert (answer.code, answer.complete, answer.body == built.content, answer.headers["x-cache"]) == (200, True, True, state)
        assert answer.headers["content-length"] == str(size)
        assert int(answer.headers["age"]) == 0
    assert beyond.upstream.asked(there(built)) == 1
    assert built.sha256 in beyond.registry.kept_files()


def test_one_request_for_fifty_clients(start: Start) -> None:
    """Fifty clients on one cold file, before and while it comes, cause one request upstream and all get all of it (hardening row 52)."""
    beyond = stocked(start)
    gates = [beyond.upstream.hold(there(BIG)), beyond.upstream.hold(there(BIG), at=MB // 2)]
    wires = [beyond.begin(file_path(BIG)) for _ in range(25)]
    gates[0].open()
    wires += [beyond.begin(file_path(BIG)) for _ in range(25)]
    beyond.settle(*wires)
    gates[1].open()
    beyond.settle(*wires)
    answers = [wire.answers("GET")[0] for wire in wires]
    assert all(answer.complete and answer.body == BIG.content for answer in answers)
    assert (beyond.upstream.asked(there(BIG)), beyond.upstream.asked()) == (1, 2)


def test_one_request_for_fifty_clients_of_core_metadata(start: Start) -> None:
    """So it is with the core metadata beside it, which resolvers ask for by the hundred (hardening row 52)."""
    beyond = stocked(start)
    gate = beyond.upstream.hold(f"{there(BIG)}.metadata")
    wires = [beyond.begin(f"{file_path(BIG)}.metadata") for _ in range(50)]
    gate.open()
    beyond.settle(*wires)
    assert [wire.answers("GET")[0].body for wire in wires] == [BIG.metadata] * 50
    assert beyond.ask(f"{file_path(BIG)}.metadata").headers["x-cache"] == "hit"
    assert beyond.upstream.asked(f"{there(BIG)}.metadata") == 1


def test_the_first_bytes_arrive_before_the_upstream_has_finished(start: Start) -> None:
    """What has come is given at once: a client has half of the file while the upstream still holds the other half."""
    beyond = stocked(start)
    gate = beyond.upstream.hold(there(BIG), at=MB // 2)
    wire = beyond.begin(file_path(BIG))
    (answer,) = wire.answers("GET")
    assert (answer.code, answer.complete, answer.headers["content-length"]) == (200, False, str(MB))
    assert answer.body == BIG.content[: MB // 2]
    gate.open()
    beyond.settle(wire)
    assert wire.answers("GET")[0].body == BIG.content


def test_the_last_bytes_wait_for_the_digest(start: Start) -> None:
    """Of a file whose last byte is not here nobody has the last 64 KiB, however much of them has come (hardening row 12)."""
    beyond = stocked(start)
    gate = beyond.upstream.hold(there(BIG), at=MB - 1)
    wire = beyond.begin(file_path(BIG))
    assert len(wire.answers("GET")[0].body) == MB - HELD_BACK
    gate.open()
    beyond.settle(wire)
    assert wire.answers("GET")[0].complete


# --- lies and accidents ---


def replaced(reply: Reply) -> Reply:
    """Other bytes, just as many; of an empty file there are none, so it is the index that lies."""
    return evolve(reply, body=bytes(byte ^ 1 for byte in reply.body))


@SIZES
def test_other_bytes_are_never_complete(start: Start, log_events: list[LogEvent], size: int) -> None:
    """A file whose digest is not the index's is aborted before its end, however small, is not kept, and is asked for anew (row 12)."""
    built = sized(size)
    upstream = FakeUpstream()
    digest = built.sha256 if size else "0" * 64
    upstream.add(built, hashes={"sha256": digest})
    upstream.on(there(built), replaced, times=1)
    beyond = start(upstream)
    path = file_path(built, digest=digest)
    wire = beyond.begin(path)
    (answer,) = wire.answers("GET")
    if size <= HELD_BACK:
        assert (answer.code, built.filename in answer.reason, "etag" in answer.headers) == (502, True, False)
    else:
        assert (answer.code, answer.complete, wire.aborted) == (200, False, True)
        assert len(answer.body) <= size - HELD_BACK
    assert nothing_kept(beyond)
    assert any("nothing of it was kept" in str(event.get("log_format")) for event in log_events)
    again = beyond.ask(path)
    assert (again.code, again.body) == ((200, built.content) if size else (502, again.body))
    assert upstream.asked(there(built)) == 2


ACCIDENTS: Mapping[str, Trouble] = {
    "the last byte is another": damaged(),
    "breaks off at once": cut(0),
    "breaks off in the middle": cut(MB // 2),
    "breaks off at the last byte": cut(MB - 1),
    "too long by one": wrong_length(1),
    "too short by one": wrong_length(-1),
    "shorter than its index says": lambda reply: evolve(reply, body=reply.body[:-1]),
    "longer than its index says": lambda reply: evolve(reply, body=reply.body + b"x"),
    "gzip that nobody asked for": gzipped(),
    "an error page": lambda reply: evolve(reply, body=b"<html>sorry</html>"),
    "404": status(404),
    "500": status(500),
    "403": status(403),
    "elsewhere": redirect("http://nowhere.test/"),
    "inside": redirect("http://127.0.0.1/"),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_an_accident_is_never_taken_for_a_file(start: Start, accident: str) -> None:
    """Whatever goes wrong, no client has all of the promised bytes and nothing is kept; asked again, the file comes (row 12)."""
    beyond = stocked(start)
    beyond.upstream.on(there(BIG), ACCIDENTS[accident], times=1)
    wire = beyond.begin(file_path(BIG))
    beyond.pass_time(1, wire)
    (answer,) = wire.answers("GET")
    assert answer.code in {502, 503} or (answer.code == 200 and not answer.complete and wire.aborted), answer
    assert answer.code != 503 or answer.headers["retry-after"].isdecimal()
    assert nothing_kept(beyond)
    again = beyond.ask(file_path(BIG))
    assert (again.code, again.body == BIG.content) == (200, True)


def test_a_length_is_not_needed_where_the_index_tells_it(start: Start) -> None:
    """A body in chunks is measured by what the index says, and its end by the upstream."""
    beyond = stocked(start)
    beyond.upstream.on(there(BIG), without_length())
    assert beyond.ask(file_path(BIG)).body == BIG.content


def test_bytes_under_one_address_are_told_apart_by_digest(start: Start) -> None:
    """Who asks for other bytes of an address does not join the transfer of those that are coming from it (hardening row 12)."""
    other = "f" * 64
    upstream = FakeUpstream()
    upstream.add(BIG)
    beyond = start(upstream)
    gate = upstream.hold(there(BIG), at=MB // 2)
    right = beyond.begin(file_path(BIG))
    upstream.remove("big")
    upstream.add(BIG, hashes={"sha256": other})
    beyond.pass_time(11, right)
    wrong = beyond.begin(file_path(BIG, digest=other))
    gate.open()
    beyond.settle(right, wrong)
    assert right.answers("GET")[0].body == BIG.content
    assert not wrong.answers("GET")[0].complete


def test_metadata_with_another_digest_is_502(start: Start) -> None:
    """Core metadata that is not what the index says is not given and not kept (hardening rows 12, 17)."""
    beyond = stocked(start)
    beyond.upstream.on(f"{there(BIG)}.metadata", damaged(), times=1)
    assert beyond.ask(f"{file_path(BIG)}.metadata").code == 502
    assert nothing_kept(beyond)
    assert beyond.ask(f"{file_path(BIG)}.metadata").body == BIG.metadata


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x.whl", "http://10.0.0.1/x.whl", "http://inside.test/x.whl", "http://[::ffff:10.0.0.1]/x.whl"]
)
def test_a_file_that_is_said_to_be_inside_is_502(start: Start, url: str) -> None:
    """An address in a page that is not public is refused, and nothing is connected (hardening row 10)."""
    upstream = FakeUpstream()
    upstream.add(BIG, url=url)
    beyond = start(upstream)
    beyond.network.names["inside.test"] = ["192.168.7.7"]
    assert beyond.ask(file_path(BIG)).code == 502
    assert {address for address, _ in beyond.network.attempts} == set(beyond.network.names["index.test"])


# --- clients that leave, and clients that are slow ---


@pytest.mark.parametrize(("at", "goes_on"), [(1 << 16, False), (NEARLY - (1 << 20), False), (NEARLY + (2 << 20), True), (2 * NEARLY, True)])
def test_the_only_client_leaves(start: Start, at: int, goes_on: bool) -> None:
    """Near the beginning of a large file it is stopped, near its end it is finished; the next client gets it (hardening row 53)."""
    built = large("big", 2 * NEARLY + (2 << 20))
    beyond = stocked(start, built)
    gate = beyond.upstream.hold(there(built), at=at)
    wire = beyond.begin(file_path(built))
    wire.hang_up()
    beyond.settle()
    gate.open()
    beyond.settle()
    assert (built.sha256 in beyond.registry.kept_files()) == goes_on
    assert beyond.registry.staged_files() == []
    assert beyond.ask(file_path(built)).body == built.content
    assert beyond.upstream.asked(there(built)) == (1 if goes_on else 2)


@pytest.mark.parametrize("at", [-1, 1, MB // 2])
def test_the_only_client_of_a_small_file_leaves(start: Start, at: int) -> None:
    """What is small comes to its end whenever its client leaves: the next one asks nobody (hardening row 53)."""
    beyond = stocked(start)
    gate = beyond.upstream.hold(there(BIG), at=at)
    beyond.begin(file_path(BIG)).hang_up()
    gate.open()
    beyond.settle()
    assert (beyond.ask(file_path(BIG)).headers["x-cache"], beyond.upstream.asked(there(BIG))) == ("hit", 1)


def test_one_of_several_clients_leaves(start: Start) -> None:
    """The others get the file, of one transfer (hardening row 53)."""
    beyond = stocked(start)
    gate = beyond.upstream.hold(there(BIG), at=100_000)
    wires = [beyond.begin(file_path(BIG)) for _ in range(3)]
    wires[0].hang_up()
    gate.open()
    beyond.settle(*wires[1:])
    assert [wire.answers("GET")[0].body == BIG.content for wire in wires[1:]] == [True, True]
    assert beyond.upstream.asked(there(BIG)) == 1


def test_a_slow_client_keeps_nobody_waiting(start: Start) -> None:
    """While one client does not read, another gets all of the file; the slow one gets it when it reads on."""
    beyond = stocked(start)
    gate = beyond.upstream.hold(there(BIG), at=1000)
    slow, quick = beyond.begin(file_path(BIG)), beyond.begin(file_path(BIG))
    slow.stop_reading()
    gate.open()
    beyond.settle(slow, quick)
    assert quick.answers("GET")[0].body == BIG.content
    assert not slow.answers("GET")[0].complete
    slow.read_on()
    beyond.settle(slow)
    assert slow.answers("GET")[0].body == BIG.content


# --- parts, heads, conditions ---


@pytest.mark.parametrize("kept", [False, True], ids=["cold", "kept"])
@pytest.mark.parametrize("spec", ["bytes=0-99", "bytes=500000-500099", "bytes=-100", "bytes=1048575-", "bytes=0-"])
def test_a_part(start: Start, kept: bool, spec: str) -> None:
    """Ranges of a cold and of a kept file are 206 with exactly those bytes."""
    beyond = stocked(start)
    if kept:
        beyond.ask(file_path(BIG))
    answer = beyond.ask(file_path(BIG), headers={"Range": spec})
    first, _, last = spec.removeprefix("bytes=").partition("-")
    wanted = BIG.content[int(first) : int(last) + 1 if last else None] if first else BIG.content[-int(last) :]
    assert (answer.code, answer.complete, answer.body == wanted) == (206, True, True)
    assert answer.headers["content-range"].endswith(f"/{MB}")


@pytest.mark.parametrize("kept", [False, True], ids=["cold", "kept"])
def test_a_part_beyond_the_end_is_416(start: Start, kept: bool) -> None:
    """A range that the file does not have is 416 with the file's size, whether or not it is here."""
    beyond = stocked(start)
    if kept:
        beyond.ask(file_path(BIG))
    answer = beyond.ask(file_path(BIG), headers={"Range": f"bytes={MB}-"})
    assert (answer.code, answer.headers["content-range"]) == (416, f"bytes */{MB}")


@pytest.mark.parametrize("kept", [False, True], ids=["cold", "kept"])
@pytest.mark.parametrize("ending", ["", ".metadata"])
def test_the_head_alone(start: Start, kept: bool, ending: str) -> None:
    """HEAD is answered here, cold or kept, with what uv needs to read parts; it is never sent elsewhere (hardening row 18)."""
    beyond = stocked(start)
    path = file_path(BIG) + ending
    if kept:
        beyond.ask(path)
    head = beyond.ask(path, "HEAD")
    whole = beyond.ask(path)
    assert (head.code, head.body) == (200, b"")
    for name in ("content-length", "accept-ranges", "etag", "content-type", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    assert "location" not in head.headers


@pytest.mark.parametrize("told", [True, False], ids=["its index tells the size", "its server tells the size"])
def test_the_head_alone_fetches_nothing(start: Start, told: bool) -> None:
    """For the HEAD of a cold file no byte of it is fetched: its size is what its index tells, or else what its server does."""
    upstream = FakeUpstream(style=Style(times=told))
    upstream.add(BIG)
    beyond = start(upstream, configured())
    head = beyond.ask(file_path(BIG), "HEAD")
    assert (head.code, head.body, head.headers["content-length"], head.headers["x-cache"]) == (200, b"", str(MB), "miss")
    assert beyond.upstream.asked(there(BIG)) == 0
    assert nothing_kept(beyond)


def test_the_head_of_what_is_not_there_is_502(start: Start) -> None:
    """Where the server does not have what its index lists, a HEAD says so as a GET would (hardening row 18)."""
    upstream = FakeUpstream(style=Style(times=False))
    upstream.add(BIG)
    upstream.on(there(BIG), status(404))
    beyond = start(upstream, configured())
    assert [beyond.ask(file_path(BIG), method).code for method in ("HEAD", "GET")] == [502, 502]


@pytest.mark.parametrize(("room", "kept"), [(MB - 1, False), (MB, True)])
def test_a_file_larger_than_the_whole_room_is_not_kept(start: Start, room: int, kept: bool) -> None:
    """A file of all of `cache_size` is kept; one of a byte more is given and not kept, and puts out nothing that is."""
    beyond = stocked(start, BIG, cache_size=room)
    for state in ("miss", "hit" if kept else "miss"):
        answer = beyond.ask(file_path(BIG))
        assert (answer.complete, answer.body == BIG.content, answer.headers["x-cache"]) == (True, True, state)
    assert (BIG.sha256 in beyond.registry.kept_files()) == kept


def test_a_copy_that_is_current_is_not_fetched_again(start: Start) -> None:
    """If-None-Match with the digest is 304, of a kept file without a word to anybody."""
    beyond = stocked(start)
    beyond.ask(file_path(BIG))
    asked = beyond.upstream.asked()
    assert beyond.ask(file_path(BIG), headers={"If-None-Match": f'"{BIG.sha256}"'}).code == 304
    assert beyond.upstream.asked() == asked


# --- addresses of lock files ---


@pytest.mark.parametrize("built", [wheel("My.Package"), sdist("my-package"), sdist("a-2")], ids=lambda built: built.filename)
@pytest.mark.parametrize("ending", ["", ".metadata"])
def test_an_address_from_a_lock_file(start: Start, built: Built, ending: str) -> None:
    """The address of a file works on an empty data directory: its name leads to its page, and its digest to itself."""
    beyond = stocked(start, built)
    answer = beyond.ask(file_path(built) + ending)
    if ending and not built.metadata:
        assert answer.code == 404
    else:
        assert (answer.code, answer.body) == (200, built.metadata if ending else built.content)


def test_an_address_whose_file_is_newer_than_the_page(start: Start) -> None:
    """A file that the page known here does not list yet is looked for anew, though not more than every ten seconds."""
    beyond = stocked(start)
    newer = large("big", 5000, "2.0")
    beyond.page("big")
    beyond.upstream.add(newer)
    assert beyond.ask(file_path(newer)).code == 404
    beyond.pass_time(11)
    assert beyond.ask(file_path(newer)).body == newer.content
    asked = beyond.upstream.asked("/simple/big/")
    beyond.pass_time(11)
    assert [beyond.ask(file_path(newer, digest=digit * 64)).code for digit in "abc"] == [404] * 3
    assert beyond.upstream.asked("/simple/big/") == asked + 1


def test_an_address_that_cannot_be_looked_up_is_no_404(start: Start) -> None:
    """While the upstream is dead, a file that an older page does not list may exist all the same: 503; one that is kept is given."""
    beyond = stocked(start)
    beyond.ask(file_path(BIG))
    beyond.kill()
    for seconds in (11, 400):
        beyond.pass_time(seconds)
        for _ in range(2):
            answer = beyond.ask(file_path(large("big", 5000, "2.0")))
            assert (answer.code, answer.headers["retry-after"]) == (503, "30")
        assert beyond.ask(file_path(BIG)).body == BIG.content
    assert beyond.ask(file_path(large("other", 5000))).code == 503


def test_a_restart_keeps_files(start: Start) -> None:
    """What was kept is given after a restart and without the upstream, core metadata included, which its index need not tell of."""
    upstream = FakeUpstream(style=Style(metadata=False))
    upstream.add(BIG)
    beyond = start(upstream)
    assert "core-metadata" not in beyond.files("big")[BIG.filename]
    beyond.ask(file_path(BIG))
    beyond.kill()
    beyond.restart()
    assert beyond.ask(file_path(BIG)).body == BIG.content
    entry = beyond.files("big")[BIG.filename]
    assert entry["core-metadata"] == {"sha256": hashlib.sha256(BIG.metadata).hexdigest()}
    assert entry["_source"]["filled"] == ["core-metadata"]
    assert beyond.ask(f"{file_path(BIG)}.metadata").body == BIG.metadata


# --- files without a sha256 ---


@pytest.mark.parametrize("hashes", [("md5",), ()], ids=["md5", "no digest"])
def test_a_file_without_sha256_is_addressed_by_its_name(start: Start, hashes: tuple[str, ...]) -> None:
    """Its address has no digest and stays as it is; once the file was here its sha256 and size are told, and marked as ours."""
    upstream = FakeUpstream(style=Style(json=False, hashes=hashes, metadata=False))
    upstream.add(BIG)
    beyond = start(upstream)
    before = beyond.files("big")[BIG.filename]
    assert (before["hashes"].keys(), "size" in before) == (set(hashes), False)
    address = path_in(before["url"])
    assert address == file_path(BIG, digest=BY_NAME)
    for state in ("miss", "hit"):
        answer = beyond.ask(address)
        assert (answer.body == BIG.content, answer.headers["x-cache"]) == (True, state)
    beyond.restart()
    after = beyond.files("big")[BIG.filename]
    assert path_in(after["url"]) == address
    assert (after["hashes"]["sha256"], after["size"]) == (BIG.sha256, MB)
    assert {"hashes", "size"} <= set(after["_source"]["filled"])
    assert beyond.ask(address).body == BIG.content
    assert upstream.asked(there(BIG)) == 1


def test_an_md5_is_verified_where_there_is_nothing_better(start: Start) -> None:
    """Bytes that disagree with the only digest there is are not given and not kept (hardening rows 12, 19)."""
    upstream = FakeUpstream(style=Style(json=False, hashes=("md5",)))
    upstream.add(BIG)
    upstream.on(there(BIG), replaced, times=1)
    beyond = start(upstream)
    wire = beyond.begin(file_path(BIG, digest=BY_NAME))
    assert (wire.answers("GET")[0].complete, wire.aborted) == (False, True)
    assert nothing_kept(beyond)
    assert beyond.ask(file_path(BIG, digest=BY_NAME)).body == BIG.content


def test_a_file_with_a_digest_is_not_found_by_its_name(start: Start) -> None:
    """Where the index tells a sha256, the address without one leads nowhere, and neither does another digest."""
    beyond = stocked(start)
    assert beyond.ask(file_path(BIG, digest=BY_NAME)).code == 404
    assert beyond.ask(file_path(BIG, digest="0" * 64)).code == 404


# --- modes ---


def test_mode_stream_keeps_nothing(start: Start) -> None:
    """In mode `stream` files are proven like everywhere, and every client after the last causes a request of its own."""
    beyond = stocked(start, mode="stream")
    for count in (1, 2):
        assert beyond.ask(file_path(BIG)).body == BIG.content
        assert (nothing_kept(beyond), beyond.upstream.asked(there(BIG))) == (True, count)
    beyond.upstream.on(there(BIG), damaged())
    wire = beyond.begin(file_path(BIG))
    assert wire.aborted


def test_mode_redirect_sends_to_the_file(start: Start) -> None:
    """In mode `redirect` an address of ours leads to the file upstream, and one that the upstream has not is 404."""
    beyond = stocked(start, mode="redirect")
    answer = beyond.ask(file_path(BIG))
    assert (answer.code, answer.headers["location"]) == (302, f"http://index.test{there(BIG)}")
    assert beyond.ask(file_path(BIG, digest="0" * 64)).code == 404


@pytest.mark.parametrize("make", [lambda: large("big", 300_000), lambda: sized(100)], ids=["streamed", "small"])
def test_a_group_has_the_same_file(start: Start, make: Callable[[], Built]) -> None:
    """Through a group a file comes as through a project, from the one copy."""
    built = make()
    beyond = stocked(start, built)
    beyond.registry.group("team")
    beyond.registry.project("team/tools")
    place = f"groups/{beyond.registry.place('team').id}/-"
    for where in (place, "projects/1", place):
        assert beyond.ask(file_path(built, where)).body == built.content
    assert beyond.page("big", place=place).headers["x-cache"] == "hit"
    assert beyond.upstream.asked(there(built)) == 1


def test_who_may_not_read_the_place_asks_nobody(start: Start) -> None:
    """Without a token for the project there is no page, no file and no request upstream."""
    beyond = stocked(start)
    for path in (page_path("big"), file_path(BIG)):
        assert beyond.ask(path, token="glpat-wrong").code == 401
    assert beyond.upstream.requests == []
