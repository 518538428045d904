"""`registry explain`."""

import os
from collections.abc import Sequence
from typing import Any

import click
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from registry.cli.output import fail, show
from registry.cli.places import place_chosen
from registry.cli.store import as_json, configuration, result, with_store
from registry.composition import Store, explainer
from registry.domain.access import Group, Place, Project
from registry.domain.curation.explanation import Explanation, asking_row, candidate_row
from registry.domain.inventory import Wanted
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.storage.threads import InlineThreads

_BATCH = 1000


@click.command("explain")
@click.argument("name")
@click.option("--project", "project", metavar="PROJECT", help="As it is in this project. Default: as the instance has it.")
@click.option("--group", "group", metavar="GROUP", help="As it is in this group, for somebody who may read all of it.")
@click.option("--version", "version", metavar="VERSION", help="Only files of this version.")
@click.option("--ask", is_flag=True, help="Ask upstreams, as a client's request would. Default: go by what they said before.")
@as_json
@with_store
def explain(store: Store, *, name: str, project: str | None, group: str | None, version: str | None, ask: bool, as_json: bool) -> None:
    """Explain why NAME has the files that it has: whose it is, what upstreams said, and the rule that kept or dropped each file.

    Tells all there is, also of projects that clients may not read. Works beside a running server.
    """
    wanted, only = Name(name), None if version is None else Version(version)
    place = place_chosen(store, group=group, project=project)
    found = _explained(store, place, _projects(store, place), wanted, ask=ask)
    if only is not None:
        found = evolve(found, candidates=tuple(one for one in found.candidates if Version(one.file.version) == only))
    found = evolve(found, holders=_holders(store, wanted))
    if as_json:
        show([found.document()], as_json=True, one=True)
        return
    click.echo(f"{found.reason} ({found.rule}).")
    if found.holders:
        click.echo(f"Published in: {', '.join(found.holders)}.")
    for rows in ([asking_row(one) for one in found.askings], [candidate_row(one) for one in found.candidates]):
        if rows:
            show(rows, as_json=False)


def _explained(store: Store, place: Place | None, projects: Sequence[int], name: Name, *, ask: bool) -> Explanation:
    reactor: Any = None
    if ask:
        from twisted.internet import reactor as running  # noqa: PLC0415 - importing it chooses it

        reactor = running
    explaining, beyond = explainer(configuration(), store, reactor=reactor, threads=InlineThreads(), environ=os.environ, ask=ask)
    beyond.load()
    if not ask:
        return result(explaining.in_full(place, projects, name))

    async def work() -> Explanation:
        try:
            return await explaining.in_full(place, projects, name)
        finally:
            await beyond.client.close()

    return _run(reactor, work())


def _run(reactor: Any, work: Any) -> Explanation:
    """What `work` comes to, which takes a reactor that runs: once in the life of a process."""
    outcome: list[Explanation | Failure] = []

    def start() -> None:
        running: Deferred[Explanation] = Deferred.fromCoroutine(work)
        running.addBoth(outcome.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(start)
    reactor.run()
    if not outcome:
        fail("it was interrupted")
    found = outcome[0]
    if isinstance(found, Failure):
        found.raiseException()
    return found


def _projects(store: Store, place: Place | None) -> tuple[int, ...]:
    if isinstance(place, Project):
        return (place.id,)
    if isinstance(place, Group):
        return tuple(project.id for project in result(store.access.below(place)))
    return tuple(project.id for project in result(store.places.projects()))


def _holders(store: Store, name: Name) -> tuple[str, ...]:
    """The projects, wherever they are, that hold something of a name."""
    paths: set[str] = set()
    every, offset = _projects(store, None), 0
    while True:
        page, total = result(store.inventory.packages(every, Wanted(name=name.normalized), limit=_BATCH, offset=offset))
        paths.update(one.project_path for one in page if Name(one.name) == name)
        offset += len(page)
        if not page or offset >= total:
            return tuple(sorted(paths))
