"""Pages read by uv itself, whose parser drops a file, or a whole page, for one value it does not like.

What it dropped it does not tell, so what it resolves to is the proof: the file that a case is about is the only one that can be chosen,
or the only one that must not be.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from uv import find_uv_bin

from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from tests.clients.conftest import Client
from tests.clients.page_server import file, serving_pages
from tests.clients.processes import Outcome, environment
from tests.strategies import pages

MARKUP = "</a><script>'\"&amp;\u2028\u00e9\U0001f40d\r\n\t\x7f"
MANY = 300


@frozen(kw_only=True)
class Case:
    """A page about one thing, what to ask for, and the version that uv must come to."""

    about: str
    page: Page
    expected: str
    asking: str

    @property
    def name(self) -> str:
        """The normalised name."""
        return self.page.name.normalized


def case(about: str, expected: str, *files: File, spelt: str = "", asking: str = "", **facts: Any) -> Case:
    """A page of `files` (made for the name `about`, or `spelt` as it is) with a plain version 0.1 below them."""
    display = spelt or about
    page = Page(name=Name(display), display=display, files=(file(stem(display), "0.1"), *files), **facts)
    return Case(about=about, page=page, expected=expected, asking=display + asking)


def stem(name: str) -> str:
    """A name as it stands in a wheel's file name."""
    return canonicalize_name(name).replace("-", "_")


def newest(about: str, version: str = "2.0", **facts: Any) -> Case:
    """A file with these facts above a plain one: it is to be chosen."""
    return case(about, version, file(stem(about), version, **facts))


def passed_over(about: str, **facts: Any) -> Case:
    """A file with these facts above a plain one: it is not to be chosen, and takes nothing else with it."""
    return case(about, "1.0", file(stem(about), "1.0"), file(stem(about), "2.0", **facts))


CASES = [
    newest("plain"),
    newest("without-metadata", metadata_sha256=""),
    newest("size-nothing", size=0),
    newest("whole-second", uploaded_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    newest("microseconds", uploaded_at=datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=UTC)),
    newest("first-of-times", uploaded_at=datetime(1970, 1, 1, tzinfo=UTC)),
    newest("before-all-times", uploaded_at=datetime(1, 1, 2, tzinfo=UTC)),
    newest("last-of-times", uploaded_at=datetime(9999, 12, 30, tzinfo=UTC)),
    newest("python-range", requires_python=">=3.8,<4"),
    newest("python-hole", requires_python="!=3.9.*"),
    newest("python-blanks", requires_python=" <4 , >=3.7 "),
    newest("python-alike", requires_python="~=3.11"),
    newest("signed", gpg_sig=True),
    newest("not-signed", gpg_sig=False),
    newest("attested", provenance=True),
    newest("epoch", "1!0.5", provenance=True),
    newest("local", "2.0+cu121", provenance=True),
    newest("post", "2.0.post1"),
    newest("five-numbers", "2.0.1.2.3"),
    newest("big-numbers", "20261121.235959"),
    passed_over("python-to-come", requires_python=">=99"),
    passed_over("python-of-no-kind", requires_python=MARKUP),
    passed_over("yanked-silently", yanked=""),
    passed_over("yanked-why", yanked="leaks its keys"),
    passed_over("yanked-markup", yanked=MARKUP),
    passed_over("yanked-long", yanked="x" * 100_000),
    passed_over("yanked-looks-like-none", yanked="false"),
    case("prerelease", "1.0", file("prerelease", "1.0"), file("prerelease", "2.0rc1")),
    case("prereleases-asked-for", "2.0rc1", file("prereleases_asked_for", "2.0rc1"), asking=">=1.0rc1"),
    case("yanked-and-pinned", "2.0", file("yanked_and_pinned", "2.0", yanked=MARKUP), asking="==2.0"),
    case(
        "everything",
        "2.0",
        file("everything", "2.0", requires_python=">=3.8", provenance=True, gpg_sig=False, size=10**15),
        file("everything", "3.0", yanked=MARKUP, provenance=True, gpg_sig=True),
        status=ProjectStatus.DEPRECATED,
        status_reason=MARKUP,
    ),
    case("deprecated", "2.0", file("deprecated", "2.0"), status=ProjectStatus.DEPRECATED),
    case("archived", "2.0", file("archived", "2.0"), status=ProjectStatus.ARCHIVED, status_reason=MARKUP),
    case("spelling", "2.0", file("My.Odd_Name", "2.0"), spelt="My.Odd__-Name"),
    case("one-letter", "2.0", file("X", "2.0"), spelt="X"),
    case("build-tag", "2.0", file("build_tag", "2.0", filename="build_tag-2.0-1local-py3-none-any.whl")),
    case(
        "other-files",
        "2.0",
        *(file("other_files", "2.0", filename=f"other_files-2.0{ending}") for ending in (".zip", ".tar.gz", "-py2.py3-none-any.whl")),
        file("other_files", "3.0", filename="other_files-3.0-cp27-cp27m-win32.whl"),
        file("other_files", "4.0", filename="other-files-4.0.tar.gz", metadata_sha256=""),
    ),
    case(
        "one-yanked-of-two",
        "2.0",
        file("one_yanked_of_two", "2.0"),
        file("one_yanked_of_two", "2.0", yanked="", filename="one_yanked_of_two-2.0.zip"),
    ),
    case("many", f"{MANY}.0", *(file("many", f"{number}.0", yanked="x" if number % 7 == 0 else None) for number in range(1, MANY + 2))),
]


