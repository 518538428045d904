"""Installing as of an instant, with pip and uv."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.clients.conftest import Built, Client
from tests.clients.processes import Outcome, Server


def index_at(server: Server, at: str) -> str:
    """The address of the index as of `at`."""
    return server.index().replace("/simple", f"/at/{at}/simple")


def pip(client: Client, server: Server, at: str, *words: str) -> Outcome:
    """`pip install` into the client's folder `site`, as of `at`."""
    return client.pip("install", "--no-cache-dir", "--index-url", index_at(server, at), "--target", client.folder / "site", *words)


def uv(client: Client, server: Server, at: str, *words: str) -> Outcome:
    """`uv pip install` into the client's folder `site`, as of `at`."""
    where = ("--index-url", index_at(server, at), "--python", sys.executable, "--target", client.folder / "site")
    return client.uv("pip", "install", *where, *words)


@pytest.mark.parametrize("install", [pip, uv])
def test_an_instant_is_installed_from(server: Server, client: Client, built: Built, install: Callable[..., Outcome]) -> None:
    """What was newest at an instant is installed, though a newer version has been published since; as of before, there is nothing."""
    before = datetime.now(UTC)
    client.twine(server, *built.base, *built.old).worked()
    between = datetime.now(UTC)
    client.twine(server, *built.new).worked()
    install(client, server, quote(before.isoformat()), "my-package").failed()
    install(client, server, between.isoformat().replace("+00:00", "Z"), "my-package").worked()
    assert client.version_in(client.folder / "site") == "1.0"
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    install(client, server, tomorrow, "--upgrade", "my-package").worked()
    assert client.version_in(client.folder / "site") == "1.1"
