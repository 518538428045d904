"""Provenance objects of other indexes: what is taken for one, and that nothing in it is changed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.provenance import relayed_provenance
from tests.upstream_pages import anything

_texts = st.text(max_size=20)
_bundles = st.fixed_dictionaries(
    {
        "publisher": st.fixed_dictionaries({"kind": _texts}, optional={"claims": anything, "repository": _texts}),
        "attestations": st.lists(st.dictionaries(_texts, st.one_of(_texts, st.integers(), st.none())), max_size=3),
    }
)


def plain(value: object) -> bool:
    """Whether JSON has words for all of a value."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except ValueError:
        return False


@given(bundles=st.lists(_bundles.filter(plain), max_size=3), blanks=st.sampled_from([None, 4]))
def test_nothing_in_it_is_changed(bundles: list[Any], blanks: int | None) -> None:
    """However it is written, a provenance object comes back with the same content, on one line of ASCII."""
    found = {"version": 1, "attestation_bundles": bundles}
    relayed = relayed_provenance(json.dumps(found, indent=blanks).encode())
    assert json.loads(relayed) == found
    assert relayed.isascii()
    assert b"\n" not in relayed


@given(st.one_of(st.binary(max_size=200), anything.map(lambda value: json.dumps(value).encode()), st.just(b"[" * 200_000)))
def test_what_is_none_is_refused_with_a_sentence(data: bytes) -> None:
    """Whatever is served in its place, there is either an object of the right shape or a ValueError (hardening row 13)."""
    said, relayed = "", b""
    try:
        relayed = relayed_provenance(data)
    except ValueError as error:
        said = str(error)
    assert said.startswith(("it ", "its ")) if not relayed else json.loads(relayed)["version"] == 1


@pytest.mark.parametrize(
    "found",
    [
        {"version": 2, "attestation_bundles": []},
        {"version": 1},
        {"version": 1, "attestation_bundles": {}},
        {"version": 1, "attestation_bundles": [1]},
        {"version": 1, "attestation_bundles": [{"publisher": {}, "attestations": []}]},
        {"version": 1, "attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": [1]}]},
        {"version": 1, "attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": []}] * 101},
        {"version": 1, "attestation_bundles": [], "number": float("nan")},
    ],
)
def test_another_shape_is_refused(found: object) -> None:
    """Another version, a missing part, too many bundles and numbers that JSON has not are refused."""
    with pytest.raises(ValueError, match=r"^its? "):
        relayed_provenance(json.dumps(found).encode())


def test_a_hundred_bundles_are_taken() -> None:
    """As many as there may be."""
    found = {"version": 1, "attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": []}] * 100}
    assert json.loads(relayed_provenance(json.dumps(found).encode())) == found
