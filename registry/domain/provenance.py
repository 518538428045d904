"""Provenance objects (PEP 740) that other indexes serve: read, and written anew."""

import json
from collections.abc import Mapping

_VERSION = 1
_MOST_BUNDLES = 100


def relayed_provenance(data: bytes) -> bytes:
    """What an upstream serves as a provenance object, as JSON of our own writing. Blocks for as long as reading JSON takes.

    Its signatures are for the client to verify: nothing in it is changed. Raises ValueError with what is wrong where it is none: version 1,
    and bundles of a publisher and his attestations.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        raise ValueError("it is no provenance object of version 1")
    bundles = found.get("attestation_bundles")
    if not isinstance(bundles, list) or len(bundles) > _MOST_BUNDLES or not all(map(_is_bundle, bundles)):
        raise ValueError("its attestation bundles are malformed")
    try:
        return json.dumps(found, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise ValueError("it has a number that is none") from None


def _is_bundle(bundle: object) -> bool:
    if not isinstance(bundle, dict):
        return False
    publisher, attestations = bundle.get("publisher"), bundle.get("attestations")
    return (
        isinstance(publisher, Mapping)
        and isinstance(publisher.get("kind"), str)
        and isinstance(attestations, list)
        and all(isinstance(one, dict) for one in attestations)
    )
