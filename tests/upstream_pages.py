"""Hypothesis strategies for what other indexes say: pages whose files have all, some or none of the facts, and values that are none."""

from typing import Any

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from registry.domain.model import File, Page
from registry.domain.versions import Version
from tests.strategies import pages, sha256s

SOURCE = "elsewhere"
_hex = "0123456789abcdef"
_further = st.fixed_dictionaries(
    {}, optional={"sha512": st.text(_hex, min_size=128, max_size=128), "md5": st.text(_hex, min_size=32, max_size=32)}
)


@st.composite
def upstream_files(draw: DrawFn, of: File) -> File:
    """`of` as an upstream may have it: any of the facts may be missing, and there may be more digests."""
    provenance = draw(st.sampled_from(["", "https://files.test/provenance"]))
    size = draw(st.sampled_from([of.size, None]))
    return evolve(
        of,
        id=0,
        version=str(Version(of.version).order),
        sha256=draw(st.sampled_from([of.sha256, ""])),
        size=size,
        uploaded_at=draw(st.sampled_from([of.uploaded_at, None])),
        provenance=bool(provenance),
        provenance_url=provenance,
        gpg_sig=None,
        source=SOURCE,
        url=f"https://files.test/{draw(sha256s)}/{of.filename}",
        digests=tuple(draw(_further).items()),
        filled=() if size is None else draw(st.sampled_from([(), ("size",)])),
    )


@st.composite
def upstream_pages(draw: DrawFn) -> Page:
    """A page as it was read from an upstream."""
    page = draw(pages())
    return evolve(page, files=tuple(draw(upstream_files(file)) for file in page.files))


# What may stand in a JSON document where something else is expected, lone surrogates and numbers beyond any file included.
anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["\ud800", 10**30, "sha256", "-1"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=5), st.just("sha256")), inner, max_size=3)
    ),
    max_leaves=6,
)
