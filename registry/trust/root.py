"""The file that names whom signatures are traced to: certificate authorities and transparency logs, in Sigstore's format."""

import base64
import json
from pathlib import Path
from typing import Any

from registry.domain.errors import InvalidSetting

_MOST_BYTES = 4 << 20
_MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_HELP = "use the path of a trusted_root.json in Sigstore's format"


def check_trust_root(path: Path) -> None:
    """Read the file at `path` and make sure that it holds authorities and logs with certificates and keys that can be read. Blocks.

    Raises `InvalidSetting`, which names the setting. This looks without the libraries that verify: they take 25 MB, which a server that
    never sees an attestation does not have to spend.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _invalid(path, f"it cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(data) > _MOST_BYTES:
        raise _invalid(path, f"it is over {_MOST_BYTES:,} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise _invalid(path, "it is not JSON") from None
    if not isinstance(found, dict) or found.get("mediaType") != _MEDIA_TYPE:
        raise _invalid(path, f"its mediaType is not {_MEDIA_TYPE}")
    # A place in the list is part of each message, so that whoever wrote the file by hand finds it.
    for key in ("certificateAuthorities", "tlogs", "ctlogs"):
        entries = found.get(key)
        if not isinstance(entries, list) or not entries:
            raise _invalid(path, f"it has no {key}")
        for number, entry in enumerate(entries, 1):
            try:
                _check_certificates(entry) if key == "certificateAuthorities" else _check_key(entry)
            except (KeyError, TypeError, ValueError):
                raise _invalid(path, f"number {number} of its {key} holds no certificate or key that can be read") from None


def _check_certificates(authority: Any) -> None:
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - only where a trust root is configured

    certificates = authority["certChain"]["certificates"]
    if not certificates:
        raise ValueError
    for certificate in certificates:
        load_der_x509_certificate(base64.b64decode(certificate["rawBytes"]))


def _check_key(log: Any) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        load_der_public_key(base64.b64decode(log["publicKey"]["rawBytes"]))
    except UnsupportedAlgorithm as error:
        raise ValueError from error


def _invalid(path: Path, problem: str) -> InvalidSetting:
    return InvalidSetting(what="[attestations] trust_root", value=str(path), allowed=f"{problem}; {_HELP}")
