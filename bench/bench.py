#!/usr/bin/env python3
"""Measure the registry beside what it is compared with. See README.md."""

import argparse
import base64
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

SERVER_CPU, LOAD_CPU = "0", "1"
BOUNDARY = "bench-5d1d6c1f8a6e4f0b"
GB = 1_000_000_000
JSON = "application/vnd.pypi.simple.v1+json"


# --- what is uploaded ---


def wheel(folder: Path, name: str, version: str, payload: int, requires: tuple[str, ...] = ()) -> Path:
    """A valid stored wheel with `payload` incompressible bytes, and a true RECORD."""
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}-py3-none-any.whl"
    info, record = f"{module}-{version}.dist-info", io.StringIO()
    block, digest = os.urandom(min(payload, 1 << 20)), hashlib.sha256()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(zipfile.ZipInfo(f"{module}/data.bin"), "w", force_zip64=payload > GB) as data:
            for start in range(0, payload, len(block)):
                piece = block[: payload - start]
                data.write(piece)
                digest.update(piece)
        record.write(f"{module}/data.bin,sha256={_b64(digest.digest())},{payload}\n")
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
        for member, text in (
            ("METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: >=3.8\n{needs}"),
            ("WHEEL", "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ):
            archive.writestr(f"{info}/{member}", text)
            record.write(f"{info}/{member},sha256={_b64(hashlib.sha256(text.encode()).digest())},{len(text)}\n")
        record.write(f"{info}/RECORD,,\n")
        archive.writestr(f"{info}/RECORD", record.getvalue())
    return path


def _b64(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Uploader:
    """twine's form over one kept-alive connection, the file by sendfile."""

    def __init__(self, port: int, path: str, auth: str) -> None:
        self.address, self.path, self.sock = ("127.0.0.1", port), path, None
        self.auth = base64.b64encode(auth.encode()).decode()

    def send(self, path: Path, name: str, version: str, algorithms: tuple[str, ...] = ("sha256",)) -> int:
        fields = {":action": "file_upload", "protocol_version": "1", "metadata_version": "2.1", "name": name, "version": version,
                  "filetype": "bdist_wheel", "pyversion": "py3", "requires_python": ">=3.8"}  # fmt: skip
        fields |= digests(path, algorithms)
        head = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
        head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="{path.name}"\r\n\r\n'
        tail = f"\r\n--{BOUNDARY}--\r\n"
        length = len(head) + path.stat().st_size + len(tail)
        request = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {self.auth}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n{head}"
        )
        if self.sock is None:
            self.sock = socket.create_connection(self.address, timeout=600)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with path.open("rb") as file:
            if path.stat().st_size < 1 << 16:
                self.sock.sendall(request.encode() + file.read() + tail.encode())
            else:
                self.sock.sendall(request.encode())
                self.sock.sendfile(file)
                self.sock.sendall(tail.encode())
        return self._answer()

    def _answer(self) -> int:
        response = http.client.HTTPResponse(self.sock)
        response.begin()
        response.read()
        if response.will_close:
            self.sock.close()
            self.sock = None
        return response.status


FIELD = {"sha256": "sha256_digest", "md5": "md5_digest", "blake2b": "blake2_256_digest"}
_known: dict[tuple[Path, str], str] = {}


def digests(path: Path, algorithms: tuple[str, ...]) -> dict[str, str]:
    for algorithm in algorithms:
        if (path, algorithm) not in _known:
            made = hashlib.blake2b(digest_size=32) if algorithm == "blake2b" else hashlib.new(algorithm)
            with path.open("rb") as file:
                while data := file.read(1 << 20):
                    made.update(data)
            _known[path, algorithm] = made.hexdigest()
    return {FIELD[algorithm]: _known[path, algorithm] for algorithm in algorithms}


# --- servers ---


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One contender, pinned to its CPU."""

    name = "registry"
    takes_uploads = True
    cpu_number = SERVER_CPU

    def __init__(self, top: Path) -> None:
        self.top, self.work = top, top / self.name
        self.work.mkdir(exist_ok=True)
        self.port = free_port()
        self.log = (self.work / "log").open("ab")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", self.cpu_number, *self.command()],
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            env=self.environment(),
        )
        while self.get("/" if self.ready is None else self.ready) != 200:
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended; see {self.work}/log")
            time.sleep(0.002)
        self.start_seconds = time.perf_counter() - began

    ready: str | None = "/-/liveness"
    api = "/api/v4/projects/1/packages/pypi"

    def command(self) -> list[str]:
        return [str(Path(sys.executable).parent / "registry"), "serve", "--data-dir", str(self.work / "data"), "--listen", f"tcp:{self.port}:interface=127.0.0.1"]  # fmt: skip # noqa: E501

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "REGISTRY__"))}
        return {**kept, "REGISTRY__UPSTREAM__MODE": "off"}

    @property
    def auth(self) -> str:
        return "x:" + (self.work / "data" / "initial-root-token").read_text().strip()

    @property
    def upload_path(self) -> str:
        return self.api

    def page(self, name: str) -> str:
        return f"{self.api}/simple/{name}/"

    def header(self) -> list[str]:
        return ["-H", f"Authorization: Basic {base64.b64encode(self.auth.encode()).decode()}"]

    def get(self, path: str, **headers: str) -> int:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("GET", path, headers=headers)
            status = connection.getresponse().status
            connection.close()
        except OSError:
            return 0
        return status

    def text(self, path: str) -> str:
        out = subprocess.run(["curl", "-sf", *self.header(), self.url(path)], capture_output=True, check=True)
        return out.stdout.decode()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def file(self, name: str) -> str:
        return re.search(r'href="([^"#]+)', self.text(self.page(name)))[1].replace(f"http://127.0.0.1:{self.port}", "")

    def pids(self) -> list[int]:
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        return found

    def memory(self, key: str = "VmRSS") -> float:
        return round(sum(int(re.search(rf"{key}:\s+(\d+)", Path(f"/proc/{p}/status").read_text())[1]) for p in self.pids()) / 1024, 1)

    def forget_peak(self) -> None:
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def cpu(self) -> float:
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


class Bare(Server):
    """A twisted.web Site with one leaf that answers constant bytes: what Twisted itself costs."""

    name, ready, takes_uploads = "twisted.web bare", "/", False
    CODE = """
import sys
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
BODY = b"x" * 2600
class Leaf(Resource):
    isLeaf = True
    def render_GET(self, request):
        request.responseHeaders.setRawHeaders(b"content-type", [b"text/html; charset=utf-8"])
        request.responseHeaders.setRawHeaders(b"content-length", [b"2600"])
        return BODY
reactor.listenTCP(int(sys.argv[1]), Site(Leaf()), interface="127.0.0.1", backlog=511)
reactor.run()
"""

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.CODE, str(self.port)]

    def header(self) -> list[str]:
        return []


class Nginx(Bare):
    """Static files by nginx with sendfile: the physical limit."""

    name = "nginx"

    def command(self) -> list[str]:
        root = self.work / "root"
        root.mkdir(exist_ok=True)
        (root / "index.html").write_bytes(b"x" * 2600)
        for name, size in (("small", 10_000), ("big", GB)):
            if not (root / name).exists():
                with (root / name).open("wb") as file:
                    for _ in range(0, size, 10_000):
                        file.write(os.urandom(10_000))
        conf = self.work / "nginx.conf"
        temp = " ".join(f"{kind}_temp_path {self.work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(
            f"worker_processes 1; daemon off; pid {self.work}/pid; error_log {self.work}/error;\nevents {{ worker_connections 1024; }}\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {temp}\n"
            f"server {{ listen 127.0.0.1:{self.port}; open_file_cache max=1000; root {root}; }} }}\n"
        )
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(self.work), "-c", str(conf)]

    def page(self, name: str) -> str:
        return "/index.html"

    def file(self, name: str) -> str:
        return "/big" if name == "bigone" else "/small"


class Pypiserver(Server):
    """pypiserver in its faster form: gunicorn, cached directory."""

    name, ready = "pypiserver", "/"

    def command(self) -> list[str]:
        (self.work / "packages").mkdir(exist_ok=True)
        return [
            str(Path(sys.executable).parent / "pypi-server"), "run", "-i", "127.0.0.1", "-p", str(self.port), "-a", ".", "-P", ".",
            "--disable-fallback", "--server", "gunicorn", "--backend", "cached-dir", "--log-stream", "none", str(self.work / "packages"),
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "GUNICORN_CMD_ARGS": "--workers 1 --worker-class gthread --threads 8 --keep-alive 30"}

    @property
    def auth(self) -> str:
        return "x:x"

    @property
    def upload_path(self) -> str:
        return "/"

    def page(self, name: str) -> str:
        return f"/simple/{name}/"

    def header(self) -> list[str]:
        return []


# --- workloads ---


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.top = args, Path(args.dir).resolve()
        self.top.mkdir(parents=True, exist_ok=True)
        self.source = self.top / "source"
        self.source.mkdir(exist_ok=True)
        self.rows: list[dict[str, object]] = []

    def save(self, workload: str, server: Server, **figures: object) -> None:
        row = {"workload": workload, "server": server.name, **figures}
        self.rows.append(row)
        with (self.top / "results.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print("  " + " ".join(f"{k}={v}" for k, v in row.items()), flush=True)

    def contenders(self, *kinds: type[Server]) -> list[Server]:
        wanted = [kind for kind in kinds if not self.args.only or kind.name in self.args.only]
        if not shutil.which("nginx") and not Path("/usr/sbin/nginx").exists():
            wanted = [kind for kind in wanted if kind is not Nginx]
        if not (Path(sys.executable).parent / "pypi-server").exists():
            wanted = [kind for kind in wanted if kind is not Pypiserver]
        return [kind(self.top) for kind in wanted]

    def fill(self, server: Server) -> None:
        """Ten small files of one name and one of 1 GB, once."""
        marker = server.work / "filled"
        if marker.exists() or not server.takes_uploads:
            return
        uploader = Uploader(server.port, server.upload_path, server.auth)
        for number in range(10):
            path = wheel(self.source, "ten-files", f"1.{number}", 9_500)
            assert uploader.send(path, "ten-files", f"1.{number}") < 300
        path = wheel(self.source, "bigone", "1.0", GB)
        assert uploader.send(path, "bigone", "1.0") < 300
        path.unlink()
        marker.touch()

    def start(self) -> None:
        for _ in range(self.args.rounds):
            shutil.rmtree(self.top / "registry-start", ignore_errors=True)

            class Fresh(Server):
                name = "registry-start"

            for state in ("first", "again"):
                server = Fresh(self.top)
                time.sleep(1)
                self.save(f"start ({state})", server, seconds=round(server.start_seconds, 3), rss_mb=server.memory())
                server.stop()

    def pages(self) -> None:
        servers = self.contenders(Server, Bare, Nginx, Pypiserver)
        for server in servers:
            self.fill(server)
        for _ in range(self.args.rounds):
            for server in servers:
                for kind in ("text/html", JSON) if type(server) is Server else ("text/html",):
                    self.save(f"page of 10 files, {kind.split('+')[-1]}", server, **self.wrk(server, server.page("ten-files"), kind))
        self.stop(servers)

    def files(self) -> None:
        servers = self.contenders(Server, Nginx, Pypiserver)
        for server in servers:
            self.fill(server)
        for _ in range(self.args.rounds):
            for server in servers:
                self.save("10 kB file", server, **self.wrk(server, server.file("ten-files"), "*/*"))
            for server in servers:
                url = server.url(server.file("bigone"))
                server.forget_peak()
                before, cpu, began = server.memory(), server.cpu(), time.perf_counter()
                out = subprocess.run(
                    ["taskset", "-c", LOAD_CPU, "curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", *server.header(), url],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
                wall = time.perf_counter() - began
                self.save("1 GB download", server, mb_per_s=round(int(out) / wall / 1e6), cpu_s=round(server.cpu() - cpu, 2),
                          added_mb=round(server.memory("VmHWM") - before, 1))  # fmt: skip
        self.stop(servers)

    def stalled(self) -> None:
        servers = self.contenders(Server)
        for server in servers:
            self.fill(server)
            path = server.file("bigone")
            for _ in range(self.args.rounds):
                before, readers = server.memory(), []
                for _ in range(20):
                    sock = socket.create_connection(("127.0.0.1", server.port))
                    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {server.header()[1].split(': ')[1]}\r\n\r\n".encode())
                    readers.append(sock)
                time.sleep(2)
                self.save("20 stalled readers of 1 GB", server, added_mb=round(server.memory() - before, 1))
                for sock in readers:
                    sock.close()
        self.stop(servers)

    def small(self) -> None:
        servers = self.contenders(Server, Pypiserver)
        for number in range(self.args.rounds):
            stamp = f"1.{int(time.time())}.{number}"
            paths = [(wheel(self.source, f"small-{i}", stamp, 9_000), f"small-{i}") for i in range(200)]
            for path, _ in paths:
                digests(path, ("sha256", "md5", "blake2b"))
            for server in servers:
                uploader, bad, cpu, began = Uploader(server.port, server.upload_path, server.auth), 0, server.cpu(), time.perf_counter()
                for path, name in paths:
                    bad += uploader.send(path, name, stamp, ("sha256", "md5", "blake2b")) >= 300
                wall = time.perf_counter() - began
                self.save("200 small uploads", server, per_s=round(200 / wall), bad=bad, cpu_s=round(server.cpu() - cpu, 2))
            for path, _ in paths:
                path.unlink()
        self.stop(servers)

    def big(self) -> None:
        servers = self.contenders(Server, Pypiserver)
        for number in range(self.args.rounds):
            for algorithms in (("sha256",), ("sha256", "md5", "blake2b")):
                version = f"1.{int(time.time())}.{number}{len(algorithms)}"
                path = wheel(self.source, "bigup", version, self.args.bytes)
                digests(path, algorithms)
                for server in servers:
                    os.sync()
                    server.forget_peak()
                    before, cpu, began = server.memory(), server.cpu(), time.perf_counter()
                    status = Uploader(server.port, server.upload_path, server.auth).send(path, "bigup", version, algorithms)
                    wall = time.perf_counter() - began
                    self.save(
                        f"{self.args.bytes / GB:g} GB upload, {'+'.join(algorithms)}",
                        server,
                        mb_per_s=round(self.args.bytes / wall / 1e6),
                        status=status,
                        cpu_s=round(server.cpu() - cpu, 2),
                        added_mb=round(server.memory("VmHWM") - before, 1),
                    )
                path.unlink()
        self.stop(servers)

    def mix(self) -> None:
        servers = self.contenders(Server, Pypiserver)
        for server in servers:
            self.fill(server)
        for number in range(self.args.rounds):
            version = f"2.{int(time.time())}.{number}"
            path = wheel(self.source, "bigup", version, self.args.bytes)
            digests(path, ("sha256", "md5", "blake2b"))
            for server in servers:
                os.sync()
                uploader = Uploader(server.port, server.upload_path, server.auth)
                upload = threading.Thread(target=uploader.send, args=(path, "bigup", version, ("sha256", "md5", "blake2b")))
                headers = dict([server.header()[1].split(": ", 1)]) if server.header() else {}
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
                waits = []
                upload.start()
                while upload.is_alive():
                    began = time.perf_counter()
                    connection.request("GET", server.page("ten-files"), headers=headers)
                    connection.getresponse().read()
                    waits.append((time.perf_counter() - began) * 1000)
                    time.sleep(0.005)
                waits.sort()
                self.save("GET during 1 GB upload", server,
                          p50_ms=round(waits[len(waits) // 2], 2), p99_ms=round(waits[int(len(waits) * 0.99)], 2),
                          max_ms=round(waits[-1], 2), gets=len(waits))  # fmt: skip
            path.unlink()
        self.stop(servers)

    def wrk(self, server: Server, path: str, accept: str, *more: str) -> dict[str, object]:
        command = ["taskset", "-c", LOAD_CPU, "wrk", "-t1", "-c16", f"-d{self.args.seconds}s", "--latency", "-H", f"Accept: {accept}"]
        command += [part for header in more for part in ("-H", header)]
        cpu, began = server.cpu(), time.perf_counter()
        out = subprocess.run([*command, *server.header(), server.url(path)], capture_output=True, text=True, check=True).stdout
        used = (server.cpu() - cpu) / (time.perf_counter() - began)
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
        p99 = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
        return {"per_s": round(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])), "p99_ms": round(p99, 2), "bad": int(bad[1]) if bad else 0, "cpu": round(used, 2)}  # fmt: skip # noqa: E501

    def stop(self, servers: list[Server]) -> None:
        for server in servers:
            server.stop()

    def report(self) -> None:
        groups: dict[tuple[str, str], list[dict[str, object]]] = {}
        for row in self.rows:
            groups.setdefault((str(row["workload"]), str(row["server"])), []).append(row)
        print("\n| workload | server | median (min-max) |\n|---|---|---|")
        for (workload, server), rows in groups.items():
            cells = []
            for key in rows[0]:
                values = [row[key] for row in rows if isinstance(row[key], int | float)]
                if values:
                    spread = "" if min(values) == max(values) else f" ({min(values):g}-{max(values):g})"
                    cells.append(f"{key} {statistics.median(values):g}{spread}")
            print(f"| {workload} | {server} | {', '.join(cells)} |")


WORKLOADS = ("start", "pages", "files", "stalled", "small", "big", "mix")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="+", choices=[*WORKLOADS, "all"])
    parser.add_argument(
        "--dir", default=str(Path(tempfile.gettempdir()) / "registry-bench"), help="where servers keep their data (5 GB or more)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each wrk run")
    parser.add_argument("--bytes", type=int, default=GB, help="size of the big upload")
    parser.add_argument("--only", nargs="*", help="names of the servers to measure")
    args = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    bench = Bench(args)
    for workload in WORKLOADS if "all" in args.workloads else args.workloads:
        print(f"== {workload}", flush=True)
        getattr(bench, workload)()
    bench.report()


if __name__ == "__main__":
    main()
