"""Other registries that can stand in front of an index: devpi and proxpi, from an environment of their own. See README.md."""

import base64
import json
import os
import subprocess
import urllib.request
from pathlib import Path

from bench import Server


class Peer(Server):
    """One that was installed below DIR/peers. Those that ask another index ask that of `upstream`."""

    program = ""
    upstream = ""

    @classmethod
    def installed(cls, top: Path) -> bool:
        return (top / "peers" / "bin" / cls.program).exists()

    def binary(self, name: str) -> str:
        return str(self.top / "peers" / "bin" / name)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONWARNINGS": "ignore"}

    def header(self) -> list[str]:
        return []


class Devpi(Peer):
    """devpi-server with a stage that takes uploads and, if there is an upstream, a mirror of it."""

    name, ready, program = "devpi", "/+api", "devpi-server"

    def __init__(self, top: Path) -> None:
        self.token = ""
        super().__init__(top)
        if not (self.work / "made").exists():
            self._ask("PUT", "/bench", {"password": "bench"})
        self.token = self._ask("POST", "/+login", {"user": "bench", "password": "bench"})["result"]["password"]
        if not (self.work / "made").exists():
            self._ask("PUT", "/bench/dev", {"type": "stage", "volatile": True, "bases": []})
            (self.work / "made").touch()
        if self.upstream and not (self.work / "mirrors").exists():
            self._ask("PUT", "/bench/mirror", {"type": "mirror", "volatile": True, "mirror_url": self.upstream})
            (self.work / "mirrors").touch()

    def command(self) -> list[str]:
        folder = self.work / "server"
        if not folder.exists():
            command = [self.binary("devpi-init"), "--serverdir", str(folder), "--no-root-pypi"]
            subprocess.run(command, check=True, capture_output=True)
        return [self.binary("devpi-server"), "--serverdir", str(folder), "--host", "127.0.0.1", "--port", str(self.port),
                "--max-request-body-size", "6000000000"]  # fmt: skip

    def _ask(self, method: str, path: str, body: dict[str, object]) -> dict:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["X-Devpi-Auth"] = base64.b64encode(f"bench:{self.token}".encode()).decode()
        request = urllib.request.Request(self.url(path), json.dumps(body).encode(), method=method, headers=headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    @property
    def auth(self) -> str:
        # With a password instead, each request would take as long as argon2 does.
        return f"bench:{self.token}"

    @property
    def upload_path(self) -> str:
        return "/bench/dev/"

    @property
    def index(self) -> str:
        return "/bench/mirror/+simple/" if self.upstream else "/bench/dev/+simple/"

    def page(self, name: str) -> str:
        return f"{self.index}{name}/"


class Proxpi(Peer):
    """proxpi under gunicorn, one process of eight threads; it keeps pages in memory and files on disk."""

    name, ready, program, takes_uploads = "proxpi", "/health", "proxpi", False
    index = "/index/"

    @classmethod
    def installed(cls, top: Path) -> bool:
        return any((top / "peers" / "lib").glob("python*/site-packages/proxpi"))

    def command(self) -> list[str]:
        return [self.binary("gunicorn"), "--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--worker-class", "gthread",
                "--threads", "8", "--keep-alive", "30", "proxpi.server:app"]  # fmt: skip

    def environment(self) -> dict[str, str]:
        cache = self.work / "cache"
        cache.mkdir(exist_ok=True)
        kept = {"PROXPI_INDEX_URL": self.upstream, "PROXPI_CACHE_DIR": str(cache), "PROXPI_LOGGING_LEVEL": "WARNING"}
        # Room for all of it: to throw files away is not what is measured.
        return {**super().environment(), **kept, "PROXPI_CACHE_SIZE": str(64 << 30), "PATH": os.environ["PATH"]}

    def page(self, name: str) -> str:
        return f"{self.index}{name}/"
