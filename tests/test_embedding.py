"""docs/embedding.md: its programs run as they stand there."""

import contextlib
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Client, make_client
from tests.clients.distributions import form, wheel
from tests.clients.processes import BIN, DEADLINE, Server, eventually, launched

DOCUMENT = Path(__file__).parents[1] / "docs" / "embedding.md"
PROGRAMS = {name: code for code, name in re.findall(r"^```python\n(# (\S+)\n.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)}
MOUNTED = {"tree.py": "/packages"}


@contextlib.contextmanager
def running(name: str, tmp_path: Path) -> Iterator[Server]:
    """The program called `name` in the document, on a free port instead of 8080; its server knows where its API is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / name
    program.write_text(PROGRAMS[name].replace("8080", str(port)))
    twistd = (sys.executable, str(BIN / "twistd"), "--nodaemon", "--pidfile=", "--python")
    with launched(
        tmp_path / "run", command=(*(twistd if program.suffix == ".tac" else (sys.executable,)), str(program)), listen=""
    ) as server:
        server.port, server.mount = port, MOUNTED.get(name, "")
        server.data_dir = Path(server.env["HOME"]) / "registry-data"

        def ready() -> bool:
            assert server.process.poll() is None, server.said + server.logged
            if "; ready in " not in server.said + server.logged:
                return False
            with contextlib.suppress(ConnectionError):
                return server.ask("GET", f"{server.mount}/-/readiness", token="").status == 200
            return False

        eventually(ready, f"{name} to serve")
        yield server


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A user with an empty home."""
    return make_client(tmp_path / "client")


def test_the_document_has_the_programs_it_speaks_of() -> None:
    """Each way of embedding has one complete program."""
    assert list(PROGRAMS) == ["everything.tac", "tree.py", "own_site.py"]
    for name in PROGRAMS:
        assert f"Save this as `{name}`" in DOCUMENT.read_text()


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_programs_publish_and_install(tmp_path: Path, client: Client, name: str) -> None:
    """Through every program twine publishes a file and pip downloads the same bytes, by number and by path."""
    filename, content = wheel("embedded", ballast=bytes(range(256)) * (8 << 12))
    (client.folder / filename).write_bytes(content)
    with running(name, tmp_path) as server:
        client.twine(server, filename, project="root%2Fpackages").worked()
        for number, project in enumerate(("1", "root%2Fpackages")):
            got = client.folder / f"got{number}"
            client.pip("download", "--index-url", server.index(project), "--dest", got, "embedded").worked()
            assert (got / filename).read_bytes() == content
        again = client.twine(server, filename).failed()
        assert "File name has already been taken" in again.said
        assert server.leftovers() == []
        server.send(signal.SIGTERM)
        assert server.process.wait(DEADLINE) in {0, -signal.SIGTERM}
        assert "Traceback" not in server.said + server.logged, server.said + server.logged


def test_only_a_foreign_site_is_warned_about(tmp_path: Path) -> None:
    """An upload through a stock Site works and logs what to set; through the registry's own site nothing is logged."""
    filename, content = wheel("warned")
    content_type, body = form(filename, content)
    for name, warned in (("tree.py", True), ("own_site.py", False)):
        folder = tmp_path / name.removesuffix(".py")
        folder.mkdir()
        with running(name, folder) as server:
            assert server.ask("POST", server.api(), body=body, content_type=content_type).status == 201
            eventually(lambda at=server: "Registry listening on no port of its own" in at.logged, "the log")  # type: ignore[misc]
            assert ("parsePOSTFormSubmission=False" in server.logged) == warned


def test_pages_beside_the_registry_are_served(tmp_path: Path) -> None:
    """The tree's own pages answer at their own paths, and the registry only under its own."""
    with running("tree.py", tmp_path) as server:
        assert server.ask("GET", "/").body == b"Pages of your own.\n"
        assert server.ask("GET", "/api/v4/projects/1/packages/pypi/simple/").status == 404
        assert server.ask("GET", "/packages/api/v4/projects/1/packages/pypi/simple/").status == 200
        front = server.ask("GET", "/packages/")
        assert (front.status, f"{server.url}/api/v4/" in front.body.decode()) == (200, True)


def test_the_registrys_site_drains_on_a_foreign_port(tmp_path: Path) -> None:
    """A slow upload through `registry.site` on somebody else's port is finished before the process stops."""
    filename, content = wheel("slow", ballast=bytes(1 << 20))
    content_type, body = form(filename, content)
    with running("own_site.py", tmp_path) as server:
        head = (
            f"POST /api/v4/projects/1/packages/pypi HTTP/1.1\r\nHost: registry.test\r\nPRIVATE-TOKEN: {server.token}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection:
            connection.sendall(head.encode() + body[:-100])
            eventually(server.leftovers, "most of it to arrive")
            server.send(signal.SIGTERM)
            eventually(lambda: not server.accepts(), "new connections to be refused")
            connection.sendall(body[-100:])
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 201 ")
        assert server.process.wait(DEADLINE) == 0
        assert server.leftovers() == []
