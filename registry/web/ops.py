"""Routes for whoever runs the registry: health, liveness, readiness (GitLab's paths)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import frozen
from twisted.logger import Logger

from registry.domain.access import Permission
from registry.domain.errors import Unavailable
from registry.web.errors import answer, secure
from registry.web.routes import Call, Route

_log = Logger()


@frozen(kw_only=True)
class Ops:
    """`checks` maps the name of each part to something that raises `Unavailable` while it cannot serve."""

    checks: Mapping[str, Callable[[], Awaitable[None]]]

    def routes(self) -> Sequence[Route]:
        """Open to everybody: they tell nothing but whether."""
        return (
            Route(method="GET", rule="/-/health", permission=Permission.OPEN, handler=self.health),
            Route(method="GET", rule="/-/liveness", permission=Permission.OPEN, handler=self.liveness),
            Route(method="GET", rule="/-/readiness", permission=Permission.OPEN, handler=self.readiness),
        )

    async def health(self, call: Call) -> bytes:
        """The process answers (GitLab: one line of text)."""
        secure(call.request)
        call.request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        call.request.setHeader(b"cache-control", b"no-store")
        return b"Registry OK"

    async def liveness(self, call: Call) -> bytes:
        """The process answers, whatever its disk and catalog do: restarting it would not help them."""
        return answer(call.request, 200, {"status": "ok"})

    async def readiness(self, call: Call) -> bytes:
        """Catalog and blob store can serve right now; 503 names those that cannot."""
        result: dict[str, object] = {}
        for name, check in self.checks.items():
            try:
                await check()
                result[f"{name}_check"] = [{"status": "ok"}]
            except Unavailable as error:
                _log.error("not ready: {error} ({cause})", error=error, cause=error.__cause__)
                result[f"{name}_check"] = [{"status": "failed", "message": str(error)}]
        ready = all(check == [{"status": "ok"}] for check in result.values())
        return answer(call.request, 200 if ready else 503, {"status": "ok" if ready else "failed", **result})
