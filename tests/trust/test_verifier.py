"""Verifying attestations: a Sigstore in memory signs and logs them, and the real verification says what they prove."""

import base64
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from pypi_attestations import AttestationType, Provenance
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent
from zope.interface.verify import verifyObject

from registry.domain.errors import InvalidAttestations, Unavailable
from registry.interfaces import IAttestations
from registry.storage.threads import InlineThreads
from registry.testing import HeldThreads, done
from registry.testing.attesting import CLAIMS, GITHUB, NOON, WORKFLOW, LocalSigstore, statement
from registry.trust.verifier import AttestationVerifier

FILE, DIGEST = "app-1.0.tar.gz", "a" * 64
PUBLISH, SLSA = AttestationType.PYPI_PUBLISH_V1.value, AttestationType.SLSA_PROVENANCE_V1.value
STATED = statement(FILE, DIGEST, PUBLISH)
LINES = ((GITHUB, "https://github.com/team/*"), ("https://accounts.google.com", "*@team.test"))
# Keys take a while to make, and an authority is not changed by what it signs.
LOCAL = LocalSigstore()
GOOD = LOCAL.attest(STATED)


@pytest.fixture(scope="module")
def trust_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that names the local Sigstore."""
    path = tmp_path_factory.mktemp("trust") / "trusted_root.json"
    path.write_text(LOCAL.trust_root(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def verifier(trust_root: Path) -> AttestationVerifier:
    """A verifier that trusts the local Sigstore and accepts two kinds of signers."""
    return AttestationVerifier(trust_root=trust_root, identities=LINES, threads=InlineThreads())


def verified(verifier: AttestationVerifier, *attestations: object) -> Any:
    """The provenance object of an upload of the file with these attestations."""
    return done(verifier.verify(FILE, DIGEST, json.dumps(attestations)))


def changed(change: Callable[[dict[str, Any]], object], attestation: dict[str, Any] = GOOD) -> dict[str, Any]:
    """A copy of an attestation with one thing changed."""
    copied = copy.deepcopy(attestation)
    change(copied)
    return copied


def entry(attestation: dict[str, Any]) -> dict[str, Any]:
    """The transparency log entry of an attestation."""
    found: dict[str, Any] = attestation["verification_material"]["transparency_entries"][0]
    return found


def test_it_is_what_it_says(verifier: AttestationVerifier) -> None:
    """The verifier has what its interface promises."""
    assert verifyObject(IAttestations, verifier)


def test_a_good_attestation_is_served(verifier: AttestationVerifier) -> None:
    """A good attestation comes back as it was, in a bundle of the publisher that its certificate names."""
    publisher = {"kind": "GitHub", "claims": None, "repository": "team/app", "workflow": "release.yml", "environment": None}
    assert verified(verifier, GOOD) == {"version": 1, "attestation_bundles": [{"publisher": publisher, "attestations": [GOOD]}]}


def test_both_known_types_are_accepted_together(verifier: AttestationVerifier) -> None:
    """An attestation of each of the two known predicate types makes one bundle, if one publisher signed both."""
    other = LOCAL.attest(statement(FILE, DIGEST, SLSA))
    (bundle,) = verified(verifier, GOOD, other)["attestation_bundles"]
    assert bundle["attestations"] == [GOOD, other]


@pytest.mark.parametrize(
    ("issuer", "name", "claims", "kind"),
    [
        (GITHUB, x509.UniformResourceIdentifier(WORKFLOW), CLAIMS, "GitHub"),
        (
            "https://gitlab.com",
            x509.UniformResourceIdentifier("https://gitlab.com/team/app//.gitlab-ci.yml@refs/heads/main"),
            {
                12: "https://gitlab.com/team/app",
                13: "c" * 40,
                14: "refs/heads/main",
                18: "https://gitlab.com/team/app//.gitlab-ci.yml@refs/heads/main",
            },
            "GitLab",
        ),
        ("https://accounts.google.com", x509.RFC822Name("robot@team.test"), {}, "Google"),
        (
            "https://oidc.circleci.com",
            x509.UniformResourceIdentifier("https://circleci.com/api/v2/projects/p/pipeline-definitions/d"),
            {9: "https://circleci.com/api/v2/projects/p/pipeline-definitions/d"},
            "CircleCI",
        ),
    ],
)
def test_clients_read_what_is_served(trust_root: Path, issuer: str, name: x509.GeneralName, claims: dict[int, str], kind: str) -> None:
    """For every kind of publisher that clients know, their own model reads the object, and finds the certificate fit for the publisher."""
    anybody = AttestationVerifier(trust_root=trust_root, identities=((issuer, "*"),), threads=InlineThreads())
    served = verified(anybody, LOCAL.attest(STATED, issuer=issuer, names=[name], claims=claims))
    (bundle,) = Provenance.model_validate(served).attestation_bundles
    assert bundle.publisher.kind == kind
    certificate = x509.load_der_x509_certificate(bundle.attestations[0].verification_material.certificate)
    bundle.publisher._as_policy().verify(certificate)


def test_another_issuer_is_served_by_its_host(trust_root: Path) -> None:
    """A publisher of no known kind is named for the host of his issuer, without claims."""
    own = AttestationVerifier(trust_root=trust_root, identities=(("https://gitlab.team.test", "*"),), threads=InlineThreads())
    (bundle,) = verified(own, LOCAL.attest(STATED, issuer="https://gitlab.team.test"))["attestation_bundles"]
    assert bundle["publisher"] == {"kind": "gitlab.team.test", "claims": None}


def test_each_publisher_has_a_bundle(verifier: AttestationVerifier) -> None:
    """Attestations of two publishers are served in two bundles."""
    robot = LOCAL.attest(
        statement(FILE, DIGEST, SLSA), issuer="https://accounts.google.com", names=[x509.RFC822Name("robot@team.test")], claims={}
    )
    bundles = verified(verifier, GOOD, robot)["attestation_bundles"]
    assert [bundle["publisher"]["kind"] for bundle in bundles] == ["GitHub", "Google"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[", "not JSON"),
        ("{}", "must be a JSON array"),
        ("[]", "the array is empty"),
        ("[1]", "number 1 is not a JSON object"),
        (json.dumps([GOOD] * 11), "there are 11 of them"),
        (json.dumps([{**GOOD, "x": "x" * (2 << 20)}]), "over 1,048,576 bytes"),
        ("[{}]", "number 1 is not an attestation object .* look at 'version'"),
        (json.dumps([GOOD, {**GOOD, "version": 2}]), "number 2 is not an attestation object .* look at 'version'"),
        (json.dumps([{**GOOD, "envelope": {"statement": 7, "signature": ""}}]), "look at 'envelope.statement'"),
        (json.dumps([{**GOOD, "envelope": {"statement": "", "signature": ""}}]), "the statement is not JSON"),
    ],
)
def test_what_is_no_array_of_attestations(verifier: AttestationVerifier, text: str, problem: str) -> None:
    """A field that holds no attestations, too many or too much is refused in words that say which and where."""
    with pytest.raises(InvalidAttestations, match=problem):
        done(verifier.verify(FILE, DIGEST, text))


@pytest.mark.parametrize(
    ("attestations", "problem"),
    [
        ([LOCAL.attest(statement("ape-1.0.tar.gz", DIGEST, PUBLISH))], "about 'ape-1.0.tar.gz', not about 'app-1.0.tar.gz'"),
        ([LOCAL.attest(statement(FILE, "b" * 64, PUBLISH))], "the uploaded file has"),
        ([LOCAL.attest({**STATED, "subject": STATED["subject"] * 2})], "exactly one subject"),
        ([LOCAL.attest({**STATED, "_type": "x"})], "not one of in-toto's"),
        ([LOCAL.attest(b"\xff")], "not JSON"),
        ([LOCAL.attest(statement(FILE, DIGEST, "https://kinds.test/one"))], "predicate type 'https://kinds.test/one'; known are"),
        ([GOOD, LOCAL.attest(STATED)], "two are of predicate type"),
    ],
)
def test_a_good_signature_under_the_wrong_words(verifier: AttestationVerifier, attestations: list[object], problem: str) -> None:
    """However well it is signed, an attestation about another file, of an unknown type or of a type that was there is refused."""
    with pytest.raises(InvalidAttestations, match=problem):
        verified(verifier, *attestations)


def test_one_bad_attestation_refuses_all(verifier: AttestationVerifier) -> None:
    """A good attestation does not carry a bad one in: the upload is refused, and the bad one named."""
    bad = changed(lambda one: one["envelope"].update(signature=GOOD["envelope"]["signature"]), LOCAL.attest(statement(FILE, DIGEST, SLSA)))
    with pytest.raises(InvalidAttestations, match="number 2 does not verify"):
        verified(verifier, GOOD, bad)


ANOTHER_STATEMENT = base64.b64encode(json.dumps({**STATED, "predicate": {"a": 1}}).encode()).decode()
OTHER = LOCAL.attest(STATED)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda one: one["envelope"].update(signature=base64.b64encode(b"x" * 70).decode()), "invalid signature"),
        (lambda one: one["envelope"].update(signature=OTHER["envelope"]["signature"]), "invalid signature"),
        (lambda one: one["envelope"].update(statement=ANOTHER_STATEMENT), "invalid signature"),
        (lambda one: one["verification_material"].update(certificate=OTHER["verification_material"]["certificate"]), "signature"),
        (lambda one: one["verification_material"].update(certificate="AAAA"), "invalid X.509 certificate"),
        (lambda one: one["verification_material"].update(transparency_entries=[entry(OTHER)]), "log entry"),
        (lambda one: entry(one).pop("inclusionPromise"), "must contain an inclusion promise"),
        (lambda one: entry(one).pop("integratedTime"), "not enough sources of verified time"),
        (lambda one: entry(one).pop("inclusionProof"), "invalid transparency log entry"),
        (lambda one: entry(one)["inclusionProof"].pop("checkpoint"), "invalid transparency log entry"),
        (lambda one: entry(one).update(integratedTime=str(int(NOON.timestamp()) + 1)), "invalid inclusion promise"),
        (lambda one: entry(one)["inclusionProof"].update(rootHash="AAAA"), "inclusion proof contains invalid root hash"),
        (lambda one: entry(one)["inclusionProof"].update(hashes=[]), "inclusion proof has wrong size"),
        (lambda one: entry(one)["inclusionProof"].update(checkpoint={"envelope": ""}), "note must contain"),
        (lambda one: entry(one).update(kindVersion={"kind": "dsse", "version": "0.0.2"}), "0.0.1"),
    ],
)
def test_what_was_tampered_with_is_refused(verifier: AttestationVerifier, change: Callable[[dict[str, Any]], object], problem: str) -> None:
    """A signature, statement, certificate or log entry that was changed, exchanged or left out proves nothing."""
    with pytest.raises(InvalidAttestations, match=f"number 1 does not verify against the trust root: .*{problem}"):
        verified(verifier, changed(change))


@pytest.mark.parametrize(("change", "problem"), [([], "look at 'verification_material.transparency_entries'"), ([1, 2], "more than one")])
def test_exactly_one_log_entry_is_taken(verifier: AttestationVerifier, change: list[int], problem: str) -> None:
    """An attestation without a log entry, or with one that nobody would verify, is refused."""
    entries = [entry(GOOD) for _ in change]
    with pytest.raises(InvalidAttestations, match=problem):
        verified(verifier, changed(lambda one: one["verification_material"].update(transparency_entries=entries)))


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every text and number in a JSON value."""
    if not isinstance(value, dict | list):
        return [path]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, inner in pairs for found in leaves(inner, (*path, key))]


