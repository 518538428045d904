"""Real clients, a live upstream beside the registry, and what they have of it: cold, warm, killed, locked and attacked."""

import http.client
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from attrs import define, field

from registry.testing import Built, FakeUpstream, Style, serving_upstream
from registry.testing.distributions import wheel_of
from tests.clients.conftest import Client, make_client
from tests.clients.distributions import form
from tests.clients.processes import DEADLINE, LOOPBACK, Server, environment, eventually, run, serving

DOCUMENT = (Path(__file__).parents[2] / "docs" / "upstream.md").read_text("utf-8")
PRIVATE = [f"acme-part{number:02}" for number in range(15)]
PUBLIC = [f"public-part{number:02}" for number in range(15)]
MEGABYTE = 1 << 20


def package(name: str, version: str = "1.0", *needs: str) -> Built:
    """A wheel that needs others, and whose module says where it comes from."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    members = {
        f"{module}.py": f'version = "{version}"\n'.encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return Built(name=name, version=version, filename=f"{module}-{version}-py3-none-any.whl", content=wheel_of(members, info))


def chained(mine: list[str], theirs: list[str]) -> list[Built]:
    """A package for each of `mine`, which needs the next of `theirs` and of `mine`."""
    return [
        package(name, "1.0", *(f"{other}>=1" for other in (*theirs[index : index + 1], *mine[index + 1 : index + 2])))
        for index, name in enumerate(mine)
    ]


@define(kw_only=True, eq=False)
class Beside:
    """A registry and its upstream, each in its own right. What is private is published, what is public is upstream."""

    folder: Path
    upstream: FakeUpstream
    server: Server
    _serving: ExitStack = field(factory=ExitStack)

    def kill(self) -> None:
        """Let the upstream be gone."""
        self._serving.close()

    def files(self) -> int:
        """How many files the upstream was asked for."""
        return sum(one.path.endswith(".whl") for one in self.upstream.requests)


@contextmanager
def beside(folder: Path, *, more: Mapping[str, str] | None = None, listen: str = LOOPBACK, style: Style | None = None) -> Iterator[Beside]:
    """Start both; every page is asked for again each time."""
    upstream = FakeUpstream(style=style or Style())
    upstream.add(*chained(PUBLIC, []))
    with ExitStack() as stack:
        url = stack.enter_context(serving_upstream(upstream))
        environ = {
            "REGISTRY__UPSTREAM__MODE": "cache",
            "REGISTRY__UPSTREAM__URL": url,
            "REGISTRY__UPSTREAM__ALLOW_PRIVATE": "127.0.0.0/8",
            "REGISTRY__UPSTREAM__FRESH_FOR": "0",
            **(more or {}),
        }
        with serving(folder / "data", environ=environ, listen=listen) as server:
            yield Beside(folder=folder, upstream=upstream, server=server, serving=stack)


def publish(server: Server, *built: Built) -> None:
    """Publish here."""
    for one in built:
        content_type, body = form(one.filename, one.content, {"name": one.name, "version": one.version})
        assert server.ask("POST", server.api(), body=body, content_type=content_type).status == 201


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """App, which needs thirty others, half of them ours and half of them upstream's."""
    with beside(tmp_path_factory.mktemp("tree")) as made:
        publish(made.server, *chained(PRIVATE, PUBLIC), package("acme-app", "1.0", *PRIVATE, *PUBLIC))
        yield made


def installed(site: Path) -> set[str]:
    """The names of the packages in a folder."""
    return {path.name.split("-")[0].replace("_", "-") for path in site.glob("*.dist-info")}


def pip(client: Client, server: Server, *words: str) -> set[str]:
    """What `pip install` brings, without its cache."""
    site = client.folder / "site"
    client.pip("install", "--no-cache-dir", "--index-url", server.index(), "--target", site, *words).worked()
    return installed(site)


def uv(client: Client, server: Server, *words: str) -> set[str]:
    """What `uv pip install` brings, with an empty cache."""
    site = client.folder / "site"
    where = ("--index-url", server.index(), "--python", sys.executable, "--target", site)
    client.uv("pip", "install", *where, *words).worked()
    return installed(site)


ALL = {"acme-app", *PRIVATE, *PUBLIC}


def test_a_tree_of_both_is_installed(tree: Beside, tmp_path: Path) -> None:
    """With pip cold, uv warm, and both with the upstream killed all thirty-one are installed; no private name is told upstream."""
    clients = [make_client(tmp_path / f"client{number}") for number in range(4)]
    assert pip(clients[0], tree.server, "acme-app") == ALL
    assert tree.files() == len(PUBLIC)
    assert uv(clients[1], tree.server, "acme-app") == ALL
    assert tree.files() == len(PUBLIC)
    tree.kill()
    assert tree.server.ask("GET", f"{tree.server.api()}/simple/{PUBLIC[0]}/").headers["x-cache"] == "stale"
    assert uv(clients[2], tree.server, "acme-app") == ALL
    assert pip(clients[3], tree.server, "acme-app") == ALL
    assert not tree.upstream.mentions("acme")


