"""Prefetching over HTTP: what a list asks for is asked of a registry, as any client would ask, so that it keeps it."""

import base64
import hashlib
import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from registry.domain.filenames import METADATA_ENDING
from registry.domain.locks import Need
from registry.domain.picking import Wish, chosen
from registry.domain.tokens import Secret

_JSON = "application/vnd.pypi.simple.v1+json"
_PAGE_BYTES = 256 << 20
_PIECE = 1 << 18
# A registry that has to ask an upstream first answers within 15 seconds; a file may take longer to begin.
_TIMEOUT = 120.0


@frozen(kw_only=True)
class Outcome:
    """What became of one name. `came`: what was fetched, metadata too; `fetched` and `kept`: files that were, and were there already.

    `problems` are sentences.
    """

    name: str
    came: tuple[str, ...] = ()
    fetched: int = 0
    kept: int = 0
    bytes: int = 0
    problems: tuple[str, ...] = ()


class Trouble(Exception):
    """A question to the registry was not answered as hoped; `str()` is a sentence."""


def _nothing(_: int) -> None:
    pass


@frozen(kw_only=True)
class Warmer:
    """Asks the registry at `url` for packages of a project, as a deploy token. `planned` and `done` hear of bytes."""

    url: str
    project: int
    username: str
    secret: Secret
    planned: Callable[[int], object] = field(default=_nothing)
    done: Callable[[int], object] = field(default=_nothing)

    def warm(self, need: Need) -> Outcome:
        """Fetch the page, the files and the metadata that `need` is about. Never raises: what goes wrong is told."""
        problems, came = list[str](), list[str]()
        fetched = kept = size = 0
        try:
            page = self._page(need.name.normalized)
            wishes = chosen(need, page, problems)
        except Trouble as error:
            return Outcome(name=need.name.normalized, problems=(str(error),))
        self.planned(sum(wish.size for wish in wishes))
        for wish in wishes:
            try:
                if self._fetch(wish, came):
                    fetched, size = fetched + 1, size + wish.size
                else:
                    kept += 1
            except Trouble as error:
                problems.append(str(error))
        return Outcome(name=need.name.normalized, came=tuple(came), fetched=fetched, kept=kept, bytes=size, problems=tuple(problems))

    def _page(self, name: str) -> Sequence[Mapping[str, Any]]:
        with self._ask(f"simple/{quote(name)}/", name, accept=_JSON) as answer:
            if answer.getheader("X-Cache") == "local":
                raise Trouble(f"{name} is a name of this registry's own: there is nothing to fetch")
            body = answer.read(_PAGE_BYTES + 1)
        try:
            files = json.loads(body)["files"]
        except (ValueError, KeyError, TypeError):
            raise Trouble(f"{name}: the registry gave no page of version 1") from None
        return [file for file in files if isinstance(file, dict)]

    def _fetch(self, wish: Wish, came: list[str]) -> bool:
        """Whether the file came from upstream; what the registry keeps is not read."""
        if wish.metadata:
            with self._ask(wish.path + METADATA_ENDING, wish.filename + METADATA_ENDING) as answer:
                answer.read(_PIECE * 64)
                came += [wish.filename + METADATA_ENDING] if answer.getheader("X-Cache") == "miss" else []
        with self._ask(wish.path, wish.filename) as answer:
            if answer.getheader("X-Cache") != "miss":
                self.done(wish.size)
                return False
            digest = hashlib.sha256()
            try:
                while piece := answer.read(_PIECE):
                    digest.update(piece)
                    self.done(len(piece))
            except (OSError, http.client.HTTPException):
                raise Trouble(f"{wish.filename}: the registry broke off; its log says why") from None
            if answer.length:
                raise Trouble(f"{wish.filename}: the registry broke off; its log says why")
        if wish.sha256 and digest.hexdigest() != wish.sha256:
            raise Trouble(f"{wish.filename} has sha256 {digest.hexdigest()}, not {wish.sha256}")
        came.append(wish.filename)
        return True

    @contextmanager
    def _ask(self, path: str, what: str, *, accept: str = "*/*") -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        credentials = base64.b64encode(f"{self.username}:{self.secret.reveal()}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Accept": accept, "Accept-Encoding": "identity"}
        try:
            connection.request("GET", f"{parts.path}/api/v4/projects/{self.project}/packages/pypi/{path}", headers=headers)
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise Trouble(f"{what}: {_said(answer)}")
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise Trouble(f"{what}: the registry at {self.url} does not answer: {error}") from None
        finally:
            connection.close()


def _said(answer: http.client.HTTPResponse) -> str:
    """The sentence of a refusal."""
    if answer.status in {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER, HTTPStatus.TEMPORARY_REDIRECT}:
        return "its upstream has mode = redirect: nothing of it is kept here"
    body = answer.read(1 << 16)
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    message = said.get("message") or said.get("error") if isinstance(said, dict) else None
    return str(message or f"{answer.status} {answer.reason}")
