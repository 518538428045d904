"""Every door through which a file of an upstream, or word of it, can reach somebody."""

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve

from registry.config import Config, Upstream
from registry.domain.access import Role
from registry.domain.names import Name
from registry.testing import OPERATOR, Answer, Built, FakeUpstream, MemoryNetwork, MemoryRegistry, done, registry_in_memory, request
from registry.testing.distributions import wheel_of
from registry.testing.registry import FORGIVING
from registry.testing.troubles import instead

JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"
PROVENANCE = {"version": 1, "attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": [{"version": 1}]}]}
PROJECT, GROUP = "projects/team%2Flib", "groups/team/-"
PLACES = (PROJECT, GROUP)
# One request for every door. The last three answer for a file; those before list what there is.
LISTINGS = ("page", "html", "gzip", "+simple", "json", "json beside", "release", "explain")
FILES = ("file", "head", "range", "metadata", "metadata head", "integrity")
DOORS = (*LISTINGS, *FILES)


@define(kw_only=True, eq=False)
class House:
    """A registry with the project team/lib, which ann may read, and projects that she may not; and the upstream it asks."""

    registry: MemoryRegistry
    network: MemoryNetwork
    upstream: FakeUpstream
    token: str

    def ask(self, path: str, method: str = "GET", token: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """What ann is answered, once everybody who is asked has answered."""
        wire = self.registry.connect()
        wire.send(request(method, f"/api/v4/{path}", [*(headers or {}).items(), ("PRIVATE-TOKEN", token or self.token)]))
        for _ in range(5):
            self.network.settle()
            wire.settle()
        (answer,) = wire.answers(method)
        wire.hang_up()
        return answer

    def door(self, door: str, place: str, built: Built) -> Answer:
        """What the door says when it is asked for a file."""
        top = f"{place}/packages/pypi"
        file = f"{top}/files/{built.sha256}/{built.filename}"
        path, method, headers = {
            "page": (f"{top}/simple/{built.name}/", "GET", {"Accept": JSON}),
            "html": (f"{top}/simple/{built.name}/", "GET", {"Accept": HTML}),
            "gzip": (f"{top}/simple/{built.name}/", "GET", {"Accept": JSON, "Accept-Encoding": "gzip"}),
            "+simple": (f"{top}/+simple/{built.name}/", "GET", {"Accept": JSON}),
            "json": (f"{top}/pypi/{built.name}/json", "GET", {}),
            "json beside": (f"{top}/{built.name}/json", "GET", {}),
            "release": (f"{top}/pypi/{built.name}/{built.version}/json", "GET", {}),
            "explain": (f"{top}/explain/{built.name}", "GET", {}),
            "file": (file, "GET", {}),
            "head": (file, "HEAD", {}),
            "range": (file, "GET", {"Range": "bytes=0-9"}),
            "metadata": (f"{file}.metadata", "GET", {}),
            "metadata head": (f"{file}.metadata", "HEAD", {}),
            "integrity": (f"{top}/integrity/{built.name}/{built.version}/{built.filename}/provenance", "GET", {}),
        }[door]
        return self.ask(path, method, headers=headers)

    def opens(self, door: str, place: str, built: Built) -> bool:
        """Whether a door offers a file. Anything but a clear answer fails."""
        answer = self.door(door, place, built)
        assert answer.code in {200, 206, 403, 404}, (door, answer)
        if door in FILES:
            return answer.code in {200, 206}
        body = gzip.decompress(answer.body) if answer.headers.get("content-encoding") == "gzip" else answer.body
        if answer.code != 200:
            return False
        if door == "html":
            return f">{built.filename}</a>" in body.decode()
        told = json.loads(body)
        return any(file["filename"] == built.filename for file in _files(door, told))

    def open_doors(self, place: str, built: Built) -> set[str]:
        """The doors that offer a file."""
        return {door for door in DOORS if self.opens(door, place, built)}

    def why(self, place: str, built: Built) -> Mapping[str, Any]:
        """What is explained of a file; nothing if it is no candidate."""
        told = self.door("explain", place, built).json
        return next((file for file in told["files"] if file["filename"] == built.filename), {})

    def standing(self, place: str, name: str) -> str:
        """Whose a name is said to be."""
        return str(self.ask(f"{place}/packages/pypi/explain/{name}").json["standing"])

    def share(self, name: str, *, shared: bool = True) -> None:
        """Let team/lib fetch a name of ours from upstream, or no longer."""
        done(self.registry.store.upstream.share(self.registry.place("team/lib").id, Name(name), OPERATOR, shared=shared))

    def offer(self, *built: Built, **facts: Any) -> None:
        """Let the upstream have files, with a provenance object each."""
        self.upstream.add(*built, provenance="http://index.test/provenance", **facts)


def _files(door: str, told: Any) -> list[Mapping[str, Any]]:
    if door == "explain":
        return [file for file in told["files"] if file["kept"]]
    if door == "release":
        return list(told["urls"])
    if door in {"json", "json beside"}:
        return [file for files in told["releases"].values() for file in files]
    return list(told["files"])


@contextmanager
def house(folder: Path, config: Config = FORGIVING) -> Iterator[House]:
    """A house with this configuration, whose upstream has nothing yet."""
    network, upstream = MemoryNetwork(), FakeUpstream()
    network.serve(upstream.site(network), "index.test")
    upstream.on("/provenance", instead(json.dumps(PROVENANCE).encode(), "application/vnd.pypi.integrity.v1+json"))
    config = evolve(config, upstream=Upstream(url="http://index.test/simple/"))
    registry = registry_in_memory(folder, config=config, network=network)
    registry.group("team")
    registry.project("team/lib")
    registry.user("ann")
    registry.member("team", "ann", Role.DEVELOPER)
    yield House(registry=registry, network=network, upstream=upstream, token=registry.token("ann"))
    registry.close()


def licensed(version: str, licence: str) -> Built:
    """A wheel of demo whose METADATA names a licence."""
    info = f"demo-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: demo\nVersion: {version}\nLicense-Expression: {licence}\n"
    tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content = wheel_of({f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": tags.encode()}, info)
    return Built(name="demo", version=version, filename=f"demo-{version}-py3-none-any.whl", content=content)
