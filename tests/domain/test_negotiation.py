"""Negotiation: which of the three representations a client gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.negotiation import Representation, negotiate

HTML, V1_HTML, V1_JSON = Representation.HTML, Representation.V1_HTML, Representation.V1_JSON
JSON_TYPE, HTML_TYPE = "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html"
LATEST_JSON = "application/vnd.pypi.simple.latest+json"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, HTML),
        ("", HTML),
        ("*/*", HTML),
        ("text/html", HTML),
        ("text/*", HTML),
        ("image/png", HTML),
        (JSON_TYPE, V1_JSON),
        (HTML_TYPE, V1_HTML),
        ("application/vnd.pypi.simple.latest+json", V1_JSON),
        ("application/vnd.pypi.simple.latest+html", V1_HTML),
        ("APPLICATION/VND.PYPI.SIMPLE.V1+JSON", V1_JSON),
        # pip, uv, poetry
        (f"{JSON_TYPE}, {HTML_TYPE}; q=0.1, text/html; q=0.01", V1_JSON),
        (f"{JSON_TYPE}, {HTML_TYPE};q=0.2, text/html;q=0.01", V1_JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        # The weight decides, not the order, and a weight of 0 is a refusal.
        (f"{JSON_TYPE};q=0.1, {HTML_TYPE};q=0.9", V1_HTML),
        (f"{JSON_TYPE};q=0.5, text/html;q=0.4", V1_JSON),
        (f"{JSON_TYPE};q=0.4, text/html;q=0.5", HTML),
        (f"{JSON_TYPE};q=0, text/html;q=0.1", HTML),
        (f"{JSON_TYPE};q=0", HTML),
        (f"{JSON_TYPE};q=0.5, text/html;q=0.5", HTML),
        (f"{JSON_TYPE}, */*;q=0.1", V1_JSON),
        ("application/vnd.pypi.simple.v2+json", HTML),
        (f"application/vnd.pypi.simple.v2+json, {JSON_TYPE};q=0.1", V1_JSON),
        (f"{JSON_TYPE};q=nonsense, text/html;q=0.5", HTML),
        # What is named counts before a wildcard, by either of its names (RFC 9110, 12.5.1).
        (f"{JSON_TYPE};q=0, {HTML_TYPE};q=0, application/*", HTML),
        (f"{JSON_TYPE};q=0, application/*;q=0.5", V1_HTML),
        (f"{HTML_TYPE};q=0, application/*;q=0.5", V1_JSON),
        (f"{LATEST_JSON};q=0, {HTML_TYPE};q=0, application/*", HTML),
        (f"{LATEST_JSON};q=0.1, text/html;q=0.2, application/*;q=0", HTML),
        (f"{LATEST_JSON};q=0.3, text/html;q=0.2, */*;q=0.1", V1_JSON),
        ("text/html;q=0, */*", V1_HTML),
        # Named twice, the higher weight counts.
        (f"{JSON_TYPE};q=0.1, {JSON_TYPE};q=0.9, text/html;q=0.5", V1_JSON),
        (f"{JSON_TYPE};q=0.1, {LATEST_JSON};q=0.9, text/html;q=0.5", V1_JSON),
        # Weights that are none leave their range out; an empty one is as if it were absent.
        *((f"{JSON_TYPE};q={weight}, text/html;q=0.1", HTML) for weight in ("nan", "inf", "1e400", "-1", "2", "0x1", "1_0", "9" * 400)),
        (f"{JSON_TYPE};q=, text/html;q=0.1", V1_JSON),
        (f"{JSON_TYPE};q=0.{'0' * 400}1, text/html;q=0", HTML),
        (f"{JSON_TYPE};q=0.{'9' * 400}, text/html;q=0.9", V1_JSON),
        # As much as a line of a request may hold.
        (f"{', '.join(f'a/b{number};q=0.9' for number in range(1000))}, {JSON_TYPE};q=0.1", V1_JSON),
        (f"{'x' * 10_000}, {JSON_TYPE}", V1_JSON),
        (f"{',' * 10_000}{JSON_TYPE}", V1_JSON),
        (f"text/html{';a=b' * 2500}, {JSON_TYPE};q=0.1", V1_JSON),
        (f'text/html;a="{"," * 10_000}", {JSON_TYPE};q=0.1', V1_JSON),
        # Quoted, escaped, encoded, in several lines or in other scripts.
        (f'{JSON_TYPE};q="0.5", text/html;q=0.4', V1_JSON),
        (f"{JSON_TYPE};q*=nobody''1, text/html;q=0.1", V1_JSON),
        (f"{JSON_TYPE}\0, text/html;q=0.1", HTML),
        ("application/vnd.pypi.\u017fimple.v1+json, text/html;q=0.1", HTML),
        ("\uff41pplication/vnd.pypi.simple.v1+json", HTML),
    ],
)
def test_the_accept_header_chooses(accept: str | None, expected: Representation) -> None:
    """The highest weight wins; a tie, a wildcard and an impossible wish get text/html."""
    assert negotiate(accept) is expected


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (JSON_TYPE, V1_JSON),
        ("application/vnd.pypi.simple.latest+json", V1_JSON),
        (HTML_TYPE, V1_HTML),
        ("application/vnd.pypi.simple.latest+html", V1_HTML),
        ("text/html", HTML),
        # As a query's "+" arrives.
        ("application/vnd.pypi.simple.v1 json", V1_JSON),
        ("application/vnd.pypi.simple.latest html", V1_HTML),
    ],
)
def test_the_format_parameter_wins(requested: str, expected: Representation) -> None:
    """`?format=` is stronger than any Accept header (PEP 691)."""
    assert negotiate(f"{JSON_TYPE}, text/html;q=0.1", requested) is expected
    assert negotiate("text/html, */*;q=0", requested) is expected
    assert negotiate(None, requested) is expected


@pytest.mark.parametrize(
    "requested",
    ["", " ", "json", "text/ html", "TEXT/HTML", "application/vnd.pypi.simple.v9+json", f"{JSON_TYPE} ", f"{JSON_TYPE}, text/html"],
)
def test_an_unknown_format_is_as_if_it_were_absent(requested: str) -> None:
    """A format nobody knows leaves the choice to the Accept header."""
    assert negotiate(JSON_TYPE, requested) is V1_JSON
    assert negotiate(None, requested) is HTML


types = st.sampled_from([JSON_TYPE, HTML_TYPE, "text/html", "*/*", "text/*", "application/*", "application/vnd.pypi.simple.latest+json"])
weights = st.sampled_from(["", ";q=0", ";q=1", ";q=0.5", ";q=-1", ";q=1e9", ";q=nan", ";q=inf", ";q=", ";q", ";q=0.5;q=0.1", ';q="1"'])
hostile = st.one_of(
    st.text(max_size=60),
    st.text("*/;,=q.0159+ \t\"'\\\0\r\n", max_size=60),
    st.lists(st.tuples(types, weights).map("".join), max_size=5).map(",".join),
)


@given(hostile, st.one_of(st.none(), st.text(max_size=20)))
def test_any_header_gets_one_of_the_three(accept: str, requested: str | None) -> None:
    """Whatever a client sends, the answer is one of the three types and never an exception."""
    found = negotiate(accept, requested)
    assert found in Representation
    assert found.content_type == f"{found.value}; charset=utf-8"
    assert found.is_json == found.value.endswith("json")


@given(st.permutations([(JSON_TYPE, 3), (HTML_TYPE, 2), ("text/html", 1)]), st.permutations([9, 5, 1]))
def test_order_never_matters(types: list[tuple[str, int]], weights: list[int]) -> None:
    """The order of the types in the header is no preference."""
    given_weights = {kind: weight for (kind, _), weight in zip(types, weights, strict=True)}
    best = max(given_weights, key=given_weights.__getitem__)
    assert negotiate(", ".join(f"{kind};q=0.{weight}" for kind, weight in given_weights.items())).value == best


@given(st.lists(st.tuples(types, st.sampled_from([0, 1, 3, 10])), max_size=6))
def test_a_refused_type_is_never_sent(ranges: list[tuple[str, int]]) -> None:
    """A type with weight 0 under each name it is given is sent only as text/html, which stands for nothing being acceptable."""
    found = negotiate(", ".join(f"{kind};q={weight / 10}" for kind, weight in ranges))
    mine = {found.value, found.value.replace("v1", "latest")}
    named = [weight for kind, weight in ranges if kind in mine]
    assert found is HTML or not named or max(named) > 0
