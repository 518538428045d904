"""An index of rendered pages on the loopback interface, with the wheels and the metadata that they name."""

import io
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from attrs import Factory, define, evolve

from registry.domain.model import File, Page
from registry.domain.negotiation import Representation, negotiate
from registry.domain.simple import Links, render_page
from registry.testing import wheel

SCOPE = "projects/1"
_FILES = f"/api/v4/{SCOPE}/packages/pypi/files/"


@define(kw_only=True)
class PageServer:
    """Pages by normalised name, the bytes of their wheels and metadata by path, and what was asked for, in order."""

    pages: dict[str, Page]
    html_only: bool
    held: dict[str, bytes]
    url: str = ""
    asked: list[tuple[str, str]] = Factory(list)  # method and path
    answered: list[str] = Factory(list)  # the content type of each page

    @property
    def index(self) -> str:
        """Where to install from."""
        return f"{self.url}/simple/"

    def asked_for(self, file: File, suffix: str = "") -> bool:
        """Whether anybody has read the bytes of `file`, or of what lies beside it."""
        return ("GET", f"{_FILES}{file.sha256}/{file.filename}{suffix}") in self.asked

    def page(self, name: str, accept: str | None) -> tuple[bytes, Representation] | None:
        """A page as it goes out, in the form that `accept` asks for as far as there is a choice."""
        if name not in self.pages:
            return None
        representation = Representation.V1_HTML if self.html_only else negotiate(accept)
        return render_page(self.pages[name], Links(base=self.url, scope=SCOPE), representation), representation


def real(file: File) -> tuple[File, dict[str, bytes]]:
    """`file` with the digests and size of a wheel that exists, and the bytes by path; anything else than a wheel is only a name."""
    if not file.filename.endswith(".whl"):
        return file, {}
    stem, version = file.filename.split("-")[:2]
    content = wheel(stem, version).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        metadata = archive.read(f"{stem}-{version}.dist-info/METADATA")
    path = f"{_FILES}{sha256(content).hexdigest()}/{file.filename}"
    advertised = bool(file.metadata_sha256)
    made = evolve(
        file,
        sha256=sha256(content).hexdigest(),
        size=len(content),
        metadata_sha256=sha256(metadata).hexdigest() if advertised else "",
    )
    return made, {path: content, **({f"{path}.metadata": metadata} if advertised else {})}


@contextmanager
def serving_pages(pages: Iterable[Page], *, html_only: bool = False) -> Iterator[PageServer]:
    """Serve `pages`, their wheels made real, until the block ends. `html_only`: HTML for whoever wants whatever."""
    held: dict[str, bytes] = {}
    stocked: dict[str, Page] = {}
    for page in pages:
        made = [real(file) for file in page.files]
        stocked[page.name.normalized] = evolve(page, files=tuple(file for file, _ in made))
        for _, bytes_of in made:
            held.update(bytes_of)
    server = PageServer(pages=stocked, html_only=html_only, held=held)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as listening:
        server.url = f"http://127.0.0.1:{listening.server_port}"
        running = threading.Thread(target=listening.serve_forever, args=(0.01,))
        running.start()
        try:
            yield server
        finally:
            listening.shutdown()
            running.join()


def _handler(server: PageServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            """BaseHTTPRequestHandler."""
            # Clients break off what they keep alive, and that is nobody's error.
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            """BaseHTTPRequestHandler."""
            path = unquote(self.path)
            server.asked.append((self.command, path))
            if path.startswith("/simple/"):
                found = server.page(path.split("/")[2], self.headers["Accept"])
                if found is not None:
                    server.answered.append(found[1].content_type)
                    return self._send(found[0], found[1].content_type)
            elif path in server.held:
                return self._send(server.held[path], "application/octet-stream")
            self.send_error(404)
            return None

        do_HEAD = do_GET

        def _send(self, body: bytes, content_type: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """BaseHTTPRequestHandler: nobody reads it."""

    return Handler


LONG_AGO = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)


def file(name: str, version: str, **facts: Any) -> File:
    """A wheel of `name` that advertises its metadata and has nothing else to say, or the `facts` that are given."""
    given: dict[str, Any] = {
        "id": 1,
        "filename": f"{name}-{version}-py3-none-any.whl",
        "version": version,
        "sha256": "0" * 64,
        "size": 1,
        "requires_python": "",
        "uploaded_at": LONG_AGO,
        "metadata_sha256": "1" * 64,
    }
    return File(**{**given, **facts})
