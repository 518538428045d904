"""A data directory that a server founded, and the command line in this process."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from click.testing import CliRunner

from registry.cli.main import main
from registry.testing.upstream import FakeUpstream
from registry.testing.upstream_site import serving_upstream
from tests.clients.distributions import form, wheel
from tests.clients.processes import serving


@frozen(kw_only=True)
class Said:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it printed, which must be one JSON document."""
        return json.loads(self.out)


Registry = Callable[..., Said]


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two published files; for copying."""
    data_dir = tmp_path_factory.mktemp("founded") / "data"
    with serving(data_dir) as server:
        for version in ("1.0", "2.0"):
            content_type, body = form(*wheel("held", version, ballast=version.encode()))
            assert server.ask("POST", server.api(), body=body, content_type=content_type).status == 201
    return data_dir


@pytest.fixture
def data_dir(founded: Path, tmp_path: Path) -> Path:
    """One's own copy of the data directory."""
    return shutil.copytree(founded, tmp_path / "data")


def invoke(*words: str) -> Said:
    """Run `registry WORDS`."""
    done = CliRunner().invoke(main, words, prog_name="registry")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Said(status=done.exit_code, out=done.stdout, err=done.stderr)


@pytest.fixture
def registry(data_dir: Path) -> Registry:
    """`registry(...)` runs a command on the data directory; it must end with `status`, 0 unless said otherwise."""

    def run(*words: str, status: int = 0) -> Said:
        said = invoke(*words, "--data-dir", str(data_dir))
        assert said.status == status, said
        return said

    return run


@pytest.fixture
def upstream() -> FakeUpstream:
    """An index of this machine, which has nothing yet."""
    return FakeUpstream()


@pytest.fixture
def config(tmp_path: Path, upstream: FakeUpstream) -> Iterator[Path]:
    """A configuration whose upstream is that index."""
    with serving_upstream(upstream) as url:
        path = tmp_path / "registry.ini"
        path.write_text(f"[upstream]\nurl = {url}\nallow_private = 127.0.0.0/8\n")
        yield path
