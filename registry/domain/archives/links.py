"""Links among members, and where following them would lead."""

from collections.abc import Mapping

from registry.domain.archives.refusals import member, refusal


def demand_links_inside(symlinks: Mapping[str, str], hardlinks: Mapping[str, str], top: str) -> None:
    """Refuse links that lead out of the folder `top` (plain; empty for the archive's own), or through another link.

    Both map a member's plain path to its target as written: a symlink's is relative to where it lies, a hard link's to the archive. Going
    through a link is refused because where it leads depends on that link, so that no look at the text can tell.
    """
    for path, target in symlinks.items():
        _demand(path, target, path.split("/")[:-1], symlinks, top)
    for path, target in hardlinks.items():
        _demand(path, target, [], symlinks, top)


def _demand(path: str, target: str, start: list[str], symlinks: Mapping[str, str], top: str) -> None:
    here, outside = start, target.startswith("/") or "\\" in target or target[1:2] == ":" or "\0" in target
    segments = [segment for segment in target.split("/") if segment not in {"", "."}]
    for index, segment in enumerate(segments):
        if segment == "..":
            outside = outside or not here
            here = here[:-1]
        else:
            here = [*here, segment]
            if index < len(segments) - 1 and "/".join(here) in symlinks:
                raise refusal(f"has a link {member(path)} to {member(target)}, which goes through another link: link to the file itself")
        outside = outside or (top != "" and here[:1] != [top])
    if outside:
        raise refusal(f"has a link {member(path)} to {member(target)}, which leads out of its folder: put the file itself into the archive")
