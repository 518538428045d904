"""What an upstream's index does not tell of its files: what is asked for it, how much, how often, and what is believed."""

import hashlib
import io
import struct
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from attrs import Factory, define, evolve, field
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, capturedLogs, formatEvent

from registry.domain.archives.checks import Checks
from registry.domain.errors import Unavailable, UpstreamBroken
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.upstream import Mode, Said, Upstream
from registry.outward import core_metadata
from registry.storage.threads import InlineThreads
from registry.testing import NOON, Built, done, sdist, wheel
from registry.testing.distributions import wheel_of
from registry.testing.troubles import Trouble, gzipped, status, telling
from registry.testing.upstream import LONG_AGO, Style
from registry.upstream.pages import read_page
from registry.workflows.filling import AT_ONCE, AT_ONCE_IN_ALL, LEFT_ALONE, MOST, Filling
from registry.workflows.glimpses import TAIL, Glimpses
from registry.workflows.inquiries import RESPITE
from tests.beyond import large
from tests.upstream.asking import World, problem

DEMO = Name("demo")
INDEX = Upstream(name="index", url="http://index.test/simple/")
# HTML, and nothing but names and digests in it.
BARE = Style(json=False, metadata=False, times=False, etags=False, modified=True)
EVERYTHING = ("size", "upload-time", "core-metadata")
SECOND = timedelta(seconds=1)


