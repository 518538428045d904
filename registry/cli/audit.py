"""`registry audit`."""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import click
from attrs import evolve

from registry.cli.accounts import project_named
from registry.cli.output import show
from registry.cli.store import result, with_store
from registry.composition import Store
from registry.domain.audit import Entry, Search, parse_moment
from registry.domain.errors import Missing
from registry.domain.names import Name

_EVERY = 0.5  # seconds between looks with --follow
_BATCH = 1000


@click.command("audit")
@click.option("--project", metavar="PROJECT", help="Only changes in this project (number, also of one that is gone, or path).")
@click.option("--package", metavar="NAME", help="Only changes to packages of this name, in any spelling.")
@click.option("--user", metavar="USER", help="Only changes by this user or deploy token.")
@click.option("--action", default="", metavar="ACTION", help="Only this action, such as package.delete, or this kind, such as package.")
@click.option("--since", metavar="TIME", help="Only from this date (UTC) or time on.")
@click.option("--until", metavar="TIME", help="Only before this date (UTC) or time.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1, max=10**9), help="At most so many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--follow", is_flag=True, help="Go on with what happens from now on, until interrupted.")
@with_store
def audit(
    store: Store,
    *,
    project: str | None,
    package: str | None,
    user: str | None,
    action: str,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
    follow: bool,
) -> None:
    """Show the journal: who did what to which, when, from where, with which token."""
    search = Search(
        project_id=None if project is None else _project(store, project),
        package=Name(package).normalized if package else "",
        user=user,
        action=action,
        since=parse_moment(since) if since else None,
        until=parse_moment(until) if until else None,
    )
    found = result(store.audit.entries(search, limit))
    if as_json or follow:
        _print(found, as_json=as_json)
    else:
        show([{**_row(one), "detail": _text(one.change.detail)} for one in found], as_json=False)
    if follow:
        _follow(store, search, found[-1].change.serial if found else 0, as_json=as_json)


def _follow(store: Store, search: Search, last: int, *, as_json: bool) -> None:
    try:
        while True:
            # What was filtered away is looked at again each time; the journal's own order makes that cheap.
            found = result(store.audit.entries(evolve(search, after=last), _BATCH))
            _print(found, as_json=as_json)
            if found:
                last = found[-1].change.serial
            time.sleep(_EVERY)
    except KeyboardInterrupt:
        return


def _project(store: Store, ref: str) -> int:
    try:
        return project_named(store, ref).id
    except Missing:
        if ref.isascii() and ref.isdigit() and int(ref[:20]) < 1 << 63:
            return int(ref)
        raise


def _print(entries: Iterable[Entry], *, as_json: bool) -> None:
    for one in entries:
        row = _row(one)
        if as_json:
            click.echo(json.dumps({**row, "at": _time(one.change.at)}))
        else:
            click.echo("  ".join(_text(value) for value in row.values()))


def _row(one: Entry) -> dict[str, object]:
    change, actor = one.change, one.change.actor
    return {
        "serial": change.serial,
        "at": change.at,
        "user": actor.username or None,
        "token": actor.token_name or None,
        "address": actor.address or None,
        "action": change.action,
        "project": one.project_path or change.project_id,
        "package": change.name or None,
        "detail": dict(change.detail),
    }


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return " ".join(map(_text, value))
    # Names of tokens and files come from anybody: a terminal must not obey them.
    return "-" if value is None else "".join(one if one.isprintable() else "?" for one in str(value))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
