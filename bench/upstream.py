#!/usr/bin/env python3
"""Measure what comes from upstream, beside devpi and proxpi in front of the same index, and beside going there directly.

    python bench/upstream.py installs pages crowd big first [--rounds 3] [--dir DIR] [--distance 30]

The index is nginx over PEP 691 pages and files. See README.md.
"""

import argparse
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from functools import partial
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from peers import Devpi, Proxpi

from bench import GB, JSON, LOAD_CPU, Bench, Nginx, Server, Uploader, free_port, wheel

CLIENTS = ("pip", "uv")
CROWD = 50


class Index(Nginx):
    """The upstream: nginx over pages and files in a folder, one line of log a request; on the CPU of the load."""

    name, index, cpu_number = "direct", "/simple/", LOAD_CPU

    def __init__(self, top: Path, distance: float) -> None:
        self.pages: dict[str, list[dict[str, object]]] = {}
        super().__init__(top)
        if distance:
            near, self.port = self.port, free_port()
            relay = [sys.executable, str(Path(__file__).with_name("distant.py")), str(self.port), str(near), str(distance)]
            self.relay = subprocess.Popen(["taskset", "-c", LOAD_CPU, *relay], start_new_session=True)
            while self.get("/simple/") == 0:
                time.sleep(0.01)

    relay: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        super().stop()
        if self.relay is not None:
            self.relay.kill()

    def command(self) -> list[str]:
        command = super().command()
        conf = self.work / "nginx.conf"
        root = self.work / "root"
        (root / "files").mkdir(exist_ok=True)
        places = (
            f"location /simple/ {{ index index.json; types {{ }} default_type {JSON}; }} location /files/ {{ }} "
            # Slow enough for everybody to come while the first is being answered.
            f"location /simple/crowd- {{ index index.json; types {{ }} default_type {JSON}; limit_rate 100k; }} "
            "location /files/slow_ { limit_rate 50m; } "
        )
        text = conf.read_text().replace(f"root {root};", f"root {root}; {places}")
        log = f"log_format short '$request_uri'; access_log {self.work}/requests short;"
        conf.write_text(text.replace("access_log off;", log))
        return command

    def header(self) -> list[str]:
        return []

    def page(self, name: str) -> str:
        return f"/simple/{name}/"

    def requests(self) -> list[str]:
        return (self.work / "requests").read_text().split()

    def add(self, path: Path, name: str, version: str) -> None:
        """Take a wheel, moved here."""
        root = self.work / "root"
        with zipfile.ZipFile(path) as archive:
            metadata = archive.read(next(member for member in archive.namelist() if member.endswith(".dist-info/METADATA")))
        (root / "files" / f"{path.name}.metadata").write_bytes(metadata)
        with path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        size = path.stat().st_size
        shutil.move(path, root / "files" / path.name)
        self.pages.setdefault(name, []).append({
            "filename": path.name, "url": f"/files/{path.name}", "hashes": {"sha256": sha256}, "size": size, "requires-python": ">=3.8",
            "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()}, "upload-time": "2026-01-01T00:00:00.000000Z",
            "version": version,
        })  # fmt: skip

    def publish(self) -> None:
        """Write the pages of everything that was added."""
        root = self.work / "root" / "simple"
        for name, entries in self.pages.items():
            versions = [entry["version"] for entry in entries]
            files = [{key: value for key, value in entry.items() if key != "version"} for entry in entries]
            page = {"meta": {"api-version": "1.1"}, "name": name, "versions": versions, "files": files}
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / "index.json").write_text(json.dumps(page))
        listing = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in self.pages]}
        (root / "index.json").write_text(json.dumps(listing))


class Fresh(Server):
    """This registry in front of the upstream."""

    upstream = ""

    @property
    def index(self) -> str:
        return f"{self.api}/simple/"

    def environment(self) -> dict[str, str]:
        settings = {"URL": self.upstream, "MODE": "cache", "ALLOW_PRIVATE": "127.0.0.0/8"}
        return {**super().environment(), **{f"REGISTRY__UPSTREAM__{key}": value for key, value in settings.items()}}


