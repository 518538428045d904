"""Attestations over HTTP (PEP 740): what an upload may bring, what is then served, where it is linked, and who gets it."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import evolve
from pypi_attestations import AttestationType, Provenance

from registry.config import Attestations
from registry.domain.access import Visibility
from registry.testing import EXTERNAL_URL, Answer, Built, MemoryRegistry, registry_in_memory, sdist, wheel
from registry.testing.attesting import GITHUB, LocalSigstore, statement
from registry.testing.registry import FORGIVING

BASE, GROUP = "/api/v4/projects/1/packages/pypi", "/api/v4/groups/acme/-/packages/pypi"
TYPE, V1_JSON = "application/vnd.pypi.integrity.v1+json", "application/vnd.pypi.simple.v1+json"
PUBLISH = AttestationType.PYPI_PUBLISH_V1.value
LOCAL = LocalSigstore()
BUILT, PLAIN = wheel("My.Demo"), sdist("My.Demo")


def attested(built: Built, sigstore: LocalSigstore = LOCAL, **changes: Any) -> dict[str, Any]:
    """An attestation of `built`; `changes` are those of its statement."""
    return sigstore.attest({**statement(built.filename, built.sha256, PUBLISH), **changes})


GOOD = attested(BUILT)


def trusting(folder: Path, *, external_url: str = EXTERNAL_URL, trust_root: str | None = None) -> MemoryRegistry:
    """A registry that trusts the local Sigstore, and accepts the builds of one team."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trusted_root.json"
    path.write_text(LOCAL.trust_root() if trust_root is None else trust_root)
    accepted = Attestations(trust_root=path, identities=((GITHUB, "https://github.com/team/*"),))
    return registry_in_memory(folder / "data", config=evolve(FORGIVING, attestations=accepted), external_url=external_url)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """A registry that holds an attested wheel and a plain sdist in project 1, and the wheel in a project of the group acme."""
    registry = trusting(tmp_path_factory.mktemp("provenance"))
    registry.group("acme")
    for project in (1, registry.project("acme/tools").id):
        answer = registry.upload(project, BUILT, fields={"attestations": json.dumps([GOOD])})
        assert (answer.code, answer.json) == (201, {"message": "201 Created"})
        assert registry.upload(project, PLAIN).code == 201
    yield registry
    registry.close()


def path_of(filename: str = BUILT.filename, name: str = "my-demo", version: str = "1.0", base: str = BASE) -> str:
    return f"{base}/integrity/{name}/{version}/{filename}/provenance"


def get(registry: MemoryRegistry, path: str, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return registry.ask(method, path, sent, token=registry.root_token)


def listed(registry: MemoryRegistry, base: str = BASE) -> dict[str, dict[str, Any]]:
    return {file["filename"]: file for file in get(registry, f"{base}/simple/my-demo/", Accept=V1_JSON).json["files"]}


# --- what is served -------------------------------------------------------------------------------------------------------------------


def test_provenance_tells_who_built_a_file(held: MemoryRegistry) -> None:
    """The object is PEP 740's own, readable by its reference library: the publisher of the certificate, and the attestation as verified."""
    answer = get(held, path_of())
    assert (answer.code, answer.headers["content-type"], answer.headers["x-content-type-options"]) == (200, TYPE, "nosniff")
    (bundle,) = answer.json["attestation_bundles"]
    assert bundle["publisher"] == {
        "kind": "GitHub",
        "claims": None,
        "repository": "team/app",
        "workflow": "release.yml",
        "environment": None,
    }
    (attestation,) = bundle["attestations"]
    assert attestation["envelope"] == GOOD["envelope"]
    assert attestation["verification_material"]["certificate"] == GOOD["verification_material"]["certificate"]
    assert Provenance.model_validate(answer.json).version == 1


@pytest.mark.parametrize("base", [BASE, GROUP])
def test_the_page_links_to_it(held: MemoryRegistry, base: str) -> None:
    """The JSON page and (since the address is a secure one) the HTML page lead to the object, below the place that was asked."""
    file, plain = listed(held, base)[BUILT.filename], listed(held, base)[PLAIN.filename]
    assert file["provenance"] == f"{EXTERNAL_URL}{path_of(base=urlsplit(file['provenance']).path.partition('/integrity/')[0])}"
    assert ("groups" in file["provenance"]) == (base == GROUP)
    assert get(held, urlsplit(file["provenance"]).path).json == get(held, path_of()).json
    assert "provenance" not in plain
    anchors = [line for line in get(held, f"{base}/simple/my-demo/").text.splitlines() if "data-provenance" in line]
    assert len(anchors) == 1
    assert f'data-provenance="{file["provenance"]}"' in anchors[0]


@pytest.mark.parametrize(("external_url", "in_json", "in_html"), [("http://packages.example.com", True, False), ("", False, False)])
def test_what_is_not_secure_is_not_linked_from_html(tmp_path: Path, external_url: str, *, in_json: bool, in_html: bool) -> None:
    """PEP 740 wants a fully qualified address, and in HTML a secure one: without it the page has no link, and the object is there."""
    registry = trusting(tmp_path, external_url=external_url)
    assert registry.upload(1, BUILT, fields={"attestations": json.dumps([GOOD])}).code == 201
    assert ("provenance" in listed(registry)[BUILT.filename]) == in_json
    assert ("data-provenance" in get(registry, f"{BASE}/simple/my-demo/").text) == in_html
    assert get(registry, path_of()).code == 200
    registry.close()


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        (TYPE, 200),
        ("*/*", 200),
        ("application/*", 200),
        ("", 200),
        (f"text/html, {TYPE};q=0.1", 200),
        ("text/html", 406),
        ("application/json", 406),
        (f"{TYPE};q=0", 406),
        ("application/vnd.pypi.integrity.v2+json", 406),
    ],
)
def test_there_is_one_representation(held: MemoryRegistry, accept: str, code: int) -> None:
    """Who accepts something else only gets 406 and is told what there is, whether or not there is a file."""
    answer = get(held, path_of(), Accept=accept)
    assert answer.code == code
    if code == 406:
        assert TYPE in answer.json["message"]
        assert answer.headers["cache-control"] == "no-store"
    else:
        assert answer.headers["vary"] == "Accept, Authorization, Private-Token"