# A checkpoint may bear the signatures of others, which nobody here can verify; all else is of one piece.
@given(st.sampled_from([path for path in leaves(GOOD) if "checkpoint" not in path]), st.data())
def test_nothing_changed_is_served(verifier: AttestationVerifier, path: tuple[str | int, ...], data: st.DataObject) -> None:
    """Whatever one value of an attestation is made to, it is refused, or what is served is the attestation that was signed."""
    attestation = copy.deepcopy(GOOD)
    holder: Any = attestation
    for key in path[:-1]:
        holder = holder[key]
    text = str(holder[path[-1]])
    at = data.draw(st.integers(0, len(text)))
    strings = st.text("Aa1=+/ \n", max_size=3)
    holder[path[-1]] = data.draw(
        strings.map(lambda filling: text[:at] + filling + text[at + len(filling) :])
        | strings.map(lambda filling: text[:at] + filling + text[at:])
        | st.none()
        | st.integers()
        | st.lists(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
    )
    try:
        served = verified(verifier, attestation)
    except InvalidAttestations:
        return
    assert served["attestation_bundles"][0]["attestations"] == [GOOD]


def test_what_else_was_sent_is_not_served(verifier: AttestationVerifier) -> None:
    """Keys that an attestation does not have, and blanks in its base64, are not part of what is served."""
    padded = changed(lambda one: one["envelope"].update(signature=one["envelope"]["signature"] + "\n", markup="<script>"))
    assert verified(verifier, {**padded, "extra": "x"}) == verified(verifier, GOOD)


def test_another_root_is_not_trusted(tmp_path: Path) -> None:
    """What one Sigstore signed proves nothing to who trusts another, by certificate, certificate log or transparency log alone."""
    ours, theirs = json.loads(LOCAL.trust_root()), json.loads(LocalSigstore().trust_root())
    for number, key in enumerate(["certificateAuthorities", "ctlogs", "tlogs"]):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({**ours, key: theirs[key]}), encoding="utf-8")
        verifier = AttestationVerifier(trust_root=path, identities=LINES, threads=InlineThreads())
        verifier.load()
        with pytest.raises(InvalidAttestations, match="number 1 does not verify"):
            verified(verifier, GOOD)


