"""What an index may tell of a file and another may not, by its keys in a page (PEP 691, 700 and 714), and what was found out instead."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import evolve

from registry.domain.model import File

HASHES, SIZE, UPLOAD_TIME, CORE_METADATA = "hashes", "size", "upload-time", "core-metadata"
Fact = str | int | datetime | None
_ATTRIBUTES = {HASHES: "sha256", SIZE: "size", UPLOAD_TIME: "uploaded_at", CORE_METADATA: "metadata_sha256"}
_NOTHING = frozenset({None, ""})


def fact(file: File, key: str) -> Fact:
    """What is known of the file under this key; None or empty: nothing."""
    found: Fact = getattr(file, _ATTRIBUTES[key])
    return found


def told(file: File, key: str) -> bool:
    """Whether the file's own index tells this fact."""
    return fact(file, key) not in _NOTHING and key not in file.filled


def with_facts(file: File, facts: Mapping[str, Fact]) -> File:
    """The file with these facts instead of its own, named in `filled`; one that is nothing is taken away."""
    have = [key for key, value in facts.items() if value not in _NOTHING]
    filled = dict.fromkeys([*(key for key in file.filled if key not in facts or key in have), *have])
    changes: dict[str, Any] = {_ATTRIBUTES[key]: value for key, value in facts.items()}
    return evolve(file, **changes, filled=tuple(filled))


def found_out(file: File, facts: Mapping[str, Fact]) -> File:
    """The file with those of these facts that nothing is known of, named in `filled`."""
    lacking = {key: value for key, value in facts.items() if value not in _NOTHING and fact(file, key) in _NOTHING}
    return with_facts(file, lacking) if lacking else file
