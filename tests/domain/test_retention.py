"""For how long what upstreams said is worth keeping."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from registry.domain.retention import Retention
from registry.domain.upstream import Mode, Upstream

SPANS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365))


@given(mode=st.sampled_from(Mode), fresh_for=SPANS, stale_for=SPANS)
def test_a_page_is_kept_while_it_may_be_given(mode: Mode, fresh_for: timedelta, stale_for: timedelta) -> None:
    """An upstream's pages are kept while they are believed and while they may stand in for it; for ever where nobody can be asked."""
    retention = Retention.of([Upstream(name="one", url="", mode=mode, fresh_for=fresh_for, stale_for=stale_for)])
    if mode is Mode.OFFLINE:
        assert (dict(retention.spans), retention.forever) == ({}, frozenset({"one"}))
    else:
        assert (dict(retention.spans), retention.forever) == ({"one": max(fresh_for, stale_for)}, frozenset())


def test_what_nobody_configures_is_kept_for_a_week() -> None:
    """Of an upstream that is not configured (any more), pages are kept for as long as by default."""
    assert Retention.of([]).otherwise == Retention().otherwise == timedelta(days=7)
