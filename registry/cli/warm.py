"""`registry warm`: what a list asks for, fetched before anybody asks for it."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock

import click
from attrs import evolve

from registry.cli.asking import Outcome, Warmer
from registry.cli.output import counted, fail, say, show
from registry.cli.places import place_named
from registry.cli.store import configuration, operator, result, with_store
from registry.composition import Store, now
from registry.config import Config
from registry.domain.access import Place
from registry.domain.credentials import NewDeployToken
from registry.domain.errors import DataDirInUse
from registry.domain.locks import Listed, Need, read_list
from registry.domain.names import Name
from registry.domain.tokens import Prefix, Secret, mint
from registry.domain.upstream import Mode

_AT_ONCE = 4
_TOKEN_LASTS = timedelta(days=1)  # it is revoked long before, unless this process is killed
_MOST_LISTS = 100
_PATIENCE, _EVERY = 30.0, 0.1  # seconds: for what came to be kept, and between looks
_WHY_NOT = "its upstream has another mode than cache, it is larger than [upstream] cache_size, or the disk is full"
_LISTENING = re.compile(r"Registry listening on (127\.0\.0\.1:\d+);")
_TCP = re.compile(r"tcp:(?:port=)?(\d+)(?::|\Z)")


def warming(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of all commands that warm."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
        click.option("--url", metavar="URL", help="Where the running server is (default: [server] external_url, or where it listens)."),
        click.option("--project", metavar="PROJECT", help="Through which project, by number or path (default: the first)."),
    ):
        command = option(command)
    return command


@click.command("warm")
@click.option(
    "-r",
    "--requirement",
    "lists",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="requirements.txt, pylock.toml or uv.lock; may repeat.",
)
@warming
@with_store
def warm(store: Store, *, lists: tuple[Path, ...], project: str | None, url: str | None, as_json: bool) -> None:
    """Fetch the pages, files and metadata that lists of requirements ask for, and keep them. Status 1 if anything could not be had.

    A running server fetches them; where none runs, one is started for as long as this takes. Nothing is resolved: a list names all it
    needs, as lock files do. Digests in a list are compared.
    """
    warm_all(store, _read_all(lists), project=project, url=url, as_json=as_json)


def warm_all(store: Store, needs: Sequence[Need], *, project: str | None, url: str | None, as_json: bool) -> None:
    """Fetch all this, show what became of it, and end with status 1 if there was trouble."""
    config = configuration()
    if all(index.mode != Mode.CACHE.value for _, index in config.indexes):
        fail("no upstream has mode = cache: nothing that is fetched would be kept")
    place = _project(store, project)
    with _server(store, config, url) as address, _token(store, place) as (username, secret):
        outcomes = _fetch(Warmer(url=address, project=place.id, username=username, secret=secret), needs)
        outcomes = _kept(store, outcomes)
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    rows = [
        {
            "name": outcome.name,
            "fetched": outcome.fetched,
            "kept_before": outcome.kept,
            "bytes": outcome.bytes,
            "problems": list(outcome.problems) if as_json else len(outcome.problems),
        }
        for outcome in outcomes
    ]
    show(rows, as_json=as_json)
    for problem in problems:
        say(problem)
    if problems:
        fail(f"{counted(len(problems), 'thing')} could not be had")


def _read_all(paths: Sequence[Path]) -> list[Need]:
    """What lists ask for, and those that they name."""
    waiting, seen, needs = list(paths), set[Path](), list[Need]()
    while waiting:
        path = waiting.pop(0)
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        if len(seen) > _MOST_LISTS:
            raise click.UsageError(f"More than {_MOST_LISTS} lists are named")
        try:
            listed: Listed = read_list(path.name, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{path} cannot be read: {error}") from None
        for note in listed.notes:
            say(f"{path}: {note}")
        needs += listed.needs
        waiting += [path.parent / included for included in listed.includes]
    return needs


def _fetch(warmer: Warmer, needs: Sequence[Need]) -> list[Outcome]:
    from rich.console import Console  # noqa: PLC0415 - as in `output`
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Fetching", total=0)
        planned, one_at_a_time = [0], Lock()

        def plan(size: int) -> None:
            with one_at_a_time:
                planned[0] += size
                progress.update(task, total=planned[0])

        warmer = evolve(warmer, planned=plan, done=lambda size: progress.advance(task, size))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(warmer.warm, needs))


def _kept(store: Store, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same outcomes, once all that came is kept, which may be after it was given; with problems where it is not."""
    end = time.monotonic() + _PATIENCE
    checked = []
    for outcome in outcomes:
        while missing := set(outcome.came) - _names_kept(store, outcome.name):
            if time.monotonic() > end:
                break
            time.sleep(_EVERY)
        told = (f"{one} came and is not kept: {_WHY_NOT}" for one in sorted(missing))
        checked.append(evolve(outcome, problems=(*outcome.problems, *told)))
    return checked


