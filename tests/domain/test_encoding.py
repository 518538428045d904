"""Content codings: which one a client gets, and what is in it."""

import gzip
import hashlib
import time

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.encoding import Encoding, choose_encoding, encode

ZSTD, GZIP, IDENTITY = Encoding.ZSTD, Encoding.GZIP, Encoding.IDENTITY
LARGE = 10_000


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, IDENTITY),
        ("", IDENTITY),
        (" ", IDENTITY),
        (",", IDENTITY),
        ("identity", IDENTITY),
        ("gzip", GZIP),
        ("GZip", GZIP),
        ("x-gzip", GZIP),
        ("zstd", ZSTD),
        ("ZSTD", ZSTD),
        ("gzip, deflate", GZIP),  # pip, Poetry
        ("gzip, deflate, br, zstd", ZSTD),
        ("br, gzip", GZIP),  # uv
        ("br", IDENTITY),
        ("deflate, compress", IDENTITY),
        ("*", GZIP),
        ("*;q=0", IDENTITY),
        ("*;q=0, gzip", GZIP),
        ("gzip;q=0", IDENTITY),
        ("gzip;q=0, *", IDENTITY),
        ("gzip;q=0, zstd", ZSTD),
        ("gzip;q=0.0", IDENTITY),
        ("gzip;q=0.001", GZIP),
        ("gzip;q=0.5, zstd;q=0.4", GZIP),
        ("gzip;q=0.4, zstd;q=0.5", ZSTD),
        ("gzip;q=0.5, zstd;q=0.5", ZSTD),
        ("identity;q=1, gzip;q=0.5", IDENTITY),
        ("identity;q=0.5, gzip;q=0.5", GZIP),
        ("identity;q=0.5, gzip;q=1", GZIP),
        ("identity, *;q=0.1", IDENTITY),
        ("identity;q=0", IDENTITY),  # nothing fits: what everybody can read, rather than 406
        ("identity;q=0, *;q=0", IDENTITY),
        ("identity;q=0, gzip", GZIP),
        ("identity;q=0, gzip;q=0.1", GZIP),
        ("gzip;q=banana", IDENTITY),
        ("gzip;q=-1", IDENTITY),
        ("gzip;q=nan", IDENTITY),
        ("gzip;q=inf", IDENTITY),
        ("gzip;x=y", IDENTITY),  # no coding has such a parameter
        ("gzip ; q=1 , zstd ; q=0", GZIP),
        ("gzip;q=1;q=0", IDENTITY),
        (";q=1, gzip", GZIP),
        ("gzipped", IDENTITY),
        ('"gzip"', GZIP),
    ],
)
def test_the_client_chooses(header: str | None, chosen: Encoding) -> None:
    """The client's weights decide; at a tie the smaller coding; what it refuses, or does not name, it never gets (RFC 9110, 12.5.3)."""
    assert choose_encoding(header, LARGE) is chosen


@pytest.mark.parametrize(("size", "chosen"), [(0, IDENTITY), (255, IDENTITY), (256, GZIP)])
def test_what_is_tiny_goes_plain(size: int, chosen: Encoding) -> None:
    """Below 256 bytes nothing is gained."""
    assert choose_encoding("gzip", size) is chosen


weights = st.one_of(st.none(), st.sampled_from(["0", "0.0", "0.001", "0.3", "0.5", "0.999", "1", "1.0"]))
named = st.dictionaries(st.sampled_from(["gzip", "zstd", "identity", "br", "deflate", "*"]), weights, max_size=6)


@given(named=named)
def test_no_client_gets_what_it_does_not_take(named: dict[str, str | None]) -> None:
    """A coding is only ever used by its name or, for gzip, by a star; never at weight 0, and never while another has more weight."""
    header = ", ".join(name if weight is None else f"{name};q={weight}" for name, weight in named.items())
    chosen = choose_encoding(header, LARGE)
    given_weights = {name: 1.0 if weight is None else float(weight) for name, weight in named.items()}
    wanted = {
        ZSTD: given_weights.get("zstd", 0.0),
        GZIP: given_weights.get("gzip", given_weights.get("*", 0.0)),
        IDENTITY: given_weights.get("identity", 0.0),
    }
    if chosen is not IDENTITY:
        assert wanted[chosen] > 0
        assert wanted[chosen] >= max(wanted.values())
    else:
        assert wanted[IDENTITY] > max(wanted[ZSTD], wanted[GZIP]) or max(wanted.values()) == 0


@given(header=st.one_of(st.text(max_size=200), st.text('gzipstd*;q=0.159, \t"\\', max_size=200)), size=st.integers(0, 10**12))
def test_any_header_is_read(header: str, size: int) -> None:
    """Whatever a client sends, there is a coding for it (hardening row 42)."""
    assert choose_encoding(header, size) in Encoding


@pytest.mark.parametrize(
    "piece", ["gzip,", "*;q=0,", ";", ",", "a=b;", '"', "gzip;q=0.5;" + "x" * 50 + ",", "\\", "gzip;q=" + "9" * 100 + ","]
)
def test_a_long_header_is_read_in_time(piece: str) -> None:
    """A header of 16 kB takes no longer than its length deserves (hardening row 42)."""
    began = time.process_time()
    assert choose_encoding((piece * 16_000)[:16_000], LARGE) in Encoding
    assert time.process_time() - began < 1


@given(body=st.one_of(st.binary(max_size=2000), st.binary(min_size=1, max_size=20).map(lambda piece: piece * 500)))
def test_a_coding_holds_the_same_bytes(body: bytes) -> None:
    """What a client decodes is the plain body; and the same body is the same bytes in a coding each time, as its ETag says."""
    assert gzip.decompress(encode(body, GZIP)) == body
    assert zstd.decompress(encode(body, ZSTD)) == body
    assert encode(body, IDENTITY) == body
    assert all(encode(body, encoding) == encode(body, encoding) for encoding in Encoding)


def test_pages_become_smaller() -> None:
    """A page of many files takes less than two thirds, being half digests, in both codings."""
    page = b"".join(b'<a href="https://x/files/%b/demo.whl">demo</a>' % hashlib.sha256(b"%d" % n).hexdigest().encode() for n in range(300))
    for encoding in (GZIP, ZSTD):
        assert len(encode(page, encoding)) < len(page) * 2 / 3


def test_a_validator_names_the_coding() -> None:
    """Each coding has a validator of its own; the plain one is what it was made from (RFC 9110, 8.8.3)."""
    assert [encoding.mark("abc") for encoding in Encoding] == ["abc-zstd", "abc-gzip", "abc"]
