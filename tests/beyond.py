"""A registry in memory beside a fake upstream: what is asked here, and what of it is asked there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from registry.config import Auth, Config, Curation, Names, Upstream, UpstreamIndex
from registry.testing import Answer, Built, FakeUpstream, MemoryNetwork, MemoryRegistry, Wire, registry_in_memory, request, sdist, wheel

JSON = "application/vnd.pypi.simple.v1+json"
HOST = "index.test"
INDEX = f"http://{HOST}/simple/"


def large(name: str = "big", size: int = 1 << 20, version: str = "1.0") -> Built:
    """A wheel of exactly `size` bytes, no two stretches of which are alike."""
    payload = b"".join(b"%015d\n" % number for number in range(size // 16))
    built = wheel(name, version, payload=payload[: size - len(wheel(name, version).content)])
    assert len(built.content) == size
    return built


@define(kw_only=True, eq=False)
class Beyond:
    """`registry` asks `upstream`, which is at `INDEX` of `network`, about whatever it does not hold.

    What the index does not tell is found out only if it `fills`: without that, whatever the upstream is asked is asked for the client.
    """

    folder: Path
    config: Config
    fills: bool = False
    upstream: FakeUpstream = field(factory=FakeUpstream)
    network: MemoryNetwork = field(factory=MemoryNetwork)
    registry: MemoryRegistry = field(init=False)
    token: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start both."""
        self.network.serve(self.upstream.site(self.network), HOST)
        self._start()
        self.token = self.registry.root_token

    def _start(self) -> None:
        self.registry = registry_in_memory(self.folder, config=self.config, network=self.network, limit=64 << 20)
        if not self.fills:
            self.registry.parts.outward.filling.stop()

    def restart(self) -> None:
        """Stop the registry and start it again, on what it has kept."""
        self.registry.close()
        self._start()

    def kill(self) -> None:
        """Let the upstream be gone."""
        for one in (HOST,):
            self.network.names[one] = ["9.9.9.255"]
        self.network.break_all()
        self.network.settle()

    def begin(
        self, path: str, method: str = "GET", *, token: str | None = None, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    ) -> Wire:
        """Ask on a connection of its own; what takes no time has happened."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        wire = self.registry.connect()
        wire.send(request(method, path, [("PRIVATE-TOKEN", self.token if token is None else token), *pairs]))
        self.settle(wire)
        return wire

    def settle(self, *wires: Wire) -> None:
        """Let everything arrive that can."""
        for _ in range(3):
            self.network.settle()
            for wire in wires:
                wire.settle()

    def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        token: str | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """The answer, which takes no time; or a second, which it takes to see that nobody is there."""
        wire = self.begin(path, method, token=token, headers=headers)
        if not wire.received:
            self.pass_time(1, wire)
        answers = wire.answers(method)
        assert len(answers) == 1, f"{len(answers)} answers to {method} {path}"
        wire.hang_up()
        return answers[0]

    def page(self, name: str = "demo", *, place: str = "projects/1", accept: str = JSON, **headers: str) -> Answer:
        """A name's page; further headers with underscores for hyphens."""
        return self.ask(
            page_path(name, place), headers={"Accept": accept, **{key.replace("_", "-"): said for key, said in headers.items()}}
        )

    def files(self, name: str = "demo", *, place: str = "projects/1") -> dict[str, Any]:
        """The entries of a name's page, by file name."""
        answer = self.page(name, place=place)
        assert answer.code == 200, answer
        return {entry["filename"]: entry for entry in answer.json["files"]}

    def pass_time(self, seconds: float, *wires: Wire) -> None:
        """Let time pass."""
        self.network.advance(seconds)
        self.settle(*wires)

    def close(self) -> None:
        """Stop the registry."""
        self.registry.close()


def page_path(name: str, place: str = "projects/1") -> str:
    """Where a name's page is."""
    return f"/api/v4/{place}/packages/pypi/simple/{name}/"


def file_path(built: Built, place: str = "projects/1", digest: str | None = None) -> str:
    """Where a file is."""
    return f"/api/v4/{place}/packages/pypi/files/{built.sha256 if digest is None else digest}/{built.filename}"


def path_in(url: str) -> str:
    """The path of one of our addresses."""
    return "/" + url.split("/", 3)[3].partition("#")[0]


def configured(
    *, names: Names | None = None, curation: Curation | None = None, more: Sequence[tuple[str, UpstreamIndex]] = (), **said: Any
) -> Config:
    """A configuration whose upstream is at `INDEX`, with these settings of `[upstream]`."""
    config = Config(auth=Auth(failures_per_minute=0), upstream=Upstream(**{"url": INDEX, **said}), upstreams=tuple(more))
    if names is not None:
        config = evolve(config, names=names)
    return config if curation is None else evolve(config, curation=curation)


def beyond_in(folder: Path, upstream: FakeUpstream | None = None, config: Config | None = None, *, fills: bool = False) -> Beyond:
    """A registry in `folder` beside an upstream that has demo 1.0 and 2.0 unless it is given."""
    if upstream is None:
        upstream = FakeUpstream()
        upstream.add(wheel("demo", "1.0"), wheel("demo", "2.0"), sdist("demo", "2.0"))
    return Beyond(folder=folder, config=config or configured(), upstream=upstream, fills=fills)
