"""pip-audit reads the project JSON with its own parser."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from packaging.version import Version
from pip_audit._service.interface import ResolvedDependency, SkippedDependency
from pip_audit._service.pypi import PyPIService

from tests.clients.processes import Server


class Redirected(requests.Session):
    """A session that asks our index for what is asked of PyPI, whose address pip-audit does not let anybody choose."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._index = server.api()
        self.headers["PRIVATE-TOKEN"] = server.token

    def get(self, url: str | bytes, **options: Any) -> requests.Response:
        """Session."""
        return super().get(f"{self._index}{urlsplit(str(url)).path}", **options)


def test_pip_audit_reads_releases(stocked: Server, tmp_path: Path) -> None:
    """A release that is held is read and has no known vulnerability; one that is not is skipped as not found, not taken for sound."""
    service = PyPIService(cache_dir=tmp_path)
    service.session = Redirected(stocked)
    for name, version, found in (("my-package", "1.1", True), ("my-base", "1.0", True), ("my-package", "9.9", False), ("x", "1", False)):
        dependency, vulnerabilities = service.query(ResolvedDependency(name=name, version=Version(version)))
        assert (dependency.name, vulnerabilities) == (name, [])
        assert isinstance(dependency, SkippedDependency) is not found
