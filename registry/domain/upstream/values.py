"""What is configured of an upstream, what it said, and what of it is kept."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum

from attrs import frozen

from registry.domain.model import Page
from registry.domain.names import Name
from registry.domain.wildcards import fits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Mode(Enum):
    """What becomes of an upstream's answers."""

    CACHE = "cache"  # given to the client as they come, and kept
    STREAM = "stream"  # given to the client, and not kept
    REDIRECT = "redirect"  # the client is sent there (GitLab)
    OFFLINE = "offline"  # nobody is asked; what is kept is given, however old it is
    OFF = "off"


@frozen(kw_only=True)
class Upstream:
    """One index. `url` ends in a slash; `names` are patterns of what is asked there (empty: every name)."""

    name: str
    url: str
    mode: Mode = Mode.CACHE
    names: tuple[str, ...] = ()
    fresh_for: timedelta = timedelta(minutes=5)
    stale_for: timedelta = timedelta(days=7)

    def serves(self, name: str) -> bool:
        """Whether the normalised `name` may be asked here."""
        return self.mode is not Mode.OFF and (not self.names or any(fits(pattern, name) for pattern in self.names))

    def page(self, name: str) -> str:
        """The address of a name's page."""
        return f"{self.url}{name}/"


@frozen(kw_only=True)
class Said:
    """What an upstream said about a name: its page, or None where it has no such name. `fetched_at`: when it said or confirmed that."""

    source: str
    name: Name
    page: Page | None
    etag: str
    fetched_at: datetime


@frozen(kw_only=True)
class KeptFile:
    """An upstream's file whose bytes are kept here; `metadata` is the digest and size of its core metadata, if that is kept too.

    `told`: the digests beside sha256 that its index told when it came, by hashlib name; none may be known.
    """

    source: str
    name: str
    filename: str
    sha256: str
    size: int
    metadata: tuple[str, int] | None = None
    licence: str | None = None  # as its core metadata tells it; None: that was never read
    told: tuple[tuple[str, str], ...] = ()
    id: int = 0
    kept_at: datetime = _EPOCH
    used_at: datetime = _EPOCH

    @property
    def bytes(self) -> int:
        """What it takes, its metadata included."""
        return self.size + (self.metadata[1] if self.metadata is not None else 0)


@frozen(kw_only=True)
class Holding:
    """How much is kept of one upstream; files with their metadata, in bytes."""

    source: str
    pages: int
    files: int
    bytes: int


@frozen(kw_only=True)
class Forgotten:
    """How much was forgotten; `digests` are those of the files' blobs, some of which something else may name."""

    pages: int = 0
    files: int = 0
    bytes: int = 0
    digests: frozenset[str] = frozenset()

    def and_more(self, other: "Forgotten") -> "Forgotten":
        """Both together."""
        return Forgotten(
            pages=self.pages + other.pages,
            files=self.files + other.files,
            bytes=self.bytes + other.bytes,
            digests=self.digests | other.digests,
        )


@frozen(kw_only=True)
class Claim:
    """Whose a name is. `own`: it was published here once; `shared`: the projects in question may fetch it from upstream all the same."""

    own: bool
    shared: bool


@frozen(kw_only=True)
class Dossier:
    """All that is on file about a name, as far as one place is concerned. `enabled`: upstreams may be asked there; `said`: by upstream."""

    claim: Claim
    enabled: bool
    said: Mapping[str, Said]
    kept: Sequence[KeptFile]
