"""The upload form: whatever way the bytes come, the same form comes out."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.attestations import MOST_BYTES
from registry.domain.errors import InvalidField, MalformedForm
from registry.domain.form import FIELD_BYTES, OVERHEAD_BYTES, PARTS, FileBegins, FileBytes, FileEnds, UploadForm, boundary_of
from tests.strategies import BOUNDARY, Form, Part, body, chunkings, forms

CONTENT = Part(name="content", value=b"bytes", filename="a-1.tar.gz")


def read(*chunks: bytes, boundary: str = BOUNDARY) -> tuple[list[object], dict[str, str]]:
    """The events of a form that arrives in `chunks`, the file's bytes put together, and its fields."""
    form, events, content = UploadForm(boundary), list[object](), b""
    for chunk in chunks:
        for event in form.feed(chunk):
            if isinstance(event, FileBytes):
                assert event.data
                content += event.data
            else:
                events.append(content if isinstance(event, FileEnds) else event)
                content = b"" if isinstance(event, FileEnds) else content
    return events, dict(form.close())


@given(st.data(), forms(), st.sampled_from([b"", b"\r\n", b"\r\nan epilogue\r\n"]))
def test_any_chunking_gives_the_same_form(data: st.DataObject, form: Form, epilogue: bytes) -> None:
    """However the network cuts a form, its fields, its file and their order are the same (hardening row 46)."""
    whole = form.encoded + epilogue
    expected = [FileBegins(filename=form.filename), form.content], form.fields
    assert read(whole) == expected
    assert read(*data.draw(chunkings(whole))) == expected


@given(forms())
def test_byte_by_byte_gives_the_same_form(form: Form) -> None:
    """A form that comes one byte at a time is the same form."""
    whole = form.encoded + b"\r\n"
    assert read(*(whole[at : at + 1] for at in range(len(whole)))) == ([FileBegins(filename=form.filename), form.content], form.fields)


@given(st.data(), forms())
def test_any_prefix_is_refused(data: st.DataObject, form: Form) -> None:
    """A form that was cut off anywhere is refused, in whatever pieces it came (hardening row 46)."""
    prefix = form.encoded[: data.draw(st.integers(0, len(form.encoded) - 1))]
    with pytest.raises(MalformedForm, match="cannot be read"):
        read(*(data.draw(chunkings(prefix)) if prefix else []))


def test_every_single_prefix_of_one_form_is_refused() -> None:
    """Not one of the places where this form can be cut makes a form."""
    whole = body(Part(name="name", value=b"a"), CONTENT, Part(name="version", value=b"1"))
    assert read(whole)[1] == {"name": "a", "version": "1"}
    for length in range(len(whole)):
        with pytest.raises(MalformedForm):
            read(*[whole[:length]] * bool(length))


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(lambda tail: f"--{BOUNDARY}\r\n".encode() + tail)))
def test_nothing_but_its_own_errors_is_raised(garbage: bytes) -> None:
    """Bytes that are not a form are a MalformedForm or an InvalidField, never anything else."""
    with pytest.raises((MalformedForm, InvalidField)):
        read(*[garbage] * bool(garbage))


header_lines = st.one_of(
    st.sampled_from(
        [
            b'Content-Disposition: form-data; name="content"; filename="a"',
            b'Content-Disposition: form-data; name="a"',
            b"Content-Disposition: form-data",
            b"Content-Disposition: attachment; name=a",
            b'Content-Disposition: form-data; name="\xff"',
            b"Content-Disposition: form-data; name*=utf-8''a",
            b"Content-Disposition: form-data; name*0=a; name*1=b",
            b"Content-Type: text/plain; charset=nonsense",
            b"Content-Type",
            b"Content-Length: 2",
            b"Content-Length: " + b"9" * 4000,
            b" folded",
            b"",
        ]
    ),
    st.binary(max_size=30),
)


