"""Provenance objects (PEP 740): where the pages' `provenance` addresses lead."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from registry.domain.access import Permission
from registry.domain.conditional import not_modified
from registry.domain.errors import InvalidName, NotAcceptable, Quarantined, UnknownFile
from registry.domain.names import Name
from registry.interfaces import IPackages
from registry.web.errors import secure
from registry.web.routes import Call, Route
from registry.web.simple import is_public
from registry.workflows.library import View

_TYPE = "application/vnd.pypi.integrity.v1+json"


@frozen(kw_only=True)
class Integrity:
    """The provenance objects of projects and groups. `view` says what a caller is shown."""

    packages: IPackages
    view: Callable[[Call], Awaitable[View]]

    def routes(self) -> Sequence[Route]:
        """As PyPI's integrity API, below the index."""
        path = "packages/pypi/integrity/<segment:name>/<segment:version>/<segment:filename>/provenance"
        return (
            Route(
                method="GET", rule=f"/api/v4/projects/<segment:project>/{path}", permission=Permission.READ_PACKAGE, handler=self.provenance
            ),
            Route(
                method="GET",
                rule=f"/api/v4/groups/<segment:group>/-/{path}",
                permission=Permission.READ_GROUP_PACKAGE,
                handler=self.provenance,
            ),
        )

    async def provenance(self, call: Call, name: str, version: str, filename: str) -> bytes:
        """Who built a file, as far as that was verified when it was published; 404 for a file without attestations."""
        accept = call.header("accept")
        if accept and not parse_accept_header(accept, MIMEAccept).quality(_TYPE):
            raise NotAcceptable(offered=_TYPE)
        found = await self._find(await self.view(call), name, version, filename)
        if found is None:
            raise UnknownFile(filename=filename)
        body = json.dumps(found, separators=(",", ":")).encode()
        etag, request = hashlib.sha256(body).hexdigest(), call.request
        secure(request)
        request.setHeader(b"content-type", _TYPE.encode())
        request.setHeader(b"etag", f'"{etag}"'.encode())
        request.setHeader(b"vary", b"Accept" if is_public(call) else b"Accept, Authorization, Private-Token")
        # PEP 740 gives no hash of it, and lets it change: never immutable.
        request.setHeader(b"cache-control", b"no-cache" if is_public(call) else b"private, no-cache")
        if not_modified(call.header("if-none-match"), etag):
            request.setResponseCode(304)
            return b""
        return body

    async def _find(self, view: View, name: str, version: str, filename: str) -> object:
        try:
            page = await self.packages.page(view.projects, Name(name))
        except InvalidName:
            return None
        if page is None:
            return None
        if not page.status.offers_files:
            raise Quarantined(name=page.name.normalized, reason=page.status_reason)
        file = next((file for file in page.files if (file.filename, file.version) == (filename, version)), None)
        return await self.packages.provenance(file.id) if file is not None and file.provenance else None
