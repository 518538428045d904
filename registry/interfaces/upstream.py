"""What is known of upstreams, and what of theirs is kept."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime

from zope.interface import Interface

from registry.domain.access import Place
from registry.domain.model import Actor
from registry.domain.names import Name
from registry.domain.upstream import Claim, Dossier, Forgotten, Holding, KeptFile, Said


class IUpstreamCatalog(Interface):
    """What is ours and nobody else's, what upstreams said, and what of theirs is kept. Only sharing is told in the journal."""

    async def claim(name: Name, project_ids: Sequence[int]) -> Claim:
        """Whose `name` is: the `Claim` as far as these projects are concerned. True to the last commit of anybody.

        It is shared among several if one of them shares it, and so do all of them that hold something under it.
        """

    async def dossier(
        name: Name, project_ids: Sequence[int], place: Place | None, sources: Sequence[str], at_hand: Mapping[str, Said]
    ) -> Dossier:
        """The `Dossier` of a name for these projects. True to the last commit of anybody.

        That is its claim, whether upstreams may be asked in `place` (None: they may not), and if they may, what these upstreams said and
        what of theirs is kept. `at_hand`: what the caller knows by upstream already; what is still so is given back, not read anew.
        """

    async def share(project_id: int, name: Name, actor: Actor, *, shared: bool) -> None:
        """Let a project fetch a name of ours from upstream beside its own, or no longer. What changes nothing leaves no journal row.

        Raises `UnknownProject`, and `InvalidSetting` for a name that no file could have.
        """

    async def shared(project_id: int) -> tuple[str, ...]:
        """The normalised names that are shared in a project, sorted."""

    async def said(source: str, name: Name) -> Said | None:
        """What this upstream `Said` last about `name`; None if it was never asked, or the answer was forgotten."""

    async def keep_page(said: Said, *, confirmed: bool = False) -> None:
        """Keep what an upstream said; `confirmed`: it is what it had said before, at a later moment."""

    async def pages(*, limit: int, offset: int) -> list[tuple[str, str, datetime]]:
        """A part of what was said, by name: upstream, name, moment."""

    async def kept(name: Name) -> list[KeptFile]:
        """The `KeptFile`s of a name, oldest first."""

    async def keep_file(file: KeptFile) -> None:
        """Note that a file's blobs are kept. What is known of the same file already is kept with it."""

    async def used(moments: Mapping[int, datetime]) -> None:
        """Note when kept files (by number) were used last."""

    async def size() -> int:
        """How many bytes the kept files have, with their metadata; bytes that several share count for each of them."""

    async def least_used(limit: int) -> list[KeptFile]:
        """The kept files that were used longest ago."""

    async def files(*, limit: int, offset: int) -> list[KeptFile]:
        """A part of the kept files, by name and file name."""


class IKeeping(Interface):
    """What is kept of upstreams, for whoever makes room.

    What changes files is told in the journal, so that no memory offers what is gone. Forgetting pages that are given to nobody is not.
    """

    async def holdings() -> list[Holding]:
        """How much is kept of each upstream: a `Holding` each, by name of the upstream."""

    def files_by_digest() -> AsyncIterator[list[KeptFile]]:
        """All kept files, in the order of their digests: an async iterator of lists."""

    async def larger_than(size: int) -> list[int]:
        """The numbers of the kept files that take more than `size` bytes, with their metadata."""

    async def evict(ids: Sequence[int], actor: Actor) -> Forgotten:
        """Forget kept files by number, to make room (`upstream.evict`). Their bytes are the caller's to release."""

    async def purge(names: Sequence[Name] | None, actor: Actor) -> Forgotten:
        """Forget what was said of these names, and their kept files; None: of all (`upstream.purge`, for each name)."""

    async def take_in(pages: Sequence[Said], files: Sequence[KeptFile], actor: Actor) -> int:
        """Keep pages that are newer than what is known, and note that files are kept, all or nothing (`upstream.import`); how many pages.

        The blobs of the files are kept already.
        """

    async def forget_absent(before: datetime, spare: Collection[str], limit: int) -> int:
        """Forget that upstreams, but those to `spare`, have no such name, where they said so before a moment; how many answers that were.

        The oldest first, at most `limit` of them.
        """

    async def forget_unused(before: Mapping[str, datetime], otherwise: datetime, spare: Collection[str], limit: int) -> int:
        """Forget pages that were confirmed and taken in before a moment, by upstream; how many pages that were, at most `limit`.

        `otherwise`: the moment for upstreams that are neither there nor to be spared. While a file of the name is kept from an upstream of
        `before` its page stays.
        """

    async def forget_surplus(most: int, spare: Collection[str], limit: int) -> int:
        """Forget what upstreams, but those to `spare`, said, until there are `most` answers; how many were forgotten, at most `limit`.

        First that there are no such names, then pages, the oldest first.
        """
