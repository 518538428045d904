"""Whatever dies, and whenever: no page lists what is not there, nothing half-written stays, and the next upload works."""

import base64
import contextlib
import hashlib
import http.client
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.clients.conftest import Client
from tests.clients.distributions import form, form_around, wheel
from tests.clients.processes import DEADLINE, LOOPBACK, SERVE, Answer, Server, environment, eventually, serving

MEGABYTE = 1 << 20
STEPS = [
    "create",
    "write",
    "half a write",
    "create beside",
    "write beside",
    "flush",
    "make_folder",
    "replace",
    "between the names",
    "after replace",
    "flush_folder",
    "before commit",
    "after commit",
]


def command_that_reaches(step: str, data_dir: Path) -> tuple[str, ...]:
    """The command of a server that dies at this step."""
    return (sys.executable, "-m", "tests.clients.dying_server", step, str(data_dir))


@contextlib.contextmanager
def reaching(step: str, data_dir: Path) -> Iterator[Server]:
    """A server that serves, and dies (or has no space) at this step of publishing."""
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with serving(data_dir, command=command_that_reaches(step, data_dir), listen="", environ=here) as server:
        yield server


def upload(server: Server, filename: str, content: bytes) -> Answer:
    """Publish one wheel."""
    content_type, body = form(filename, content)
    return server.ask("POST", server.api(), body=body, content_type=content_type)


def blobs(server: Server) -> list[str]:
    """The names of all blobs at rest."""
    folder = server.data_dir / "blobs"
    return [path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != "staging"]


def consistent(server: Server, name: str) -> bool:
    """Whether the name has a page; fails unless all that is listed is there, nothing is half-written and `verify` is content."""
    listed, held = server.files(name), set[str]()
    for filename, path in listed.items():
        answer = server.ask("GET", path)
        assert (answer.status, hashlib.sha256(answer.body).hexdigest()) == (200, Path(path).parent.name), filename
        beside = server.ask("GET", f"{path}.metadata")
        assert beside.status == 200, filename
        held |= {hashlib.sha256(body).hexdigest() for body in (answer.body, beside.body)}
    assert server.leftovers() == []
    # The sweep at the start removes what no row names; it runs while we ask.
    eventually(lambda: set(blobs(server)) == held, "the sweep")
    assert json.loads(server.command("verify", "--json").worked().out) == []
    return bool(listed)


@pytest.mark.parametrize("step", STEPS)
def test_a_server_killed_while_publishing_is_consistent_afterwards(tmp_path: Path, step: str) -> None:
    """After SIGKILL at any step a file is either published whole or not at all, and the same upload can follow (hardening rows 45, 46)."""
    data_dir = tmp_path / "data"
    filename, content = wheel("victim", ballast=os.urandom(2 * MEGABYTE))
    with reaching(step, data_dir) as server:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            upload(server, filename, content)
        assert server.ended() == -signal.SIGKILL
    with serving(data_dir) as server:
        committed = consistent(server, "victim")
        assert committed == (step == "after commit")
        again = upload(server, filename, content)
        assert again.status == (400 if committed else 201)
        assert ("already exists" in again.reason) == committed
        assert consistent(server, "victim")


@pytest.mark.parametrize("step", ["write beside", "replace", "between the names", "flush_folder", "before commit"])
def test_killed_while_adding_to_a_registry_that_holds_things(tmp_path: Path, step: str) -> None:
    """What was published before the kill is untouched by it and by the sweep after it (hardening row 45)."""
    data_dir = tmp_path / "data"
    kept, content = wheel("kept")
    with serving(data_dir) as server:
        assert upload(server, kept, content).status == 201
    with reaching(step, data_dir) as server:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            upload(server, *wheel("victim"))
        assert server.ended() == -signal.SIGKILL
    with serving(data_dir) as server:
        assert consistent(server, "kept")
        assert server.files("victim") == {}
        assert server.ask("GET", server.files("kept")[kept]).body == content
        server.command("verify").worked()


