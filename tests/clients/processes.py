"""Processes started and stopped as a user would, with a deadline on everything."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from attrs import define, frozen

T = TypeVar("T")

# Generous: these machines run many things at once, and a deadline here only tells "slow" from "never".
DEADLINE = 60.0
LOOPBACK = "tcp:0:interface=127.0.0.1"
BIN = Path(sys.executable).parent
SERVE = (sys.executable, "-m", "registry", "serve")
TWISTD = (sys.executable, str(BIN / "twistd"), "--nodaemon", "--pidfile=", "registry")
# What a developer may have set for himself, and what would send a client to the network.
_FOREIGN = ("PIP_", "UV_", "TWINE_", "REGISTRY__", "COV_", "COVERAGE_")
_FOREIGN_TOO = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "requests_ca_bundle",
    "curl_ca_bundle",
    "ssl_cert_file",
    "ssl_cert_dir",
)


def eventually(condition: Callable[[], T], what: str) -> T:
    """The first true result of `condition()`; fails after the deadline. For what happens in another process."""
    end = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not (result := condition()):
        assert time.monotonic() < end, f"waited {DEADLINE} s in vain: {what}"
        pause.wait(0.01)
    return result


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user at home in `home` who has set nothing and has the tools on his PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN) and name.lower() not in _FOREIGN_TOO}
    kept.pop("VIRTUAL_ENV", None)
    return {
        **kept,
        "HOME": str(home),
        "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PYTHONDONTWRITEBYTECODE": "1",
        # No test reaches the network: a name not held here is not found.
        "REGISTRY__UPSTREAM__MODE": "off",
        # Messages are not folded to a terminal's width.
        "COLUMNS": "500",
        **more,
    }


@frozen(kw_only=True)
class Outcome:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All of it, as on a terminal."""
        return self.out + self.err

    def worked(self) -> "Outcome":
        """Itself; fails the test unless the exit status is 0."""
        assert self.status == 0, self.said
        return self

    def failed(self, status: int = 1) -> "Outcome":
        """Itself; fails the test unless the exit status is `status`."""
        assert self.status == status, f"exit status {self.status}\n{self.said}"
        return self


def run(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None = None) -> Outcome:
    """Run a command to its end."""
    done = subprocess.run(
        [str(word) for word in command],
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=3 * DEADLINE,
        check=False,
    )
    return Outcome(status=done.returncode, out=done.stdout, err=done.stderr)


