"""Starting, stopping, and everything an operator sees in between."""

import contextlib
import hashlib
import http.client
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Built, Client, make_client
from tests.clients.distributions import form, wheel
from tests.clients.processes import DEADLINE, TWISTD, Outcome, Server, environment, eventually, launched, run, serving

SERVERS = pytest.mark.parametrize(
    "command", [(sys.executable, "-m", "registry", "serve"), TWISTD], ids=["registry serve", "twistd registry"]
)
MEGABYTE = 1 << 20


def mode(path: Path) -> int:
    """The permission bits of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def publish(server: Server, filename: str, content: bytes) -> int:
    """Upload one wheel; the status."""
    content_type, body = form(filename, content)
    return server.ask("POST", server.api(), body=body, content_type=content_type).status


def ended(server: Server) -> Outcome:
    """How a server ended that was not to start."""
    return Outcome(status=server.ended(), out=server.said, err=server.logged)


# --- the first start and the second ---
def test_the_first_start_founds_a_registry(tmp_path: Path) -> None:
    """An empty directory becomes ours alone, with a root token nobody could guess and project 1, root/packages (hardening row 30)."""
    data_dir = tmp_path / "deep" / "data"
    data_dir.parent.mkdir()
    with serving(data_dir) as server:
        assert mode(data_dir) == 0o700
        assert mode(data_dir / "initial-root-token") == 0o600
        assert re.fullmatch(r"glpat-[\w-]{32}\n", (data_dir / "initial-root-token").read_text())
        assert '"path": "root/packages"' in server.command("project", "show", "1", "--json").worked().out
        assert server.token not in server.said + server.logged
        for path in data_dir.rglob("*"):
            assert mode(path) & 0o077 == 0, path


def test_two_registries_have_different_tokens(tmp_path: Path) -> None:
    """The first token is made, not built in (hardening row 30)."""
    with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
        assert one.token != two.token


def test_secrets_are_ours_alone_in_a_directory_that_others_may_enter(tmp_path: Path) -> None:
    """A data directory that exists keeps its own mode; what holds secrets in it can be read by nobody else (hardening row 30)."""
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o755)
    data_dir.chmod(0o755)
    with serving(data_dir) as server:
        assert publish(server, *wheel("first")) == 201
        assert mode(data_dir) == 0o755
        for path in data_dir.iterdir():
            assert mode(path) & 0o077 == 0, path


def test_a_later_start_says_one_line(tmp_path: Path) -> None:
    """The second start keeps token and data, and prints one line."""
    with serving(tmp_path / "data") as first:
        token = first.token
        assert publish(first, *wheel("kept")) == 201
    with serving(tmp_path / "data") as second:
        assert re.fullmatch(
            rf"Registry listening on 127\.0\.0\.1:{second.port}; data in {re.escape(str(tmp_path / 'data'))}; ready in [\d.]+ s\n",
            second.said,
        )
        assert second.token == token
        assert list(second.files("kept")) == ["kept-1.0-py3-none-any.whl"]


def pasted(said: str, start: str) -> str:
    """The printed command that starts so, as it would be copied."""
    found = re.search(rf"^.*?({re.escape(start)} .*)$", said, re.MULTILINE)
    assert found, said
    return found[1]


def test_the_welcome_can_be_pasted_into_a_shell(tmp_path: Path, built: Built) -> None:
    """The printed twine, pip and uv lines and ~/.pypirc do what they say, from a data directory with a space and a quote in its name."""
    client = make_client(tmp_path / "client")
    venv = tmp_path / "venv"
    run((sys.executable, "-m", "venv", venv), client.env).worked()
    env = {
        **client.env,
        "VIRTUAL_ENV": str(venv),
        "PATH": f"{venv / 'bin'}:{client.env['PATH']}",
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
    }
    for folder, files in (("dist", built.base), ("second/dist", built.old)):
        (client.folder / folder).mkdir(parents=True)
        for file in files:
            (client.folder / folder / file.name).write_bytes(file.read_bytes())

    def paste(line: str, cwd: Path = client.folder) -> Outcome:
        return run(("sh", "-c", line), env, cwd).worked()

    with serving(tmp_path / "my data's") as server:
        paste(pasted(server.said, "twine upload --repository-url"))
        paste(server.said[server.said.index("(umask 077; cat >> ~/.pypirc)") :])
        assert server.token in (client.folder / ".pypirc").read_text()
        assert mode(client.folder / ".pypirc") == 0o600
        paste("twine upload -r registry dist/*", client.folder / "second")
        assert set(server.files("my-package")) == {file.name for file in built.old}
        paste(pasted(server.said, "pip install").replace("NAME", "my-base"))
        paste(pasted(server.said, "uv pip install").replace("NAME", "My.Package"))
        assert paste("python -c 'import my_package, my_base; print(my_package.__version__)'").out == "1.0\n"


# --- ways to start ---
def test_twistd_serves_the_same(tmp_path: Path, client: Client, built: Built) -> None:
    """A directory founded by `twistd registry` is published to and installed from, and `registry serve` goes on with it."""
    with serving(tmp_path / "data", command=TWISTD) as server:
        assert "Welcome. This is a new registry" in server.said
        client.twine(server, *built.base).worked()
        pages = server.ask("GET", f"{server.api()}/simple/my-base/").body
    with serving(tmp_path / "data") as other:
        # Links carry the address, and each start has a port of its own.
        assert other.ask("GET", f"{other.api()}/simple/my-base/").body == pages.replace(server.url.encode(), other.url.encode())


def test_twistd_lists_it(client: Client) -> None:
    """`twistd --help` names the plugin, and `twistd registry --help` its options."""
    twistd = (sys.executable, TWISTD[1])
    assert re.search(
        r"^\s+registry\s+A private Python package registry", run((*twistd, "--help"), client.env, client.folder).worked().out, re.MULTILINE
    )
    options = run((*twistd, "registry", "--help"), client.env, client.folder).worked().out
    for option in ("--config", "--data-dir", "--listen", "--external-url"):
        assert option in options


def test_the_console_script_is_the_module(client: Client) -> None:
    """`registry` and `python -m registry` are one program."""
    script = run((Path(sys.executable).parent / "registry", "--help"), client.env, client.folder).worked().out
    assert script == run((sys.executable, "-m", "registry", "--help"), client.env, client.folder).worked().out


def test_options_may_come_from_a_file_and_the_environment(tmp_path: Path) -> None:
    """--config names an INI file; environment variables speak louder, options loudest."""
    config = tmp_path / "registry.ini"
    config.write_text(
        f"[server]\ndata_dir = {tmp_path / 'from-file'}\nlisten = tcp:0:interface=127.0.0.1\nexternal_url = https://packages.test\n"
    )
    environ = {"REGISTRY__SERVER__EXTERNAL_URL": "https://environment.test"}
    with serving(tmp_path / "unused", "--config", str(config), listen="", environ=environ) as server:
        assert "https://environment.test/api/v4/projects/1" in server.said
        assert (tmp_path / "from-file" / "catalog.sqlite").exists()
    with serving(tmp_path / "data", "--config", str(config), "--external-url", "https://option.test", environ=environ) as server:
        assert "https://option.test/api/v4/projects/1" in server.said


@SERVERS
@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"REGISTRY__SERVER__PORT": "1"}, "environment variable REGISTRY__SERVER__PORT: section [server] has no key 'port'"),
        ({"REGISTRY__UPLOADS__MAX_FILE_SIZE": "huge"}, "[uploads] max_file_size = 'huge' cannot be used: use a number of bytes such as 5G"),
        ({"REGISTRY__SERVER__LISTEN": "nonsense:1"}, "[server] listen = 'nonsense:1' cannot be used"),
    ],
)
def test_a_bad_configuration_stops_the_start(tmp_path: Path, command: tuple[str, ...], environ: dict[str, str], sentence: str) -> None:
    """An unknown key, a bad value and a bad endpoint end the start with one sentence that names them, and nothing is created."""
    with launched(tmp_path / "data", "--data-dir", str(tmp_path / "data"), command=command, listen="", environ=environ) as server:
        outcome = ended(server)
    assert outcome.status not in {0, -signal.SIGKILL}
    assert sentence in outcome.said
    assert "Traceback" not in outcome.said
    assert not (tmp_path / "data").exists()


def test_a_missing_configuration_file_is_told(tmp_path: Path) -> None:
    """A --config that does not exist is wrong usage, told in a sentence."""
    with launched(tmp_path / "data", "--config", "nowhere.ini") as server:
        assert "cannot read the configuration file nowhere.ini: No such file or directory" in ended(server).failed(2).err


@SERVERS
def test_a_port_that_is_taken_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    """When somebody else has the port, the start ends with status 1 and a sentence that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        with launched(tmp_path / "data", command=command, listen=listen) as server:
            outcome = ended(server).failed(1)
    assert f"cannot listen on {listen}: " in outcome.said
    assert "Address already in use" in outcome.said
    assert "give another --listen" in outcome.said
    assert "Traceback" not in outcome.said


