"""`registry upstream`: what may be asked of other indexes, and for whom."""

import click

from registry.cli.accounts import project_named
from registry.cli.output import say, show
from registry.cli.places import place_chosen
from registry.cli.store import as_json, operator, result, with_store
from registry.composition import Store
from registry.domain.access import Place, Project
from registry.domain.forwarding import Forwarding, Switch, Turn
from registry.domain.names import Name
from registry.domain.settings import FORWARDING, LOCK_FORWARDING


@click.group()
def upstream() -> None:
    """Decide what may be asked of other indexes."""


@upstream.command("allow")
@click.argument("ref", metavar="PROJECT")
@click.argument("name")
@with_store
def upstream_allow(store: Store, ref: str, name: str) -> None:
    """Let PROJECT fetch NAME from upstream beside its own files, though that name is ours.

    For patched forks: of files with one name ours is served, and everything else that upstreams have under NAME can be installed, too.
    """
    _share(store, ref, name, shared=True)


@upstream.command("disallow")
@click.argument("ref", metavar="PROJECT")
@click.argument("name")
@with_store
def upstream_disallow(store: Store, ref: str, name: str) -> None:
    """Let PROJECT fetch NAME from upstream no longer, if that name is ours."""
    _share(store, ref, name, shared=False)


@upstream.command("list")
@click.argument("ref", metavar="PROJECT")
@as_json
@with_store
def upstream_list(store: Store, ref: str, as_json: bool) -> None:
    """List the names of ours that PROJECT may fetch from upstream, too."""
    show([{"name": name} for name in result(store.upstream.shared(project_named(store, ref).id))], as_json=as_json)


@upstream.command("forwarding")
@click.argument("word", metavar="[on|off|inherit]", required=False, type=click.Choice([one.value for one in Switch]))
@click.option("--group", "group", metavar="GROUP", help="Of this group and all below it. Default: of the whole instance.")
@click.option("--project", "project", metavar="PROJECT", help="Of this project.")
@click.option("--lock/--no-lock", "locked", default=None, help="Whether those below may say otherwise. Default: as it is.")
@as_json
@with_store
def upstream_forwarding(
    store: Store, word: str | None, group: str | None, project: str | None, *, locked: bool | None, as_json: bool
) -> None:
    """Say whether names not held here may be asked upstream, and show how it is then.

    The innermost of instance, groups and project that says something counts, below no lock. "inherit": as above; for the instance, as
    configured. Without a word or a lock nothing is changed.
    """
    turn = Turn(switch=None if word is None else Switch(word), locked=locked)
    place = place_chosen(store, group=group, project=project)
    if turn != Turn():
        _turn(store, place, turn)
    show([_row(result(store.forwarding.forwarding(place)))], as_json=as_json, one=True)


def _turn(store: Store, place: Place | None, turn: Turn) -> None:
    if place is not None:
        result(store.forwarding.switch("project" if isinstance(place, Project) else "group", place.id, turn, operator()))
        return
    changes: dict[str, object] = {} if turn.switch is None else {FORWARDING: turn.switch.enabled}
    changes |= {} if turn.locked is None else {LOCK_FORWARDING: turn.locked}
    result(store.settings.change_settings(changes, operator()))


def _share(store: Store, ref: str, name: str, *, shared: bool) -> None:
    project, wanted = project_named(store, ref), Name(name)
    result(store.upstream.share(project.id, wanted, operator(), shared=shared))
    word = "may fetch" if shared else "fetches"
    say(f"{project.path} {word} {wanted.normalized} from upstream{'' if shared else ' no longer, if that name is ours'}.")


def _row(found: Forwarding) -> dict[str, object]:
    said = {"place": found.says.holder, "forwarding": found.says.switch.value, "locked": found.says.locked}
    return {**said, "enabled": found.enabled, "locked_by": found.locked_by or None}
