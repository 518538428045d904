"""Archives that break a rule, uploaded: each is refused in words, in the answer's two places, and nothing of it stays."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from registry.config import Config, Uploads
from registry.domain.archives.checks import Check, Checks
from registry.testing import FORM_TYPE, Answer, MemoryRegistry, form, registry_in_memory
from tests.domain.archives import test_sdists, test_wheels, test_zip_framing, test_zips
from tests.domain.archives.distributions import METADATA, TAR, TOP, WHEEL, ZIP, files, records, sdist, tar_member
from tests.domain.archives.zip_records import Record, zip_of

UPLOAD = "/api/v4/projects/1/packages/pypi"
REFUSED = "Bad request - Invalid distribution file: "
_REASON = 300  # the longest reason phrase


def changed(path: bytes, **changes: Any) -> bytes:
    """An honest wheel one of whose members is recorded in another way."""
    return zip_of([evolve(it, **changes) if it.name == path else it for it in records()])


def bomb() -> bytes:
    """A gzipped tar that unpacks to more than 64 MiB."""
    return sdist(tar_member(f"{TOP}/zeros", b"\0" * (65 << 20)))


CODE = b"my_package/code.py"
ALONE: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "a bomb": (bomb, TAR, "unpacks to more than 67,108,864 bytes"),
    "a zip that claims a bomb": (
        lambda: changed(CODE, local={"size": 65 << 20}, central={"size": 65 << 20}),
        WHEEL,
        "more than 67,108,864 allowed",
    ),
    "another compression": (lambda: changed(CODE, method=93), WHEEL, "packed by method 93"),
    "a wheel's device": (lambda: changed(CODE, mode=0o020000), WHEEL, "is a device or a pipe"),
    "a wheel's link that climbs": (
        lambda: zip_of([evolve(it, mode=0o120777) if it.name == b"a" else it for it in records({**files(), "a": b"../x"})]),
        WHEEL,
        "leads out of its folder",
    ),
    "a path that climbs": (lambda: zip_of(records({**files(), "../x": b""})), WHEEL, "could be unpacked outside"),
    "a member twice": (
        lambda: zip_of([*records(), Record(name=CODE, content=b"")]),
        WHEEL,
        "twice",
    ),
    "a zipped source distribution": (lambda: zip_of([Record(name=f"{TOP}/PKG-INFO".encode(), content=METADATA)]), ZIP, "tar.gz"),
    "no core metadata": (lambda: sdist(metadata=b"Summary: nothing else\n\n"), TAR, "without Metadata-Version, Name or Version"),
    "another name": (
        lambda: zip_of(records(files(METADATA=METADATA.replace(b"my-package", b"other")))),
        WHEEL,
        "its name is 'other', not 'my-package'",
    ),
    "another version": (
        lambda: zip_of(records(files(METADATA=METADATA.replace(b"1.0\n", b"1.1\n")))),
        WHEEL,
        "its version is '1.1', not '1.0'",
    ),
    "an sdist of another name": (lambda: sdist(metadata=METADATA.replace(b"my-package", b"other")), TAR, "its name is 'other'"),
    "a form of another Python": (lambda: zip_of(records()), WHEEL, "has the Requires-Python '>=3.11' in its metadata, but the form says"),
}
CASES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    **{f"zip: {case}": (build, WHEEL, problem) for case, (build, problem) in test_zip_framing.REJECTED.items() if case != "nothing"},
    **{f"zip: {case}": (build, WHEEL, problem) for case, (build, problem, _) in test_zips.POLYGLOTS.items()},
    **{f"wheel: {case}": (build, WHEEL, problem) for case, (build, problem) in test_wheels.REJECTED.items()},
    **{f"sdist: {case}": (build, TAR, problem) for case, (build, problem) in test_sdists.REJECTED.items()},
    **ALONE,
}
FORM = {":action": "file_upload", "protocol_version": "1", "name": "my-package", "version": "1.0"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """A registry that holds nothing, and is to hold nothing."""
    made = registry_in_memory(tmp_path_factory.mktemp("refused") / "data", limit=80 << 20)
    yield made
    made.close()


def post(registry: MemoryRegistry, content: bytes, filename: str, **fields: str) -> Answer:
    body = form({**FORM, **fields}, ("content", filename, content))
    return registry.ask("POST", UPLOAD, {"Content-Type": FORM_TYPE}, body, token=registry.root_token)


def nothing_held(registry: MemoryRegistry) -> bool:
    page = registry.ask("GET", f"{UPLOAD}/simple/my-package/", token=registry.root_token)
    return (registry.staged_files(), registry.kept_files(), page.code) == ([], [], 404)


@pytest.mark.parametrize("case", CASES)
def test_an_archive_that_breaks_a_rule_is_refused_in_words(empty: MemoryRegistry, case: str) -> None:
    """Each kind of refusal is a 400 whose sentence names the file, in reason phrase and body; nothing stays (hardening rows 37-40, 44)."""
    build, filename, problem = CASES[case]
    answer = post(empty, build(), filename, **({"requires_python": ">=2.7"} if case == "a form of another Python" else {}))
    assert answer.code == 400, answer
    message = answer.json["message"]
    assert message.startswith(f"400 {REFUSED}'{filename}' ")
    assert re.search(problem, message), message
    assert answer.reason == message.removeprefix("400 ")
    assert answer.reason.isascii()
    assert answer.reason.isprintable()
    assert len(answer.reason) <= _REASON
    assert nothing_held(empty)


def test_what_keeps_the_rules_is_taken(registry: MemoryRegistry) -> None:
    """The honest wheel and source distribution that all of these were made from are published."""
    assert [post(registry, zip_of(records()), WHEEL).code, post(registry, sdist(), TAR).code] == [201, 201]
    assert len(registry.kept_files()) == 3


@pytest.mark.parametrize(
    ("checks", "case", "code"),
    [
        ("lenient", "wheel: no RECORD", 201),
        ("lenient", "a zipped source distribution", 201),
        ("lenient", "zip: bytes after the end", 201),
        ("lenient", "a path that climbs", 400),
        ("lenient", "another name", 400),
        ("strict -record", "wheel: no RECORD", 201),
        ("strict -record", "zip: bytes after the end", 400),
        ("lenient +record", "wheel: no RECORD", 400),
    ],
)
def test_checks_are_switched_in_the_configuration(tmp_path: Path, checks: str, case: str, code: int) -> None:
    """What a level, or a check switched beside it, does not hold archives to is taken; the rest is refused as ever."""
    level, *switched = checks.split()
    also, without = ([word[1:] for word in switched if word[0] == sign] for sign in "+-")
    config = Config(uploads=Uploads(checks=Checks.of(level, also=also, without=without)))
    registry = registry_in_memory(tmp_path / "data", config=config)
    build, filename, _ = CASES[case]
    assert post(registry, build(), filename).code == code
    assert nothing_held(registry) == (code == 400)
    registry.close()


def test_every_check_that_is_on_has_a_case_here_or_a_test_of_its_own() -> None:
    """There is an upload here for each check of the strict level; those that are off until switched on are tested by themselves."""
    words = {
        Check.ZIP_FRAMING: "zip: a data descriptor",
        Check.TRAILING_DATA: "zip: bytes after the end",
        Check.POLYGLOT: "sdist: a zip in its end",
        Check.COMPRESSION: "another compression",
        Check.UNPACKED_SIZE: "a bomb",
        Check.MEMBER_PATHS: "a path that climbs",
        Check.LINKS: "a wheel's link that climbs",
        Check.DUPLICATE_MEMBERS: "a member twice",
        Check.TAR_FRAMING: "sdist: two sizes",
        Check.TOP_DIRECTORY: "sdist: a second folder",
        Check.SDIST_FORMAT: "a zipped source distribution",
        Check.DIST_INFO: "wheel: two .dist-info",
        Check.WHEEL_FILE: "wheel: Wheel-Version 2",
        Check.WHEEL_TAGS: "wheel: another tag",
        Check.RECORD: "wheel: another hash",
        Check.ENTRY_POINTS: "wheel: a script that climbs",
        Check.REQUIRES_PYTHON: "a form of another Python",
    }
    assert set(words) == {check for check in Check if check.strict}
    assert set(words.values()) <= set(CASES)


@pytest.mark.parametrize(
    ("check", "version", "filename", "content", "words"),
    [
        (
            Check.LOCAL_VERSIONS,
            "1.0+abc",
            "my_package-1.0+abc.tar.gz",
            lambda: sdist(top="my_package-1.0+abc", metadata=METADATA.replace(b"1.0\n", b"1.0+abc\n")),
            "is of a local version",
        ),
        (
            Check.LINUX_TAGS,
            "1.0",
            "my_package-1.0-py3-none-linux_x86_64.whl",
            lambda: zip_of(records(files(WHEEL=b"Wheel-Version: 1.0\nTag: py3-none-linux_x86_64\n"))),
            "linux",
        ),
    ],
)
def test_what_only_the_public_index_refuses_is_taken_unless_switched_on(  # noqa: PLR0917 - a row of the table
    tmp_path: Path, check: Check, version: str, filename: str, content: Callable[[], bytes], words: str
) -> None:
    """Local versions and plain linux tags pass at the strict level, and are refused where that is switched on."""
    for also, code in (((), 201), ((check.value,), 400)):
        config = Config(uploads=Uploads(checks=Checks.of("strict", also=also)))
        registry = registry_in_memory(tmp_path / str(code), config=config)
        answer = post(registry, content(), filename, version=version)
        assert answer.code == code, answer
        assert (words in answer.reason) == (code == 400)
        assert nothing_held(registry) == (code == 400)
        registry.close()


def test_a_name_that_looks_like_another_is_told_which(tmp_path: Path) -> None:
    """With similar-names switched on, a new name that only differs in its separators is refused with the one that is here."""
    registry = registry_in_memory(tmp_path / "data", config=Config(uploads=Uploads(checks=Checks.of("strict", also=["similar-names"]))))
    assert post(registry, sdist(), TAR).code == 201
    other = sdist(top="mypackage-1.0", metadata=METADATA.replace(b"my-package", b"mypackage"))
    answer = post(registry, other, "mypackage-1.0.tar.gz", name="mypackage")
    assert answer.code == 400
    assert answer.reason.endswith(
        "Name is invalid: 'mypackage' looks like 'my-package', which is here. Use a name that nobody takes for it"
    )
    assert len(registry.kept_files()) == 1
    registry.close()