@SERVERS
def test_a_data_directory_that_is_in_use_is_told(tmp_path: Path, server: Server, command: tuple[str, ...]) -> None:
    """A second server on one data directory ends with status 1 and a sentence; the first goes on."""
    with launched(server.data_dir, command=command) as second:
        outcome = ended(second).failed(1)
    assert f"The data directory {server.data_dir} is in use by another registry process" in outcome.said
    assert "Traceback" not in outcome.said
    assert publish(server, *wheel("still")) == 201


# --- stopping ---
@contextlib.contextmanager
def upload_underway(server: Server, filename: str, content: bytes) -> Iterator[socket.socket]:
    """A connection over which all of an upload but its last half has gone."""
    content_type, body = form(filename, content)
    head = (
        f"POST /api/v4/projects/1/packages/pypi HTTP/1.1\r\nHost: registry.test\r\nPRIVATE-TOKEN: {server.token}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection:
        connection.sendall(head.encode() + body[: len(body) // 2])
        eventually(server.leftovers, "the first half to arrive")
        yield connection


@contextlib.contextmanager
def download_underway(server: Server, path: str) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection over which an answer has begun to come, and what has come of it; the rest is more than the kernel will hold."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.settimeout(DEADLINE)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: registry.test\r\nPRIVATE-TOKEN: {server.token}\r\n\r\n".encode())
        yield connection, connection.recv(1 << 10)


def everything(connection: socket.socket) -> bytes:
    """All that still comes, to the end of the connection."""
    received = []
    while data := connection.recv(1 << 20):
        received.append(data)
    return b"".join(received)


@SERVERS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_running_transfers_finish(tmp_path: Path, command: tuple[str, ...], number: signal.Signals) -> None:
    """Asked to stop, it takes no new connection, finishes a slow upload and a slow download, and ends with status 0."""
    filename, large = wheel("large", ballast=bytes(32 * MEGABYTE))
    with serving(tmp_path / "data", command=command) as server:
        assert publish(server, filename, large) == 201
        idle = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
        slow, content = wheel("slow", ballast=bytes(2 * MEGABYTE))
        with (
            idle,
            upload_underway(server, slow, content) as upload,
            download_underway(server, server.files("large")[filename]) as (download, begun),
        ):
            server.send(number)
            eventually(lambda: not server.accepts(), "new connections to be refused")
            assert idle.recv(1) == b"", "an idle connection is closed at once"
            assert server.process.poll() is None
            _, body = form(slow, content)
            upload.sendall(body[len(body) // 2 :])
            assert everything(upload).startswith(b"HTTP/1.1 201 ")
            answer = begun + everything(download)
            assert hashlib.sha256(answer.partition(b"\r\n\r\n")[2]).digest() == hashlib.sha256(large).digest()
        assert server.ended() == 0
        assert server.leftovers() == []
    with serving(tmp_path / "data") as again:
        assert list(again.files("slow")) == [slow]


def test_a_transfer_that_does_not_finish_is_cut(tmp_path: Path) -> None:
    """After the grace period what still runs is cut, nothing half-written remains, and the log says so."""
    with serving(tmp_path / "data", environ={"REGISTRY__SERVER__GRACE": "300ms"}) as server:
        with upload_underway(server, *wheel("never", ballast=bytes(2 * MEGABYTE))) as upload:
            server.stop()
            with contextlib.suppress(ConnectionResetError):
                assert upload.recv(1) == b""
        assert server.leftovers() == []
        assert "1 transfers get 0.3 s to finish" in server.logged
        assert "cut 1 transfers that did not finish" in server.logged
    with serving(tmp_path / "data") as again:
        assert again.files("never") == {}


def test_stopping_an_idle_server_is_quick_and_silent(server: Server) -> None:
    """Without transfers a stop waits for nothing and logs nothing."""
    server.stop()
    assert server.logged == ""


def test_an_impatient_second_signal_does_no_harm(server: Server) -> None:
    """A second Ctrl-C while transfers finish neither crashes the server nor leaves anything half-written."""
    with upload_underway(server, *wheel("never", ballast=bytes(2 * MEGABYTE))):
        server.send(signal.SIGINT)
        eventually(lambda: not server.accepts(), "new connections to be refused")
        server.send(signal.SIGINT)
    assert server.ended() == 0, server.logged
    assert server.leftovers() == []
    assert "Traceback" not in server.logged


# --- while it runs ---
def test_a_revoked_token_stops_working(server: Server) -> None:
    """`registry token revoke` beside a running server shuts the door, also on decisions it remembers (hardening row 26)."""
    made = server.command("token", "create", "--user", "root", "--name", "to go", "--scope", "api").worked().out.strip()
    page = f"{server.api()}/simple/"
    assert server.ask("GET", page, token=made).status == 200
    server.command("token", "revoke", "2").worked()
    eventually(lambda: server.ask("GET", page, token=made).status == 401, "the revoked token to be refused")
    assert server.ask("GET", page).status == 200


def test_a_blocked_user_stops_working(server: Server) -> None:
    """`registry user block` beside a running server shuts all doors, and `user unblock` opens them again."""
    server.command("user", "create", "ann").worked()
    server.command("project", "create", "ann/tools").worked()
    made = server.command("token", "create", "--user", "ann", "--name", "hers", "--scope", "api").worked().out.strip()
    page = f"{server.api('ann%2Ftools')}/simple/"
    eventually(lambda: server.ask("GET", page, token=made).status == 200, "the new user to be let in")
    server.command("user", "block", "ann").worked()
    eventually(lambda: server.ask("GET", page, token=made).status == 403, "the blocked user to be refused")
    server.command("user", "unblock", "ann").worked()
    eventually(lambda: server.ask("GET", page, token=made).status == 200, "the user to be let in again")


def test_the_same_bytes_in_two_projects_are_stored_once(server: Server) -> None:
    """Publishing one file to two projects takes its space, and that of its metadata, once, and both give it out."""
    server.command("project", "create", "root/second").worked()
    filename, content = wheel("twice")
    content_type, body = form(filename, content)
    for project in ("1", "root%2Fsecond"):
        assert server.ask("POST", server.api(project), body=body, content_type=content_type).status == 201
        path = server.files("twice", project)[filename]
        assert server.ask("GET", path).body == content
    assert len([path for path in (server.data_dir / "blobs").rglob("*") if path.is_file()]) == 2


# --- other doors ---
def test_tls_is_one_endpoint_string_away(tmp_path: Path, certificate: tuple[Path, Path], client: Client) -> None:
    """Over an `ssl:` endpoint twine publishes and pip installs; GET, HEAD and Range of a large file are right to the byte."""
    key, trusted = certificate
    filename, content = wheel("large", ballast=bytes(range(256)) * (3 * MEGABYTE // 256))
    (client.folder / filename).write_bytes(content)
    with serving(tmp_path / "data", listen=f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={trusted}") as server:
        address = f"https://127.0.0.1:{server.port}"
        assert f"twine upload --repository-url {address}/api/v4/projects/1/packages/pypi" in server.said
        api = f"{address}/api/v4/projects/1/packages/pypi"
        client.upload("--cert", trusted, "--repository-url", api, "-u", "__token__", "-p", server.token, filename).worked()
        index = f"{api}/simple/".replace("://", f"://__token__:{server.token}@")
        client.pip("download", "--cert", trusted, "--index-url", index, "--dest", client.folder / "got", "large").worked()
        assert (client.folder / "got" / filename).read_bytes() == content
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=ssl.create_default_context(cafile=str(trusted)))
        path = f"/api/v4/projects/1/packages/pypi/files/{hashlib.sha256(content).hexdigest()}/{filename}"
        secret = {"PRIVATE-TOKEN": server.token}
        with contextlib.closing(connection):
            connection.request("HEAD", path, headers=secret)
            head = connection.getresponse()
            assert (head.status, head.getheader("content-length"), head.read()) == (200, str(len(content)), b"")
            connection.request("GET", path, headers=secret)
            assert connection.getresponse().read() == content
            connection.request("GET", path, headers={**secret, "Range": f"bytes={MEGABYTE}-{2 * MEGABYTE}"})
            part = connection.getresponse()
            assert (part.status, part.read()) == (206, content[MEGABYTE : 2 * MEGABYTE + 1])


def test_tls_drains_too(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A slow download over TLS is finished before the server stops."""
    key, trusted = certificate
    filename, content = wheel("large", ballast=bytes(32 * MEGABYTE))
    (tmp_path / filename).write_bytes(content)
    with serving(tmp_path / "data") as server:
        assert publish(server, filename, content) == 201
        path = server.files("large")[filename]
    with serving(tmp_path / "data", listen=f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={trusted}") as server:
        context = ssl.create_default_context(cafile=str(trusted))
        with download_over_tls(server, context, path) as (connection, begun):
            server.send(signal.SIGTERM)
            eventually(lambda: not server.accepts(), "new connections to be refused")
            answer = begun + everything(connection)
            assert hashlib.sha256(answer.partition(b"\r\n\r\n")[2]).digest() == hashlib.sha256(content).digest()
        assert server.ended() == 0


@contextlib.contextmanager
def download_over_tls(server: Server, context: ssl.SSLContext, path: str) -> Iterator[tuple[ssl.SSLSocket, bytes]]:
    """`download_underway`, over TLS."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: registry.test\r\nPRIVATE-TOKEN: {server.token}\r\n\r\n".encode())
        yield connection, connection.recv(1 << 10)


def test_a_unix_socket_is_one_endpoint_string_away(tmp_path: Path) -> None:
    """Over a `unix:` endpoint a file goes in and comes out; its links are those of --external-url, and the start names the socket."""
    path = tmp_path / "socket"
    with serving(tmp_path / "data", "--external-url", "http://packages.test", listen=f"unix:{path}") as server:
        assert f"Registry listening on {path};" in server.said
        filename, content = wheel("local")
        content_type, body = form(filename, content)
        secret = {"PRIVATE-TOKEN": server.token}
        base = "/api/v4/projects/1/packages/pypi"
        with contextlib.closing(http.client.HTTPConnection("registry.test")) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            connection.request("POST", base, body, {**secret, "Content-Type": content_type})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (201, b'{"message":"201 Created"}')
            connection.request("GET", f"{base}/simple/local/", headers=secret)
            assert b'href="http://packages.test/api/v4/projects/1/packages/pypi/files/' in connection.getresponse().read()
            connection.request("GET", f"{base}/files/{hashlib.sha256(content).hexdigest()}/{filename}", headers=secret)
            assert connection.getresponse().read() == content
    assert not path.exists()


def test_several_doors_lead_to_one_registry(tmp_path: Path) -> None:
    """--listen may be given twice, and both ports serve."""
    with serving(tmp_path / "data", "--listen", "tcp:0:interface=127.0.0.1") as server:
        ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)[,;]", server.said.splitlines()[0])]
        assert len(set(ports)) == 2
        for server.port in ports:
            assert server.ask("GET", "/-/health", token="").body == b"Registry OK"


def test_a_closed_terminal_does_not_stop_it(tmp_path: Path) -> None:
    """A reader of its output that goes away (`registry serve | head -1`) does not end the service."""
    home = tmp_path / "home"
    home.mkdir()
    command = (sys.executable, "-m", "registry", "serve", "--listen", "tcp:0:interface=127.0.0.1", "--data-dir", str(tmp_path / "data"))
    with subprocess.Popen(command, env=environment(home), cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split(b";")[0].rpartition(b":")[2])
            process.stdout.close()
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
                connection.request("GET", "/-/health")
                assert connection.getresponse().read() == b"Registry OK"
            process.terminate()
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()