@frozen(kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


@define(kw_only=True)
class Server:
    """A registry in a process of its own, under the path `mount`. `port` 0: none."""

    process: "subprocess.Popen[bytes]"
    data_dir: Path
    out: Path
    err: Path
    env: dict[str, str]
    port: int = 0
    mount: str = ""
    _by_twistd: bool = False
    _asked: signal.Signals | None = None  # the last signal sent

    @property
    def said(self) -> str:
        """What it has printed on stdout so far."""
        return self.out.read_text()

    @property
    def logged(self) -> str:
        """What it has printed on stderr so far."""
        return self.err.read_text()

    @property
    def url(self) -> str:
        """Its address on the loopback interface."""
        return f"http://127.0.0.1:{self.port}{self.mount}"

    @property
    def token(self) -> str:
        """The administrator's token."""
        return (self.data_dir / "initial-root-token").read_text().strip()

    def api(self, project: str = "1") -> str:
        """Where to publish to: `project` is an id, or a path already quoted."""
        return f"{self.url}/api/v4/projects/{project}/packages/pypi"

    def index(self, project: str = "1", token: str | None = None) -> str:
        """Where to install from, with credentials."""
        return f"{self.api(project)}/simple/".replace("://", f"://__token__:{self.token if token is None else token}@", 1)

    def command(self, *arguments: str) -> Outcome:
        """`registry ARGUMENTS --data-dir ...` beside the running server."""
        return run((sys.executable, "-m", "registry", *arguments, "--data-dir", str(self.data_dir)), self.env)

    def ask(self, method: str, path: str, *, token: str | None = None, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own; underscores in header names stand for hyphens. `token` "" sends none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            secret = self.token if token is None else token
            if secret:
                sent["PRIVATE-TOKEN"] = secret
            connection.request(method, urlsplit(path).path if "://" in path else path, body=body, headers=sent)
            response = connection.getresponse()
            lowered = {name.lower(): value for name, value in response.getheaders()}
            return Answer(status=response.status, reason=response.reason, headers=lowered, body=response.read())
        finally:
            connection.close()

    def files(self, name: str, project: str = "1") -> dict[str, str]:
        """The files on a page, by name, and the path each is at; none if there is no such page."""
        page = self.ask("GET", f"{self.api(project)}/simple/{name}/")
        assert page.status in {200, 404}, page
        return {Path(link).name: urlsplit(link).path for link in re.findall(r'href="([^"#]+)#', page.body.decode())}

    @contextmanager
    def log_of(self, part: str) -> Iterator[Callable[[], list[str]]]:
        """What is asked of it in this block: a function for afterwards, which gives the paths in the access log that hold `part`."""
        log = self.data_dir / "access.log"

        def lines() -> list[str]:
            # The log is written now and then, in order: all before a request of ours is there once that request is.
            mark = f"/-/health/{os.urandom(8).hex()}"
            self.ask("GET", mark, token="")
            eventually(lambda: log.exists() and mark in log.read_text(), "the access log")
            return log.read_text().splitlines()

        before = len(lines())
        yield lambda: [line.split('"')[1].split()[1] for line in lines()[before:] if part in line]

    def accepts(self) -> bool:
        """Whether it still takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE).close()
        except ConnectionRefusedError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._asked = number
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, once it has ended; twistd, which dies of the signal it was stopped by, counts as 0 like everybody."""
        status = self.process.wait(DEADLINE)
        asked = self._asked is not None and self._by_twistd and status == -self._asked
        return 0 if asked else status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, which it must do with status 0."""
        self.send(number)
        assert self.ended() == 0, self.logged

    def leftovers(self) -> list[str]:
        """Files half-written."""
        return [one.name for one in (self.data_dir / "blobs" / "staging").iterdir()]


@contextmanager
def launched(
    data_dir: Path, *options: str, command: Sequence[str] = SERVE, listen: str = LOOPBACK, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server process that may not have begun to serve, or may never; it is gone when the block ends."""
    folder = data_dir.parent
    home = folder / f"{data_dir.name}-home"
    home.mkdir(exist_ok=True)
    out, err = (folder / f"{data_dir.name}.{os.urandom(4).hex()}.{name}" for name in ("out", "err"))
    where = ("--listen", listen, "--data-dir", str(data_dir)) if listen else ()
    env = environment(home)
    with out.open("wb") as out_file, err.open("wb") as err_file:
        process = subprocess.Popen(
            [*command, *where, *options],
            env={**env, **(environ or {})},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=err_file,
        )
    try:
        yield Server(process=process, data_dir=data_dir, out=out, err=err, env=env, by_twistd=command is TWISTD)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(DEADLINE)


@contextmanager
def serving(
    data_dir: Path, *options: str, command: Sequence[str] = SERVE, listen: str = LOOPBACK, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server that serves; at the end of the block it is stopped by SIGTERM, which it must obey with status 0."""
    with launched(data_dir, *options, command=command, listen=listen, environ=environ) as server:

        def ready() -> bool:
            assert server.process.poll() is None, f"ended with status {server.process.returncode}\n{server.said}{server.logged}"
            # The last word of the first line; the welcome behind it is written in the same breath, up to its END.
            return re.search(r"; ready in [\d.]+ s\n(?!\n)|\nEND\n|; ready in [\d.]+ s\n\Z", server.said) is not None

        eventually(ready, f"{command} to serve")
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", server.said)
        server.port = int(found[1]) if found else 0
        yield server
        if server.process.returncode is None:
            server.stop()
