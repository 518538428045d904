"""The store of a data directory, as commands use it: opened for one command, without a reactor, beside a running server or not."""

import getpass
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import click
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from registry.cli.output import fail
from registry.composition import Store
from registry.config import Config, InvalidConfig, load_config
from registry.domain.errors import InvalidSetting, RegistryError
from registry.domain.model import Actor
from registry.storage.threads import InlineThreads

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = {"data_dir": ("server", "data_dir"), "external_url": ("server", "external_url")}


def where(command: F) -> F:
    """Add `--config` and `--data-dir`, which every command takes, before or after its own name."""
    command = click.option("--data-dir", metavar="DIR", help="Where everything is kept (default: ./registry-data).")(command)
    return click.option("--config", "config_file", metavar="FILE", help="Configuration file (INI); see config.example.ini.")(command)


def as_json(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def configured(config_file: str | None, *, listen: tuple[str, ...] = (), **options: str | None) -> Config:
    """The configuration a command works with. Wrong usage (status 2) if it cannot be read."""
    outer = click.get_current_context().find_root().params
    config_file = config_file or outer.get("config_file")
    override = {_SETTINGS[name]: value for name in options if (value := options[name] or outer.get(name)) is not None}
    if listen:
        override["server", "listen"] = "\n".join(listen)
    try:
        return load_config(config_file, override=override)
    except InvalidConfig as error:
        raise click.UsageError(str(error)) from None


def configuration() -> Config:
    """The configuration of the command that runs, one of those with `where`."""
    given = click.get_current_context().params
    return configured(given["config_file"], data_dir=given["data_dir"])


def with_store(command: Callable[..., None]) -> Callable[..., None]:
    """Call `command(store, ...)` with the opened store.

    A RegistryError ends it with its sentence, and status 2 if an argument could never be right, 1 otherwise.
    """

    @where
    @wraps(command)
    def run(*args: object, config_file: str | None, data_dir: str | None, **kwargs: object) -> None:
        with _opened(configured(config_file, data_dir=data_dir)) as store:
            try:
                command(store, *args, **kwargs)
            except InvalidSetting as error:
                raise click.UsageError(str(error)) from None
            except RegistryError as error:
                fail(str(error))

    return run


def result(work: Coroutine[Deferred[Any], Any, T]) -> T:
    """What `work` comes to. Without a reactor all of it happens now."""
    outcome: list[T | Failure] = []
    Deferred.fromCoroutine(work).addBoth(outcome.append)
    found = outcome[0]
    if isinstance(found, Failure):
        found.raiseException()
    return found


def operator() -> Actor:
    """Whoever sits at the shell, for the journal."""
    return Actor(user_id=None, username="", address=f"command line ({getpass.getuser()})")


@contextmanager
def _opened(config: Config) -> Iterator[Store]:
    threads = InlineThreads()
    store = Store.of(config.server.data_dir, readers=threads, writer=threads, files=threads, forwarding=config.upstream.enabled)
    if not store.data_dir.catalog.exists():
        fail(f"there is no registry in {store.data_dir.path}: start one with `registry serve`, or say where it is with --data-dir")
    try:
        store.database.open()
    except (RegistryError, OSError) as error:
        fail(f"the catalog in {store.data_dir.path} cannot be opened: {error}")
    try:
        yield store
    finally:
        store.database.close()
