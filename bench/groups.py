"""Measure group pages and REST lists on a catalog that is large: a registry in a process of its own, asked over loopback.

    python bench/groups.py [--rounds 5]

One group with 200 projects that hold 25 files each of several names (5,000 on each name's page), and one project with 50,000 packages. Each
round asks for another name of the group, of which nothing is cached then, and for it again. Prints medians, and the worst first answer (the
garbage collector's full collection falls into one of them). Limits of the project: a group page 150 ms, a page of a REST list 50 ms.
"""

import argparse
import hashlib
import http.client
import itertools
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Self

from sqlalchemy import insert, update

from registry.composition import Store
from registry.storage.catalog.database import Writing, insert_row
from registry.storage.catalog.tables import blobs, files, namespaces, packages, projects
from registry.storage.threads import InlineThreads
from registry.testing import done

PROJECTS, VERSIONS, PACKAGES = 200, 25, 50_000
SERVE = (sys.executable, "-m", "registry", "serve", "--listen", "tcp:0:interface=127.0.0.1", "--data-dir")
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


class Server:
    """A server process on a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def __enter__(self) -> Self:
        self.process = subprocess.Popen([*SERVE, str(self.data_dir)], stdout=subprocess.PIPE, text=True)
        self.port = 0
        while not self.port:
            line = self.process.stdout.readline()
            assert line, "the server did not start"
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
            self.port = int(found[1]) if found else 0
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def get(self, path: str) -> tuple[float, int]:
        """Milliseconds and bytes of one answer."""
        token = (self.data_dir / "initial-root-token").read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.connect()
        began = time.perf_counter()
        connection.request("GET", path, headers={**JSON, "PRIVATE-TOKEN": token})
        answer = connection.getresponse()
        body = answer.read()
        spent = time.perf_counter() - began
        connection.close()
        assert answer.status == 200, (path, answer.status, body[:200])
        return spent * 1000, len(body)


def fill(data_dir: Path, names: int) -> None:
    """Put the group and the packages into the catalog; rows only, no bytes."""
    threads = InlineThreads()
    store = Store.of(data_dir, readers=threads, writer=threads, files=threads)
    store.database.open()

    def work(writing: Writing) -> None:
        at, connection = writing.at, writing.connection
        common = {"visibility": "public", "created_at": at}
        groups = {}
        for name in ("big", "small"):
            values = {"kind": "group", "full_path": name, "full_path_key": name, "name": name, **common}
            groups[name] = insert_row(connection, namespaces, values)
            connection.execute(update(namespaces).where(namespaces.c.id == groups[name]).values(traversal=str(groups[name])))
        new_blobs, new_files = [], []
        for number in range(PROJECTS + 1):
            name = "big" if number < PROJECTS else "small"
            group, path = groups[name], f"{name}/p{number}"
            values = {"namespace_id": group, "full_path": path, "full_path_key": path, "name": path, "packages_enabled": True, **common}
            project = insert_row(connection, projects, values)
            for shared, version in itertools.product(range(names), range(VERSIONS)):
                stem = f"shared_{shared}-{number}.{version}"
                package = insert_row(connection, packages, package_row(project, f"shared-{shared}", f"{number}.{version}", at))
                sha256 = hashlib.sha256(stem.encode()).hexdigest()
                new_blobs.append({"sha256": sha256, "size": 1000, "created_at": at})
                file = {"package_id": package, "filename": f"{stem}-py3-none-any.whl", "sha256": sha256, "requires_python": ">=3.9"}
                new_files.append({**file, "metadata": {}, "uploaded_at": at})
        connection.execute(insert(blobs), new_blobs)
        connection.execute(insert(files), new_files)
        rows = [package_row(1, f"name-{number % 5000}", f"1.{number}", at + timedelta(seconds=number)) for number in range(PACKAGES)]
        connection.execute(insert(packages), rows)
        connection.exec_driver_sql("ANALYZE")

    done(store.database.write(work))
    store.database.close()


def package_row(project: int, name: str, version: str, at: object) -> dict[str, object]:
    return {"project_id": project, "name": name, "display_name": name, "version_key": version, "version": version, "created_at": at}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        with Server(data_dir):
            pass
        fill(data_dir, rounds)
        lists = [
            f"/api/v4/{place}/packages?order_by={order}&sort={sort}&per_page=20&page={page}"
            for place in ("projects/1", "groups/big")
            for order in ("created_at", "name", "version")
            for sort in ("asc", "desc")
            for page in (1, 125, 2500)
        ]
        lists += ["/api/v4/projects/1/packages?package_name=name-49", "/api/v4/groups/big/packages?order_by=project_path"]
        with Server(data_dir) as server:
            server.get("/api/v4/groups/small/-/packages/pypi/simple/shared-0/")
            pages = [f"/api/v4/groups/big/-/packages/pypi/simple/shared-{number}/" for number in range(rounds)]
            print(f"{'first':>7} {'worst':>7} {'then':>7}  (ms)")
            firsts, thens = [server.get(page)[0] for page in pages], [server.get(page)[0] for page in pages]
            print(f"{statistics.median(firsts):7.1f} {max(firsts):7.1f} {statistics.median(thens):7.1f}  {pages[0]} ...")
            for path in lists:
                times = [server.get(path)[0] for _ in range(rounds)]
                print(f"{times[0]:7.1f} {max(times):7.1f} {statistics.median(times):7.1f}  {path}")


if __name__ == "__main__":
    main()
