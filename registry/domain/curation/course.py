"""What becomes of a question about a name: whether upstreams are asked, and whose files go first."""

from enum import Enum

from registry.domain.curation.judging import Rule, Verdict
from registry.domain.errors import shown
from registry.domain.model import File, Page

# The rule that keeps back an upstream's file because ours has its name.
OURS_FIRST = "ours-first"


class Course(Enum):
    """What becomes of a question about a name in a place, and why. The values are for ever: programs read them."""

    OURS = "ours"  # it was published in this registry once, and upstreams are never asked
    RESERVED = "reserved"  # it belongs to this registry whether or not it was published
    SHARED = "shared"  # it is ours, and by an administrator's leave upstreams are asked, too
    FORWARDED = "forwarded"  # upstreams are asked
    OFF = "off"  # upstreams would be asked, but not in this place
    UNSERVED = "unserved"  # no upstream is configured to be asked about it
    NOTHING = "nothing"  # nobody has it, or it is ours where the caller may not look: which of these he is not told

    @property
    def asks(self) -> bool:
        """Whether upstreams are asked."""
        return self in {Course.SHARED, Course.FORWARDED}


def ours_first(ours: Page | None, file: File) -> Verdict | None:
    """What keeps an upstream's file back because of what is held here of its name; None where nothing does.

    One file name is one file: ours, if there is one. And a name that is quarantined here offers nobody's files.
    """
    if ours is None:
        return None
    if not ours.status.offers_files:
        name = ours.name.normalized
        return Verdict(False, Rule.QUARANTINE.value, f"Blocked by quarantine: {name} is quarantined in this registry; use another name")
    if any(mine.filename == file.filename for mine in ours.files):
        what = f"{shown(file.filename)} is published in this registry, and that file is the one which is served; use it"
        return Verdict(False, OURS_FIRST, f"Blocked by {OURS_FIRST}: {what}")
    return None