class UpstreamBench(Bench):
    """The workloads of this file."""

    def save(self, workload: str, server: Server, **figures: object) -> None:
        if self.args.distance:
            workload = f"{workload}, upstream {self.args.distance:g} ms away"
        super().save(workload, server, **figures, load=round(os.getloadavg()[0], 1))

    def open(self) -> None:
        """The upstream with all that is asked of it, and who stands in front of it, each on an empty directory."""
        for name in ("direct", *(kind.name for kind in (Fresh, Devpi, Proxpi))):
            shutil.rmtree(self.top / name, ignore_errors=True)
        self.upstream = Index(self.top, self.args.distance)
        wanted = self.args.workloads
        for number in range(self.args.rounds):
            for client in CLIENTS if "installs" in wanted else ():
                self._tree(f"{client}{number}", lambda path, name: self.upstream.add(path, name, "1.0"))
            if "crowd" in wanted:
                self._many(f"crowd-{number}", 100)
            if "big" in wanted:
                self.upstream.add(wheel(self.source, f"big-{number}", "1.0", self.args.bytes), f"big-{number}", "1.0")
            if "first" in wanted:
                for kind in ("direct", Fresh.name, Devpi.name, Proxpi.name):
                    name = f"slow-{kind}-{number}"
                    self.upstream.add(wheel(self.source, name, "1.0", 100_000_000), name, "1.0")
        self._many("ten-files", 10)
        self._many("warm-up", 1)
        self.upstream.publish()
        address = self.upstream.url("/simple/")
        kinds = [Fresh, *(kind for kind in (Devpi, Proxpi) if kind.installed(self.top))]
        self.servers = [
            type(kind.__name__, (kind,), {"upstream": address})(self.top)
            for kind in kinds
            if not self.args.only or kind.name in self.args.only
        ]
        self.ours = self.servers[0]
        for server in self.servers:
            # What is loaded with the first request, and devpi's list of all names, is not what is measured.
            subprocess.run(["curl", "-sfL", "-o", "/dev/null", *server.header(), self.file_url(server, "warm-up")], check=True)

    def _many(self, name: str, count: int) -> None:
        for number in range(count):
            self.upstream.add(wheel(self.source, name, f"1.{number}", 9_500), name, f"1.{number}")

    def _tree(self, label: str, take) -> None:
        leaves = [f"{label}-leaf-{number:02}" for number in range(30)]
        for name in leaves:
            take(wheel(self.source, name, "1.0", 20_000), name)
        take(wheel(self.source, f"{label}-root", "1.0", 20_000, tuple(leaves)), f"{label}-root")

    def file_url(self, server: Server, name: str) -> str:
        page = server.url(server.page(name))
        command = ["curl", "-sfL", "-H", f"Accept: {JSON}, text/html;q=0.1", *server.header(), page]
        text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        found = json.loads(text)["files"][0]["url"] if text.startswith("{") else re.search(r'href="([^"#]+\.whl)', text)[1]
        return urljoin(page, found.split("#")[0])

    def installs(self) -> None:
        for number in range(self.args.rounds):
            for client in CLIENTS:
                uploader = Uploader(self.ours.port, self.ours.upload_path, self.ours.auth)
                own = f"own-{client}{number}"
                self._tree(own, partial(self._upload, uploader))
                # The first time everything is read from disk, here and there, and the second time not.
                for state, ours in (("cold", ""), ("warm", "own packages"), ("warm again", "own packages again")):
                    for server in (self.upstream, *self.servers):
                        self.install(server, client, f"{client}{number}-root", state)
                    if ours:
                        self.install(self.ours, client, f"{own}-root", ours)

    def _upload(self, uploader: Uploader, path: Path, name: str) -> None:
        assert uploader.send(path, name, "1.0") < 300

    def install(self, server: Server, client: str, wanted: str, state: str) -> None:
        binaries = Path(sys.executable).parent
        command = {
            "pip": [binaries / "pip", "install", "--no-cache-dir", "--no-compile", "--disable-pip-version-check"],
            "uv": [binaries / "uv", "pip", "install", "--no-cache", "--python", sys.executable],
        }[client]
        user = f"{server.auth}@" if server is self.ours else ""
        index = f"http://{user}127.0.0.1:{server.port}{server.index}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))} | {"PIP_CONFIG_FILE": os.devnull}
        with tempfile.TemporaryDirectory() as target:
            cpu, began = server.cpu(), time.perf_counter()
            subprocess.run(
                ["taskset", "-c", LOAD_CPU, *map(str, command), "--target", target, "--index-url", index, wanted],
                check=True, capture_output=True, env=environment,
            )  # fmt: skip
            wall = time.perf_counter() - began
            self.save(f"install of 31 wheels, {client}, {state}", server, wall_s=round(wall, 2), cpu_s=round(server.cpu() - cpu, 3))

    def pages(self) -> None:
        uploader = Uploader(self.ours.port, self.ours.upload_path, self.ours.auth)
        for number in range(10):
            path = wheel(self.source, "own-files", f"1.{number}", 9_500)
            assert uploader.send(path, "own-files", f"1.{number}") < 300
        for _ in range(self.args.rounds):
            self.save("warm page of 10 files, our own", self.ours, **self.wrk(self.ours, self.ours.page("own-files"), JSON))
            for server in self.servers:
                self.save("warm page of 10 files", server, **self.wrk(server, server.page("ten-files"), JSON))

    def crowd(self) -> None:
        """Everybody wants one page that nobody has."""
        for number in range(self.args.rounds):
            for server in self.servers:
                name = f"crowd-{number}"
                before = len(self.upstream.requests())
                headers = {"Accept": JSON, **dict(header.split(": ", 1) for header in server.header()[1:])}
                answers: list[int] = []

                def ask(path: str = server.page(name), port: int = server.port, headers=headers, answers=answers) -> None:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    connection.request("GET", path, headers=headers)
                    answer = connection.getresponse()
                    answer.read()
                    answers.append(answer.status)

                asking = [threading.Thread(target=ask) for _ in range(CROWD)]
                began = time.perf_counter()
                for one in asking:
                    one.start()
                for one in asking:
                    one.join()
                wall = time.perf_counter() - began
                time.sleep(0.2)
                asked = sum(f"/{name}/" in line for line in self.upstream.requests()[before:])
                self.save(f"{CROWD} clients, one cold page", server, asked=asked, ok=answers.count(200), wall_s=round(wall, 2))

    def big(self) -> None:
        for number in range(self.args.rounds):
            for server in (self.upstream, *self.servers):
                url = self.file_url(server, f"big-{number}")
                os.sync()
                server.forget_peak()
                before, cpu, began = server.memory(), server.cpu(), time.perf_counter()
                out = subprocess.run(
                    ["taskset", "-c", LOAD_CPU, "curl", "-sfL", "-o", "/dev/null", "-w", "%{size_download} %{num_redirects}",
                     *server.header(), url],
                    capture_output=True, text=True, check=True,
                ).stdout.split()  # fmt: skip
                wall = time.perf_counter() - began
                self.save(f"{self.args.bytes / GB:g} GB file, cold", server, mb_per_s=round(int(out[0]) / wall / 1e6),
                          cpu_s=round(server.cpu() - cpu, 2), added_mb=round(server.memory("VmHWM") - before, 1),
                          redirects=int(out[1]))  # fmt: skip
                time.sleep(2)

    def first(self) -> None:
        """An upstream that sends 50 MB a second: how long its first byte takes to the client, and its last."""
        for number in range(self.args.rounds):
            for server in (self.upstream, *self.servers):
                url = urlsplit(self.file_url(server, f"slow-{server.name}-{number}"))
                connection = http.client.HTTPConnection(url.netloc, timeout=60)
                began = time.perf_counter()
                connection.request("GET", url.path, headers=dict(header.split(": ", 1) for header in server.header()[1:]))
                answer = connection.getresponse()
                redirected = answer.status in {301, 302, 303, 307, 308}
                if redirected:
                    there = urlsplit(urljoin(url.geturl(), answer.getheader("Location")))
                    connection = http.client.HTTPConnection(there.netloc, timeout=60)
                    connection.request("GET", there.path)
                    answer = connection.getresponse()
                answer.read(1)
                first = time.perf_counter() - began
                while answer.read(1 << 20):
                    pass
                last = time.perf_counter() - began
                self.save(
                    "100 MB from a slow upstream",
                    server,
                    first_ms=round(first * 1000, 1),
                    last_ms=round(last * 1000),
                    redirects=int(redirected),
                )


WORKLOADS = ("installs", "pages", "crowd", "big", "first")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="+", choices=[*WORKLOADS, "all"])
    parser.add_argument("--dir", default=str(Path(tempfile.gettempdir()) / "registry-bench-upstream"), help="where servers keep their data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each wrk run")
    parser.add_argument("--bytes", type=int, default=GB, help="size of the big file")
    parser.add_argument("--distance", type=float, default=0, help="how far away the upstream is: milliseconds there and back")
    parser.add_argument("--only", nargs="*", help="names of the servers to measure")
    args = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    if "all" in args.workloads:
        args.workloads = list(WORKLOADS)
    bench = UpstreamBench(args)
    bench.open()
    try:
        for workload in args.workloads:
            print(f"== {workload}", flush=True)
            getattr(bench, workload)()
    finally:
        bench.stop([*bench.servers, bench.upstream])
    bench.report()


if __name__ == "__main__":
    main()
