"""OSV records."""

import json
from typing import Any

# CVSS vectors by the severity that they stand for.
VECTORS = {
    "low": ("CVSS_V3", "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"),
    "medium": ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"),
    "high": ("CVSS_V3", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"),
    "critical": ("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"),
    "none": ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"),
}


def record(
    *,
    id: str = "GHSA-1",  # noqa: A002 - OSV's name
    name: str = "app",
    events: list[dict[str, str]] | None = None,
    versions: list[str] | None = None,
    severity: str | None = None,
    word: str | None = None,
    **more: Any,
) -> bytes:
    """A record about one name; `severity` one of `VECTORS`, `word` as in GitHub's advisories."""
    affected: dict[str, Any] = {"package": {"ecosystem": "PyPI", "name": name}}
    if events is not None:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    if versions is not None:
        affected["versions"] = versions
    found: dict[str, Any] = {"id": id, "modified": "2026-01-01T00:00:00Z", "affected": [affected]}
    if severity is not None:
        kind, score = VECTORS[severity]
        found["severity"] = [{"type": kind, "score": score}]
    if word is not None:
        found["database_specific"] = {"severity": word}
    return json.dumps({**found, **more}).encode()