@given(st.lists(header_lines, max_size=5))
def test_hostile_part_headers_raise_nothing_else(lines: list[bytes]) -> None:
    """A part with any headers is read, or refused as a MalformedForm or an InvalidField."""
    mark = f"--{BOUNDARY}".encode()
    # Only these two may come out; any other exception fails the test.
    with suppress(MalformedForm, InvalidField):
        read(mark + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\nxx\r\n" + mark + b"--")


def test_fields_may_come_after_the_file() -> None:
    """The order of parts does not matter: fields after the file are fields (hardening row 46)."""
    events, fields = read(body(CONTENT, Part(name="name", value=b"a"), Part(name="version", value=b"1")))
    assert events == [FileBegins(filename="a-1.tar.gz"), b"bytes"]
    assert fields == {"name": "a", "version": "1"}


def test_two_files_are_refused() -> None:
    """One request carries one file; a second is refused before any of its bytes is passed on."""
    with pytest.raises(MalformedForm, match="two files called content"):
        read(body(CONTENT, CONTENT))


def test_an_empty_file_begins_and_ends() -> None:
    """A file of no bytes is seen, so that it can be refused for what it is."""
    assert read(body(Part(name="content", value=b"", filename="a-1.tar.gz"))) == ([FileBegins(filename="a-1.tar.gz"), b""], {})


def test_a_file_without_a_name_is_a_file() -> None:
    """An empty filename still makes a file, not a field (curl and browsers send one)."""
    assert read(body(Part(name="content", value=b"x", filename=""))) == ([FileBegins(filename=""), b"x"], {})


def test_the_content_must_be_a_file() -> None:
    """A field called content is refused, as GitLab refuses it."""
    with pytest.raises(InvalidField, match="content is invalid"):
        read(body(Part(name="content", value=b"bytes")))


@pytest.mark.parametrize("name", ["name", "version", "attestations", "signature"])
def test_a_file_in_place_of_a_field_is_refused(name: str) -> None:
    """A field is text; a file in its place is refused by the field's name."""
    with pytest.raises(InvalidField, match=f"{name} is invalid"):
        read(body(Part(name=name, value=b"x", filename="x"), CONTENT))


def test_a_signature_is_ignored() -> None:
    """The detached signature that old clients send is read past, and is no field."""
    signature = Part(name="gpg_signature", value=b"-----BEGIN PGP SIGNATURE-----", filename="a-1.tar.gz.asc")
    assert read(body(CONTENT, signature, Part(name="name", value=b"a"))) == ([FileBegins(filename="a-1.tar.gz"), b"bytes"], {"name": "a"})


@pytest.mark.parametrize(("value", "kept"), [(b"UNKNOWN", ""), (b"", ""), (b"unknown", "unknown"), (b"UNKNOWN ", "UNKNOWN ")])
def test_unknown_means_nothing(value: bytes, kept: str) -> None:
    """UNKNOWN, which old build tools send for "nothing", and an empty field are the empty text."""
    assert read(body(Part(name="summary", value=value), CONTENT))[1] == {"summary": kept}


def test_the_last_of_a_repeated_field_wins() -> None:
    """Of a field sent twice the last value is kept, as GitLab does."""
    assert read(body(Part(name="name", value=b"a"), CONTENT, Part(name="name", value=b"b")))[1] == {"name": "b"}


def test_fields_become_text_whatever_their_bytes() -> None:
    """Bytes that are not UTF-8 are replaced and NULs dropped: no database and no page has to meet them."""
    assert read(body(Part(name="summary", value=b"a\xff\0b"), CONTENT))[1] == {"summary": "a\ufffdb"}


@pytest.mark.parametrize(
    ("length", "kept"), [(FIELD_BYTES - 1, FIELD_BYTES - 1), (FIELD_BYTES, FIELD_BYTES), (FIELD_BYTES + 1, FIELD_BYTES)]
)
def test_only_the_beginning_of_a_huge_field_is_kept(length: int, kept: int) -> None:
    """Of a field the first 64 KiB are kept, to the byte, in one chunk or many."""
    whole = body(Part(name="description", value=b"x" * length), CONTENT)
    assert len(read(whole)[1]["description"]) == kept
    assert len(read(*(whole[at : at + 1000] for at in range(0, len(whole), 1000)))[1]["description"]) == kept
    full = whole.index(b"x") + FIELD_BYTES
    for cut in (full - 1, full, full + 1):
        assert len(read(whole[:cut], whole[cut:])[1]["description"]) == kept


@pytest.mark.parametrize(
    ("length", "kept"),
    [(FIELD_BYTES + 1, FIELD_BYTES + 1), (MOST_BYTES, MOST_BYTES), (MOST_BYTES + 1, MOST_BYTES + 1), (MOST_BYTES + 2, MOST_BYTES + 1)],
)
def test_attestations_are_kept_whole_up_to_one_mebibyte(length: int, kept: int) -> None:
    """Attestations are kept up to 1 MiB and one byte, which tells whoever reads them that there were too many."""
    whole = body(Part(name="attestations", value=b"x" * length), CONTENT)
    assert len(read(whole)[1]["attestations"]) == kept
    assert len(read(*(whole[at : at + 50_000] for at in range(0, len(whole), 50_000)))[1]["attestations"]) == kept


@pytest.mark.parametrize("skipped", [False, True])
def test_fields_together_may_hold_16_mib_and_no_more(skipped: bool) -> None:
    """All that is not the file may come to 16 MiB; one byte more is refused, also in a part that nobody reads (hardening row 46)."""
    part = Part(
        name="gpg_signature" if skipped else "description", value=b"x" * (OVERHEAD_BYTES - 3), filename="s.asc" if skipped else None
    )
    assert read(body(part, CONTENT, Part(name="name", value=b"abc")))[1]["name"] == "abc"
    with pytest.raises(MalformedForm, match=r"more than 16,777,216 bytes"):
        read(body(part, CONTENT, Part(name="name", value=b"abcd")))


def test_an_epilogue_that_never_ends_is_refused() -> None:
    """What follows the closing boundary is ignored only as long as it fits with everything else that is not the file."""
    form = UploadForm(BOUNDARY)
    list(form.feed(body(CONTENT)))
    assert list(form.feed(b"x" * OVERHEAD_BYTES)) == []
    assert dict(form.close()) == {}
    with pytest.raises(MalformedForm, match=r"more than 16,777,216 bytes"):
        list(form.feed(b"x"))


def test_the_file_does_not_count_as_overhead() -> None:
    """A file may be larger than everything else together may be."""
    form, size = UploadForm(BOUNDARY), 0
    before, after = body(Part(name="content", value=b"|", filename="a-1.tar.gz")).split(b"|")
    for chunk in (before, *[b"x" * (1 << 20)] * 17, after):
        size += sum(len(event.data) for event in form.feed(chunk) if isinstance(event, FileBytes))
    assert (size, form.overhead) == (17 << 20, 0)
    assert size > OVERHEAD_BYTES


def test_a_form_has_at_most_two_thousand_parts() -> None:
    """2,000 parts are read, one more is refused (hardening row 46)."""
    fields = [Part(name=f"f{number}", value=b"") for number in range(PARTS - 1)]
    assert len(read(body(*fields, CONTENT))[1]) == PARTS - 1
    with pytest.raises(MalformedForm):
        read(body(*fields, CONTENT, Part(name="more", value=b"")))


def test_a_wrong_boundary_is_refused_at_once() -> None:
    """A body that does not begin with the declared boundary is refused by its first chunk, in words that name the boundary."""
    form = UploadForm("other-boundary")
    with pytest.raises(MalformedForm, match="is its boundary wrong"):
        list(form.feed(body(CONTENT)))


def test_no_body_at_all_is_refused() -> None:
    """A form that never began is not complete."""
    with pytest.raises(MalformedForm, match="not complete"):
        UploadForm(BOUNDARY).close()


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('multipart/form-data; boundary="a b:c"', "a b:c"),
        ("Multipart/Form-Data; charset=utf-8; Boundary=abc", "abc"),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: str) -> None:
    """A boundary may be quoted and stand beside other parameters, in any case."""
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/mixed; boundary=abc",
        "application/x-www-form-urlencoded",
        "application/octet-stream; boundary=abc",
    ],
)
def test_anything_but_a_form_is_refused(content_type: str | None) -> None:
    """Another type, or a form without a boundary, is refused in words that say what to send."""
    with pytest.raises(MalformedForm, match="must be multipart/form-data with a boundary"):
        boundary_of(content_type)


@given(
    st.one_of(
        st.text(max_size=60),
        st.text("\"';=*%a \t\\\0\r\n", max_size=40).map("multipart/form-data; boundary={}".format),
        st.just("multipart/form-data; boundary=" + "x" * 2000),
    )
)
def test_a_hostile_content_type_raises_nothing_else(content_type: str) -> None:
    """Whatever the Content-Type holds, it leads to a form that reads bytes or to a MalformedForm."""
    with pytest.raises((MalformedForm, InvalidField)):
        read(b"--x\r\n\r\n", boundary=boundary_of(content_type))
