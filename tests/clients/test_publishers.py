"""Building and publishing with hatch, flit, poetry, pdm and uv; what they have published is installed, and told to who reads the JSON."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import frozen

from tests.clients.conftest import Client, make_client
from tests.clients.processes import BIN, Outcome, Server, run, serving

_BACKENDS = {"hatchling": "hatchling.build", "flit_core": "flit_core.buildapi", "poetry-core": "poetry.core.masonry.api"}


@frozen(kw_only=True)
class Shell:
    """A user in the folder of a project that is called after the tool he uses."""

    client: Client
    server: Server
    folder: Path
    tool: str

    @property
    def api(self) -> str:
        """Where to publish to."""
        return self.server.api()

    @property
    def token(self) -> str:
        """Who publishes."""
        return self.server.token

    def run(self, words: Sequence[str | Path]) -> Outcome:
        """A command of one of the tools, which is the first word, installed beside this Python."""
        told = {"FLIT_INDEX_URL": self.api, "FLIT_USERNAME": "__token__", "FLIT_PASSWORD": self.token}
        told["POETRY_REPOSITORIES_OURS_URL"] = self.api
        return run((BIN / words[0], *words[1:]), {**self.client.env, **told, **TOOLS[self.tool].env}, self.folder)

    def module(self) -> str:
        """The name of the project's only module."""
        return f"demo_{self.tool}"

    def files(self) -> list[Path]:
        """What was built, by name."""
        return sorted((self.folder / "dist").glob("demo_*"))


@frozen(kw_only=True)
class Tool:
    """How a tool builds and publishes, and what it says when it is to publish again what is there.

    `build` is empty where publishing builds, `again` where the tool takes it for a failure; then it is left out here.
    """

    backend: str
    build: tuple[str, ...] = ()
    publish: Callable[[Shell], tuple[str | Path, ...]]
    again: str = ""
    env: Mapping[str, str] = {}


_UV = ("uv", "--no-config", "--no-cache", "--no-python-downloads")
TOOLS: Mapping[str, Tool] = {
    "hatch": Tool(
        backend="hatchling",
        # `hatch build` would fetch its build backend into an environment of its own; this is what it then runs.
        build=("hatchling", "build"),
        publish=lambda shell: ("hatch", "--no-color", "publish", "-n", "-r", shell.api, "-u", "__token__", "-a", shell.token),
        # It sends nothing: it has asked at `+simple`.
        again="already exists",
    ),
    "flit": Tool(backend="flit_core", publish=lambda shell: ("flit", "publish", "--no-use-vcs")),
    "poetry": Tool(
        backend="poetry-core",
        build=("poetry", "build"),
        publish=lambda shell: ("poetry", "publish", "-n", "--skip-existing", "-r", "ours", "-u", "__token__", "-p", shell.token),
        again="File exists. Skipping",
        env={"POETRY_VIRTUALENVS_CREATE": "false"},
    ),
    "pdm": Tool(
        backend="flit_core",
        build=("pdm", "build", "--no-isolation"),
        publish=lambda shell: ("pdm", "publish", "--no-build", "--skip-existing", "-r", shell.api, "-u", "__token__", "-P", shell.token),
        again="appears to already exist",
        env={"PDM_USE_VENV": "false", "PDM_PYTHON": sys.executable, "PDM_CHECK_UPDATE": "false"},
    ),
    "uv": Tool(
        backend="hatchling",
        build=(*_UV, "build", "--no-build-isolation", "--python", sys.executable),
        publish=lambda shell: (
            *(*_UV, "publish", "--publish-url", shell.api),
            *("--check-url", shell.server.index(), "--token", shell.token),
        ),
        again="already exists, skipping",
    ),
}
# The digests that each declares, beside sha256.
DECLARED = {
    "hatch": {"md5", "blake2b_256"},
    "flit": {"md5"},
    "poetry": {"md5", "blake2b_256"},
    "pdm": {"md5", "blake2b_256"},
    "uv": {"blake2b_256"},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One registry for all tools: each has a name of its own."""
    with serving(tmp_path_factory.mktemp("publishers") / "data") as running:
        yield running


@pytest.fixture(params=TOOLS)
def shell(request: pytest.FixtureRequest, shared: Server, tmp_path: Path) -> Shell:
    """A project to be built with each tool in turn."""
    tool = str(request.param)
    backend = TOOLS[tool].backend
    folder = tmp_path / "project"
    (folder / f"demo_{tool}").mkdir(parents=True)
    (folder / f"demo_{tool}" / "__init__.py").write_text('"""For a test."""\n\n__version__ = "1.0"\n')
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{_BACKENDS[backend]}"\n\n'
        f'[project]\nname = "demo-{tool}"\nversion = "1.0"\ndescription = "For a test"\nrequires-python = ">=3.11"\n'
        '[project.urls]\nChangelog = "https://example.test/news"\n'
    )
    return Shell(client=make_client(tmp_path / "client"), server=shared, folder=folder, tool=tool)


def test_what_is_built_is_published_installed_and_told(shell: Shell) -> None:
    """Each tool builds a wheel and an sdist and publishes both; pip installs them; the JSON has all they declared; again is no harm."""
    tool = TOOLS[shell.tool]
    if tool.build:
        shell.run(tool.build).worked()
    shell.run(tool.publish(shell)).worked()
    built = {file.name: file.read_bytes() for file in shell.files()}
    assert {name.rpartition(".")[2] for name in built} == {"whl", "gz"}

    site = shell.client.folder / "site"
    shell.client.pip("install", "--index-url", shell.server.index(), "--target", site, f"demo-{shell.tool}").worked()
    program = f"import {shell.module()}; print({shell.module()}.__version__)"
    found = run((sys.executable, "-c", program), {**shell.client.env, "PYTHONPATH": str(site)}, shell.client.folder).worked()
    assert found.out.strip() == "1.0"

    told = json.loads(shell.server.ask("GET", f"{shell.server.api()}/pypi/demo-{shell.tool}/json").body)
    assert (told["info"]["version"], told["info"]["summary"]) == ("1.0", "For a test")
    assert told["info"]["project_urls"] == {"Changelog": "https://example.test/news"}
    assert {file["filename"]: file["digests"] for file in told["urls"]} == {
        name: {algorithm: digest for algorithm, digest in digests(data).items() if algorithm in {"sha256", *DECLARED[shell.tool]}}
        for name, data in built.items()
    }

    if tool.again:
        assert tool.again in shell.run(tool.publish(shell)).worked().said


def digests(data: bytes) -> dict[str, str]:
    """What PyPI's JSON may say of these bytes."""
    return {
        "md5": hashlib.md5(data).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "blake2b_256": hashlib.blake2b(data, digest_size=32).hexdigest(),
    }
