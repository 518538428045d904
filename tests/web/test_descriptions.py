"""Descriptions: text that nobody here renders, whatever it claims to be."""

import pytest

from registry.testing import MemoryRegistry
from registry.testing.distributions import Built, wheel_of

_BOMBS = {
    "rst that includes a file": ("text/x-rst", ".. include:: /etc/passwd\n\n.. raw:: html\n\n   <script>alert(1)</script>\n"),
    "markdown of deep quotes": ("text/markdown; variant=GFM", ">" * 3000 + "[" * 3000),
    "an unknown type": ("application/x-evil; charset=utf-16", "<svg onload=alert(1)>"),
    "no text at all": ("text/plain", "\x00\x1b[2J\u202e\ufeff"),
}


@pytest.mark.parametrize("case", _BOMBS)
def test_a_crafted_description_breaks_nothing(registry: MemoryRegistry, case: str) -> None:
    """Whatever a description holds, upload, page and project JSON work; it goes out as JSON text, never as a page (hardening row 41)."""
    kind, text = _BOMBS[case]
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nDescription-Content-Type: {kind}\n\n{text}".encode()
    members = {
        "demo/__init__.py": b"",
        "demo-1.0.dist-info/METADATA": metadata,
        "demo-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content = wheel_of(members, "demo-1.0.dist-info")
    built = Built(name="demo", version="1.0", filename="demo-1.0-py3-none-any.whl", content=content)
    assert registry.upload(1, built).code == 201
    base = "/api/v4/projects/1/packages/pypi"
    page = registry.ask("GET", f"{base}/simple/demo/", token=registry.root_token)
    assert (page.code, b"<script" in page.body, b"<svg" in page.body) == (200, False, False)
    told = registry.ask("GET", f"{base}/pypi/demo/json", token=registry.root_token)
    assert (told.code, told.headers["content-type"], told.headers["x-content-type-options"]) == (200, "application/json", "nosniff")
    assert isinstance(told.json["info"]["description"], str)
