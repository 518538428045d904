"""One JSON request to a registry in memory."""

import json
from typing import Any

from registry.testing import Answer, MemoryRegistry


def ask(registry: MemoryRegistry, method: str, path: str, token: str | None = None, body: Any = None, **headers: str) -> Answer:
    """The answer to `method` on `/api/v4` and `path`, with `body` as JSON; underscores in header names stand for hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    data = b""
    if body is not None:
        sent["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    return registry.ask(method, f"/api/v4{path}", sent, data, token=token)


def told(registry: MemoryRegistry, method: str, path: str, token: str | None = None, body: Any = None, *, status: int = 200) -> Any:
    """What such a request comes to, its status being `status`."""
    answer = ask(registry, method, path, token, body)
    assert answer.code == status, (answer.code, answer.text)
    return answer.json if answer.body else None
