"""Ready answers of a real server, over plain TCP and TLS: the same bytes, and no memory for who does not read them."""

import contextlib
import hashlib
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define

from tests.clients.distributions import form, wheel
from tests.clients.processes import DEADLINE, Server, serving

MEGABYTE = 1 << 20
DATE = re.compile(rb"(?<=\r\nDate: )[^\r]{29}")
FILENAME, CONTENT = wheel("demo", ballast=hashlib.sha256(b"").digest() * 1900)


@define
class Host:
    """A server that holds one file of some 61 kB, which is small enough to be ready."""

    server: Server
    context: ssl.SSLContext | None

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        """A connection, encrypted if that is what the server speaks."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE)) as plain:
            if self.context is None:
                yield plain
            else:
                with contextlib.closing(self.context.wrap_socket(plain, server_hostname="127.0.0.1")) as encrypted:
                    yield encrypted

    def request(self, method: str, path: str, *headers: str) -> bytes:
        """A request of the administrator's."""
        top = f"{method} /api/v4/projects/1/packages/pypi{path} HTTP/1.1"
        return "\r\n".join((top, "Host: 127.0.0.1", f"PRIVATE-TOKEN: {self.server.token}", *headers, "", "")).encode()

    def memory(self) -> int:
        """The most memory that the server ever had, in bytes."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def answer(connection: socket.socket, method: str = "GET") -> bytes:
    """One whole answer, its date taken out."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65_536)
        assert piece, "closed within a head"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    wanted = int(length[1]) if length is not None and method != "HEAD" else 0
    while len(body) < wanted:
        piece = connection.recv(65_536)
        assert piece, "closed within a body"
        body += piece
    assert len(body) == wanted
    return DATE.sub(b"-", head) + b"\r\n\r\n" + body


@pytest.fixture(params=["tcp", "ssl"])
def host(request: pytest.FixtureRequest, tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Host]:
    """See `Host`; over both."""
    key, trusted = certificate
    encrypted = request.param == "ssl"
    listen = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={trusted}" if encrypted else "tcp:0:interface=127.0.0.1"
    with serving(tmp_path / "data", listen=listen) as server:
        made = Host(server, ssl.create_default_context(cafile=str(trusted)) if encrypted else None)
        content_type, body = form(FILENAME, CONTENT)
        with made.connection() as connection:
            connection.sendall(made.request("POST", "", f"Content-Type: {content_type}", f"Content-Length: {len(body)}") + body)
            assert answer(connection).startswith(b"HTTP/1.1 201")
        yield made


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_are_the_same_each_time(host: Host, method: str) -> None:
    """Whatever is asked ten times on one connection is answered ten times with the same bytes, and so it is on another connection."""
    file = f"/files/{hashlib.sha256(CONTENT).hexdigest()}/{FILENAME}"
    for path, *headers in (
        ("/simple/demo/",),
        ("/simple/demo/", "Accept: application/vnd.pypi.simple.v1+json", "Accept-Encoding: gzip"),
        ("/simple/", "Accept-Encoding: zstd"),
        (file,),
        (f"{file}.metadata",),
    ):
        raw = host.request(method, path, *headers)
        told = set()
        for _ in range(2):
            with host.connection() as connection:
                for _ in range(10):
                    connection.sendall(raw)
                    told.add(answer(connection, method))
                # And all at once.
                connection.sendall(raw * 3)
                connection.sendall(host.request(method, path, *headers, "Connection: close"))
                rest = b""
                while piece := connection.recv(1 << 20):
                    rest += piece
        assert len(told) == 1
        (first,) = told
        assert first.startswith(b"HTTP/1.1 200")
        assert DATE.sub(b"-", rest).replace(b"Connection: close\r\n", b"") == first * 4
        if path == file and method == "GET":
            assert first.endswith(CONTENT)


def test_who_does_not_read_takes_no_memory(host: Host) -> None:
    """Ten who ask thousands of times for the same file and read nothing take a few hundred kB each, and others are served.

    (hardening row 47)
    """
    raw = host.request("GET", f"/files/{hashlib.sha256(CONTENT).hexdigest()}/{FILENAME}")
    with host.connection() as connection:
        for _ in range(3):
            connection.sendall(raw)
            assert answer(connection).endswith(CONTENT)
    before = host.memory()
    with contextlib.ExitStack() as all_of_them:
        greedy = [all_of_them.enter_context(host.connection()) for _ in range(10)]
        for number, connection in enumerate(greedy):
            connection.setblocking(False)
            # Ready ones, and such as are not.
            one = raw if number % 2 else raw.replace(b"\r\n\r\n", b"\r\nX: %d\r\n\r\n" % number)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                for _ in range(100):
                    connection.send(one * 100)
        with host.connection() as connection:
            for _ in range(50):
                connection.sendall(raw)
                assert answer(connection).endswith(CONTENT)
        assert host.memory() - before < 30 * MEGABYTE
    assert host.server.accepts()
