"""Files with proofs of who built them, published by twine and uv, and looked at by the reference client."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen
from pypi_attestations import AttestationType

from registry.testing.attesting import GITHUB, LocalSigstore, statement
from tests.clients.conftest import Built, Client
from tests.clients.processes import SERVE, TWISTD, Outcome, Server, launched, run, serving

PUBLISH = AttestationType.PYPI_PUBLISH_V1.value
LOCAL = LocalSigstore()
Publish = Callable[[Client, Server, Path], Outcome]


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a server that trusts the local Sigstore and the builds of one team."""
    path = tmp_path_factory.mktemp("trust") / "trusted_root.json"
    path.write_text(LOCAL.trust_root())
    return {"REGISTRY__ATTESTATIONS__TRUST_ROOT": str(path), "REGISTRY__ATTESTATIONS__IDENTITIES": f"{GITHUB} https://github.com/team/*"}


@pytest.fixture
def attester(tmp_path: Path, trusting: dict[str, str]) -> Iterator[Server]:
    """A server that verifies attestations."""
    with serving(tmp_path / "data", environ=trusting) as server:
        yield server


@frozen
class Signed:
    """A distribution in a folder of its own, and its attestation beside it, as the publishing actions leave them."""

    file: Path

    @classmethod
    def of(cls, built: Path, folder: Path, *, by: LocalSigstore = LOCAL, sha256: str = "") -> "Signed":
        """Copy `built` to `folder` and sign what `sha256` says, or else the file."""
        folder.mkdir()
        copy = folder / built.name
        copy.write_bytes(built.read_bytes())
        stated = statement(copy.name, sha256 or hashlib.sha256(copy.read_bytes()).hexdigest(), PUBLISH)
        (folder / f"{copy.name}.publish.attestation").write_text(json.dumps(by.attest(stated)))
        return cls(copy)

    @property
    def attestation(self) -> Path:
        """The file beside it."""
        return self.file.with_name(f"{self.file.name}.publish.attestation")


def by_twine(client: Client, server: Server, file: Path) -> Outcome:
    """`twine upload --attestations` of a distribution and what lies beside it."""
    return client.twine(server, "--attestations", file, file.with_name(f"{file.name}.publish.attestation"))


def by_uv(client: Client, server: Server, file: Path) -> Outcome:
    """`uv publish` of all that lies in a folder: which attestation is of which file it finds out by itself."""
    return client.uv("publish", "--publish-url", server.api(), "--token", server.token, f"{file.parent}/*")


CLIENTS = pytest.mark.parametrize("publish", [by_twine, by_uv], ids=["twine", "uv"])


def provenance(server: Server, built: Path) -> int:
    """The status of the file's provenance object."""
    return server.ask("GET", f"{server.api()}/integrity/my-base/1.0/{built.name}/provenance").status


@CLIENTS
def test_attestations_are_carried_verified_and_served(
    attester: Server, client: Client, built: Built, tmp_path: Path, publish: Publish
) -> None:
    """What a client sends beside its file is verified, linked from the page, and verifies again for whoever fetches it."""
    for number, file in enumerate(built.base):
        publish(client, attester, Signed.of(file, tmp_path / str(number)).file).worked()
    page = attester.ask("GET", f"{attester.api()}/simple/my-base/", Accept="application/vnd.pypi.simple.v1+json")
    found = {file["filename"]: file for file in json.loads(page.body)["files"]}
    assert set(found) == {file.name for file in built.base}
    for file in built.base:
        served = json.loads(attester.ask("GET", found[file.name]["provenance"]).body)
        (bundle,) = served["attestation_bundles"]
        assert bundle["publisher"]["repository"] == "team/app"
        sent = json.loads(Signed(tmp_path / str(built.base.index(file)) / file.name).attestation.read_text())
        assert [one["envelope"] for one in bundle["attestations"]] == [sent["envelope"]]


