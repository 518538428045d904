"""The trust root: a file that can be used, or a sentence at start that says what is wrong with it."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.domain.errors import InvalidSetting
from registry.testing.attesting import LocalSigstore
from registry.trust.root import check_trust_root

GOOD: dict[str, Any] = json.loads(LocalSigstore().trust_root())


def written(tmp_path: Path, data: bytes) -> Path:
    """A file with these bytes."""
    path = tmp_path / "trusted_root.json"
    path.write_bytes(data)
    return path


def test_a_root_of_an_own_instance_is_taken(tmp_path: Path) -> None:
    """The file of a private Sigstore passes."""
    check_trust_root(written(tmp_path, json.dumps(GOOD).encode()))


def test_the_public_roots_are_taken() -> None:
    """The files of the public instances, as the library ships them, pass."""
    spec = importlib.util.find_spec("sigstore")
    assert spec is not None
    assert spec.origin is not None
    found = sorted(Path(spec.origin).parent.rglob("trusted_root.json"))
    assert len(found) == 2
    for path in found:
        check_trust_root(path)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "its mediaType is not"),
        (json.dumps({**GOOD, "mediaType": "text/plain"}).encode(), "its mediaType is not"),
        (json.dumps({**GOOD, "tlogs": []}).encode(), "it has no tlogs"),
        (json.dumps({**GOOD, "ctlogs": None}).encode(), "it has no ctlogs"),
        (json.dumps({**GOOD, "certificateAuthorities": {}}).encode(), "it has no certificateAuthorities"),
        (json.dumps({**GOOD, "tlogs": [*GOOD["tlogs"], {}]}).encode(), "number 2 of its tlogs holds no certificate or key"),
        (json.dumps({**GOOD, "ctlogs": [{"publicKey": {"rawBytes": "AAAA"}}]}).encode(), "number 1 of its ctlogs"),
        (json.dumps({**GOOD, "ctlogs": [{"publicKey": {"rawBytes": 7}}]}).encode(), "number 1 of its ctlogs"),
        (json.dumps({**GOOD, "certificateAuthorities": [1]}).encode(), "number 1 of its certificateAuthorities"),
        (
            json.dumps({**GOOD, "certificateAuthorities": [{"certChain": {"certificates": []}}]}).encode(),
            "number 1 of its certificateAuthorities",
        ),
        (
            json.dumps({**GOOD, "certificateAuthorities": [{"certChain": {"certificates": [{"rawBytes": "AAAA"}]}}]}).encode(),
            "number 1 of its certificateAuthorities",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, data: bytes, problem: str) -> None:
    """A file that is no trust root is refused by setting, path and the place in it that is wrong."""
    path = written(tmp_path, data)
    with pytest.raises(InvalidSetting, match=r"\[attestations\] trust_root .*trusted_root\.json' is invalid: .*") as refused:
        check_trust_root(path)
    assert problem in str(refused.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that is missing, or is a directory, is refused with the system's word for it."""
    for path, problem in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InvalidSetting, match=rf"\[attestations\] trust_root .*it cannot be read \({problem}"):
            check_trust_root(path)


@pytest.mark.parametrize(("extra", "accepted"), [(0, True), (1, False)])
def test_a_file_may_hold_four_mebibytes_and_no_more(tmp_path: Path, extra: int, accepted: bool) -> None:
    """A file of 4 MiB is read, and one byte more is refused."""
    data = json.dumps(GOOD).encode()
    path = written(tmp_path, data + b" " * ((4 << 20) - len(data) + extra))
    if accepted:
        check_trust_root(path)
    else:
        with pytest.raises(InvalidSetting, match="over 4,194,304 bytes"):
            check_trust_root(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["certificateAuthorities", "tlogs", "ctlogs"]),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["publicKey", "rawBytes", "certChain", "certificates"]), inner, max_size=2)
        ),
        max_leaves=8,
    ),
)
def test_any_other_content_is_told(tmp_path: Path, key: str, value: object) -> None:
    """Whatever stands in place of an authority or a log, it is refused and raises nothing else."""
    with pytest.raises(InvalidSetting, match=key):
        check_trust_root(written(tmp_path, json.dumps({**GOOD, key: [value]}).encode()))
