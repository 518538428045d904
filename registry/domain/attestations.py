"""Attestations of a file (PEP 740), as values: what an upload's field holds, whom the operator trusts, and the object that is served."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from registry.domain.errors import InvalidAttestations, shown
from registry.domain.wildcards import fits

# What one upload may bring. Two predicate types are known and each may come once, so ten is a bound on work, not on anybody's needs.
MOST = 10
MOST_BYTES = 1 << 20
# For who uploads attestations to a registry that verifies none.
NOT_KEPT = "Attestations are not kept: this registry has no trust root to verify them with ([attestations] trust_root)"

_LONGEST_NAME = 255
_STATEMENT = "https://in-toto.io/Statement/v1"
_GITHUB, _GITLAB = "https://token.actions.githubusercontent.com", "https://gitlab.com"
_GOOGLE, _CIRCLECI = "https://accounts.google.com", "https://oidc.circleci.com"


@frozen(kw_only=True)
class Statement:
    """What an attestation says: that the file `name` with this digest (hexadecimal) is what a predicate of this type is about."""

    name: str
    sha256: str
    predicate_type: str


@frozen(kw_only=True)
class Signer:
    """Who signed, as a verified certificate says: the issuer of the token he came with, and his identity there.

    The others are claims about the build (Fulcio's extensions .9, .12, .18, and .13 and .14), empty where there is none.
    """

    issuer: str
    identity: str
    build_signer: str = ""
    repository: str = ""
    build_config: str = ""
    revisions: tuple[str, ...] = ()  # the commit and the ref that were built


def read_attestations(text: str) -> list[Mapping[str, Any]]:
    """The objects in the form's `attestations` field: a JSON array of one or more. Raises `InvalidAttestations`."""
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise InvalidAttestations(problem=f"the field is over {MOST_BYTES:,} bytes")
    found = _parse(text, "the field")
    if not isinstance(found, list):
        raise InvalidAttestations(problem="the field must be a JSON array of attestation objects (PEP 740)")
    if not found:
        raise InvalidAttestations(problem="the array is empty; send at least one attestation, or no field at all")
    if len(found) > MOST:
        raise InvalidAttestations(problem=f"there are {len(found)} of them; at most {MOST} are taken with a file")
    for number, one in enumerate(found, 1):
        if not isinstance(one, dict):
            raise InvalidAttestations(problem=f"number {number} is not a JSON object")
    return found


def read_statement(payload: bytes) -> Statement:
    """What a signed payload states: an in-toto statement about exactly one file. Raises `InvalidAttestations`."""
    found = _parse(payload, "the statement")
    if not isinstance(found, dict) or found.get("_type") != _STATEMENT:
        raise InvalidAttestations(problem=f"the statement is not one of in-toto's, of type {_STATEMENT}")
    subjects = found.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise InvalidAttestations(problem="the statement must be about exactly one subject, the file")
    subject: object = subjects[0]
    digests = subject.get("digest") if isinstance(subject, dict) else None
    name = subject.get("name") if isinstance(subject, dict) else None
    sha256 = digests.get("sha256") if isinstance(digests, dict) else None
    kind = found.get("predicateType")
    if not (isinstance(name, str) and isinstance(sha256, str) and isinstance(kind, str)):
        raise InvalidAttestations(problem="the statement lacks its subject's name, its subject's sha256 or its predicate type")
    return Statement(name=name, sha256=sha256, predicate_type=kind)


def check_statements(statements: Sequence[Statement], filename: str, sha256: str, known: Collection[str]) -> None:
    """Raises `InvalidAttestations` unless each is about this file and of one of the `known` predicate types, no two of the same."""
    seen = set[str]()
    for statement in statements:
        if not _same_file(statement.name, filename):
            raise InvalidAttestations(problem=f"one is about {shown(statement.name)}, not about {shown(filename)}")
        if statement.sha256 != sha256:
            raise InvalidAttestations(problem=f"one is about a file with sha256 {shown(statement.sha256)}; the uploaded file has {sha256}")
        if statement.predicate_type not in known:
            raise InvalidAttestations(problem=f"one is of predicate type {shown(statement.predicate_type)}; known are {', '.join(known)}")
        if statement.predicate_type in seen:
            raise InvalidAttestations(problem=f"two are of predicate type {statement.predicate_type}; send one of each type")
        seen.add(statement.predicate_type)


def check_signer(signer: Signer, identities: Iterable[tuple[str, str]]) -> None:
    """Raises `InvalidAttestations` unless a pair of `identities` accepts the signer.

    A pair is an issuer, which must be equal, and a pattern of identities, in which `*` stands for any text.
    """
    if not any(signer.issuer == issuer and fits(pattern, signer.identity) for issuer, pattern in identities):
        problem = (
            f"one is signed by {shown(signer.identity, 200)} (issuer {shown(signer.issuer)}), whom this registry does not accept; "
            "its operator names those it accepts in [attestations] identities"
        )
        raise InvalidAttestations(problem=problem)


def publisher_of(signer: Signer) -> Mapping[str, object]:
    """The publisher object of PEP 740 for a signer: kinds and fields as in the public index, any other kind named for its issuer's host.

    The environment is always null: certificates do not tell it.
    """
    if signer.issuer == _GITHUB:
        slug, workflow = _build(signer, "https://github.com/", "/.github/workflows/")
        if slug and workflow:
            return {"kind": "GitHub", "claims": None, "repository": slug, "workflow": workflow, "environment": None}
    if signer.issuer == _GITLAB:
        slug, path = _build(signer, "https://gitlab.com/", "//")
        if slug and path:
            return {"kind": "GitLab", "claims": None, "repository": slug, "workflow_filepath": path, "environment": None}
    if signer.issuer == _GOOGLE:
        return {"kind": "Google", "claims": None, "email": signer.identity}
    if signer.issuer == _CIRCLECI:
        project, middle, pipeline = _below(signer.build_signer, "https://circleci.com/api/v2/projects/").partition("/pipeline-definitions/")
        if project and middle and pipeline:
            return {"kind": "CircleCI", "claims": None, "project_id": project, "pipeline_definition_id": pipeline}
    return {"kind": _host(signer.issuer), "claims": None}


def provenance(verified: Iterable[tuple[Mapping[str, object], Mapping[str, object]]]) -> Mapping[str, object]:
    """The provenance object for pairs of publisher and attestation object: a bundle for each publisher, in their order (PEP 740)."""
    bundles: list[tuple[Mapping[str, object], list[Mapping[str, object]]]] = []
    for publisher, attestation in verified:
        for known, attestations in bundles:
            if known == publisher:
                attestations.append(attestation)
                break
        else:
            bundles.append((publisher, [attestation]))
    return {"version": 1, "attestation_bundles": [{"publisher": one, "attestations": many} for one, many in bundles]}


def _parse(text: str | bytes, what: str) -> object:
    try:
        return json.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError):
        raise InvalidAttestations(problem=f"{what} is not JSON") from None


def _same_file(stated: str, filename: str) -> bool:
    # Clients compare what the names mean, so that a tool may spell name and version in another way than the one that signed.
    return stated == filename or ((meant := _meaning(stated)) is not None and meant == _meaning(filename))


def _meaning(filename: str) -> object:
    if len(filename) > _LONGEST_NAME:
        # No file is called that, and the tags in a long wheel name multiply: one of 160 kB would mean four million of them.
        return None
    try:
        return parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except (InvalidSdistFilename, InvalidWheelFilename, ValueError):
        return None


def _build(signer: Signer, host: str, middle: str) -> tuple[str, str]:
    # A tag may hold an "@" (`name@1.0`), so what follows the file is known only by the revisions that the certificate names beside it.
    slug = _below(signer.repository, host)
    for revision in signer.revisions:
        if signer.build_config.endswith(f"@{revision}"):
            return slug, _below(signer.build_config.removesuffix(f"@{revision}"), f"{host}{slug}{middle}")
    return slug, ""


def _below(text: str, prefix: str) -> str:
    return text.removeprefix(prefix) if text.startswith(prefix) else ""


def _host(issuer: str) -> str:
    try:
        return urlsplit(issuer).hostname or issuer
    except ValueError:
        return issuer