def test_uv_installs_a_tree_that_nobody_has_asked_for(tmp_path: Path) -> None:
    """With uv cold each page, core metadata and wheel is asked of the upstream once, however many uv asks for at a time (row 52)."""
    with beside(tmp_path, more={"REGISTRY__UPSTREAM__FRESH_FOR": "5m"}) as made:
        publish(made.server, *chained(PRIVATE, PUBLIC), package("acme-app", "1.0", *PRIVATE, *PUBLIC))
        assert uv(make_client(tmp_path / "client"), made.server, "acme-app") == ALL
        asked = [one.path for one in made.upstream.requests]
        assert len(asked) == len(set(asked)) == 3 * len(PUBLIC)
        assert not made.upstream.mentions("acme")


def test_uv_resolves_by_what_was_found_out(tmp_path: Path) -> None:
    """Of an index that tells only names and digests a tree is resolved without a wheel, once the ends of these were looked at."""
    with beside(tmp_path, style=Style(json=False, metadata=False, times=False)) as made:
        for name in PUBLIC:
            page = partial(made.server.ask, "GET", f"{made.server.api()}/simple/{name}/")
            eventually(lambda page=page: b"data-core-metadata" in page().body, f"the core metadata of {name}")  # type: ignore[misc]
        site = tmp_path / "site"
        where = ("--index-url", made.server.index(), "--python", sys.executable, "--target", site)
        with made.server.log_of(".whl") as paths:
            make_client(tmp_path / "client").uv("pip", "install", "--dry-run", *where, PUBLIC[0]).worked()
        asked = paths()
        assert len(asked) == len(PUBLIC)
        assert all(path.endswith(".whl.metadata") for path in asked)


def test_a_lock_works_against_an_emptied_registry(tmp_path: Path) -> None:
    """Addresses and digests that `uv lock` wrote are good for `uv sync` from a registry that has lost all it had kept."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = {PUBLIC[:3]}\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"tcp:{free.getsockname()[1]}:interface=127.0.0.1"

    def work(made: Beside, *words: str) -> None:
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login __token__ password {made.server.token}\n")
        (tmp_path / ".netrc").chmod(0o600)
        command = (find_uv(), *words, "--no-config", "--default-index", f"{made.server.api()}/simple/", "--python", sys.executable)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        run((*command, "--cache-dir", tmp_path / "cache"), environment(tmp_path), project).worked()

    with beside(tmp_path, listen=listen) as made:
        work(made, "lock")
        locked = (project / "uv.lock").read_text()
        assert made.upstream.asked("/simple/") >= 3
    shutil.rmtree(tmp_path / "data")
    with beside(tmp_path, listen=listen) as made:
        work(made, "sync", "--frozen")
        assert installed(next((project / ".venv" / "lib").iterdir()) / "site-packages") >= set(PUBLIC[:3])
        assert made.files() == len(PUBLIC)
    assert (project / "uv.lock").read_text() == locked


def find_uv() -> str:
    """Where uv is."""
    from uv import find_uv_bin  # noqa: PLC0415 - beside its only use

    return find_uv_bin()


# --- what the operator is told, and what it costs ---


def test_an_upstream_inside_is_refused_and_the_start_says_so(tmp_path: Path) -> None:
    """An upstream on an address that is not public is not asked, unless `allow_private` has it: the log of the start says what to do."""
    with beside(tmp_path, more={"REGISTRY__UPSTREAM__ALLOW_PRIVATE": ""}) as made:
        said = eventually(lambda: "cannot be asked" in made.server.logged and made.server.logged, "the warning")
        assert isinstance(said, str)
        assert "loopback" in said
        assert "allow_private" in said
        assert made.server.ask("GET", f"{made.server.api()}/simple/{PUBLIC[0]}/").status == 502
        assert made.upstream.requests == []


def resident(server: Server, what: str = "VmRSS") -> int:
    """The memory that a server takes, in bytes."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{server.process.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