def test_founding_can_be_killed_too(tmp_path: Path) -> None:
    """A first start killed at any moment leaves a directory that the next start founds or takes over, with a token that works."""
    data_dir = tmp_path / "data"
    home = tmp_path / "home"
    home.mkdir()
    command = [*SERVE, "--listen", LOOPBACK, "--data-dir", str(data_dir)]
    for made in ("", "lock", "catalog.sqlite", "catalog.sqlite-wal", "initial-root-token"):
        mark = data_dir / made
        process = subprocess.Popen(command, env=environment(home), cwd=home, stdout=subprocess.DEVNULL)
        eventually(mark.exists, f"{mark} to appear")
        process.kill()
        process.wait(DEADLINE)
    with serving(data_dir) as server:
        assert upload(server, *wheel("first")).status == 201


@pytest.mark.parametrize("step", ["full", "full at flush"])
def test_a_full_disk_is_told_and_nothing_stays(tmp_path: Path, client: Client, step: str) -> None:
    """With no space left (or no quota) twine shows 507 and why; nothing stays behind and the server goes on (hardening row 46)."""
    filename, content = wheel("large", ballast=os.urandom(2 * MEGABYTE))
    (client.folder / filename).write_bytes(content)
    with reaching(step, tmp_path / "data") as server:
        outcome = client.twine(server, filename).failed()
        assert "507 Insufficient Storage" in outcome.said
        assert "The registry's disk is full; nothing was stored" in outcome.said
        assert server.files("large") == {}
        eventually(lambda: server.leftovers() == [], "the staged file to be removed")
        assert blobs(server) == []
    with serving(tmp_path / "data") as server:
        client.twine(server, filename).worked()
        assert consistent(server, "large")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_client_killed_in_mid_upload_leaves_nothing(server: Server, tmp_path: Path, number: signal.Signals) -> None:
    """When the uploading process dies half-way, what it sent is removed at once, and another may publish (hardening row 46)."""
    filename, content = wheel("orphan", ballast=os.urandom(4 * MEGABYTE))
    content_type, body = form(filename, content)
    program = (
        "import socket, sys\n"
        f"connection = socket.create_connection(('127.0.0.1', {server.port}))\n"
        "connection.sendall(sys.stdin.buffer.read())\n"
        "sys.stdin.close()\n"
        "print('sent', flush=True)\n"
        "connection.recv(1)\n"
    )
    head = (
        f"POST /api/v4/projects/1/packages/pypi HTTP/1.1\r\nHost: registry.test\r\nPRIVATE-TOKEN: {server.token}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with subprocess.Popen(
        (sys.executable, "-c", program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(head.encode() + body[: len(body) // 2])
        process.stdin.close()
        assert process.stdout.readline() == b"sent\n"
        eventually(server.leftovers, "half of the upload to arrive")
        process.send_signal(number)
        process.wait(DEADLINE)
    eventually(lambda: server.leftovers() == [], "the half to be removed")
    assert server.files("orphan") == {}
    assert upload(server, filename, content).status == 201
    assert consistent(server, "orphan")


def together(*tasks: Callable[[], int]) -> list[int]:
    """The results of tasks that run at the same time, in any order."""
    start = threading.Barrier(len(tasks))
    results: list[int] = []

    def run(task: Callable[[], int]) -> None:
        start.wait(DEADLINE)
        results.append(task())

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    return results


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_uploads_of_one_file_name_exactly_one_wins(server: Server, attempt: int) -> None:
    """Different bytes under one name, sent at once by several clients: one 201, the others 400, and one file (hardening row 48)."""

    def status(filename: str, content: bytes) -> int:
        return upload(server, filename, content).status

    contents = [wheel("race", ballast=bytes([number]) * MEGABYTE) for number in range(4)]
    statuses = together(*(partial(status, *each) for each in contents))
    assert sorted(statuses) == [201, 400, 400, 400]
    (path,) = server.files("race").values()
    assert server.ask("GET", path).body in [content for _, content in contents]
    # A loser's bytes may wait for the sweep; nothing else may be wrong.
    troubles = json.loads(server.command("verify", "--json").out)
    assert [one["problem"] for one in troubles if "the next sweep removes it" not in one["problem"]] == []
    assert server.leftovers() == []


def test_of_two_uploads_that_end_together_exactly_one_wins(server: Server) -> None:
    """Both have sent all but the last byte before either is complete, and still exactly one is published (hardening row 48)."""
    connections = []
    for number in range(2):
        filename, content = wheel("race", ballast=bytes([number]) * MEGABYTE)
        content_type, body = form(filename, content)
        head = (
            f"POST /api/v4/projects/1/packages/pypi HTTP/1.1\r\nHost: registry.test\r\nPRIVATE-TOKEN: {server.token}\r\n"
            f"Connection: close\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
        connection.sendall(head.encode() + body[:-1])
        connections.append((connection, body[-1:]))
    for connection, last in connections:
        connection.sendall(last)
    answers = []
    for connection, _ in connections:
        with connection, connection.makefile("rb") as received:
            answers.append(received.readline().split()[1])
    assert sorted(answers) == [b"201", b"400"]
    assert len(server.files("race")) == 1


# --- memory ---

_LARGE = 300 * MEGABYTE
_CHUNK = MEGABYTE


def resident(server: Server) -> int:
    """The server's resident memory, in bytes."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{server.process.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def test_memory_stays_flat(server: Server) -> None:
    """A 300 MB upload and its download never keep the server's memory more than 24 MB above idle (hardening row 47)."""
    # What is loaded once (zipfile, metadata) is part of idle.
    filename, content = wheel("warm", ballast=bytes(MEGABYTE))
    assert upload(server, filename, content).status == 201
    assert server.ask("GET", server.files("warm")[filename]).body == content
    idle = peak = resident(server)
    filename, head, tail, ballast = large_wheel()
    before, after = form_around(filename)
    digest = hashlib.sha256()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    with contextlib.closing(connection):
        content_type, _ = form(filename, b"")
        connection.putrequest("POST", "/api/v4/projects/1/packages/pypi")
        connection.putheader("PRIVATE-TOKEN", server.token)
        connection.putheader("Content-Type", content_type)
        connection.putheader("Content-Length", str(len(before) + len(head) + _LARGE + len(tail) + len(after)))
        connection.endheaders(before + head)
        digest.update(head)
        for _ in range(_LARGE // _CHUNK):
            connection.send(ballast)
            digest.update(ballast)
            peak = max(peak, resident(server))
        connection.send(tail + after)
        digest.update(tail)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (201, b'{"message":"201 Created"}')
        peak = max(peak, resident(server))
        got = hashlib.sha256()
        connection.request("GET", server.files("ballast")[filename], headers={"PRIVATE-TOKEN": server.token})
        answer = connection.getresponse()
        while data := answer.read(_CHUNK):
            got.update(data)
            peak = max(peak, resident(server))
    assert got.digest() == digest.digest()
    assert peak - idle <= 24 * MEGABYTE, f"{(peak - idle) / MEGABYTE:.1f} MB above idle"


def large_wheel() -> tuple[str, bytes, bytes, bytes]:
    """A wheel of more than 300 MB: its name, what stands before and after its ballast, and the chunk that is repeated for ballast."""
    chunk = os.urandom(_CHUNK)
    crc, digest = 0, hashlib.sha256()
    for _ in range(_LARGE // _CHUNK):
        crc = zlib.crc32(chunk, crc)
        digest.update(chunk)
    # A real archive with an empty member last; the member's size and checksum are then set to those of the ballast put behind its name.
    filename, small = wheel("ballast")
    name, told = b"ballast/ballast", io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(small)) as source, zipfile.ZipFile(told, "w") as target:
        for member in sorted(source.namelist(), key=lambda found: found == name.decode()):
            data = source.read(member)
            if member.endswith("/RECORD"):
                hashed = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=")
                data = re.sub(rb"(?m)^ballast/ballast,.*$", b"ballast/ballast,sha256=%b,%d" % (hashed, _LARGE), data)
            target.writestr(zipfile.ZipInfo(member), data)
    archive = told.getvalue()
    start = archive.rindex(name, 0, archive.index(b"PK\x01\x02")) + len(name)
    directory = archive.index(b"PK\x01\x02")
    assert start == directory
    sizes = struct.pack("<III", crc, _LARGE, _LARGE)
    local = start - len(name) - 30
    head = archive[: local + 14] + sizes + archive[local + 26 : start]
    central = archive.rindex(b"PK\x01\x02")
    end = archive.rindex(b"PK\x05\x06")
    tail = archive[directory : central + 16] + sizes + archive[central + 28 : end + 16]
    tail += struct.pack("<I", directory + _LARGE) + archive[end + 20 :]
    return filename, head, tail, chunk