def first_things_first(name: str = "demo", size: int = 300_000, version: str = "1.0", text: bytes = b"") -> Built:
    """A wheel whose metadata comes before `size` bytes of something else."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n".encode() + text
    members = {f"{info}/METADATA": metadata, f"{info}/WHEEL": b"Wheel-Version: 1.0\n", f"{name}/data.bin": bytes(size)}
    return Built(name=name, version=version, filename=f"{name}-{version}-py3-none-any.whl", content=wheel_of(members, info))


@define(kw_only=True)
class Desk:
    """Where pages are heard of. `kept`: the core metadata that was kept, by file name; `amended`: pages that tell more."""

    world: World = Factory(World.of)
    late: timedelta = timedelta()
    takes: bool = True  # amendments
    broken: bool = False  # where core metadata is kept
    kept: dict[str, bytes] = Factory(dict)
    amended: list[Page] = Factory(list)
    names: list[Name] = Factory(list)
    glimpses: Glimpses = field(init=False)
    filling: Filling = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put it together."""
        reader = partial(core_metadata, checks=Checks.of("lenient", without=["polyglot"]))
        self.glimpses = Glimpses(fetcher=self.world.client, threads=InlineThreads(), core_metadata=reader, now=self.now)
        self.filling = Filling(
            glimpses=self.glimpses,
            threads=InlineThreads(),
            now=self.now,
            amend=self._amend,
            keep_metadata=self._keep,
            on_filled=self.names.append,
        )

    def now(self) -> datetime:
        """The time of day."""
        return NOON + self.late

    async def _amend(self, said: Said, page: Page) -> bool:
        assert said.page is not None
        if self.takes:
            self.amended.append(page)
        return self.takes

    async def _keep(self, upstream: Upstream, name: Name, file: File, data: bytes) -> None:
        assert (upstream.name, name) == ("index", DEMO)
        if self.broken:
            raise Unavailable(part="storage")
        self.kept[file.filename] = data

    def said(self, name: Name = DEMO) -> Said:
        """What the upstream says of a name now."""
        fetched = self.world.fetch(INDEX.page(name.normalized), {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.1"})
        page = read_page(fetched.body, fetched.headers["content-type"], fetched.url, name, "index").page
        self.world.upstream.requests.clear()
        return Said(source="index", name=name, page=page, etag="", fetched_at=self.now())

    def hear(self, said: Said | None = None, upstream: Upstream = INDEX) -> dict[str, File]:
        """Tell of a page, and let happen what takes no time: the files as they are told of then, by name."""
        said = self.said() if said is None else said
        self.filling.hear(upstream, said)
        self.world.network.settle()
        page = self.amended[-1] if self.amended else said.page
        assert page is not None
        return {file.filename: file for file in page.files}

    @property
    def asked(self) -> list[tuple[str, str, str]]:
        """Method, file name and Range of what was asked, in order."""
        return [(one.method, one.path.rpartition("/")[2], one.headers.get("range", "")) for one in self.world.upstream.requests]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    desk.world.upstream.style = BARE
    yield desk
    done(desk.filling.settled())


@pytest.fixture
def events() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as captured:
        yield captured


def test_everything_is_found_out_of_ends(desk: Desk) -> None:
    """Of a wheel of a megabyte its end tells size, time and core metadata; of a source distribution a HEAD the first two; all is named."""
    big, source = large("demo"), sdist("demo", "1.0")
    desk.world.upstream.add(big, source)
    files = desk.hear()
    assert sorted(desk.asked) == [("GET", big.filename, f"bytes=-{TAIL}"), ("HEAD", source.filename, "")]
    wheel_, tar = files[big.filename], files[source.filename]
    assert (wheel_.size, wheel_.uploaded_at, wheel_.filled) == (len(big.content), LONG_AGO, EVERYTHING)
    assert wheel_.metadata_sha256 == hashlib.sha256(big.metadata).hexdigest()
    assert desk.kept == {big.filename: big.metadata}
    assert (tar.size, tar.uploaded_at, tar.filled) == (len(source.content), LONG_AGO, EVERYTHING[:2])
    assert desk.names == [DEMO]


def test_a_wheel_that_is_small_comes_whole(desk: Desk) -> None:
    """A wheel that is no longer than the end that is asked for is read out of it, to the byte at which it is one."""
    for size, version in ((TAIL - 1, "1.0"), (TAIL, "2.0"), (TAIL + 1, "3.0")):
        desk.world.upstream.add(large("demo", size, version))
    files = desk.hear()
    assert [file.filled for file in files.values()] == [EVERYTHING] * 3
    assert len(desk.asked) == 3


def test_metadata_that_is_not_at_the_end_takes_one_range_more(desk: Desk) -> None:
    """Where METADATA comes first, what it takes is fetched from there, and nothing between."""
    built = first_things_first()
    desk.world.upstream.add(built)
    (file,) = desk.hear().values()
    assert (file.filled, desk.kept) == (EVERYTHING, {built.filename: built.metadata})
    assert [asked for _, _, asked in desk.asked] == [f"bytes=-{TAIL}", "bytes=0-65535"]


def test_what_the_index_tells_is_not_asked(desk: Desk) -> None:
    """An index that tells everything causes no request."""
    desk.world.upstream.style = Style()
    desk.world.upstream.add(wheel("demo"), large("demo", version="2.0"))
    desk.hear()
    assert (desk.asked, desk.amended) == ([], [])


def test_what_the_index_tells_is_not_replaced(desk: Desk) -> None:
    """Where only core metadata is missing, nothing but that is filled in."""
    desk.world.upstream.style = Style(metadata=False, modified=True)
    told = datetime(2021, 1, 1, tzinfo=UTC)
    desk.world.upstream.add(large("demo"), upload_time="2021-01-01T00:00:00Z")
    (file,) = desk.hear().values()
    assert (file.filled, file.uploaded_at) == (("core-metadata",), told)


@pytest.mark.parametrize("mode", [Mode.OFFLINE, Mode.REDIRECT, Mode.OFF])
def test_who_is_not_to_be_asked_is_not(desk: Desk, mode: Mode) -> None:
    """Of an upstream that is offline, off, or that clients are sent to, nothing is found out."""
    desk.world.upstream.add(wheel("demo"))
    desk.hear(upstream=evolve(INDEX, mode=mode))
    assert desk.asked == []


def test_what_is_not_offered_is_not_looked_at(desk: Desk) -> None:
    """Files of a name that its upstream has quarantined are offered to nobody, and not asked about (hardening row 20)."""
    desk.world.upstream.add(wheel("demo"))
    said = desk.said()
    assert said.page is not None
    desk.hear(evolve(said, page=evolve(said.page, status=ProjectStatus.QUARANTINED)))
    assert desk.asked == []


def test_what_is_not_kept_has_no_metadata(desk: Desk) -> None:
    """Of an upstream of which nothing is kept, size and time are found out, by HEAD."""
    desk.world.upstream.add(large("demo"))
    (file,) = desk.hear(upstream=evolve(INDEX, mode=Mode.STREAM)).values()
    assert (file.filled, file.metadata_sha256) == (EVERYTHING[:2], "")
    assert [method for method, _, _ in desk.asked] == ["HEAD"]
    assert desk.hear(evolve(desk.said(), page=desk.amended[-1]), evolve(INDEX, mode=Mode.STREAM))
    assert desk.asked == []


# --- how much ---


def test_the_newest_come_first(desk: Desk) -> None:
    """Of a page with many files the hundred newest versions are asked about, and when it is heard of again, those after them."""
    desk.world.upstream.add_many("demo", MOST + 1)
    said = desk.said()
    files = desk.hear(said)
    assert len(desk.asked) == MOST
    (left,) = [file for file in files.values() if file.size is None]
    assert left.version == "0.0"
    desk.world.upstream.requests.clear()
    files = desk.hear(evolve(said, page=desk.amended[-1]))
    assert [filename for _, filename, _ in desk.asked] == [left.filename]
    assert all(file.size is not None for file in files.values())


def test_what_has_no_version_comes_last(desk: Desk) -> None:
    """Files of old spellings, of which no PEP 440 version can be made, are asked about after all others."""
    desk.world.upstream.add_many("demo", MOST)
    desk.world.upstream.add(evolve(sdist("demo", "banana"), filename="demo-banana.tar.gz"))
    said = desk.said()
    assert said.page is not None
    odd = evolve(said.page.files[0], version="banana", filename="demo-banana.tar.gz", url="http://index.test/files/demo/demo-banana.tar.gz")
    desk.hear(evolve(said, page=evolve(said.page, files=(odd, *said.page.files))))
    assert len(desk.asked) == MOST
    assert odd.filename not in {filename for _, filename, _ in desk.asked}


def test_few_are_asked_about_at_once(desk: Desk) -> None:
    """Four files of a page are asked about at a time, eight of all pages."""
    upstream = desk.world.upstream
    pages = []
    for name in ("demo", "other", "third"):
        upstream.add(*(sdist(name, f"1.{number}") for number in range(9)))
        pages.append(desk.said(Name(name)))
    gate = upstream.hold("/files/")
    expected = [AT_ONCE, 2 * AT_ONCE, AT_ONCE_IN_ALL]
    for page, count in zip(pages, expected, strict=True):
        desk.hear(page)
        assert len(desk.asked) == count
    gate.open()
    desk.world.network.settle()
    assert len(desk.asked) == 27
    assert {name.normalized for name in desk.names} == {"demo", "other", "third"}


def test_a_page_is_worked_on_once(desk: Desk) -> None:
    """Hearing of a page whose files are being asked about causes nothing more."""
    desk.world.upstream.add(sdist("demo"))
    said, gate = desk.said(), desk.world.upstream.hold("/files/")
    desk.hear(said)
    desk.hear(said)
    assert len(desk.asked) == 1
    gate.open()
    desk.world.network.settle()
    assert len(desk.amended) == 1


@pytest.mark.parametrize("trouble", [status(404), telling(Content_Encoding="gzip", Last_Modified="")])
def test_what_tells_nothing_is_left_alone_for_an_hour(desk: Desk, trouble: Trouble) -> None:
    """A file that cannot be had, or of which nothing is told, is asked about again when an hour is over, and not a second before."""
    desk.world.upstream.add(sdist("demo"))
    desk.world.upstream.on("/files/", trouble)
    desk.hear()
    assert (len(desk.asked), desk.amended) == (1, [])
    desk.late = LEFT_ALONE - SECOND
    desk.hear()
    assert desk.asked == []
    desk.late = LEFT_ALONE
    desk.hear()
    assert len(desk.asked) == 1


def test_an_upstream_that_fails_is_asked_no_more(desk: Desk, events: Sequence[LogEvent]) -> None:
    """Where files are answered with 503 or 429, nothing of the page is asked about after the first few, and one line is logged."""
    desk.world.upstream.add_many("demo", 50)
    said = desk.said()
    desk.world.upstream.on("/files/", status(HTTPStatus.TOO_MANY_REQUESTS))
    desk.hear(said)
    assert len(desk.asked) <= AT_ONCE
    assert len([event for event in events if "were not looked at" in (formatEvent(event) or "")]) == 1


def test_a_stop_waits_for_no_answer(desk: Desk) -> None:
    """When the registry stops, what is being asked is broken off, nothing is amended, and nothing more is begun."""
    desk.world.upstream.add(sdist("demo"), wheel("demo"))
    said = desk.said()
    desk.world.upstream.hold("/files/")
    desk.hear(said)
    assert len(desk.asked) == 2
    desk.filling.stop()
    done(desk.filling.settled())
    desk.hear(said)
    assert (len(desk.asked), desk.amended) == (2, [])


def test_a_stop_ends_what_waits_for_its_turn(desk: Desk) -> None:
    """When the registry stops, names that wait until others are done are not begun with, though these are done with that moment."""
    names = [Name(f"demo-{number}") for number in range(6)]
    for name in names:
        desk.world.upstream.add(*(sdist(name.normalized, f"{number}.0") for number in range(AT_ONCE)))
    pages = [desk.said(name) for name in names]
    desk.world.upstream.hold("/files/")
    for said in pages:
        desk.hear(said)
    assert len(desk.asked) == AT_ONCE_IN_ALL < len(names) * AT_ONCE
    desk.filling.stop()
    desk.world.network.settle()
    done(desk.filling.settled())
    assert len(desk.asked) == AT_ONCE_IN_ALL


def test_an_upstream_that_fails_is_left_alone(desk: Desk) -> None:
    """After 429 for files of one name those of others are not asked for either, until half a minute is over (hardening row 52)."""
    desk.world.upstream.add(sdist("demo"), sdist("other"))
    other = desk.said(Name("other"))
    said = desk.said()
    desk.world.upstream.on("/files/demo/", status(HTTPStatus.TOO_MANY_REQUESTS))
    desk.hear(said)
    desk.late = RESPITE - SECOND
    desk.hear(other)
    assert len(desk.asked) == 1
    desk.late = RESPITE
    desk.hear(other)
    assert len(desk.asked) == 2
    assert len(desk.amended) == 1


def test_what_cannot_be_kept_is_not_offered(desk: Desk, events: Sequence[LogEvent]) -> None:
    """Where core metadata cannot be kept, the page stays as it is, the log says so, and it is tried again with the next page."""
    desk.world.upstream.add(wheel("demo"))
    desk.broken = True
    desk.hear()
    assert (desk.amended, desk.names) == ([], [])
    assert any("finding out what index does not tell of demo failed" in (formatEvent(event) or "") for event in events)
    desk.broken = False
    assert [file.filled for file in desk.hear().values()] == [EVERYTHING]


@pytest.mark.parametrize("modified", [True, False], ids=["everything is told", "no time is told"])
def test_what_was_said_anew_is_not_amended(desk: Desk, modified: bool) -> None:
    """Where something else was said of the name meanwhile, nobody is told of more facts, and the next page is looked at again at once."""
    desk.world.upstream.style = evolve(BARE, modified=modified)
    desk.takes = False
    desk.world.upstream.add(sdist("demo"))
    said = desk.said()
    desk.hear(said)
    assert desk.names == []
    desk.takes = True
    desk.hear(said)
    assert desk.names == [DEMO]
    desk.world.upstream.requests.clear()
    desk.hear(evolve(said, page=desk.amended[-1]))
    assert desk.asked == [], "what no time is told of is left alone"


# --- servers that do not do as they should ---


def test_a_server_without_ranges_is_asked_by_head(desk: Desk) -> None:
    """Where a Range is answered with everything, that is broken off, HEAD tells size and time, and for an hour no Range is asked of it."""
    desk.world.upstream.style = evolve(BARE, ranges=False)
    desk.world.upstream.add(large("demo", version="1.0"))
    (file,) = desk.hear().values()
    assert file.filled == EVERYTHING[:2]
    assert [method for method, _, _ in desk.asked] == ["GET", "HEAD"]
    desk.world.upstream.add(large("demo", version="2.0"))
    desk.late = timedelta(hours=1) - SECOND
    desk.hear()
    assert [method for method, _, _ in desk.asked] == ["HEAD"]
    desk.world.upstream.style = BARE
    desk.late = timedelta(hours=2)
    assert {file.filled for file in desk.hear().values()} == {EVERYTHING}


def test_a_server_without_suffixes_is_asked_for_what_is_known(desk: Desk) -> None:
    """Where the index tells how long a wheel is, its end is asked for by where it begins, which more servers understand."""
    desk.world.upstream.style = Style(metadata=False, suffixes=False)
    built = large("demo")
    desk.world.upstream.add(built)
    (file,) = desk.hear().values()
    assert file.filled == ("core-metadata",)
    assert desk.asked == [("GET", built.filename, f"bytes={len(built.content) - TAIL}-{len(built.content) - 1}")]


@pytest.mark.parametrize(
    "told",
    ["bytes 0-67583/1048576", "bytes 980992-1048575/1048577", "bytes 980992-1048575/*", "nonsense", ""],
)
def test_a_content_range_that_lies_fills_nothing_in(desk: Desk, told: str) -> None:
    """What is not the end of the file, or leads to no METADATA there, is not believed."""
    desk.world.upstream.add(large("demo"))
    desk.world.upstream.on("/files/", telling(Content_Range=told))
    (file,) = desk.hear().values()
    assert ("core-metadata" in file.filled, desk.kept) == (False, {})


@pytest.mark.parametrize(
    "change",
    [
        telling(ETag='"other"'),
        telling(Last_Modified="Sat, 21 Nov 2026 09:00:00 GMT"),
        telling(Content_Range="bytes 0-65535/400000"),
        telling(Content_Range="bytes 1-65536/300641"),
        status(200, body=b"x"),
        status(416),
    ],
)
def test_a_file_that_changes_between_ranges_fills_nothing_in(desk: Desk, change: Trouble) -> None:
    """Parts of two representations are not put together, and nothing is believed of either."""
    built = first_things_first()
    desk.world.upstream.add(built)
    said = desk.said()
    gate = desk.world.upstream.hold("/files/")
    desk.hear(said)
    desk.world.upstream.calm()
    desk.world.upstream.on("/files/", change)
    gate.open()
    desk.world.network.settle()
    assert len(desk.asked) == 2
    assert (desk.amended, desk.kept) == ([], {})


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("built", [large("demo"), wheel("demo"), sdist("demo")], ids=["large", "small", "sdist"])
def test_another_size_than_the_index_tells_fills_nothing_in(desk: Desk, built: Built, by: int, events: Sequence[LogEvent]) -> None:
    """A file that is not as long as its index says is another file: nothing of it is believed, and that is logged once."""
    desk.world.upstream.style = Style(metadata=False, modified=True)
    desk.world.upstream.add(built, size=len(built.content) + by, upload_time=None)
    (file,) = desk.hear().values()
    assert (file.filled, desk.kept) == ((), {})
    assert len(desk.asked) == 1
    desk.hear()
    assert (
        len([event for event in events if "whose size is" in (formatEvent(event) or "") or "not that" in (formatEvent(event) or "")]) == 1
    )


def test_whole_wheels_are_held_to_their_digest(desk: Desk) -> None:
    """A small wheel that comes whole and has not the sha256 that its index tells fills nothing in (hardening row 12)."""
    desk.world.upstream.style = Style(metadata=False, times=False)
    desk.world.upstream.add(wheel("demo"), hashes={"sha256": "0" * 64})
    (file,) = desk.hear().values()
    assert (file.filled, desk.kept) == ((), {})


def test_an_encoded_length_is_not_the_files(desk: Desk) -> None:
    """The length of a body that is said to be encoded is no size; its time is a time all the same."""
    desk.world.upstream.add(sdist("demo"))
    desk.world.upstream.on("/files/", gzipped())
    (file,) = desk.hear().values()
    assert (file.size, file.filled) == (None, ("upload-time",))


def spoilt(content: bytes) -> Built:
    """Demo 1.0 with this content."""
    return evolve(wheel("demo"), content=content)


def bomb() -> bytes:
    """A wheel whose METADATA unpacks to a byte more than 8 MiB."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("demo-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n".ljust((8 << 20) + 1))
        archive.writestr("demo-1.0.dist-info/WHEEL", b"")
    return written.getvalue()


def vast_directory() -> bytes:
    """Bytes that end as a zip whose central directory has a byte more than 4 MiB before what is asked for of its end."""
    directory = (4 << 20) + TAIL - 22 + 1
    return bytes(directory) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, directory, 0, 0)


@pytest.mark.parametrize(
    "content",
    [b"no wheel", b"x" * 200_000, bomb(), vast_directory(), large("other").content, sdist("demo").content],
    ids=["short", "long", "bomb", "vast directory", "of another", "tar"],
)
def test_what_offers_no_metadata_has_a_size(desk: Desk, content: bytes) -> None:
    """A wheel that cannot be read, within bounds, or is of something else, has size and time and is offered without core metadata."""
    desk.world.upstream.add(spoilt(content))
    (file,) = desk.hear().values()
    assert (file.size, file.filled, desk.kept) == (len(content), EVERYTHING[:2], {})
    assert len(desk.asked) <= 2


# --- reading it again ---


def again(desk: Desk, file: File) -> "Deferred[bytes]":
    """The metadata of a file that was told of before."""
    return desk.world.start(desk.glimpses.metadata(INDEX, file))


def test_metadata_is_read_again(desk: Desk) -> None:
    """What was read by Range once is read so again, to the byte."""
    built = first_things_first()
    desk.world.upstream.add(built)
    (file,) = desk.hear().values()
    assert done(again(desk, evolve(file, size=None))) == built.metadata


def replaced(by: Built) -> Any:
    """Have another file in its place."""

    def replace(desk: Desk) -> None:
        desk.world.upstream.remove("demo")
        desk.world.upstream.add(by)

    return replace


@pytest.mark.parametrize(
    "trouble",
    [
        replaced(first_things_first(text=b"changed")),
        replaced(spoilt(b"x" * 300_000)),
        lambda desk: desk.world.upstream.remove("demo"),
        lambda desk: setattr(desk.world.upstream, "style", evolve(BARE, ranges=False)),
    ],
)
def test_metadata_that_cannot_be_read_again_is_not_made_up(desk: Desk, trouble: Any) -> None:
    """Metadata of another digest, or none, is the upstream's fault and given to nobody (hardening row 17)."""
    desk.world.upstream.add(first_things_first())
    (file,) = desk.hear().values()
    trouble(desk)
    assert isinstance(problem(again(desk, file)), UpstreamBroken)
