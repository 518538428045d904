"""`registry serve`: the service that `twistd --nodaemon --pidfile= registry` runs, with its log on stderr and its welcome on stdout."""

import signal
import sys
from contextlib import suppress
from typing import Any

import click
from twisted.internet.error import ReactorNotRunning
from twisted.logger import FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate, globalLogBeginner, textFileLogObserver
from twisted.python.failure import Failure

from registry.assembly import assemble
from registry.cli.output import fail
from registry.cli.store import configured, where
from registry.config import InvalidConfig


@click.command("serve")
@where
@click.option(
    "--listen", multiple=True, metavar="ENDPOINT", help="Twisted endpoint description; may repeat (default: tcp:8080:interface=127.0.0.1)."
)
@click.option("--external-url", metavar="URL", help="The address clients use, if it is not the listening one.")
def serve(config_file: str | None, data_dir: str | None, listen: tuple[str, ...], external_url: str | None) -> None:
    """Run the registry until Ctrl-C or SIGTERM, then let running transfers finish."""
    from twisted.internet import reactor as running  # noqa: PLC0415 - importing it chooses it

    reactor: Any = running
    config = configured(config_file, listen=listen, data_dir=data_dir, external_url=external_url)
    _log_to_stderr()
    try:
        registry = assemble(config, reactor, announce=lambda started: click.echo(str(started)))
    except InvalidConfig as error:
        raise click.UsageError(str(error)) from None
    failures: list[str] = []

    def give_up(failure: Failure) -> None:
        failures.append(str(failure.value))
        reactor.stop()

    def stop() -> None:
        # A second signal while transfers finish: they still do.
        with suppress(ReactorNotRunning):
            reactor.stop()

    def start() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: reactor.callFromThread(stop))
        registry.service.startService()
        registry.service.when_ready().addErrback(give_up)

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", registry.service.stopService)
    reactor.run()
    if failures:
        fail(failures[0])


def _log_to_stderr() -> None:
    # Twisted's own chatter (factories starting and stopping) is at info, under names of its own; ours begins with "registry".
    quiet = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    quiet.setLogLevelForNamespace("registry", LogLevel.info)
    observer: ILogObserver = FilteringLogObserver(textFileLogObserver(sys.stderr), [quiet])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
