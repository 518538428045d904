"""What the OpenAPI document says of every operation, tried out on a live server by somebody who has only read the document."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import status_code_conformance

from registry.domain.model import Actor, NewToken
from registry.domain.tokens import mint
from registry.storage.catalog.database import Database
from registry.storage.catalog.tokens import SqlTokens
from registry.storage.threads import InlineThreads
from registry.testing import NOON, done, wheel
from tests.clients.processes import Server, serving

DOCUMENT = yaml.safe_load((Path(__file__).parent.parent.parent / "docs" / "openapi.yaml").read_text("utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)}


@pytest.fixture(scope="module")
def hammered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One registry for all operations: what one has made the next may find."""
    with serving(tmp_path_factory.mktemp("hammered") / "data") as running:
        yield running


@pytest.fixture
def token(hammered: Server) -> Iterator[str]:
    """A new token of root's: the one before may have revoked itself."""
    secret = mint()
    database = Database(path=hammered.data_dir / "catalog.sqlite", readers=InlineThreads(), writer=InlineThreads(), now=lambda: NOON)
    database.open()
    new = NewToken(name="schemathesis", digest=secret.digest(), scopes=("api",), expires_at=None)
    done(SqlTokens(database).create_token("root", new, Actor(user_id=None, username="")))
    yield secret.reveal()
    database.close()


@pytest.fixture
def known(hammered: Server, token: str) -> dict[str, str]:
    """Path parameters that name something: a group, a project in it with a package, its administrator, a token of each kind, a rule."""

    def post(path: str, /, **values: object) -> Any:
        answer = requests.post(f"{hammered.url}/api/v4/{path}", headers={"PRIVATE-TOKEN": token}, json=values, timeout=30)
        assert answer.status_code == 201, answer.text
        return answer.json()

    unique = f"g{secrets.token_hex(6)}"
    group = post("groups", name=unique, path=unique)["id"]
    project = post("projects", name="p", namespace_id=group)["id"]
    built = wheel()
    answer = requests.post(
        f"{hammered.url}/api/v4/projects/{project}/packages/pypi",
        headers={"PRIVATE-TOKEN": token},
        data=built.fields,
        files={"content": (built.filename, built.content)},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    packages = requests.get(f"{hammered.url}/api/v4/projects/{project}/packages", headers={"PRIVATE-TOKEN": token}, timeout=30).json()
    rule = post(
        f"projects/{project}/packages/protection/rules",
        package_name_pattern="x-*",
        package_type="pypi",
        minimum_access_level_for_push="owner",
    )
    return {
        "project": str(project),
        "group": str(group),
        "name": built.fields["name"],
        "sha256": built.sha256,
        "filename": built.filename,
        "package_id": str(packages[0]["id"]),
        "package_protection_rule_id": str(rule["id"]),
        "user_id": str(post("users", username=f"u{unique}", name="u", email=f"{unique}@x.test")["id"]),
        "token_id": str(post(f"projects/{project}/deploy_tokens", name="d", scopes=["read_package_registry"])["id"]),
        "namespace_id": str(group),
    }


@pytest.mark.parametrize("existing", [False, True], ids=["whatever", "existing"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_operation_keeps_to_the_document(label: str, *, existing: bool, hammered: Server, token: str, known: dict[str, str]) -> None:
    """Whatever is sent, to what exists or not, is answered with a status that the document names, never with a failure of ours."""

    @settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy())
    def every(case: Any) -> None:
        if existing:
            case.path_parameters = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
        response = case.call(base_url=hammered.url, headers={"PRIVATE-TOKEN": token}, timeout=30)
        case.validate_response(response, checks=[not_a_server_error, status_code_conformance])

    every()