def resolve(client: Client, index: str, *asking: str, options: tuple[str, ...] = ()) -> Outcome:
    """`uv pip compile` of `asking`, wheels only."""
    wanted = client.folder / "requirements.in"
    wanted.write_text("".join(f"{one}\n" for one in asking))
    quiet = ("--no-header", "--no-annotate", "--only-binary", ":all:", "--python", sys.executable)
    return client.uv("pip", "compile", *quiet, "--index-url", index, *options, wanted)


def resolved(outcome: Outcome) -> dict[str, str]:
    """Versions by name, of a resolution that worked."""
    return dict(line.split("==") for line in outcome.worked().out.splitlines() if "==" in line)


@pytest.mark.parametrize("html_only", [False, True])
def test_uv_accepts_every_page(client: Client, *, html_only: bool) -> None:
    """Of every page uv takes the newest file it may use: it drops none for what else it says, and reads yanks and Python versions."""
    with serving_pages((one.page for one in CASES), html_only=html_only) as server:
        found = resolved(resolve(client, server.index, *(one.asking for one in CASES)))
        assert found == {one.name: one.expected for one in CASES}
        kind = "html" if html_only else "json"
        assert set(server.answered) == {f"application/vnd.pypi.simple.v1+{kind}; charset=utf-8"}


@pytest.mark.parametrize("html_only", [False, True])
def test_uv_reads_metadata_where_it_is_advertised(client: Client, *, html_only: bool) -> None:
    """A wheel whose metadata is advertised is not opened, and nothing is looked for beside one that has none (hardening row 17)."""
    with serving_pages((one.page for one in CASES), html_only=html_only) as server:
        resolve(client, server.index, *(one.asking for one in CASES)).worked()
        for one in CASES:
            chosen = [held for held in server.pages[one.name].files if held.version == one.expected and held.filename.endswith(".whl")]
            assert any(server.asked_for(held, ".metadata" if held.metadata_sha256 else "") for held in chosen), one.about
            assert not any(server.asked_for(held, "" if held.metadata_sha256 else ".metadata") for held in chosen), one.about


