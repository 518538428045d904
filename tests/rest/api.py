"""Asking the REST API in JSON."""

import json
from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from registry.testing import Answer, MemoryRegistry

TAKEN = {"message": {"path": ["has already been taken"]}}
FORBIDDEN = {"message": "403 Forbidden"}
NO_GROUP, NO_PROJECT = {"message": "404 Group Not Found"}, {"message": "404 Project Not Found"}
NO_USER, NOTHING = {"message": "404 User Not Found"}, {"message": "404 Not Found"}


@frozen
class Api:
    """The API as one caller sees it; without a token, as anybody does."""

    registry: MemoryRegistry
    token: str | None = None

    def get(self, path: str, /, **query: object) -> Answer:
        """GET."""
        return self._ask("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path)

    def post(self, path: str, /, **fields: object) -> Answer:
        """POST, in JSON."""
        return self._ask("POST", path, fields)

    def put(self, path: str, /, **fields: object) -> Answer:
        """PUT, in JSON."""
        return self._ask("PUT", path, fields)

    def delete(self, path: str) -> Answer:
        """DELETE."""
        return self._ask("DELETE", path)

    def made(self, path: str, /, **fields: object) -> Any:
        """What a POST that must work has made."""
        answer = self.post(path, **fields)
        assert answer.code == 201, answer
        return answer.json

    def all(self, path: str, key: str = "id", /, **query: object) -> list[Any]:
        """One key of every row of a list, in its order."""
        answer = self.get(path, per_page=100, **query)
        assert answer.code == 200, answer
        return [row[key] for row in answer.json]

    def _ask(self, method: str, path: str, fields: object = None) -> Answer:
        headers = {"Content-Type": "application/json"} if fields is not None else {}
        body = json.dumps(fields).encode() if fields is not None else b""
        return self.registry.ask(method, f"/api/v4{path}", headers, body, token=self.token)


def told(answer: Answer) -> tuple[int, Any]:
    """Status and body."""
    return answer.code, answer.json


@frozen
class Cast:
    """Callers of a registry."""

    registry: MemoryRegistry

    @property
    def root(self) -> Api:
        """The administrator."""
        return Api(self.registry, self.registry.root_token)

    @property
    def anybody(self) -> Api:
        """Without a token."""
        return Api(self.registry)

    def new(self, username: str, *scopes: str, admin: bool = False) -> tuple[Api, int]:
        """A new user, and his number."""
        user = self.registry.user(username, admin=admin)
        return Api(self.registry, self.registry.token(username, *scopes)), user.id
