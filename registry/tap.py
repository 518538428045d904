"""twistd's view of the registry: its options, and the service they make."""

import os
import sys
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.python import usage

from registry.assembly import RegistryService, assemble
from registry.config import InvalidConfig, load_config

_OPTIONS = {"data-dir": ("server", "data_dir"), "external-url": ("server", "external_url")}


class Options(usage.Options):
    """`twistd registry`'s options: those of `registry serve`."""

    synopsis = "[options]"
    longdesc = "A private Python package registry that speaks GitLab's PyPI registry protocol."
    optParameters = [  # noqa: RUF012 - usage.Options wants a class attribute
        ["config", "c", None, "Configuration file (INI); see config.example.ini."],
        ["data-dir", "d", None, "Where everything is kept (default: ./registry-data)."],
        ["external-url", "u", None, "The address clients use, if it is not the listening one."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, description: str) -> None:
        """Where to listen: a Twisted endpoint description (default: tcp:8080:interface=127.0.0.1). May be given several times."""
        self["listen"].append(description)

    def postOptions(self) -> None:
        """usage.Options: read the configuration now, so that what is wrong with it ends the start with one sentence."""
        override = {name: self[option] for option, name in _OPTIONS.items() if self[option] is not None}
        if self["listen"]:
            override["server", "listen"] = "\n".join(self["listen"])
        try:
            self["loaded"] = load_config(self["config"], override=override)
        except InvalidConfig as error:
            raise usage.UsageError(str(error)) from None


def makeService(options: Options) -> IService:
    """IServiceMaker. When the registry cannot start, the process stops with exit status 1."""
    from twisted.internet import reactor as running  # noqa: PLC0415 - the reactor is chosen by twistd before this

    reactor: Any = running
    try:
        registry = assemble(options["loaded"], reactor)
    except InvalidConfig as error:
        # twistd shows a usage error raised this late as a traceback.
        raise SystemExit(f"twistd registry: {error}") from None

    service = MultiService()
    service.addService(registry.service)
    service.addService(_Fuse(registry.service, reactor))
    return service


class _Fuse(Service):
    """Started after the registry; ends the process, with status 1, if that could not start."""

    def __init__(self, registry: RegistryService, reactor: Any) -> None:
        self._registry, self._reactor = registry, reactor

    def startService(self) -> None:
        """IService."""
        super().startService()
        self._registry.when_ready().addErrback(self._blow)

    def _blow(self, _: object) -> None:
        self._reactor.addSystemEventTrigger("after", "shutdown", self._leave)
        self._reactor.stop()

    def _leave(self) -> None:
        sys.stdout.flush()
        os._exit(1)
