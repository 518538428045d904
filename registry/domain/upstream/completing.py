"""Pages of upstreams, with what is known beside what their indexes tell: by kept files, by what was found out, and by files of ours."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve

from registry.domain.facts import CORE_METADATA, HASHES, SIZE, Fact, fact, told, with_facts
from registry.domain.filenames import METADATA_ENDING
from registry.domain.model import File, Page
from registry.domain.upstream.values import KeptFile, Said


def merged(ours: Page | None, theirs: Sequence[Page]) -> Page | None:
    """One page of several: of files with one name the first stands for all, ours before any upstream's."""
    pages = [page for page in (ours, *theirs) if page is not None]
    if not pages:
        return None
    first: dict[str, File] = {}
    for page in pages:
        for file in page.files if page.status.offers_files else ():
            first.setdefault(file.filename, file)
    return evolve(pages[0], files=tuple(first.values()))


def stands_for(kept: KeptFile, file: File) -> bool:
    """Whether a kept file is the one that is listed, as far as its index tells.

    Where a SHA-256 is known, that decides, whatever upstream the bytes came from. Else it must have come from the same upstream under this
    name, have the size that the index tells, and no other digest than the index tells, of those that it told when the bytes came: an index
    may replace a file in place. What only one of the two tells says nothing.
    """
    if kept.filename != file.filename:
        return False
    if file.sha256:
        return kept.sha256 == file.sha256
    if kept.source != file.source or (told(file, SIZE) and kept.size != file.size):
        return False
    then = dict(kept.told)
    return all(then.get(algorithm, digest) == digest for algorithm, digest in file.digests)


def standing_for(file: File, kept: Iterable[KeptFile]) -> list[KeptFile]:
    """Those of the kept files (oldest first) that are the one that is listed, the newest first: it is what its index gave last."""
    return [one for one in kept if stands_for(one, file)][::-1]


def replaced(file: File, kept: Iterable[KeptFile]) -> list[KeptFile]:
    """The kept files in whose place its upstream has put the one that is listed. None where a SHA-256 is told: both have their address."""
    if file.sha256:
        return []
    return [one for one in kept if (one.source, one.filename) == (file.source, file.filename) and not stands_for(one, file)]


def available(page: Page, kept: Sequence[KeptFile]) -> Page:
    """The page with those of its files only that are kept, and no facts that only its index can serve. For who cannot ask anybody."""
    known = _by_filename(kept)
    metadata = {file.metadata[0] for file in kept if file.metadata is not None}
    return evolve(
        page,
        files=tuple(
            evolve(
                file if file.metadata_sha256 in metadata else with_facts(file, {CORE_METADATA: ""}),
                provenance=False,
                provenance_url="",
            )
            for file in page.files
            if any(one.source == file.source for one in standing_for(file, known.get(file.filename, ())))
        ),
    )


def completed(page: Page, kept: Sequence[KeptFile]) -> Page:
    """The page with what is known of those of its files that are kept (oldest first), and that its index does not tell.

    What a kept file says of itself goes before what was found out without it: a digest of core metadata that is not its own is taken away.
    """
    if not kept:
        return page
    known = _by_filename(kept)
    return evolve(page, files=tuple(_completed(file, known.get(file.filename, ())) for file in page.files))


def _by_filename(kept: Iterable[KeptFile]) -> dict[str, list[KeptFile]]:
    found: dict[str, list[KeptFile]] = {}
    for one in kept:
        found.setdefault(one.filename, []).append(one)
    return found


def _completed(file: File, kept: Sequence[KeptFile]) -> File:
    # Most files of a page are not kept.
    standing = standing_for(file, kept) if kept else []
    if not standing:
        return file
    found = standing[0]
    facts: dict[str, Fact] = {
        HASHES: found.sha256,
        SIZE: found.size,
        CORE_METADATA: found.metadata[0] if found.metadata is not None else "",
    }
    changes = {key: value for key, value in facts.items() if not told(file, key) and value != fact(file, key)}
    return with_facts(file, changes) if changes else file


def carried(page: Page, before: Page | None) -> Page:
    """The page as it was fetched now, with what was found out about those of its files that were on it `before`.

    The same file is one of the same name, digests and address; where a SHA-256 tells, what follows the path in the address may differ, as
    signed addresses do every time. If the index tells by now what was found out and it differs, all that was found out is in doubt, and
    none of it is carried.
    """
    known = {_identity(file): file for file in before.files if file.filled} if before is not None else {}
    return evolve(page, files=tuple(_carried(file, known.get(_identity(file))) for file in page.files)) if known else page


def _identity(file: File) -> tuple[object, ...]:
    return file.filename, file.sha256, file.digests, file.url.partition("?")[0] if file.sha256 else file.url


def _carried(file: File, before: File | None) -> File:
    if before is None or any(told(file, key) and fact(file, key) != fact(before, key) for key in before.filled):
        return file
    lacking = {key: fact(before, key) for key in before.filled if not told(file, key)}
    return with_facts(file, lacking) if lacking else file


def completed_of(said: Said, files: Sequence[KeptFile]) -> tuple[Page, Mapping[str, str]]:
    """The page that an upstream has told of, completed by the kept files of its name; and the licences that are known, by file name."""
    page = said.page
    assert page is not None, "it has told of one"
    of_versions: dict[str, str] = {}
    files = [one for one in files if one.source == said.source]
    listed = {file.filename: file for file in page.files} if files else {}
    for one in files:
        file = listed.get(one.filename.removesuffix(METADATA_ENDING))
        if one.licence is not None and file is not None and _speaks_of(one, file):
            of_versions[file.version] = one.licence
    # All files of a version are under one licence.
    licences = {file.filename: of_versions[file.version] for file in page.files if file.version in of_versions} if of_versions else {}
    return completed(page, files), licences


def _speaks_of(kept: KeptFile, file: File) -> bool:
    """Whether a kept file is the one that is listed, or its core metadata: not those of a file that was there before."""
    return kept.sha256 == file.metadata_sha256 if kept.filename.endswith(METADATA_ENDING) else stands_for(kept, file)
