"""What GitLab tells and lets be set about the whole instance, as far as this registry has it."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from attrs import frozen

from registry.domain.access import Permission
from registry.domain.errors import InvalidParameters
from registry.domain.settings import MAX_FILE_SIZE, SWITCHES
from registry.web.credentials import Door
from registry.web.rest.answers import reply
from registry.web.rest.params import Params
from registry.web.routes import Call, Route
from registry.workflows.settings import LiveSettings

# The GitLab whose protocol this is: scripts compare versions before they use a feature.
GITLAB = "19.6.0-registry"
_SETTINGS, _LIMITS = "/api/v4/application/settings", "/api/v4/application/plan_limits"


@frozen(kw_only=True)
class Instance:
    """Version, settings and limits."""

    settings: LiveSettings

    def routes(self) -> Sequence[Route]:
        """The version is for whoever is signed in, the rest for administrators."""
        read, change = Permission.READ_INSTANCE, Permission.ADMINISTER
        return (
            Route(method="GET", rule="/api/v4/version", permission=Permission.SIGNED_IN, handler=self.version, door=Door.REST),
            Route(method="GET", rule="/api/v4/metadata", permission=Permission.SIGNED_IN, handler=self.metadata, door=Door.REST),
            Route(method="GET", rule=_SETTINGS, permission=read, handler=self.application, door=Door.REST),
            Route(method="PUT", rule=_SETTINGS, permission=change, handler=self.change_application, door=Door.REST),
            Route(method="GET", rule=_LIMITS, permission=read, handler=self.limits, door=Door.REST),
            Route(method="PUT", rule=_LIMITS, permission=change, handler=self.change_limits, door=Door.REST),
        )

    async def version(self, call: Call) -> bytes:
        """Whose protocol this is, and which release of this registry."""
        return reply(call, {"version": GITLAB, "revision": _revision()})

    async def metadata(self, call: Call) -> bytes:
        """The same with what this registry is not."""
        agent = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
        return reply(call, {"version": GITLAB, "revision": _revision(), "kas": agent, "enterprise": False})

    async def application(self, call: Call) -> bytes:
        """The switches."""
        return reply(call, self._switches())

    async def change_application(self, call: Call) -> bytes:
        """Turn switches; settings that this registry does not have are ignored, but one that it has must be given."""
        params = call.params()
        changes = {name: params.flag(name, default=on) for name, on in SWITCHES.items() if params.values.get(name) is not None}
        if not changes:
            raise InvalidParameters(problem=f"{', '.join(SWITCHES)} are missing, at least one parameter must be provided")
        await self.settings.change(changes, call.actor)
        return reply(call, self._switches())

    async def limits(self, call: Call) -> bytes:
        """How large a file may be."""
        _plan(call.params(), required=False)
        return reply(call, self._limits())

    async def change_limits(self, call: Call) -> bytes:
        """Let files be larger or smaller than configured, from the next upload on; 0: as configured again."""
        params = call.params()
        _plan(params, required=True)
        limit = params.optional_integer(MAX_FILE_SIZE)
        if limit is None:
            raise InvalidParameters(problem=f"{MAX_FILE_SIZE} is missing, at least one parameter must be provided")
        await self.settings.change({MAX_FILE_SIZE: limit}, call.actor)
        return reply(call, self._limits())

    def _switches(self) -> dict[str, object]:
        return {"id": 1, **{name: self.settings.switch(name) for name in SWITCHES}}

    def _limits(self) -> dict[str, object]:
        return {MAX_FILE_SIZE: self.settings.upload_limit()}


def _plan(params: Params, *, required: bool) -> None:
    params.choice("plan_name", ["default"], None if required else "default")


@cache
def _revision() -> str:
    try:
        return version("twisted-package-registry")
    except PackageNotFoundError:  # run from a checkout that nobody has installed
        return "unknown"
