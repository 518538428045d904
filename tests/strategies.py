"""Hypothesis strategies for the words of the domain: names, versions, file names, pages, forms and the ways bytes arrive."""

import string
from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from registry.domain.filenames import Kind
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.versions import Version

ALPHANUMERIC = string.ascii_letters + string.digits
# Not every dash of Unicode is a separator, but every one of these is (PEP 503).
separators = st.text("-_.", min_size=1, max_size=3)
words = st.text(ALPHANUMERIC, min_size=1, max_size=8)
word_lists = st.lists(words, min_size=1, max_size=4)
# Text as it may stand in a header or a field: anything but what UTF-8 cannot carry.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
sha256s = st.text("0123456789abcdef", min_size=64, max_size=64)
moments = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is drawn beside


@st.composite
def spellings(draw: DrawFn, of: Sequence[str]) -> str:
    """One spelling of the name whose words are `of`: any case, any separators."""
    text = of[0]
    for word in of[1:]:
        text += draw(separators) + word
    return "".join(draw(st.sampled_from([character.lower(), character.upper()])) for character in text)


def names() -> SearchStrategy[str]:
    """A valid project name in some spelling."""
    return word_lists.flatmap(spellings)


_numbers = st.integers(0, 10**6).map(str)


@st.composite
def versions(draw: DrawFn) -> str:
    """A valid PEP 440 version, in normal form or in one of the spellings it allows; no surrounding blanks."""
    text = draw(st.sampled_from(["", "", "", "v", "V"]))
    text += draw(st.sampled_from(["", "", "", "1!", "0!", "2024!"]))
    text += ".".join(draw(st.lists(_numbers, min_size=1, max_size=4)))
    between = st.sampled_from(["", ".", "-", "_"])
    if draw(st.booleans()):
        letters = draw(st.sampled_from(["a", "b", "c", "rc", "alpha", "beta", "pre", "preview", "RC", "Alpha"]))
        text += draw(between) + letters + draw(st.one_of(st.just(""), st.tuples(between, _numbers).map("".join)))
    if draw(st.booleans()):
        spelt = st.tuples(between, st.sampled_from(["post", "rev", "r", "Post"]), between, _numbers).map("".join)
        text += draw(st.one_of(spelt, _numbers.map("-{}".format)))
    if draw(st.booleans()):
        text += draw(between) + "dev" + draw(st.one_of(st.just(""), _numbers))
    if draw(st.booleans()):
        text += "+" + draw(st.sampled_from(["local", "ubuntu.1", "a_b", "2-3", "Cu121"]))
    return text


@frozen(kw_only=True)
class Distribution:
    """A file name that is right for its name and version."""

    name: str
    version: str
    filename: str
    kind: Kind


@st.composite
def distributions(draw: DrawFn) -> Distribution:
    """A wheel, a modern sdist or a legacy sdist, with the name and version it was built from in spellings of their own."""
    parts = draw(word_lists)
    version = draw(versions())
    normal = str(Version(version).order)
    if draw(st.booleans()):
        built = "_".join(parts)
        build = draw(st.sampled_from(["", "-1", "-2local"]))
        tags = draw(st.sampled_from(["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", "py2.py3-none-any"]))
        filename, kind = f"{built}-{normal}{build}-{tags}.whl", Kind.WHEEL
    else:
        built = draw(st.sampled_from(["_".join(parts), draw(spellings(parts))]))
        filename, kind = f"{built}-{normal}{draw(st.sampled_from(['.tar.gz', '.zip']))}", Kind.SDIST
    return Distribution(name=draw(spellings(parts)), version=version, filename=filename, kind=kind)


specifiers = st.sampled_from(["", ">=3.11", ">=3.8,<4", "!=3.9.*", "<4,>=3.7 ", "~=3.11"])
# What people write as a reason: nothing, any text, or what would be markup where it is not escaped.
reasons = st.one_of(st.just(""), texts, st.text("<>\"'&=/! \r\n\t;#-", max_size=20).map("</title><script>&quot;".__add__))


