"""Checks: which there are, and how they are switched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.archives.checks import Check, Checks

names = st.sampled_from([check.value for check in Check])


@given(st.sampled_from(["strict", "lenient"]), st.sets(names), st.sets(names))
def test_a_level_is_changed_by_what_is_switched(level: str, also: set[str], without: set[str]) -> None:
    """A check is on if its level has it or it is switched on, and it is not switched off; one that is in both lists is an error."""
    if also & without:
        with pytest.raises(ValueError, match="on and off at once"):
            Checks.of(level, also, without)
        return
    checks = Checks.of(level, also, without)
    for check in Check:
        of_level = check.strict if level == "strict" else check.lenient
        assert (check in checks) is ((of_level or check.value in also) and check.value not in without)


def test_every_check_says_what_it_refuses() -> None:
    """Each check has a name for a configuration file and one sentence; whatever lenient asks for, strict does, too."""
    for check in Check:
        assert check.value.replace("-", "").isalpha()
        assert check.value.islower()
        assert check.doc.endswith(".")
        assert "  " not in check.doc
        assert check.strict or not check.lenient
    assert len({check.doc for check in Check}) == len(Check)


def test_what_only_the_public_index_needs_is_off() -> None:
    """Local versions and plain linux tags are taken unless somebody asks otherwise."""
    assert {Check.LOCAL_VERSIONS, Check.LINUX_TAGS}.isdisjoint(Checks.of("strict").on)
    assert Checks.of("strict", without=["record"]).on == Checks.of("strict").on - {Check.RECORD}


@pytest.mark.parametrize(
    ("level", "also", "sentence"),
    [
        ("strict", ["zip-framin"], "There is no check 'zip-framin'. Did you mean 'zip-framing'? Known are: zip-framing, "),
        ("strict", ["?"], "There is no check '?'. Known are: "),
        ("Strict", [], "There is no level of checks 'Strict'. Did you mean 'strict'? Known are: strict, lenient"),
    ],
)
def test_an_unknown_name_is_told_with_the_known_ones(level: str, also: list[str], sentence: str) -> None:
    """A misspelt level or check is an error whose sentence has the closest name and all the others."""
    with pytest.raises(ValueError, match=r"^There is no") as refused:
        Checks.of(level, also)
    assert str(refused.value).startswith(sentence)
    with pytest.raises(ValueError, match=r"^There is no"):
        Checks.of(level, (), also or ["?"])
