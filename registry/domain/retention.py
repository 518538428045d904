"""For how long what upstreams said is worth keeping."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from attrs import field, frozen

from registry.domain.upstream import Mode, Upstream

# "There is no such name" is believed for a minute; twice that leaves clocks, and answers on their way, some room.
ABSENT_FOR = timedelta(minutes=2)
# Of an upstream that is not configured any more: its section may have been renamed by mistake.
_UNKNOWN_FOR = Upstream(name="", url="").stale_for


@frozen(kw_only=True)
class Retention:
    """Which of the pages that upstreams sent may still be given to somebody, by their age."""

    spans: Mapping[str, timedelta] = field(factory=dict)  # by upstream: a page that is older is given to nobody
    forever: frozenset[str] = frozenset()  # upstreams whose pages are given however old they are
    otherwise: timedelta = _UNKNOWN_FOR  # of upstreams that are neither here nor there

    @classmethod
    def of(cls, upstreams: Iterable[Upstream]) -> "Retention":
        """What these upstreams are configured to give."""
        known = list(upstreams)
        return cls(
            # A page may be believed for longer than it would be given without being believed.
            spans={one.name: max(one.stale_for, one.fresh_for) for one in known if one.mode is not Mode.OFFLINE},
            forever=frozenset(one.name for one in known if one.mode is Mode.OFFLINE),
        )
