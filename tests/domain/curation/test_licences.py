"""Licences and the patterns that accept them."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.domain.curation.licences import accepted, licence_of
from registry.domain.wildcards import fits


@pytest.mark.parametrize(
    ("licence", "allow", "deny", "good"),
    [
        ("MIT", ("MIT",), (), True),
        ("mit", ("MIT",), (), True),
        ("MIT", ("mit",), (), True),
        ("MIT-0", ("MIT",), (), False),
        ("BSD-3-Clause", ("BSD-*",), (), True),
        ("MIT", (), (), True),
        ("AGPL-3.0-only", (), ("AGPL-*",), False),
        ("MIT", ("MIT",), ("MIT",), False),
        # One side of an OR will do, both of an AND must.
        ("MIT OR AGPL-3.0-only", (), ("AGPL-*",), True),
        ("MIT OR AGPL-3.0-only", ("MIT",), (), True),
        ("MIT AND AGPL-3.0-only", (), ("AGPL-*",), False),
        ("MIT AND BSD-3-Clause", ("MIT",), (), False),
        ("MIT AND BSD-3-Clause", ("MIT", "BSD-*"), (), True),
        ("AGPL-3.0-only AND MIT OR BSD-3-Clause", (), ("AGPL-*",), True),
        ("AGPL-3.0-only OR MIT AND BSD-3-Clause", (), ("AGPL-*",), True),
        ("AGPL-3.0-only AND (MIT OR BSD-3-Clause)", (), ("AGPL-*",), False),
        ("(AGPL-3.0-only OR MIT) AND (GPL-3.0-only OR BSD-3-Clause)", (), ("AGPL-*", "GPL-*"), True),
        ("((MIT))", ("MIT",), (), True),
        ("Apache-2.0 WITH LLVM-exception", ("Apache-2.0",), (), True),
        ("Apache-2.0 WITH LLVM-exception OR AGPL-3.0-only", ("Apache-2.0 WITH *",), (), True),
        ("Apache-2.0", ("Apache-2.0 WITH *",), (), False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", (), ("GPL-2.0-only",), False),
        ("GPL-2.0+", (), ("GPL-2.0+",), False),
        # What is no expression is one licence as it stands.
        ("Some Licence OR MIT", ("MIT",), (), False),
        ("Some Licence", ("some *",), (), True),
        ("MIT License\nApache Software License", ("MIT*",), (), False),
        ("MIT License\nApache Software License", ("MIT*", "apache*"), (), True),
        ("", ("*",), (), False),
    ],
)
def test_what_is_accepted(licence: str, allow: tuple[str, ...], deny: tuple[str, ...], good: bool) -> None:
    """An expression is taken at its word, deny goes before allow, no allow is all, and every line must be accepted."""
    assert accepted(licence, allow, deny) is good


_leaves = st.sampled_from(["MIT", "BSD-3-Clause", "AGPL-3.0-only", "Apache-2.0 WITH LLVM-exception"])
_trees = st.recursive(
    _leaves.map(lambda leaf: (leaf, leaf)),
    lambda inner: st.builds(
        lambda left, word, right: (f"({left[0]}) {word} ({right[0]})", (word, left[1], right[1])),
        inner,
        st.sampled_from(["AND", "OR"]),
        inner,
    ),
    max_leaves=6,
)


def by_hand(tree: Any, deny: tuple[str, ...]) -> bool:
    """What an expression means, from its tree."""
    if isinstance(tree, str):
        return not any(fits(pattern, form) for pattern in deny for form in (tree, tree.split(" WITH ", maxsplit=1)[0]))
    word, left, right = tree
    both = (by_hand(left, deny), by_hand(right, deny))
    return all(both) if word == "AND" else any(both)


@given(_trees, st.lists(st.sampled_from(["MIT", "BSD-*", "AGPL-*", "Apache-2.0", "*"]), max_size=2).map(tuple))
def test_expressions_mean_what_they_say(written: tuple[str, Any], deny: tuple[str, ...]) -> None:
    """However ANDs and ORs are nested, the answer is that of the expression."""
    assert accepted(written[0], (), deny) == by_hand(written[1], deny)


@given(
    st.one_of(st.text(max_size=40), st.lists(st.sampled_from(["MIT", "AND", "OR", "WITH", "(", ")", "\n", "x"]), max_size=8).map(" ".join))
)
@example("(" * 199 + "MIT" + ")" * 199)
@example("(" * 100_000)
@example("MIT" + " OR MIT" * 100_000)
@example("MIT AND " * 124 + "MIT")
def test_any_text_is_a_licence(text: str) -> None:
    """Any text is accepted by a pattern of everything unless it is blank, and refused by a denial of everything."""
    assert accepted(text, ("*",), ()) == bool(text.strip())
    assert not accepted(text, (), ("*",))


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ({"license_expression": "MIT", "license": "GPL", "classifiers": ("License :: OSI Approved :: BSD License",)}, "MIT"),
        ({"license": "GPL", "classifiers": ("License :: OSI Approved :: BSD License", "Topic :: Utilities")}, "BSD License"),
        ({"classifiers": ["License :: OSI Approved :: BSD License", "License :: Public Domain"]}, "BSD License\nPublic Domain"),
        ({"license": "GPL", "classifiers": ("License :: OSI Approved", "Topic :: Utilities")}, "GPL"),
        ({"license": "\n  MIT License  \n\nCopyright by everybody"}, "MIT License"),
        ({"license": "UNKNOWN"}, None),
        ({"license": " \n"}, None),
        ({"license_expression": "  "}, None),
        ({}, None),
    ],
)
def test_where_a_licence_is_told(metadata: dict[str, object], licence: str | None) -> None:
    """The expression goes before classifiers, these before the text, of which the first line counts; what says nothing is None."""
    assert licence_of(metadata) == licence
