"""Paths of members: what they would become when unpacked, and whether two of them would meet."""

import re
from collections.abc import Iterable

from registry.domain.archives.refusals import member, refusal
from registry.domain.errors import InvalidArchive

_CLIMBS = re.compile(r"^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)|[\0-\x1f\x7f]")
_NEEDLESS = re.compile(r"(?:^|/)\.?(?:/|$)")


def demand_inside(path: str) -> None:
    """Refuse a member that would be unpacked elsewhere than below the folder of its archive, on any system."""
    if _CLIMBS.search(path):
        raise refusal(
            f"has a member {member(path)} that could be unpacked outside of its folder: use relative paths with '/', without '..', drive "
            "or control character"
        )


def plain(path: str) -> str:
    """`path` without empty segments and dots: two members of one plain path are one file when unpacked."""
    if not _NEEDLESS.search(path):
        return path
    return "/".join(segment for segment in path.split("/") if segment not in {"", "."})


def demand_apart(paths: Iterable[tuple[str, bool]], *, folders_repeat: bool) -> None:
    """Refuse members that meet when unpacked. Each is its plain path, and whether it is a folder; tars may name a folder repeatedly."""
    # With a slash behind each, whatever lies below a path sorts directly after it.
    before, before_folder = "", True
    for path, folder in sorted((f"{path}/", folder) for path, folder in paths):
        meet = path == before if before_folder else path.startswith(before)
        if meet and not (before_folder and folder and folders_repeat):
            raise _met(before, path)
        before, before_folder = path, folder


def _met(before: str, path: str) -> InvalidArchive:
    if path == before:
        return refusal(f"has the member {member(path[:-1])} twice: installers differ in which they take; build it from a clean folder")
    return refusal(f"has a member {member(before[:-1])} that is a file, and another, {member(path[:-1])}, inside it: remove one")