@pytest.mark.parametrize("html_only", [False, True])
def test_uv_refuses_metadata_that_is_not_what_was_advertised(client: Client, *, html_only: bool) -> None:
    """Metadata of another digest than its page gives is refused: it must be that of the very bytes (hardening row 17)."""
    with serving_pages((newest("plain").page,), html_only=html_only) as server:
        server.held.update({path: data + b"\n" for path, data in server.held.items() if path.endswith(".metadata")})
        assert "plain" in resolve(client, server.index, "plain").failed().said
        assert any(path.endswith(".metadata") for _, path in server.asked)


CUT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATED = [
    case(
        f"dated-{number}", expected, *(file(f"dated_{number}", f"{index}.0", uploaded_at=CUT + late) for index, late in enumerate(lates, 1))
    )
    for number, (expected, lates) in enumerate(
        [
            ("1.0", (timedelta(milliseconds=-1), timedelta())),
            ("1.0", (timedelta(days=-1), timedelta(milliseconds=1), timedelta(days=1))),
            ("2.0", (timedelta(days=1), timedelta(days=-1), timedelta(days=3000))),
            ("0.1", (timedelta(), timedelta(hours=1), timedelta(days=365_000))),
        ]
    )
]


@pytest.mark.parametrize("html_only", [False, True])
def test_uv_knows_how_old_files_are(client: Client, *, html_only: bool) -> None:
    """With --exclude-newer the newest file from before that instant is taken, to the millisecond, and none is missing a time."""
    with serving_pages((one.page for one in DATED), html_only=html_only) as server:
        options = ("--exclude-newer", CUT.isoformat().replace("+00:00", "Z"))
        outcome = resolve(client, server.index, *(one.asking for one in DATED), options=options)
        assert resolved(outcome) == {one.name: one.expected for one in DATED}
        assert "upload" not in outcome.err


@pytest.mark.parametrize("html_only", [False, True])
def test_uv_gets_nothing_from_a_quarantine(client: Client, *, html_only: bool) -> None:
    """A quarantined name is a page that uv reads and finds no version on: it is not an error, and not looked for elsewhere."""
    page = evolve(newest("evil").page, status=ProjectStatus.QUARANTINED, status_reason=MARKUP)
    with serving_pages([page], html_only=html_only) as server:
        said = resolve(client, server.index, "evil").failed().said
        assert "there are no versions of evil" in said
        assert server.asked.count(("GET", "/simple/evil/")) == 1


def best(page: Page) -> str:
    """The version an installer is to choose, by the standards alone: the newest wheel that is not yanked and that this Python may use."""
    python = ".".join(str(number) for number in sys.version_info[:3])
    usable = [
        held
        for held in page.files
        if held.filename.endswith(".whl") and held.yanked is None and python in SpecifierSet(held.requires_python)
    ]
    return str(max(Version(held.version) for held in usable))


def with_a_floor(page: Page) -> Page:
    """`page` with a plain wheel below all others, and each file name once."""
    below = file(stem(page.display), "0.dev0")
    offered = page.status if page.status is not ProjectStatus.QUARANTINED else ProjectStatus.ACTIVE
    return evolve(page, files=tuple({held.filename: held for held in (*page.files, below)}.values()), status=offered)


@settings(max_examples=5, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
@given(st.lists(pages(), min_size=10, max_size=30, unique_by=lambda page: page.name.normalized), st.booleans())
def test_uv_comes_to_what_the_standards_say(tmp_path_factory: pytest.TempPathFactory, drawn: list[Page], html_only: bool) -> None:
    """On any pages uv chooses what the model says is the newest usable wheel: every file of every page was read right."""
    folder = tmp_path_factory.mktemp("drawn")
    client = Client(folder=folder, env=environment(folder, UV=find_uv_bin()))
    held = [with_a_floor(page) for page in drawn]
    with serving_pages(held, html_only=html_only) as server:
        outcome = resolve(client, server.index, *(page.display for page in held), options=("--prerelease", "allow"))
        assert resolved(outcome) == {page.name.normalized: best(page) for page in held}