def test_a_large_cold_file_takes_no_memory(tmp_path: Path) -> None:
    """Two clients on a cold file of 200 MB, of whom one reads nothing until the other has all, cost less than 24 MB (hardening row 47)."""
    big = Built(name="big", version="1.0", filename="big-1.0-py3-none-any.whl", content=bytes(range(256)) * (200 * MEGABYTE // 256))
    path = f"/api/v4/projects/1/packages/pypi/files/{big.sha256}/{big.filename}"
    with beside(tmp_path) as made:
        made.upstream.add(big)
        small = package(PUBLIC[0])
        publish(made.server, package("acme-small"))
        assert made.server.ask("GET", f"{made.server.api()}/simple/{small.name}/").status == 200
        assert made.server.ask("GET", next(iter(made.server.files(PUBLIC[1]).values()))).status == 200
        before = resident(made.server)
        gate = made.upstream.hold(f"/files/big/{big.filename}", at=MEGABYTE)
        slow, quick = (http.client.HTTPConnection("127.0.0.1", made.server.port, timeout=DEADLINE) for _ in range(2))
        for one in (slow, quick):
            one.request("GET", path, headers={"PRIVATE-TOKEN": made.server.token})
        answers = [one.getresponse() for one in (slow, quick)]
        first = answers[1].read(1000)
        assert first == big.content[:1000]  # while the upstream holds the rest
        gate.open()
        most = [0]
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                most[0] = max(most[0], resident(made.server))

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            sizes = [len(first) + drained(answers[1]), drained(answers[0])]
        finally:
            over.set()
            watching.join()
        assert sizes == [len(big.content)] * 2
        # Its end is looked at beside, for the index tells of no metadata.
        whole = [one for one in made.upstream.requests if one.path == f"/files/big/{big.filename}" and "range" not in one.headers]
        assert len(whole) == 1
        assert most[0] > 0
        assert most[0] - before < 24 * MEGABYTE


def drained(answer: http.client.HTTPResponse) -> int:
    """How many bytes are left."""
    count = 0
    while piece := answer.read(MEGABYTE):
        count += len(piece)
    return count


# --- the document, word by word ---


def section() -> str:
    """The worked example."""
    found = re.search(r"^## Dependency confusion, step by step\n(.*?)^## ", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def ports(text: str, exchanged: Mapping[str, str]) -> str:
    """The text with ports that are free here; nothing else of the document is changed."""
    for said, free in exchanged.items():
        text = text.replace(f":{said}", f":{free}")
    return text


def test_the_documents_attack_fails_as_it_says(tmp_path: Path) -> None:
    """The attack of docs/upstream.md, command by command: two indexes install the stranger's package, the registry never does."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        exchanged = {"8080": str(one.getsockname()[1]), "8081": str(other.getsockname()[1])}
    blocks = [(kind, ports(text, exchanged)) for kind, text in re.findall(r"```(\w+)\n(.*?)```", section(), re.DOTALL)]
    for built in (package("acme-tool", "1.0", "colours"), package("acme-tool", "99.0"), package("colours")):
        (tmp_path / built.filename).write_bytes(built.content)
    (settings,) = [text for kind, text in blocks if kind == "ini"]
    (tmp_path / "registry.ini").write_text(settings)
    env = environment(tmp_path)
    del env["REGISTRY__UPSTREAM__MODE"]
    servers, *steps = [text for kind, text in blocks if kind == "sh"]
    with ExitStack() as stack:
        for number, line in enumerate(servers.splitlines()):
            stack.enter_context(started(tmp_path, line, env, number))
        wanted = iter([text for kind, text in blocks if kind == "text"])
        variables = ""
        for step in steps:
            if re.fullmatch(r"(?:[A-Z]+=.*\n)+", step):
                variables += step
                continue
            outcome = bash(variables + step, env, tmp_path)
            if step.startswith("twine"):
                outcome.check_returncode()
                continue
            want = next(wanted)
            if step.startswith("grep"):
                # What the other server logs, it writes within a second or so.
                eventually(partial(says, variables + step, env, tmp_path, want), f"{step} to say {want}")
            else:
                assert (outcome.stdout, outcome.returncode) == (want, 0), outcome.stderr
        assert next(wanted, None) is None


def bash(script: str, env: Mapping[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run it as somebody would who pastes it."""
    return subprocess.run(
        ["bash", "-c", script],
        env=dict(env),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def says(script: str, env: Mapping[str, str], folder: Path, want: str) -> bool:
    """Whether a script prints exactly that."""
    return bash(script, env, folder).stdout == want


@contextmanager
def started(folder: Path, line: str, env: Mapping[str, str], number: int) -> Iterator[None]:
    """A server that the document starts, until the block ends; it serves."""
    words = shlex.split(line)
    more = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    command = [word for word in words if not re.match(r"[A-Z_]+=", word)]
    out = folder / f"server{number}.out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            command, env={**env, **more}, cwd=folder, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        eventually(lambda: process.poll() is not None or "ready in" in out.read_text(), f"{line} to serve")
        assert process.poll() is None, out.read_text()
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)