@pytest.mark.parametrize(
    ("minutes", "accepted"), [(-1, True), (9, True), (-1 - 1 / 60, False), (9 + 1 / 60, False), (60 * 24 * 300, False)]
)
def test_a_certificate_counts_while_it_was_valid(verifier: AttestationVerifier, minutes: float, accepted: bool) -> None:
    """A signature logged from the first to the last second of its certificate counts, however long ago; one a second off does not."""
    attestation = LOCAL.attest(STATED, logged=NOON + timedelta(minutes=minutes))
    if accepted:
        assert verified(verifier, attestation)["version"] == 1
    else:
        with pytest.raises(InvalidAttestations, match=r"number 1 does not verify against the trust root: .*certificate"):
            verified(verifier, attestation)


@pytest.mark.parametrize(
    ("attestation", "problem"),
    [
        (LOCAL.attest(STATED, issuer="https://gitlab.com"), "issuer 'https://gitlab.com'.*whom this registry does not accept"),
        (LOCAL.attest(STATED, issuer="https://accounts.google.com"), "whom this registry does not accept"),
        (
            LOCAL.attest(STATED, names=[x509.UniformResourceIdentifier("https://github.com/team-evil/app")]),
            "signed by 'https://github.com/team-evil/app'",
        ),
        (LOCAL.attest(STATED, names=[x509.RFC822Name("robot@team.test")]), "signed by 'robot@team.test'"),
        (
            LOCAL.attest(
                STATED, names=[x509.UniformResourceIdentifier("https://github.com/else"), x509.UniformResourceIdentifier(WORKFLOW)]
            ),
            "exactly one identity",
        ),
        (LOCAL.attest(STATED, names=[x509.UniformResourceIdentifier(WORKFLOW), x509.DNSName("a.test")]), "exactly one identity"),
        (LOCAL.attest(STATED, names=[x509.DNSName("a.test")]), "exactly one identity"),
    ],
)
def test_a_stranger_is_refused(verifier: AttestationVerifier, attestation: dict[str, Any], problem: str) -> None:
    """A good signature by an identity or issuer that fits no line of the operator's, or by several identities, is refused."""
    with pytest.raises(InvalidAttestations, match=problem):
        verified(verifier, attestation)


