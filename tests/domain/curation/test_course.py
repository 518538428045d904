"""Whose files go first: the page and the door decide alike."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.curation.course import OURS_FIRST, ours_first
from registry.domain.model import Page, ProjectStatus
from registry.domain.upstream import merged
from tests.strategies import pages
from tests.upstream_pages import upstream_pages


@given(ours=st.none() | pages(), theirs=upstream_pages(), data=st.data())
def test_a_file_is_on_the_page_exactly_if_its_door_is_open(ours: Page | None, theirs: Page, data: st.DataObject) -> None:
    """Of an upstream's files the merged page has those that `ours_first` lets through, and no other (hardening rows 22 and 24)."""
    theirs = evolve(theirs, status=ProjectStatus.ACTIVE)
    if ours is not None and ours.files and theirs.files and data.draw(st.booleans()):
        twin = evolve(data.draw(st.sampled_from(theirs.files)), filename=data.draw(st.sampled_from(ours.files)).filename)
        theirs = evolve(theirs, files=(*(file for file in theirs.files if file.filename != twin.filename), twin))
    page = merged(ours, [theirs])
    assert page is not None
    listed = {file.filename for file in page.files if file.source} if page.status.offers_files else set()
    assert listed == {file.filename for file in theirs.files if ours_first(ours, file) is None}


@given(ours=pages(), theirs=upstream_pages())
def test_what_goes_first_is_told(ours: Page, theirs: Page) -> None:
    """The verdict is a refusal with its rule, and a sentence that begins with it."""
    for file in theirs.files:
        verdict = ours_first(ours, file)
        if verdict is not None:
            assert not verdict.allowed
            assert verdict.rule in {OURS_FIRST, "quarantine"}
            assert verdict.reason.startswith(f"Blocked by {verdict.rule}: ")
