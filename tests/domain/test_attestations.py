"""Attestations as values: what a field may hold, what a statement must say, who is accepted, and what is served."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.domain.attestations import (
    MOST,
    MOST_BYTES,
    Signer,
    Statement,
    check_signer,
    check_statements,
    provenance,
    publisher_of,
    read_attestations,
    read_statement,
)
from registry.domain.errors import InvalidAttestations
from registry.domain.wildcards import fits

DIGEST = "a" * 64
KINDS = ["https://kinds.test/one", "https://kinds.test/two"]
STATED: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "app-1.0.tar.gz", "digest": {"sha256": DIGEST}}],
    "predicateType": KINDS[0],
}
GITHUB, GITLAB = "https://token.actions.githubusercontent.com", "https://gitlab.com"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


def stating(name: str = "app-1.0.tar.gz", sha256: str = DIGEST, predicate_type: str = KINDS[0]) -> Statement:
    return Statement(name=name, sha256=sha256, predicate_type=predicate_type)


@pytest.mark.parametrize("count", [1, 2, MOST])
def test_a_field_holds_up_to_ten_objects(count: int) -> None:
    """One object and ten are read, in their order."""
    sent = [{"version": number} for number in range(count)]
    assert read_attestations(json.dumps(sent)) == sent


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON"),
        ("[", "is not JSON"),
        ("[{}] x", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[" + "9" * 5000 + "]", "is not JSON"),
        ("{}", "must be a JSON array"),
        ("null", "must be a JSON array"),
        ('"[]"', "must be a JSON array"),
        ("[]", "the array is empty"),
        ("[{}, []]", "number 2 is not a JSON object"),
        (json.dumps([{}] * (MOST + 1)), "there are 11 of them; at most 10"),
    ],
)
def test_what_is_no_field_of_attestations(text: str, problem: str) -> None:
    """What is not JSON, not an array, empty, too many or not objects is refused in words that say which."""
    with pytest.raises(InvalidAttestations, match=problem):
        read_attestations(text)


@pytest.mark.parametrize("letter", ["x", "\u00e9"])
def test_a_field_may_hold_one_mebibyte_and_no_more(letter: str) -> None:
    """A field of 1 MiB in UTF-8 is read, and one byte more is refused."""
    room = MOST_BYTES - len('[{"a":""}]')
    sent = f'[{{"a":"{letter * (room // len(letter.encode()))}"}}]'
    sent += " " * (MOST_BYTES - len(sent.encode()))
    assert len(read_attestations(sent)) == 1
    with pytest.raises(InvalidAttestations, match="over 1,048,576 bytes"):
        read_attestations(sent + " ")


@given(st.one_of(st.text(max_size=40), json_values.map(json.dumps)))
@example("\ud800")
def test_any_field_is_read_or_refused(text: str) -> None:
    """Whatever the field holds, it is a list of objects or an InvalidAttestations."""
    with suppress(InvalidAttestations):
        assert all(isinstance(one, dict) for one in read_attestations(text))


def test_a_statement_is_read() -> None:
    """A statement of in-toto about one file gives its name, digest and predicate type."""
    assert read_statement(json.dumps(STATED).encode()) == stating()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "not one of in-toto's"),
        ({"_type": None}, "not one of in-toto's"),
        ({"subject": []}, "exactly one subject"),
        ({"subject": STATED["subject"] * 2}, "exactly one subject"),
        ({"subject": STATED["subject"][0]}, "exactly one subject"),
        ({"subject": ["app-1.0.tar.gz"]}, "lacks its subject's name"),
        ({"subject": [{"digest": {"sha256": DIGEST}}]}, "lacks its subject's name"),
        ({"subject": [{"name": "app-1.0.tar.gz", "digest": {"sha512": DIGEST}}]}, "its subject's sha256"),
        ({"subject": [{"name": "app-1.0.tar.gz", "digest": DIGEST}]}, "its subject's sha256"),
        ({"predicateType": None}, "its predicate type"),
    ],
)
def test_what_is_no_statement_about_one_file(change: dict[str, Any], problem: str) -> None:
    """A statement of another type, about none or several subjects, or with a part missing is refused by that part."""
    with pytest.raises(InvalidAttestations, match=problem):
        read_statement(json.dumps({**STATED, **change}).encode())


@given(st.one_of(st.binary(max_size=40), json_values.map(lambda value: json.dumps({**STATED, "subject": value}).encode())))
@example(json.dumps(STATED).encode("utf-16"))
@example(b"[" * 100_000)
def test_any_payload_is_a_statement_or_refused(payload: bytes) -> None:
    """Whatever was signed, it is a whole statement in UTF-8 or an InvalidAttestations."""
    with pytest.raises(InvalidAttestations):
        read_statement(payload)


def test_statements_about_the_file_pass() -> None:
    """One statement of each known type, with this name and digest, is what an upload may bring."""
    check_statements([stating(), stating(predicate_type=KINDS[1])], "app-1.0.tar.gz", DIGEST, KINDS)


@pytest.mark.parametrize(
    ("stated", "uploaded"),
    [
        ("App-1.0.tar.gz", "app-1.0.tar.gz"),
        ("a_b-1.0-py3-none-any.whl", "A.B-1.0-py3-none-any.whl"),
        ("app-1.0.0.tar.gz", "app-1.0.tar.gz"),
    ],
)
def test_a_name_may_be_spelt_otherwise(stated: str, uploaded: str) -> None:
    """A statement's name that means the same file is the file's name, as for the clients that verify it later."""
    check_statements([stating(stated)], uploaded, DIGEST, KINDS)


def test_a_name_of_many_tags_is_not_spelt_out() -> None:
    """A wheel name of more tags than memory holds is refused without making them; one that a file can have is compared by its tags."""
    tags = ".".join(f"p{number}" for number in range(100_000))
    with pytest.raises(InvalidAttestations, match=r"one is about 'app-1\.0-p0\.p1"):
        check_statements([stating(f"app-1.0-{tags}-{tags}-{tags}.whl")], "app-1.0-py3-none-any.whl", DIGEST, KINDS)
    ending = "-none-any.whl"
    longest = "app-1.0-".ljust(255 - len(ending), "p") + ending
    check_statements([stating(longest)], longest.replace("app", "App"), DIGEST, KINDS)
    with pytest.raises(InvalidAttestations, match="one is about"):
        check_statements(
            [stating(longest.replace("-none", "p-none"))], longest.replace("-none", "p-none").replace("app", "App"), DIGEST, KINDS
        )


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        ([stating("app-1.1.tar.gz")], "about 'app-1.1.tar.gz', not about 'app-1.0.tar.gz'"),
        ([stating("app-1.0-py3-none-any.whl")], "about 'app-1.0-py3-none-any.whl'"),
        ([stating("")], "about ''"),
        ([stating("x.exe")], "about 'x.exe'"),
        ([stating(), stating("ape-1.0.tar.gz", predicate_type=KINDS[1])], "about 'ape-1.0.tar.gz'"),
        ([stating(sha256="b" * 64)], f"sha256 '{'b' * 64}'; the uploaded file has {DIGEST}"),
        ([stating(sha256=DIGEST.upper())], "the uploaded file has"),
        (
            [stating(predicate_type="https://kinds.test/three")],
            "predicate type 'https://kinds.test/three'; known are https://kinds.test/one",
        ),
        ([stating(), stating()], "two are of predicate type https://kinds.test/one"),
    ],
)
def test_statements_that_do_not_fit_the_file(statements: list[Statement], problem: str) -> None:
    """A statement about another name or digest, of an unknown type, or of a type that was there, is refused with both values."""
    with pytest.raises(InvalidAttestations, match=problem):
        check_statements(statements, "app-1.0.tar.gz", DIGEST, KINDS)


@pytest.mark.parametrize(
    ("issuer", "identity", "accepted"),
    [
        (GITHUB, "https://github.com/team/app/.github/workflows/release.yml@refs/tags/1.0", True),
        (GITHUB, "https://github.com/team-evil/app/.github/workflows/release.yml@refs/tags/1.0", False),
        (GITHUB, "https://github.com/Team/app/.github/workflows/release.yml@refs/tags/1.0", False),
        (GITHUB, "https://evil.test/?https://github.com/team/app", False),
        (GITLAB, "https://github.com/team/app/.github/workflows/release.yml@refs/tags/1.0", False),
        (GITHUB + "/", "https://github.com/team/app/", False),
        ("", "https://github.com/team/app/", False),
        ("https://accounts.google.com", "ann@team.test", True),
        ("https://accounts.google.com", "ann@team.test.evil.test", False),
    ],
)
def test_who_is_accepted(issuer: str, identity: str, accepted: bool) -> None:
    """Issuer and identity must fit one and the same line: the issuer to the letter, the identity by its pattern."""
    signer, lines = (
        Signer(issuer=issuer, identity=identity),
        [(GITHUB, "https://github.com/team/*"), ("https://accounts.google.com", "*@team.test")],
    )
    if accepted:
        check_signer(signer, lines)
    else:
        with pytest.raises(InvalidAttestations, match="whom this registry does not accept"):
            check_signer(signer, lines)
    with pytest.raises(InvalidAttestations, match="whom this registry does not accept"):
        check_signer(signer, [])


@given(st.lists(st.text("ab/", max_size=4), min_size=1, max_size=5), st.lists(st.text("ab/*", max_size=4), min_size=4, max_size=4))
def test_a_pattern_fits_what_fills_its_stars(pieces: list[str], fillings: list[str]) -> None:
    """Whatever is put in place of its stars, a pattern fits what comes of it, and never what begins or ends otherwise."""
    pattern = "*".join(pieces)
    filled = pieces[0] + "".join(filling + piece for filling, piece in zip(fillings, pieces[1:], strict=False))
    assert fits(pattern, filled)
    assert not fits(f"x{pattern}", filled)
    assert not fits(f"{pattern}x", filled)


def test_no_pattern_is_slow() -> None:
    """A pattern of a thousand stars is decided at once for a text that almost fits it."""
    assert not fits("a*" * 1000 + "b", "a" * 100_000)


@pytest.mark.parametrize(
    ("signer", "publisher"),
    [
        (
            Signer(
                issuer=GITHUB,
                identity="x",
                repository="https://github.com/team/app",
                build_config="https://github.com/team/app/.github/workflows/release@2.yml@refs/tags/app@1.0",
                revisions=("c" * 40, "refs/tags/app@1.0"),
            ),
            {"kind": "GitHub", "claims": None, "repository": "team/app", "workflow": "release@2.yml", "environment": None},
        ),
        (
            Signer(
                issuer=GITLAB,
                identity="x",
                repository="https://gitlab.com/team/sub/app",
                build_config=f"https://gitlab.com/team/sub/app//ci/release.yml@{'c' * 40}",
                revisions=("c" * 40, "refs/heads/main"),
            ),
            {"kind": "GitLab", "claims": None, "repository": "team/sub/app", "workflow_filepath": "ci/release.yml", "environment": None},
        ),
        (
            Signer(issuer="https://accounts.google.com", identity="ann@team.test"),
            {"kind": "Google", "claims": None, "email": "ann@team.test"},
        ),
        (
            Signer(
                issuer="https://oidc.circleci.com",
                identity="x",
                build_signer="https://circleci.com/api/v2/projects/p-1/pipeline-definitions/d-2",
            ),
            {"kind": "CircleCI", "claims": None, "project_id": "p-1", "pipeline_definition_id": "d-2"},
        ),
        # What a certificate does not say is not made up: these are named for their issuer.
        (Signer(issuer=GITHUB, identity="x"), {"kind": "token.actions.githubusercontent.com", "claims": None}),
        (
            Signer(
                issuer=GITHUB,
                identity="x",
                repository="https://github.com/team/app",
                build_config="https://github.com/other/app/.github/workflows/release.yml@main",
                revisions=("main",),
            ),
            {"kind": "token.actions.githubusercontent.com", "claims": None},
        ),
        (Signer(issuer="https://oidc.circleci.com", identity="x"), {"kind": "oidc.circleci.com", "claims": None}),
        (Signer(issuer="https://gitlab.team.test:8443/a", identity="x"), {"kind": "gitlab.team.test", "claims": None}),
        (Signer(issuer="https://[broken", identity="x"), {"kind": "https://[broken", "claims": None}),
    ],
)
def test_publishers(signer: Signer, publisher: dict[str, object]) -> None:
    """A publisher has the kind and the fields of the public index as far as the certificate tells them, or its issuer's host."""
    assert publisher_of(signer) == publisher


def test_attestations_are_bundled_by_publisher() -> None:
    """The provenance object has one bundle for each publisher, with his attestations in their order."""
    ann, bob = {"kind": "Ann"}, {"kind": "Bob"}
    assert provenance([(ann, {"n": 1}), (bob, {"n": 2}), ({"kind": "Ann"}, {"n": 3})]) == {
        "version": 1,
        "attestation_bundles": [
            {"publisher": ann, "attestations": [{"n": 1}, {"n": 3}]},
            {"publisher": bob, "attestations": [{"n": 2}]},
        ],
    }