def test_no_lines_accept_nobody(trust_root: Path) -> None:
    """Without any accepted identity, no attestation is accepted, and the answer says what the operator has to do."""
    closed = AttestationVerifier(trust_root=trust_root, identities=(), threads=InlineThreads())
    with pytest.raises(InvalidAttestations, match=r"\[attestations\] identities"):
        verified(closed, GOOD)


def test_nothing_is_done_on_the_callers_thread(trust_root: Path) -> None:
    """Reading and verifying wait for a thread, so that the reactor never does."""
    threads = HeldThreads()
    verifier = AttestationVerifier(trust_root=trust_root, identities=LINES, threads=threads)
    answers = [Deferred.fromCoroutine(verifier.verify(FILE, DIGEST, text)) for text in (json.dumps([GOOD]), "[")]
    assert threads.waiting == 2
    assert not any(answer.called for answer in answers)
    threads.let(2)
    assert done(answers[0])["version"] == 1
    with pytest.raises(InvalidAttestations):
        done(answers[1])


def test_a_refusal_is_one_line_a_person_can_read(verifier: AttestationVerifier) -> None:
    """A refusal stays printable ASCII of a bounded length, whatever was sent, and says what to do."""
    hostile = statement("\r\n\u2028" * 10_000 + ".tar.gz", DIGEST, PUBLISH)
    with pytest.raises(InvalidAttestations) as refused:
        verified(verifier, LOCAL.attest(hostile))
    text = str(refused.value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 1000
    assert text.endswith("or upload it without attestations")


@pytest.mark.parametrize("text", ["", "{}", json.dumps({**json.loads(LOCAL.trust_root()), "unknown": 1})])
def test_a_trust_root_that_broke_later_is_the_operators(tmp_path: Path, log_events: list[LogEvent], text: str) -> None:
    """A trust root that cannot be used any more is told the operator and lets nothing in; once mended, it is used."""
    path = tmp_path / "trusted_root.json"
    verifier = AttestationVerifier(trust_root=path, identities=LINES, threads=InlineThreads())
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Unavailable, match="trust root"):
        verified(verifier, GOOD)
    assert [event["path"] for event in log_events if event["log_namespace"] == "registry.trust.verifier"] == [path]
    path.write_text(LOCAL.trust_root(), encoding="utf-8")
    assert verified(verifier, GOOD)["version"] == 1


def test_a_server_without_attestations_does_not_pay_for_them(trust_root: Path) -> None:
    """Putting a registry together, and checking a trust root, imports none of the libraries that verify."""
    program = f"""
import sys
from pathlib import Path
import registry.assembly
from registry.storage.threads import InlineThreads
from registry.trust.verifier import AttestationVerifier
AttestationVerifier(trust_root=Path({str(trust_root)!r}), identities=(), threads=InlineThreads()).load()
print(sorted({{"pydantic", "sigstore", "sigstore_models", "pypi_attestations", "tuf", "requests", "rekor_types"}} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
