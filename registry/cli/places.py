"""Groups and projects, as options of commands name them."""

import click

from registry.cli.store import result
from registry.composition import Store
from registry.domain.access import ANYBODY, Place
from registry.domain.errors import Missing
from registry.domain.paths import id_in


def place_named(store: Store, kind: str, ref: str) -> Place:
    """The group or project (`kind`) with this number or path. Raises `Missing`."""
    number = id_in(ref)
    found, _ = result(store.access.enter(kind, ref if number is None else number, ANYBODY))
    if found is None:
        raise Missing(what=kind, value=ref)
    return found


def place_chosen(store: Store, *, group: str | None, project: str | None) -> Place | None:
    """What `--group` or `--project` names; None without either. Both are wrong usage (status 2). Raises `Missing`."""
    if group is not None and project is not None:
        raise click.UsageError("Use --group or --project, not both.")
    if project is not None:
        return place_named(store, "project", project)
    return None if group is None else place_named(store, "group", group)