@CLIENTS
@pytest.mark.parametrize(
    ("wrong", "words"),
    [("another authority", "does not verify against the trust root"), ("another file", "one is about a file with sha256")],
)
def test_a_proof_that_fails_refuses_the_file(  # noqa: PLR0917 - a row of the table, and its fixtures
    attester: Server, client: Client, built: Built, tmp_path: Path, publish: Publish, wrong: str, words: str
) -> None:
    """The client shows why; nothing is stored, and the same file goes through once it is signed well."""
    wheel = built.base[0]
    forged = wrong == "another authority"
    bad = Signed.of(wheel, tmp_path / "bad", by=LocalSigstore() if forged else LOCAL, sha256="" if forged else "0" * 64)
    said = publish(client, attester, bad.file).failed(2 if publish is by_uv else 1).said
    assert "Invalid attestations supplied during upload" in said
    assert words in said
    assert attester.files("my-base") == {}
    assert attester.leftovers() == []
    assert [path for path in (attester.data_dir / "blobs").rglob("*") if path.is_file()] == []
    publish(client, attester, Signed.of(wheel, tmp_path / "good").file).worked()
    assert provenance(attester, wheel) == 200


@CLIENTS
def test_without_a_trust_root_the_file_is_published_alone(
    server: Server, client: Client, built: Built, tmp_path: Path, publish: Publish
) -> None:
    """A server that verifies nothing takes the file and keeps no proof."""
    publish(client, server, Signed.of(built.base[0], tmp_path / "signed").file).worked()
    assert set(server.files("my-base")) == {built.base[0].name}
    assert provenance(server, built.base[0]) == 404


def test_the_reference_client_believes_what_is_served(attester: Server, client: Client, built: Built, tmp_path: Path) -> None:
    """pypi-attestations verifies, from nothing but the answer and the file, with the same trust root and the publisher it names."""
    wheel = built.base[0]
    by_twine(client, attester, Signed.of(wheel, tmp_path / "signed").file).worked()
    answer = attester.ask("GET", f"{attester.api()}/integrity/my-base/1.0/{wheel.name}/provenance")
    (tmp_path / "provenance.json").write_bytes(answer.body)
    program = f"""
import pathlib
from pypi_attestations import Distribution, Provenance
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier
import pypi_attestations._impl as implementation

root = TrustedRoot.from_file({str(Path(trusted_root(attester)))!r})
implementation.Verifier.production = classmethod(lambda cls, offline=False: Verifier(trusted_root=root))
found = Provenance.model_validate_json(pathlib.Path({str(tmp_path / "provenance.json")!r}).read_bytes())
(bundle,) = found.attestation_bundles
for attestation in bundle.attestations:
    print(attestation.verify(bundle.publisher, Distribution.from_file(pathlib.Path({str(wheel)!r})), offline=True)[0])
"""
    assert run((sys.executable, "-c", program), client.env, client.folder).worked().out == f"{PUBLISH}\n"


def trusted_root(server: Server) -> str:
    """The path of the trust root that a server was started with."""
    found = Path(f"/proc/{server.process.pid}/environ").read_text().split("\0")
    return next(one.partition("=")[2] for one in found if one.startswith("REGISTRY__ATTESTATIONS__TRUST_ROOT="))


@pytest.mark.parametrize("command", [SERVE, TWISTD], ids=["registry serve", "twistd registry"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "it cannot be read (No such file or directory)"),
        ("", "it is not JSON"),
        ("{}", "its mediaType is not"),
        ('{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}', "it has no certificateAuthorities"),
    ],
)
def test_a_bad_trust_root_stops_the_start(tmp_path: Path, command: tuple[str, ...], text: str | None, sentence: str) -> None:
    """A trust root that cannot be used is told in one sentence, with the setting and its value, and nothing is served."""
    path = tmp_path / "trusted_root.json"
    if text is not None:
        path.write_text(text)
    with launched(tmp_path / "data", command=command, environ={"REGISTRY__ATTESTATIONS__TRUST_ROOT": str(path)}) as server:
        assert server.ended() != 0
        said = server.said + server.logged
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if sentence in line]
    assert lines, said
    assert all("[attestations] trust_root" in line and str(path) in line for line in lines)
    assert "ready in" not in said
