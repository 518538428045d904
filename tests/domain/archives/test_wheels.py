"""Wheels: a .dist-info that tells the truth about its wheel."""

from collections.abc import Callable, Mapping

import pytest

from registry.domain.archives.checks import Checks
from registry.domain.errors import InvalidArchive
from tests.domain.archives.distributions import INFO, LENIENT, METADATA, WHEEL_FILE, digest, files, look, record_of, records
from tests.domain.archives.zip_records import Record, zip_of


def of(members: Mapping[str, bytes], record: bytes | None = None) -> bytes:
    """A wheel of these members."""
    return zip_of(records(members, record))


def recorded(old: bytes, new: bytes) -> bytes:
    """A wheel whose RECORD has `new` where the true one has `old`."""
    true = record_of(files())
    assert old in true
    return of(files(), true.replace(old, new))


CODE = files()["my_package/code.py"]
ROW = f"my_package/code.py,{digest(CODE)},{len(CODE)}\n".encode()
moved = {path.replace(INFO, "other-1.0.dist-info"): data for path, data in files().items()}
REJECTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no .dist-info": (lambda: zip_of(records({"a.py": b""})[:1]), "must have exactly one .dist-info folder; it has 0;"),
    "two .dist-info": (lambda: of({**files(), "other-1.0.dist-info/x": b""}), "exactly one .dist-info folder; it has 2: "),
    "a .dist-info of another name": (
        lambda: zip_of([it for it in records(moved) if it.name != f"{INFO}/RECORD".encode()]),
        "has its metadata in 'other-1.0.dist-info', which is of another name",
    ),
    "a .dist-info of another version": (
        lambda: zip_of([it for it in records({k.replace("-1.0.", "-1.1."): v for k, v in files().items()}) if b"RECORD" not in it.name]),
        "'my_package-1.1.dist-info', which is of another name or version",
    ),
    "no METADATA": (lambda: of(files(METADATA=None)), "must hold exactly one <name>-<version>.dist-info/METADATA; it holds 0"),
    "no WHEEL": (lambda: of(files(WHEEL=None)), "has no WHEEL file"),
    "no RECORD": (lambda: zip_of([it for it in records() if b"RECORD" not in it.name]), f"has no '{INFO}/RECORD'"),
    "Wheel-Version 2": (lambda: of(files(WHEEL=b"Wheel-Version: 2.0\nTag: py3-none-any\n")), "of Wheel-Version '2.0'"),
    "Wheel-Version 10": (lambda: of(files(WHEEL=b"Wheel-Version: 10.0\nTag: py3-none-any\n")), "of Wheel-Version '10.0'"),
    "no Wheel-Version": (lambda: of(files(WHEEL=b"Tag: py3-none-any\n")), "of Wheel-Version ''"),
    "two Wheel-Versions": (lambda: of(files(WHEEL=b"Wheel-Version: 1.0\nWheel-Version: 2.0\n")), "of Wheel-Version '1.0, 2.0'"),
    "another tag": (
        lambda: of(files(WHEEL=WHEEL_FILE.replace(b"py3", b"cp311"))),
        "has the tag 'cp311-none-any' in its WHEEL file but not",
    ),
    "one more tag": (lambda: of(files(WHEEL=WHEEL_FILE + b"Tag: py2-none-any\n")), "has the tag 'py2-none-any' in its WHEEL file but not"),
    "half a tag": (lambda: of(files(WHEEL=WHEEL_FILE + b"Tag: py3\n")), "has a tag 'py3' that is not"),
    "tags without end": (
        lambda: of(files(WHEEL=WHEEL_FILE + b"Tag: " + b"-".join([b".".join(b"%d" % n for n in range(20))] * 3))),
        "stands for over 5,000",
    ),
    "many lines of tags": (
        lambda: of(files(WHEEL=WHEEL_FILE + b"".join(b"Tag: py3-none-%d\n" % number for number in range(6000)))),
        "has over 5,000 tags",
    ),
    "another build tag": (lambda: of(files(WHEEL=WHEEL_FILE + b"Build: 1\n")), "has the build tag '' in its name and '1'"),
    "a long WHEEL": (lambda: of(files(WHEEL=WHEEL_FILE + b" " * (256 << 10))), "WHEEL' of more than 262,144 bytes"),
    "a member that RECORD does not name": (lambda: recorded(ROW, b""), "has a file 'my_package/code.py' that its RECORD does not name"),
    "another hash": (lambda: recorded(digest(CODE).encode(), digest(b"").encode()), "is not the one its RECORD has the sha256 of"),
    "another hash of an empty file": (
        lambda: recorded(digest(b"").encode(), digest(CODE).encode()),
        "'my_package/__init__.py' that is not",
    ),
    "another size": (lambda: recorded(b",300\n", b",301\n"), "of 300 bytes, of '301' by its RECORD"),
    "no hash": (lambda: recorded(digest(CODE).encode(), b""), "has no SHA-256, SHA-384 or SHA-512 of 'my_package/code.py'"),
    "an md5": (lambda: recorded(digest(CODE).encode(), digest(CODE, "md5").encode()), "has no SHA-256"),
    "a sha1": (lambda: recorded(digest(CODE).encode(), digest(CODE, "sha1").encode()), "has no SHA-256"),
    "a hash in hex": (lambda: recorded(digest(CODE).encode(), b"sha256=" + b"0" * 64), "is not the one"),
    "two rows that differ": (lambda: recorded(ROW, ROW + b"my_package/code.py,,\n"), "tells two things of 'my_package/code.py'"),
    "a RECORD that is not UTF-8": (lambda: recorded(ROW, ROW + b"\xff"), "has a RECORD that is not UTF-8"),
    "a RECORD that is no CSV": (lambda: recorded(ROW, ROW + b'"a"b,,\n'), "cannot be read as CSV"),
    "a RECORD with a field without end": (lambda: recorded(ROW, ROW + b"x" * 200_000), "cannot be read as CSV"),
    "a RECORD of many lines": (lambda: recorded(ROW, ROW + b"a\n" * 200_001), "a RECORD of more than 200,000 lines"),
    "entry points without a group": (lambda: of(files(entry_points__txt=b"a = b:c\n")), "has an entry_points.txt that cannot be read"),
    "entry points that are not UTF-8": (lambda: of(files(entry_points__txt=b"\xff")), "cannot be read"),
    "entry points without =": (lambda: of(files(entry_points__txt=b"[console_scripts]\nrun: a:b\n")), "cannot be read"),
    "the same script twice": (lambda: of(files(entry_points__txt=b"[console_scripts]\na = b:c\na = d:e\n")), "cannot be read"),
    "a group of another alphabet": (lambda: of(files(entry_points__txt=b"[a b]\n")), "has a group 'a b' in its entry_points.txt"),
    "a script that climbs": (
        lambda: of(files(entry_points__txt=b"[console_scripts]\n../a = b:c\n")),
        "has a script '../a' in console_scripts",
    ),
    "a script with blanks": (lambda: of(files(entry_points__txt=b"[gui_scripts]\na b = b:c\n")), "has a script 'a b' in gui_scripts"),
    "a script of code": (lambda: of(files(entry_points__txt=b"[console_scripts]\na = b; c\n")), "write it as module:function"),
    "a long entry_points.txt": (lambda: of(files(entry_points__txt=b"#" * ((256 << 10) + 1))), "entry_points.txt' of more than 262,144"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_wheel_that_lies_about_itself_is_refused(case: str) -> None:
    """Each rule for wheels refuses what breaks it, in a sentence that fits a reason phrase (hardening row 40)."""
    build, problem = REJECTED[case]
    with pytest.raises(InvalidArchive, match=problem) as refused:
        look(build())
    assert len(str(refused.value)) <= 280


ACCEPTED: dict[str, Callable[[], bytes]] = {
    "as it is": lambda: of(files()),
    "a signature": lambda: of(files(RECORD__jws=b"{}"), record_of(files())),
    "the other signature": lambda: of(files(RECORD__p7s=b"{}"), record_of(files())),
    "a sha384": lambda: recorded(digest(CODE).encode(), digest(CODE, "sha384").encode()),
    "a sha512": lambda: recorded(digest(CODE).encode(), digest(CODE, "sha512").encode()),
    "a hash with padding": lambda: recorded(digest(CODE).encode(), digest(CODE).encode() + b"="),
    "no sizes": lambda: recorded(b",300\n", b",\n"),
    "two columns": lambda: recorded(b",300\n", b"\n"),
    "carriage returns": lambda: of(files(), record_of(files()).replace(b"\n", b"\r\n")),
    "quoted paths": lambda: recorded(b"my_package/code.py", b'"my_package/code.py"'),
    "a row twice": lambda: recorded(ROW, ROW * 2),
    "empty lines": lambda: recorded(ROW, ROW + b"\n\n"),
    "no tags": lambda: of(files(WHEEL=b"Wheel-Version: 1.9\r\n")),
    "a tag in capitals": lambda: of(files(WHEEL=WHEEL_FILE.replace(b"py3-none", b"PY3-None"))),
    "a .dist-info further down": lambda: of({**files(), "my_package/_vendor/x-1.0.dist-info/METADATA": b""}),
    "scripts": lambda: of(
        files(
            entry_points__txt="\ufeff# comment\n[console_scripts]\nRun.it-2 = a.b : c.d [extra, two]\n\n[x.y-z]\né é = a:b = c\n".encode()
        )
    ),
    "an empty entry_points.txt": lambda: of(files(entry_points__txt=b"")),
    "blanks upon blanks in entry points": lambda: of(files(entry_points__txt=b"[x]\na = b" + b" " * 100_000 + b"c\n")),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_wheel_as_honest_tools_build_it_is_taken(case: str) -> None:
    """What the rules allow is inspected without a warning."""
    found = look(ACCEPTED[case]())
    assert (found.metadata.raw, found.warnings) == (METADATA, ())
    assert found.metadata.sidecar


@pytest.mark.parametrize("title", ["My.Package-1.0.0", "my-package-1.0", "MY_PACKAGE-v1"])
def test_a_dist_info_may_be_spelt_otherwise(title: str) -> None:
    """The .dist-info folder belongs to the wheel's name and version in whatever spelling, as early tools wrote it."""
    renamed = {path.replace(INFO, f"{title}.dist-info"): data for path, data in files().items()}
    record = record_of(renamed).replace(INFO.encode(), f"{title}.dist-info".encode())
    content = zip_of([*records(renamed)[:-1], Record(name=f"{title}.dist-info/RECORD".encode(), content=record)])
    assert look(content).metadata.raw == METADATA


def test_blanks_in_entry_points_cost_what_they_are() -> None:
    """An entry_points.txt of blanks does not keep configparser at work for minutes (hardening row 42)."""
    for blank in ("\t", " ", "\x0b", "\u00a0"):
        size = (200 << 10) // len(blank.encode())
        assert look(of(files(entry_points__txt=f"[x]\na = b{blank * size}c\n".encode()))).metadata.raw == METADATA
        with pytest.raises(InvalidArchive, match="cannot be read"):
            look(of(files(entry_points__txt=f"[x]\na{blank * size}b\n".encode())))


@pytest.mark.parametrize(
    ("filename", "lines"),
    [
        ("my_package-1.0-2-py3-none-any.whl", b"Build: 2\n"),
        ("my_package-1.0-2-py3-none-any.whl", b""),
        ("my_package-1.0-py2.py3-none-any.whl", b"Tag: py2-none-any\n"),
        ("my_package-1.0-py2.py3-none-any.whl", b"Tag: py2.py3-none-any\n"),
    ],
)
def test_tags_agree_with_the_name(filename: str, lines: bytes) -> None:
    """A build tag and compressed tags of a file name are found again in WHEEL; early tools left the build tag out."""
    assert look(of(files(WHEEL=WHEEL_FILE + lines)), filename).warnings == ()


def test_one_more_platform_in_the_name_is_only_odd() -> None:
    """A wheel that was renamed for a further platform is taken with a warning, one renamed for a further interpreter is not."""
    wheel = of(files(WHEEL=b"Wheel-Version: 1.0\nTag: cp311-cp311-macosx_10_9_x86_64\n"))
    (warning,) = look(wheel, "my_package-1.0-cp311-cp311-macosx_10_10_x86_64.macosx_10_9_x86_64.whl").warnings
    assert warning == "The WHEEL file does not know the tag 'cp311-cp311-macosx_10_10_x86_64' of the wheel's name"
    with pytest.raises(InvalidArchive, match="has the tag 'cp312-cp311-macosx_10_9_x86_64' in its name but not in its WHEEL file"):
        look(wheel, "my_package-1.0-cp311.cp312-cp311-macosx_10_9_x86_64.whl")


def test_files_that_record_names_and_the_wheel_lacks_are_only_odd() -> None:
    """Rows for absent files are told as a warning: installers pass over them."""
    assert look(recorded(ROW, ROW + b"absent.py,,\n")).warnings == ("RECORD names 1 files that are not in the wheel",)


@pytest.mark.parametrize("filename", ["my_package-1.0-py3-none-linux_x86_64.whl", "my_package-1.0-py3-none-any.linux_armv7l.whl"])
def test_plain_linux_tags_are_refused_on_request(filename: str) -> None:
    """The public index's rule against linux tags is off, and can be switched on."""
    wheel = of(files(WHEEL=b"Wheel-Version: 1.0\n"))
    assert look(wheel, filename).metadata.raw == METADATA
    with pytest.raises(InvalidArchive, match=r"is for 'linux_.*auditwheel repair"):
        look(wheel, filename, checks=Checks.of("strict", also=["linux-tags"]))


def test_local_versions_are_refused_on_request() -> None:
    """The public index's rule against local versions is off, and can be switched on (hardening row 40)."""
    members = {path.replace("-1.0.", "-1.0+abc."): data for path, data in files(METADATA=METADATA.replace(b"1.0\n", b"1.0+abc\n")).items()}
    filename = "my_package-1.0+abc-py3-none-any.whl"
    assert look(of(members), filename, version="1.0+abc", checks=LENIENT).metadata.fields["version"] == "1.0+abc"
    with pytest.raises(InvalidArchive, match="is of a local version"):
        look(of(members), filename, version="1.0+abc", checks=Checks.of("lenient", also=["local-versions"]))


SWITCHES = {
    "two .dist-info": ["dist-info", "record"],
    "no WHEEL": ["wheel-file"],
    "Wheel-Version 2": ["wheel-file"],
    "another tag": ["wheel-tags"],
    "another build tag": ["wheel-tags"],
    "no RECORD": ["record"],
    "another hash": ["record"],
    "entry points without =": ["entry-points"],
}


@pytest.mark.parametrize("case", SWITCHES)
def test_each_rule_for_wheels_can_be_switched_off(case: str) -> None:
    """A wheel that breaks one rule is taken without it, and at the lenient level."""
    wheel = REJECTED[case][0]()
    assert look(wheel, checks=Checks.of("strict", without=SWITCHES[case])).metadata.raw == METADATA
    assert look(wheel, checks=LENIENT).metadata.raw == METADATA


def test_what_a_wheel_is_of_is_told_first() -> None:
    """A wheel of another project is refused for that, whatever else is wrong with it (hardening row 44)."""
    other = files(METADATA=METADATA.replace(b"my-package", b"other"), WHEEL=None)
    with pytest.raises(InvalidArchive, match="says in its metadata that its name is 'other', not 'my-package'"):
        look(of(other, b""))
