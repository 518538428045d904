"""`registry package yank`, `unyank`, `close` and `reopen`, and `registry status`."""

import click

from registry.cli.accounts import project_named
from registry.cli.output import say, show
from registry.cli.packages import package
from registry.cli.store import as_json, operator, result, with_store
from registry.composition import Store
from registry.domain.model import ProjectStatus
from registry.domain.names import Name
from registry.domain.paths import LARGEST_ID
from registry.domain.protection import ADMIN
from registry.domain.releases import parse_status

_NUMBER = click.IntRange(min=1, max=LARGEST_ID)
_file = click.option("--file", "file_id", type=_NUMBER, metavar="ID", help="Only this file (see `package show`).")
_reason = click.option("--reason", default="", metavar="TEXT", help="Why, in one line; installers and pages show it.")


@package.command("yank")
@click.argument("package_id", type=_NUMBER)
@_file
@_reason
@with_store
def package_yank(store: Store, package_id: int, file_id: int | None, reason: str) -> None:
    """Yank package PACKAGE_ID: installers pass over it unless asked for exactly its version."""
    _yank(store, package_id, file_id, reason)


@package.command("unyank")
@click.argument("package_id", type=_NUMBER)
@_file
@with_store
def package_unyank(store: Store, package_id: int, file_id: int | None) -> None:
    """Offer yanked package PACKAGE_ID, and all its files, again."""
    _yank(store, package_id, file_id, None)


@package.command("close")
@click.argument("package_id", type=_NUMBER)
@with_store
def package_close(store: Store, package_id: int) -> None:
    """Let package PACKAGE_ID take no more files."""
    _close(store, package_id, closed=True)


@package.command("reopen")
@click.argument("package_id", type=_NUMBER)
@with_store
def package_reopen(store: Store, package_id: int) -> None:
    """Let package PACKAGE_ID take files again, however old it is."""
    _close(store, package_id, closed=False)


@click.group()
def status() -> None:
    """Say what became of a name: active, archived, deprecated or quarantined."""


@status.command("set")
@click.argument("ref", metavar="PROJECT")
@click.argument("name")
@click.argument("word", metavar="STATUS", type=click.Choice([one.value for one in ProjectStatus]))
@_reason
@with_store
def status_set(store: Store, ref: str, name: str, word: str, reason: str) -> None:
    """Give NAME in PROJECT the status STATUS, also before anything is published under it.

    Archived names take no uploads; quarantined ones neither take uploads nor give out files; deprecated ones only say so.
    """
    project = project_named(store, ref)
    made = result(store.releases.set_status(project.id, Name(name), parse_status(word), reason, operator(), level=ADMIN))
    say(f"{made.name} in {project.path} is {made.status.value}.")


@status.command("list")
@click.argument("ref", metavar="PROJECT")
@as_json
@with_store
def status_list(store: Store, ref: str, as_json: bool) -> None:
    """List the names in PROJECT that are not simply active."""
    found = result(store.releases.statuses(project_named(store, ref).id))
    rows = [{"name": one.name, "status": one.status.value, "reason": one.reason or None, "changed_at": one.changed_at} for one in found]
    show(rows, as_json=as_json)


def _yank(store: Store, package_id: int, file_id: int | None, reason: str | None) -> None:
    found, word = result(store.inventory.package(package_id)), "not yanked" if reason is None else "yanked"
    whose = f"{found.name} {found.version} in {found.project_path}"
    if file_id is None:
        result(store.releases.set_yanked(found.project_id, package_id, reason, operator(), level=ADMIN))
        say(f"{whose} is {word}.")
    else:
        file = result(store.releases.set_file_yanked(found.project_id, package_id, file_id, reason, operator(), level=ADMIN))
        say(f"{file.filename} of {whose} is {word}.")


def _close(store: Store, package_id: int, *, closed: bool) -> None:
    found = result(store.inventory.package(package_id))
    result(store.releases.set_closed(found.project_id, package_id, operator(), closed=closed, level=ADMIN))
    say(f"{found.name} {found.version} in {found.project_path} {'takes no more files' if closed else 'is open'}.")