@st.composite
def files(draw: DrawFn, *, parts: Sequence[str]) -> File:
    """One file of the name whose words are `parts`, with any of the facts that a file may have."""
    version = draw(versions())
    normal = str(Version(version).order)
    return File(
        id=draw(st.integers(1, 10**9)),
        filename=f"{'_'.join(parts)}-{normal}{draw(st.sampled_from(['-py3-none-any.whl', '.tar.gz', '.zip']))}",
        version=version,
        sha256=draw(sha256s),
        size=draw(st.integers(0, 10**11)),
        requires_python=draw(specifiers),
        uploaded_at=draw(moments),
        yanked=draw(st.one_of(st.none(), reasons)),
        metadata_sha256=draw(st.one_of(st.just(""), sha256s)),
        provenance=draw(st.booleans()),
        gpg_sig=draw(st.sampled_from([None, True, False])),
    )


@st.composite
def pages(draw: DrawFn) -> Page:
    """All files of one name, whatever its status."""
    parts = draw(word_lists)
    display = draw(spellings(parts))
    return Page(
        name=Name(display),
        display=display,
        files=tuple(draw(st.lists(files(parts=parts), max_size=6))),
        status=draw(st.sampled_from(ProjectStatus)),
        status_reason=draw(reasons),
    )


BOUNDARY = "b0undary"


@frozen(kw_only=True)
class Part:
    """One part of a form; `filename` None makes it a field."""

    name: str
    value: bytes
    filename: str | None = None

    def encode(self) -> bytes:
        """The part as it stands between two boundaries."""
        head = f'Content-Disposition: form-data; name="{self.name}"'
        if self.filename is not None:
            head += f'; filename="{self.filename}"\r\nContent-Type: application/octet-stream'
        return head.encode() + b"\r\n\r\n" + self.value


def body(*parts: Part, boundary: str = BOUNDARY) -> bytes:
    """A complete form, to the last byte that it needs (the line break after the closing boundary is not one)."""
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + part.encode() + b"\r\n" for part in parts) + mark + b"--"


# Bytes that look like the end of a part are the interesting ones.
payloads = (
    st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([b"\r", b"\n", b"\r\n", b"--", b"\r\n--", f"\r\n--{BOUNDARY[:-1]}".encode()])),
        max_size=6,
    )
    .map(b"".join)
    .filter(lambda payload: f"\r\n--{BOUNDARY}".encode() not in payload)
)


@frozen(kw_only=True)
class Form:
    """An upload form as values and as bytes."""

    fields: dict[str, str]
    filename: str
    content: bytes
    encoded: bytes


@st.composite
def forms(draw: DrawFn) -> Form:
    """A valid upload form: fields before and after the file, maybe a signature nobody reads."""
    fields = draw(
        st.dictionaries(st.sampled_from(["name", "version", "summary", "description", ":action", "classifiers"]), texts, max_size=5)
    )
    # A value that reads as "nothing", or as the end of its part, has tests of its own.
    fields = {name: value.replace("\0", "") for name, value in fields.items() if value != "UNKNOWN" and f"\r\n--{BOUNDARY}" not in value}
    filename, content = draw(st.sampled_from(["a-1.tar.gz", "a-1-py3-none-any.whl"])), draw(payloads)
    parts = [Part(name=name, value=value.encode()) for name, value in fields.items()]
    parts.insert(draw(st.integers(0, len(parts))), Part(name="content", value=content, filename=filename))
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), Part(name="gpg_signature", value=b"-----BEGIN", filename="a.asc"))
    return Form(fields=fields, filename=filename, content=content, encoded=body(*parts))


@st.composite
def chunkings(draw: DrawFn, data: bytes) -> list[bytes]:
    """`data` in pieces, cut anywhere; none is empty."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=12)))
    return [piece for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if (piece := data[start:end])]
