"""Why a name has the files that it has here: which rule kept or dropped each, and where it would come from. Beyond GitLab."""

import json
from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen

from registry.domain.errors import InvalidName, UnknownName
from registry.domain.names import Name
from registry.interfaces import IThreads
from registry.web.errors import secure
from registry.web.routes import Call, Route, below_indexes
from registry.workflows.explaining import Explaining
from registry.workflows.views import View


@frozen(kw_only=True)
class Explain:
    """For whoever may read the page. `view` says what a caller is shown; `threads` write what may be long."""

    explaining: Explaining
    threads: IThreads
    view: Callable[[Call], Awaitable[View]]

    def routes(self) -> Sequence[Route]:
        """Of projects and groups, beside the index."""
        return below_indexes(("explain/<segment:name>", self.explain))

    async def explain(self, call: Call, name: str) -> bytes:
        """Whose a name is here, which upstreams were asked about it, and the verdict about every file."""
        try:
            wanted = Name(name)
        except InvalidName:
            raise UnknownName(name=name) from None
        found = await self.explaining.explain(await self.view(call), wanted)

        def write() -> bytes:
            return json.dumps(found.document(), separators=(",", ":")).encode()

        body = await self.threads.run(write)
        secure(call.request)
        call.request.setHeader(b"content-type", b"application/json")
        # It depends on the moment, and on who asks.
        call.request.setHeader(b"cache-control", b"no-store")
        return body