@pytest.mark.parametrize(
    "path",
    [
        path_of(PLAIN.filename),
        path_of("other-1.0.tar.gz"),
        path_of(version="2.0"),
        path_of(version="1.0.0"),
        path_of(name="other"),
        path_of(name="a b".replace(" ", "%20")),
        path_of(name="..%2f"),
    ],
)
def test_where_nothing_is_proved_there_is_nothing(held: MemoryRegistry, path: str) -> None:
    """A file without attestations, another version, and what is no name at all are GitLab's 404."""
    answer = get(held, path)
    assert (answer.code, answer.json) == (404, {"message": "404 Package Not Found"})


@pytest.mark.parametrize("name", ["my-demo", "My.Demo", "MY__DEMO"])
def test_every_spelling_of_the_name_answers(held: MemoryRegistry, name: str) -> None:
    """As on pages, a name is asked for in any spelling."""
    assert get(held, path_of(name=name)).code == 200


def test_it_may_change_so_it_is_asked_for_anew(held: MemoryRegistry) -> None:
    """No cache may use it unasked; one that is current is not sent again, and HEAD tells what GET would."""
    answer = get(held, path_of())
    assert answer.headers["cache-control"] == "private, no-cache"
    again = get(held, path_of(), If_None_Match=answer.headers["etag"])
    assert (again.code, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert get(held, path_of(), If_None_Match='"x"').code == 200
    head = get(held, path_of(), "HEAD")
    assert (head.code, head.body, head.headers["etag"]) == (200, b"", answer.headers["etag"])


def test_in_a_public_project_it_is_public(tmp_path: Path) -> None:
    """Where anybody may read the file, anybody may know who built it, and shared caches may keep that."""
    registry = trusting(tmp_path)
    project = registry.project("root/open", Visibility.PUBLIC).id
    base = f"/api/v4/projects/{project}/packages/pypi"
    assert registry.upload(project, BUILT, fields={"attestations": json.dumps([GOOD])}).code == 201
    answer = registry.ask("GET", path_of(base=base))
    assert (answer.code, answer.headers["cache-control"], answer.headers["vary"]) == (200, "no-cache", "Accept")
    registry.close()


def test_who_may_not_read_the_file_does_not_hear_of_it(held: MemoryRegistry) -> None:
    """Provenance has the access of its file's page (hardening row 22)."""
    held.user("stranger")
    for base in (BASE, GROUP):
        assert held.ask("GET", path_of(base=base)).code == 401
        assert held.ask("GET", path_of(base=base), token=held.token("stranger")).code == 404


def test_it_goes_and_stays_with_its_name(tmp_path: Path) -> None:
    """A quarantined name shows no provenance (403), a yanked file does, and a deleted one takes its own along."""
    registry = trusting(tmp_path)
    assert registry.upload(1, BUILT, fields={"attestations": json.dumps([GOOD])}).code == 201
    put: Callable[[str, Mapping[str, str]], Answer] = lambda path, body: registry.ask(  # noqa: E731 - short
        "PUT", path, {"Content-Type": "application/json"}, json.dumps(body).encode(), token=registry.root_token
    )
    assert put(f"{BASE}/status/my-demo", {"status": "quarantined", "reason": "looked at"}).code == 200
    refused = get(registry, path_of())
    assert (refused.code, "is quarantined" in refused.json["message"]) == (403, True)
    assert put(f"{BASE}/status/my-demo", {"status": "active"}).code == 200
    assert put("/api/v4/projects/1/packages/1/yank", {"reason": "broken"}).code == 200
    assert get(registry, path_of()).code == 200
    assert get(registry, "/api/v4/projects/1/packages/1", "DELETE").code == 204
    assert get(registry, path_of()).code == 404
    assert registry.upload(1, BUILT).code == 201
    assert get(registry, path_of()).code == 404
    registry.close()


# --- what is refused --------------------------------------------------------------------------------------------------------------------

OTHER = LocalSigstore()
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no JSON": (lambda: "[", "the field is not JSON"),
    "no array": (lambda: GOOD, "must be a JSON array"),
    "an empty array": (list, "the array is empty"),
    "not an object": (lambda: [1], "number 1 is not a JSON object"),
    "of another shape": (lambda: [{"version": 1}], "number 1 is not an attestation object"),
    "one too many": (lambda: [GOOD] * 11, "there are 11 of them"),
    "the same kind twice": (lambda: [GOOD, GOOD], "two are of predicate type"),
    "of another file": (lambda: [attested(PLAIN)], f"one is about '{PLAIN.filename}', not about '{BUILT.filename}'"),
    "of other bytes": (lambda: [LOCAL.attest(statement(BUILT.filename, "0" * 64, PUBLISH))], "one is about a file with sha256"),
    "of an unknown kind": (lambda: [attested(BUILT, predicateType="https://example.com/x")], "one is of predicate type"),
    "of another authority": (lambda: [attested(BUILT, OTHER)], "number 1 does not verify against the trust root"),
    "with another signature": (
        lambda: [{**GOOD, "envelope": {**GOOD["envelope"], "signature": attested(BUILT)["envelope"]["signature"]}}],
        "number 1 does not verify",
    ),
    "by somebody else": (
        lambda: [LOCAL.attest(statement(BUILT.filename, BUILT.sha256, PUBLISH), issuer="https://example.com")],
        "whom this registry does not accept",
    ),
    "a good one and a bad one": (lambda: [GOOD, {"version": 1}], "number 2 is not an attestation object"),
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """A trusting registry that holds nothing, and is to hold nothing."""
    registry = trusting(tmp_path_factory.mktemp("empty"))
    yield registry
    registry.close()


@pytest.mark.parametrize("case", WRONG)
def test_an_attestation_that_proves_nothing_refuses_the_upload(empty: MemoryRegistry, case: str) -> None:
    """Whatever is wrong with any attestation is told in reason phrase and body, and nothing of the file is kept."""
    build, problem = WRONG[case]
    sent = build()
    answer = empty.upload(1, BUILT, fields={"attestations": sent if isinstance(sent, str) else json.dumps(sent)})
    assert answer.code == 400, answer
    message = answer.json["message"]
    assert message.startswith("400 Bad request - Invalid attestations supplied during upload: ")
    assert problem in message
    assert answer.reason.startswith("Bad request - Invalid attestations supplied during upload: ")
    assert answer.reason.isprintable()
    assert (empty.staged_files(), empty.kept_files()) == ([], [])
    assert get(empty, f"{BASE}/simple/my-demo/").code == 404


def test_an_archive_that_is_refused_leaves_no_proof(empty: MemoryRegistry) -> None:
    """A file whose attestations are good and whose archive is not is refused for its archive."""
    spoilt = evolve(BUILT, content=BUILT.content + b"x")
    answer = empty.upload(1, spoilt, fields={"attestations": json.dumps([attested(spoilt)])})
    assert (answer.code, "after the end of its zip" in answer.reason) == (400, True)
    assert (empty.staged_files(), empty.kept_files()) == ([], [])
    assert get(empty, path_of()).code == 404


def test_without_a_trust_root_nothing_is_kept_and_that_is_said(registry: MemoryRegistry) -> None:
    """A registry that cannot verify publishes the file, keeps no attestations, links to none, and says so in the answer's body."""
    answer = registry.upload(1, BUILT, fields={"attestations": json.dumps([GOOD])})
    assert (answer.code, answer.json["message"]) == (201, "201 Created")
    (warning,) = answer.json["warnings"]
    assert "not kept" in warning
    assert "[attestations] trust_root" in warning
    assert "provenance" not in listed(registry)[BUILT.filename]
    assert get(registry, path_of()).code == 404


def test_a_trust_root_that_goes_bad_while_serving_is_503(tmp_path: Path) -> None:
    """Where signatures cannot be looked at, who sends some is asked to come back; who sends none is served as ever."""
    registry = trusting(tmp_path, trust_root="{}")
    answer = registry.upload(1, BUILT, fields={"attestations": json.dumps([GOOD])})
    assert (answer.code, answer.headers["retry-after"]) == (503, "1")
    assert "trust root for attestations" in answer.json["message"]
    assert str(tmp_path) not in answer.text
    assert (registry.staged_files(), registry.kept_files()) == ([], [])
    assert registry.upload(1, BUILT).code == 201
    registry.close()
