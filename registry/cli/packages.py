"""`registry package` and `protect`."""

import attrs
import click

from registry.cli.accounts import project_named
from registry.cli.output import say, show
from registry.cli.store import as_json, operator, result, with_store
from registry.composition import Store
from registry.domain.inventory import FileInfo, FileOrder, PackageInfo, Wanted
from registry.domain.paths import LARGEST_ID
from registry.domain.protection import ADMIN, DELETE_LEVELS, PUSH_LEVELS, ProtectionRule

# The catalog's integers end here; a longer number names nothing.
_NUMBER = click.IntRange(min=1, max=LARGEST_ID)
_BATCH = 1000


@click.group()
def package() -> None:
    """List, show, yank, close and delete packages."""


@package.command("list")
@click.argument("ref", metavar="PROJECT")
@click.option("--name", default="", metavar="TEXT", help="Only packages whose name holds TEXT, in any spelling.")
@as_json
@with_store
def package_list(store: Store, ref: str, name: str, as_json: bool) -> None:
    """List the packages of PROJECT (number or path), oldest first."""
    project, found = project_named(store, ref), list[PackageInfo]()
    total = 1
    while len(found) < total:
        page, total = result(store.inventory.packages((project.id,), Wanted(name=name), limit=_BATCH, offset=len(found)))
        found += page
        if not page:
            break
    show([_package(one) for one in found], as_json=as_json)


@package.command("show")
@click.argument("package_id", type=_NUMBER)
@as_json
@with_store
def package_show(store: Store, package_id: int, as_json: bool) -> None:
    """Show package PACKAGE_ID (see `package list`) and its files."""
    found = result(store.inventory.package(package_id))
    files = _files(store, found)
    if as_json:
        show([{**_package(found), "files": [_file(one) for one in files]}], as_json=True, one=True)
    else:
        show([_package(found)], as_json=False)
        show([_file(one) for one in files], as_json=False)


@package.command("delete")
@click.argument("package_id", type=_NUMBER)
@click.option(
    "--file", "file_id", type=_NUMBER, metavar="ID", help="Only this file (see `package show`); with the last one goes the package."
)
@with_store
def package_delete(store: Store, package_id: int, file_id: int | None) -> None:
    """Delete package PACKAGE_ID, protected or not. Its bytes go with the server's next sweep."""
    found = result(store.inventory.package(package_id))
    if file_id is None:
        result(store.inventory.delete_package(found.project_id, package_id, operator(), level=ADMIN))
        say(f"{found.name} {found.version} is deleted from {found.project_path}.")
    else:
        result(store.inventory.delete_file(found.project_id, package_id, file_id, operator(), level=ADMIN))
        say(f"File {file_id} of {found.name} {found.version} is deleted from {found.project_path}.")


@click.group()
def protect() -> None:
    """Say whose packages take more than the usual role to publish or delete."""


@protect.command("add")
@click.argument("ref", metavar="PROJECT")
@click.argument("pattern")
@click.option("--push", type=click.Choice(list(PUSH_LEVELS)), help="The least role that may publish.")
@click.option("--delete", type=click.Choice(list(DELETE_LEVELS)), help="The least role that may delete.")
@as_json
@with_store
def protect_add(store: Store, *, ref: str, pattern: str, push: str | None, delete: str | None, as_json: bool) -> None:
    """Protect the packages of PROJECT whose name matches PATTERN, in any spelling; * stands for any text."""
    levels = PUSH_LEVELS.get(push or ""), DELETE_LEVELS.get(delete or "")
    made = result(store.protection.create_rule(project_named(store, ref).id, pattern, *levels, operator()))
    show([_rule(made)], as_json=as_json, one=True)


@protect.command("list")
@click.argument("ref", metavar="PROJECT")
@as_json
@with_store
def protect_list(store: Store, ref: str, as_json: bool) -> None:
    """List the protection rules of PROJECT."""
    found, _ = result(store.protection.rules(project_named(store, ref).id))
    show([_rule(one) for one in found], as_json=as_json)


@protect.command("remove")
@click.argument("ref", metavar="PROJECT")
@click.argument("rule_id", type=_NUMBER)
@with_store
def protect_remove(store: Store, ref: str, rule_id: int) -> None:
    """Remove rule RULE_ID (see `protect list`) of PROJECT."""
    gone = result(store.protection.delete_rule(project_named(store, ref).id, rule_id, operator()))
    say(f"{gone.pattern} is not protected by rule {gone.id} any more.")


def _files(store: Store, found: PackageInfo) -> list[FileInfo]:
    listed: list[FileInfo] = []
    while True:
        page, _ = result(
            store.inventory.files(found.id, found.project_id, FileOrder.ID, descending=False, limit=_BATCH, offset=len(listed))
        )
        listed += page
        if len(page) < _BATCH:
            return listed


def _package(one: PackageInfo) -> dict[str, object]:
    return {
        "id": one.id,
        "project": one.project_path,
        "name": one.name,
        "version": one.version,
        "created_at": one.created_at,
        "last_downloaded_at": one.last_downloaded_at,
        "yanked": one.yanked is not None,
        "yanked_reason": one.yanked or None,
        "closed": one.closed,
    }


def _file(one: FileInfo) -> dict[str, object]:
    shown = {name: value for name, value in attrs.asdict(one).items() if name in {"id", "filename", "size", "sha256", "created_at"}}
    return {**shown, "yanked": one.yanked is not None, "yanked_reason": one.yanked or None}


def _rule(one: ProtectionRule) -> dict[str, object]:
    words = {level: word for word, level in PUSH_LEVELS.items()}
    return {
        "id": one.id,
        "pattern": one.pattern,
        "push": words.get(one.least_for_push) if one.least_for_push is not None else None,
        "delete": words.get(one.least_for_delete) if one.least_for_delete is not None else None,
    }
