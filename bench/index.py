#!/usr/bin/env python3
"""Measure the index: pages of all sizes, conditional and compressed, indexes, metadata, installs, and what size of the holdings costs.

    python bench/index.py pages indexes files memory scale installs [--rounds 3] [--dir DIR]

Beside a bare twisted.web Site that answers as many constant bytes, and nginx. See README.md.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert

from bench import JSON, LOAD_CPU, Bare, Bench, Nginx, Pypiserver, Server, Uploader, wheel
from registry.composition import Store
from registry.storage.catalog.database import Writing
from registry.storage.catalog.tables import blobs, files, packages
from registry.storage.threads import InlineThreads
from registry.testing import done


class Constant(Bare):
    """The bare Site, with a body of a given size."""

    size = 2600

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.CODE.replace("2600", str(self.size)), str(self.port)]


def bare(size: int) -> type[Server]:
    return type("Bare", (Constant,), {"name": f"twisted.web bare, {size:,} bytes", "size": size})


class StaticIndex(Nginx):
    """nginx over PEP 691 pages and files in a folder."""

    name = "nginx-static"

    def command(self) -> list[str]:
        command = super().command()
        conf = self.work / "nginx.conf"
        places = f"location /simple/ {{ index index.json; types {{ }} default_type {JSON}; }} location /files/ {{ }}"
        root = f"root {self.work / 'root'};"
        conf.write_text(conf.read_text().replace(root, f"{root} {places}"))
        return command


class IndexBench(Bench):
    """The workloads of this file."""

    def held(self, server: Server, names: int, versions: int) -> None:
        """Rows of `names` x `versions` files whose bytes are nowhere: for pages and indexes. The server is stopped meanwhile."""
        threads = InlineThreads()
        store = Store.of(server.work / "data", readers=threads, writer=threads, files=threads)
        store.database.open()

        def work(writing: Writing) -> None:
            at = writing.at - timedelta(days=400)
            connection = writing.connection
            rows, new_files, new_blobs = [], [], []
            base = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM packages").scalar_one()
            for number in range(names):
                name = f"held-{versions}-{number:05}"
                for version in range(versions):
                    base += 1
                    row = {"project_id": 1, "name": name, "display_name": name, "version_key": f"1.{version}", "version": f"1.{version}"}
                    rows.append({"id": base, **row, "created_at": at})
                    stem = f"{name.replace('-', '_')}-1.{version}"
                    sha256 = hashlib.sha256(stem.encode()).hexdigest()
                    new_blobs.append({"sha256": sha256, "size": 9500, "created_at": at})
                    file = {"package_id": base, "filename": f"{stem}-py3-none-any.whl", "sha256": sha256, "requires_python": ">=3.8"}
                    new_files.append({**file, "metadata": {}, "uploaded_at": at, "metadata_sha256": sha256})
            for table, values in ((packages, rows), (blobs, new_blobs), (files, new_files)):
                connection.execute(insert(table), values)

        done(store.database.write(work))
        store.database.close()

    def fresh(self, name: str) -> Server:
        """A server of ours on an empty directory of its own."""
        shutil.rmtree(self.top / name, ignore_errors=True)
        return type("Ours", (Server,), {"name": name})(self.top)

    def again(self, server: Server) -> Server:
        """The same directory, another process."""
        server.stop()
        return type(server)(self.top)

    def pages(self) -> None:
        server = self.fresh("registry")
        self.fill(server)
        server.stop()
        self.held(server, 1, 1000)
        server = type(server)(self.top)
        ten, thousand = server.page("ten-files"), server.page("held-1000-00000")
        small, large = len(server.text(ten)), len(server.text(thousand))
        kinds = [bare(small), bare(large), Nginx]
        others = self.contenders(*kinds, Pypiserver)
        for other in others:
            self.fill(other)
        for _ in range(self.args.rounds):
            for path, label in ((ten, "page of 10 files"), (thousand, "page of 1,000 files")):
                etag = re.search(r'etag: ("[^"]+")', self.head(server, path, JSON), re.IGNORECASE)[1]
                self.save(f"{label}, HTML", server, **self.wrk(server, path, "text/html"))
                self.save(f"{label}, JSON", server, **self.wrk(server, path, JSON))
                self.save(f"{label}, JSON, gzip", server, **self.wrk(server, path, JSON, "Accept-Encoding: gzip"))
                self.save(f"{label}, 304", server, **self.wrk(server, path, JSON, f"If-None-Match: {etag}"))
            for other in others:
                self.save(
                    "page of 10 files" if other.takes_uploads else "page", other, **self.wrk(other, other.page("ten-files"), "text/html")
                )
        # Cold: a page that nobody has asked for since the start.
        for _ in range(self.args.rounds):
            server = self.again(server)
            server.text(ten)
            began = time.perf_counter()
            subprocess.run(["curl", "-sf", "-o", "/dev/null", "-H", f"Accept: {JSON}", *server.header(), server.url(thousand)], check=True)
            self.save("page of 1,000 files, cold, with curl's start", server, ms=round((time.perf_counter() - began) * 1000, 1))
        self.stop([server, *others])

    def head(self, server: Server, path: str, accept: str) -> str:
        command = ["curl", "-sf", "-o", "/dev/null", "-D", "-", "-H", f"Accept: {accept}", *server.header(), server.url(path)]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    def indexes(self) -> None:
        for count in (300, 10_000):
            server = self.fresh(f"registry-{count}")
            server.stop()
            self.held(server, count, 1)
            server = type(server)(self.top)
            others = self.contenders(bare(len(server.text(f"{server.api}/simple/"))))
            for _ in range(self.args.rounds):
                for kind in ("text/html", JSON):
                    self.save(f"index of {count:,} names, {kind.split('+')[-1]}", server, **self.wrk(server, f"{server.api}/simple/", kind))
                for other in others:
                    self.save("index", other, **self.wrk(other, "/", "text/html"))
            self.stop([server, *others])

    def files(self) -> None:
        server = self.fresh("registry")
        self.fill(server)
        path = server.file("ten-files")
        for _ in range(self.args.rounds):
            self.save("10 kB file", server, **self.wrk(server, path, "*/*"))
            self.save(".metadata", server, **self.wrk(server, f"{path}.metadata", "*/*"))
        self.stop([server])

    def memory(self) -> None:
        server = self.fresh("registry-memory")
        server.stop()
        self.held(server, 300, 10)
        server = type(server)(self.top)
        before = server.memory()
        for kind in ("text/html", JSON):
            for number in range(300):
                server.text(f"{server.page(f'held-10-{number:05}')}?format={kind.replace('+', '%2B')}")
        self.save("300 names x 10 files, every page read in HTML and JSON", server, rest_mb=before, rss_mb=server.memory())
        self.stop([server])

    def scale(self) -> None:
        server = self.fresh("registry-scale")
        for step, more in (("1,000", 1000), ("100,000", 99_000)):
            server.stop()
            self.held(server, more // 10, 10 if more == 1000 else 11)
            server = type(server)(self.top)
            for number in range(self.args.rounds):
                stamp = f"1.{int(time.time())}.{number}"
                paths = [(wheel(self.source, f"small-{i}", stamp, 9_000), f"small-{i}") for i in range(100)]
                uploader, began = Uploader(server.port, server.upload_path, server.auth), time.perf_counter()
                bad = sum(uploader.send(path, name, stamp) >= 300 for path, name in paths)
                self.save(f"100 small uploads beside {step} files", server, per_s=round(100 / (time.perf_counter() - began)), bad=bad)
                for path, _ in paths:
                    path.unlink()
        self.stop([server])

    def burst(self) -> None:
        """Forty clients publish at once, as a CI job with forty wheels does."""
        server = self.fresh("registry-burst")
        code = (
            "import sys, threading; sys.path.insert(0, sys.argv[1]); from bench import Uploader; from pathlib import Path\n"
            "port, path, auth, folder, stamp = int(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5]), sys.argv[6]\n"
            "def go(n):\n    u = Uploader(port, path, auth)\n    for i in range(n, 400, 16):\n"
            "        assert u.send(folder / f'burst_{i}-{stamp}-py3-none-any.whl', f'burst-{i}', stamp) < 300\n"
            "ts = [threading.Thread(target=go, args=(n,)) for n in range(16)]\n[t.start() for t in ts]; [t.join() for t in ts]\n"
        )
        for number in range(self.args.rounds):
            stamp = f"1.{int(time.time())}.{number}"
            paths = [wheel(self.source, f"burst-{i}", stamp, 9_000) for i in range(400)]
            began, cpu = time.perf_counter(), server.cpu()
            here = str(Path(__file__).parent)
            subprocess.run(
                [
                    "taskset",
                    "-c",
                    LOAD_CPU,
                    sys.executable,
                    "-c",
                    code,
                    here,
                    str(server.port),
                    server.upload_path,
                    server.auth,
                    str(self.source),
                    stamp,
                ],
                check=True,
            )
            self.save(
                "400 small uploads over 16 connections",
                server,
                per_s=round(400 / (time.perf_counter() - began)),
                cpu_s=round(server.cpu() - cpu, 2),
            )
            for path in paths:
                path.unlink()
        self.stop([server])

    def installs(self) -> None:
        server = self.fresh("registry-install")
        names = [f"leaf-{number:02}" for number in range(30)]
        wheels = {name: wheel(self.source, name, "1.0", 20_000) for name in names}
        wheels["root-of-all"] = wheel(self.source, "root-of-all", "1.0", 20_000, tuple(names))
        uploader = Uploader(server.port, server.upload_path, server.auth)
        for name, path in wheels.items():
            assert uploader.send(path, name, "1.0") < 300
        static = StaticIndex(self.top)
        root = static.work / "root"
        for name, path in wheels.items():
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            (root / "simple" / name).mkdir(parents=True, exist_ok=True)
            (root / "files").mkdir(exist_ok=True)
            shutil.copy(path, root / "files" / path.name)
            metadata = subprocess.run(["unzip", "-p", path, "*/METADATA"], capture_output=True, check=True).stdout
            (root / "files" / f"{path.name}.metadata").write_bytes(metadata)
            core = {"sha256": hashlib.sha256(metadata).hexdigest()}
            file = {
                "filename": path.name,
                "url": f"/files/{path.name}",
                "hashes": {"sha256": sha256},
                "size": path.stat().st_size,
                "core-metadata": core,
            }
            page = {
                "meta": {"api-version": "1.4"},
                "name": name,
                "versions": ["1.0"],
                "files": [{**file, "upload-time": "2026-01-01T00:00:00.000000Z"}],
            }
            (root / "simple" / name / "index.json").write_text(json.dumps(page))
        binaries = Path(sys.executable).parent
        for _ in range(self.args.rounds):
            for contender in (server, static):
                user = f"{contender.auth}@" if contender is server else ""
                index = f"http://{user}127.0.0.1:{contender.port}{server.api if contender is server else ''}/simple/"
                for client, command in (
                    ("pip", [binaries / "pip", "install", "--no-cache-dir", "--no-compile"]),
                    ("uv", [binaries / "uv", "pip", "install", "--no-cache", "--python", sys.executable]),
                ):
                    with tempfile.TemporaryDirectory() as target:
                        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))} | {
                            "PIP_CONFIG_FILE": os.devnull
                        }
                        cpu, began = contender.cpu(), time.perf_counter()
                        subprocess.run(
                            ["taskset", "-c", LOAD_CPU, *map(str, command), "--target", target, "--index-url", index, "root-of-all"],
                            check=True, capture_output=True, env=environment,
                        )  # fmt: skip
                        wall = time.perf_counter() - began
                        self.save(
                            f"install of 31 wheels, {client}", contender, wall_s=round(wall, 2), cpu_s=round(contender.cpu() - cpu, 3)
                        )
        self.stop([server, static])


WORKLOADS = ("pages", "indexes", "files", "memory", "scale", "burst", "installs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="+", choices=[*WORKLOADS, "all"])
    parser.add_argument("--dir", default=str(Path(tempfile.gettempdir()) / "registry-bench-index"), help="where servers keep their data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each wrk run")
    parser.add_argument("--only", nargs="*", help="names of the servers to compare with")
    args = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    bench = IndexBench(args)
    for workload in WORKLOADS if "all" in args.workloads else args.workloads:
        print(f"== {workload}", flush=True)
        getattr(bench, workload)()
    bench.report()


if __name__ == "__main__":
    main()
