"""One upload as its form declares it: GitLab's words, GitLab's order, GitLab's limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.errors import InvalidField, InvalidFileName, InvalidName, InvalidVersion, MissingFields, RegistryError
from registry.domain.filenames import Kind
from registry.domain.names import Name
from registry.domain.upload import LIMITS, cut, declared_digests, read_upload
from registry.domain.versions import Version
from tests.strategies import Distribution, distributions, texts

FIELDS = {"name": "my-package", "version": "1.0"}
FILENAME = "my_package-1.0.tar.gz"


@given(distributions())
def test_a_complete_form_becomes_domain_values(built: Distribution) -> None:
    """Name, version and file name come out parsed, whatever their spelling."""
    upload = read_upload({"name": built.name, "version": built.version}, built.filename)
    assert (upload.name, upload.version) == (Name(built.name), Version(built.version))
    assert (upload.file.text, upload.file.kind) == (built.filename, built.kind)
    assert (upload.digests, upload.metadata) == ({}, {})


@pytest.mark.parametrize(
    ("fields", "filename", "message"),
    [
        ({}, None, "content is missing, name is missing, version is missing"),
        ({}, FILENAME, "name is missing, version is missing"),
        ({"name": "a"}, None, "content is missing, version is missing"),
        ({"version": "1"}, None, "content is missing, name is missing"),
        (FIELDS, None, "content is missing"),
        (FIELDS, "", "content is missing"),
        ({"version": "1"}, FILENAME, "name is missing"),
        ({"name": "a"}, FILENAME, "version is missing"),
        ({"name": "", "version": ""}, FILENAME, "name is missing, version is missing"),
    ],
)
def test_missing_fields_are_told_as_gitlab_tells_them(fields: dict[str, str], filename: str | None, message: str) -> None:
    """Only what is missing is named, in GitLab's order and words; an empty value is a missing one."""
    with pytest.raises(MissingFields) as refused:
        read_upload(fields, filename)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("fields", "filename", "error"),
    [
        ({"sha256_digest": "x"}, None, MissingFields),
        ({"sha256_digest": "x", "name": "-", "version": "-"}, "-", InvalidField),
        ({"name": "-", "version": "-"}, "-", InvalidName),
        ({"name": "a", "version": "-"}, "-", InvalidVersion),
        ({"name": "a", "version": "1"}, "-", InvalidFileName),
    ],
)
def test_the_first_thing_wrong_is_the_one_told(fields: dict[str, str], filename: str | None, error: type[RegistryError]) -> None:
    """A form with several faults is refused for the first in GitLab's order: missing, digest, name, version, file name."""
    with pytest.raises(error):
        read_upload(fields, filename)


@pytest.mark.parametrize("name", ["..", "@scope/x", "a b", "-x", "\u212a"])
def test_a_bad_name_is_refused(name: str) -> None:
    """A name that PEP 508 does not allow never becomes an upload (hardening row 1)."""
    with pytest.raises(InvalidName, match="Name is invalid"):
        read_upload({**FIELDS, "name": name}, FILENAME)


def test_digests_are_named_for_hashlib_and_lower_case() -> None:
    """The form's digest fields come out under hashlib's names, in lower case; those not sent, or empty, are absent."""
    fields = {"sha256_digest": "AB" * 32, "md5_digest": "CD" * 16, "blake2_256_digest": "EF" * 32}
    assert declared_digests(fields) == {"sha256": "ab" * 32, "md5": "cd" * 16, "blake2b": "ef" * 32}
    assert declared_digests({"md5_digest": "", "sha256_digest": ""}) == {}
    assert read_upload({**FIELDS, **fields}, FILENAME).digests == declared_digests(fields)


@pytest.mark.parametrize("digest", ["a" * 63, "a" * 65, "g" * 64, "../" * 21 + "a", "a" * 63 + "\n", " " + "a" * 64, "\uff41" * 64])
def test_a_sha256_that_cannot_be_one_is_refused(digest: str) -> None:
    """sha256_digest is 64 hex digits and nothing else, above all no path (hardening row 2)."""
    with pytest.raises(InvalidField, match="sha256_digest is invalid"):
        declared_digests({"sha256_digest": digest})


@pytest.mark.parametrize(("field", "limit"), sorted(LIMITS.items()))
def test_long_metadata_is_cut_with_three_dots(field: str, limit: int) -> None:
    """A value of exactly the limit is kept whole; one character more and its last three are dots."""
    at_limit = read_upload({**FIELDS, field: "\u00e9" * limit}, FILENAME).metadata[field]
    over = read_upload({**FIELDS, field: "\u00e9" * (limit + 1)}, FILENAME).metadata[field]
    assert at_limit == "\u00e9" * limit
    assert over == "\u00e9" * (limit - 3) + "..."


def test_the_limits_are_gitlabs() -> None:
    """Every field that GitLab keeps has GitLab's limit."""
    assert LIMITS == {
        "requires_python": 255,
        "metadata_version": 16,
        "author_email": 2048,
        "description": 4000,
        "description_content_type": 128,
        "summary": 255,
        "keywords": 1024,
    }


@given(texts, st.integers(3, 80))
def test_cutting_never_exceeds_the_limit(text: str, limit: int) -> None:
    """A cut text is within its limit and begins as the whole did; a text within it is untouched."""
    short = cut(text, limit)
    assert len(short) <= limit
    assert short == text if len(text) <= limit else (short.endswith("...") and text.startswith(short[:-3]) and len(short) == limit)


def test_everything_else_a_client_sends_is_ignored() -> None:
    """Unknown fields, and the many that twine sends and nobody keeps, change nothing."""
    noise = {":action": "file_upload", "protocol_version": "1", "filetype": "sdist", "classifiers": "x", "attestations": "[]", "": "x"}
    upload = read_upload({**FIELDS, **noise}, FILENAME)
    assert upload == read_upload(FIELDS, FILENAME)
    assert upload.file.kind is Kind.SDIST


@given(st.dictionaries(st.sampled_from(["name", "version", "sha256_digest", "md5_digest", "summary"]), texts), st.one_of(st.none(), texts))
def test_nothing_but_the_domains_errors_is_raised(fields: dict[str, str], filename: str | None) -> None:
    """Any form without a proper distribution in it is refused in a printable sentence."""
    with pytest.raises(RegistryError) as refused:
        read_upload(fields, filename)
    assert str(refused.value).isprintable()
