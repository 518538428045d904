"""Provenance objects (PEP 740): where the pages' `provenance` addresses lead."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from registry.domain.conditional import not_modified
from registry.domain.errors import InvalidName, NotAcceptable, Quarantined, UnknownFile, UpstreamBroken
from registry.domain.model import Page
from registry.domain.names import Name
from registry.domain.provenance import relayed_provenance
from registry.interfaces import IPackages, IThreads
from registry.web.errors import secure
from registry.web.routes import Call, Route, below_indexes
from registry.web.simple import is_public, send_elsewhere
from registry.workflows.arrivals import Elsewhere
from registry.workflows.fallback import Fallback
from registry.workflows.views import View

_TYPE = "application/vnd.pypi.integrity.v1+json"


@frozen(kw_only=True)
class Integrity:
    """The provenance objects of projects and groups. `view` says what a caller is shown; `beyond` has those of upstreams' files."""

    packages: IPackages
    view: Callable[[Call], Awaitable[View]]
    beyond: Fallback
    threads: IThreads

    def routes(self) -> Sequence[Route]:
        """As PyPI's integrity API, below the index."""
        return below_indexes(("integrity/<segment:name>/<segment:version>/<segment:filename>/provenance", self.provenance))

    async def provenance(self, call: Call, name: str, version: str, filename: str) -> bytes:
        """Who built a file: of ours as verified when it was published, of an upstream's as that tells; 404 without attestations."""
        accept = call.header("accept")
        if accept and not parse_accept_header(accept, MIMEAccept).quality(_TYPE):
            raise NotAcceptable(offered=_TYPE)
        try:
            body = await self._find(await self.view(call), name, version, filename)
        except Elsewhere as there:
            return send_elsewhere(call, there.url)
        if body is None:
            raise UnknownFile(filename=filename)
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

    async def _find(self, view: View, name: str, version: str, filename: str) -> bytes | None:
        try:
            wanted = Name(name)
        except InvalidName:
            return None
        page = await self.packages.page(view.projects, wanted)
        if page is not None and not page.status.offers_files:
            raise Quarantined(name=page.name.normalized, reason=page.status_reason)
        files = () if page is None else page.files
        file = next((file for file in files if (file.filename, file.version) == (filename, version)), None)
        if file is None:
            return await self._relay(view, wanted, version, filename, page)
        found = await self.packages.provenance(file.id) if file.provenance else None
        return None if found is None else json.dumps(found, separators=(",", ":")).encode()

    async def _relay(self, view: View, name: Name, version: str, filename: str, ours: Page | None) -> bytes | None:
        told = await self.beyond.provenance(view.place, view.projects, name, version, filename, ours)
        if told is None:
            return None
        data, source = told
        try:
            return await self.threads.run(relayed_provenance, data)
        except ValueError as error:
            raise UpstreamBroken(source=source, problem=f"what it serves as the provenance of {filename} cannot be used: {error}") from None