def _names_kept(store: Store, name: str) -> set[str]:
    """The names of the files of a name that are kept."""
    return {file.filename for file in result(store.upstream.kept(Name(name)))}


def _project(store: Store, ref: str | None) -> Place:
    if ref is None:
        projects = result(store.places.projects())
        if not projects:
            fail("there is no project yet: create one with `registry project create`")
        ref = str(min(project.id for project in projects))
    return place_named(store, "project", ref)


@contextmanager
def _token(store: Store, project: Place) -> Iterator[tuple[str, Secret]]:
    """A deploy token that reads this project's packages, until the block ends."""
    secret = mint(Prefix.DEPLOY)
    new = NewDeployToken(
        name="registry warm", digest=secret.digest(), scopes=("read_package_registry",), expires_at=now() + _TOKEN_LASTS, username=""
    )
    made = result(store.deploy_tokens.create_deploy_token(project, new, operator()))
    try:
        yield made.username, secret
    finally:
        result(store.deploy_tokens.delete_deploy_token(project, made.id, operator()))


# --- the server that fetches ----------------------------------------------------------------------------------------------------------


@contextmanager
def _server(store: Store, config: Config, url: str | None) -> Iterator[str]:
    """The address of the server of this data directory: the one that runs, or one for as long as the block takes."""
    try:
        store.data_dir.lock()
    except DataDirInUse:
        yield url or _running(config)
        return
    store.data_dir.unlock()
    with _started() as address:
        yield address


def _running(config: Config) -> str:
    """Where the configuration says that the server is."""
    matches = [match for description in config.server.listen if (match := _TCP.match(description)) is not None and match[1] != "0"]
    if not config.server.external_url and not matches:
        fail("a server is running, but the configuration does not say where: give its address with --url")
    return config.server.external_url or f"http://127.0.0.1:{matches[0][1]}"


@contextmanager
def _started() -> Iterator[str]:
    """A server of our own, on a port of this machine that nobody is told of; it is gone when the block ends."""
    context = click.get_current_context()
    outer = context.find_root().params
    words = [sys.executable, "-m", "registry", "serve", "--listen", "tcp:0:interface=127.0.0.1"]
    for option, name in (("--config", "config_file"), ("--data-dir", "data_dir")):
        value = context.params.get(name) or outer.get(name)
        words += [option, value] if value else []
    # Its log would get between the progress bar; an access log on stdout would fill a pipe that nobody reads.
    environ = {**os.environ, "REGISTRY__LOG__ACCESS": ""}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(  # noqa: S603 - this program itself
            words, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True, env=environ
        )
        try:
            assert process.stdout is not None, "it is a pipe"
            match = _LISTENING.match(process.stdout.readline())
            if match is None:
                log.seek(0)
                fail(f"no server could be started for this: {log.read().strip()}")
            yield f"http://{match[1]}"
        finally:
            process.terminate()
            process.communicate()
