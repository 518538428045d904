"""Failed sign-ins over HTTP (hardening row 35)."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.config import Auth, Config
from registry.testing import FORM_TYPE, Answer, HeldThreads, MemoryRegistry, registry_in_memory, request

LIMIT = 3


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[MemoryRegistry]:
    """A registry that looks at three failures a minute."""
    made = registry_in_memory(tmp_path / "strict", config=Config(auth=Auth(failures_per_minute=LIMIT)))
    yield made
    made.close()


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def come(registry: MemoryRegistry, path: str, headers: dict[str, str], peer: str = "192.0.2.7") -> Answer:
    """One GET from an address."""
    wire = registry.connect(peer)
    wire.send(request("GET", path, headers))
    (answer,) = wire.answers("GET")
    wire.hang_up()
    return answer


VERSION, INDEX = "/api/v4/version", "/api/v4/projects/1/packages/pypi/simple/"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (VERSION, {"PRIVATE-TOKEN": "glpat-wrong"}),
        (VERSION, {"JOB-TOKEN": "glcbt-wrong"}),
        (VERSION, {"Authorization": "Bearer glpat-wrong"}),
        (INDEX, basic("ann", "glpat-wrong")),
        (INDEX, basic("gitlab-ci-token", "glcbt-wrong")),
        (INDEX, {"Deploy-Token": "gldt-wrong"}),
    ],
)
def test_after_too_many_failures_the_answer_is_429_whatever_carried_them(
    strict: MemoryRegistry, path: str, headers: dict[str, str]
) -> None:
    """The attempt after the last allowed failure is 429 with Retry-After in GitLab's envelope, through every carrier (row 35)."""
    for _ in range(LIMIT):
        assert come(strict, path, headers).code == 401
    refused = come(strict, path, headers)
    assert refused.code == 429
    assert refused.json["message"].startswith("429 Too Many Requests")
    assert refused.headers["retry-after"] == "60"
    strict.clock.advance(60)
    assert come(strict, path, headers).code == 401


def test_anonymous_requests_are_never_counted(strict: MemoryRegistry) -> None:
    """Who offers no credential has not failed to sign in (row 35)."""
    for _ in range(LIMIT * 3):
        assert come(strict, INDEX, {}).code == 401
    assert come(strict, VERSION, {"PRIVATE-TOKEN": strict.root_token}).code == 200


def test_expired_and_revoked_tokens_are_failures(strict: MemoryRegistry) -> None:
    """A token that is over counts like one that never was (row 35)."""
    strict.user("ann")
    token = strict.token("ann")
    assert come(strict, "/api/v4/personal_access_tokens/self", {"PRIVATE-TOKEN": token}).code == 200
    assert strict.ask("DELETE", "/api/v4/personal_access_tokens/self", token=token).code == 204
    for _ in range(LIMIT):
        assert come(strict, VERSION, {"PRIVATE-TOKEN": token}).code == 401
    assert come(strict, VERSION, {"PRIVATE-TOKEN": token}).code == 429


def test_a_token_in_use_is_not_held_up_and_a_new_one_for_a_minute(strict: MemoryRegistry) -> None:
    """Behind an address that keeps failing, a token in use goes on working; one never seen waits a minute at most (row 35)."""
    strict.user("ann")
    token = strict.token("ann")
    assert come(strict, VERSION, {"PRIVATE-TOKEN": strict.root_token}).code == 200
    for _ in range(LIMIT):
        come(strict, VERSION, {"PRIVATE-TOKEN": "wrong"})
    strict.user("bob")  # what was remembered of who may do what is forgotten
    assert come(strict, VERSION, {"PRIVATE-TOKEN": strict.root_token}).code == 200
    assert come(strict, VERSION, {"PRIVATE-TOKEN": token}).code == 429
    assert come(strict, VERSION, {"PRIVATE-TOKEN": token}, peer="198.51.100.1").code == 200
    for _ in range(60):
        strict.clock.advance(1)
        come(strict, VERSION, {"PRIVATE-TOKEN": "wrong"})
    assert come(strict, VERSION, {"PRIVATE-TOKEN": token}).code == 200


def test_a_refused_upload_counts_once(tmp_path: Path) -> None:
    """An upload whose body is there before it is known who sends it is asked about twice; its failure counts once (row 35)."""
    readers = HeldThreads()
    strict = registry_in_memory(tmp_path / "strict", config=Config(auth=Auth(failures_per_minute=LIMIT)), readers=readers)
    headers = {"Content-Type": FORM_TYPE, "PRIVATE-TOKEN": "glpat-wrong"}
    codes = []
    for _ in range(LIMIT + 1):
        wire = strict.connect()
        wire.send(request("POST", "/api/v4/projects/1/packages/pypi", headers, b"x" * 100))
        readers.let_all()
        (answer,) = wire.answers("POST")
        codes.append(answer.code)
        wire.hang_up()
    strict.close()
    assert codes == [401] * LIMIT + [429]
