"""Distributions, really built."""

import sys
from collections.abc import Mapping
from pathlib import Path

from registry.testing.distributions import wheel_of
from tests.clients.processes import environment, run

_HATCHLING = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{module}"]
"""

_SETUPTOOLS = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
packages = ["{module}"]
"""


def build(
    folder: Path, name: str, version: str, *, requires_python: str = ">=3.11", needs: tuple[str, ...] = (), backend: str = "hatchling"
) -> tuple[Path, Path]:
    """A wheel and an sdist of `name`, whose module says which version it is; both made by `python -m build`."""
    module = name.lower().replace(".", "_").replace("-", "_")
    source, made = folder / f"{module}-{version}", folder / "dist"
    (source / module).mkdir(parents=True)
    (source / module / "__init__.py").write_text(f'"""For a test."""\n\n__version__ = "{version}"\n')
    dependencies = ", ".join(f'"{need}"' for need in needs)
    (source / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "{version}"\ndescription = "For a test"\n'
        f'requires-python = "{requires_python}"\ndependencies = [{dependencies}]\n'
        + (_HATCHLING if backend == "hatchling" else _SETUPTOOLS).format(module=module)
    )
    run((sys.executable, "-m", "build", "--no-isolation", "--outdir", made, source), environment(folder), cwd=folder).worked()
    return made / f"{module}-{version}-py3-none-any.whl", made / f"{module}-{version}.tar.gz"


def wheel(name: str, version: str = "1.0", *, ballast: bytes = b"") -> tuple[str, bytes]:
    """The file name and bytes of a wheel that holds `ballast`, made in memory."""
    folder = f"{name}-{version}.dist-info"
    members = {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n".encode(),
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}/ballast": ballast,
    }
    return f"{name}-{version}-py3-none-any.whl", wheel_of(members, folder)


def form(filename: str, content: bytes, fields: Mapping[str, str] | None = None) -> tuple[str, bytes]:
    """The content type and body of the form that uploads a wheel."""
    head, tail = form_around(filename, fields)
    return _CONTENT_TYPE, head + content + tail


def form_around(filename: str, fields: Mapping[str, str] | None = None) -> tuple[bytes, bytes]:
    """What stands before and after the file's bytes in `form`."""
    name, version = filename.split("-")[:2]
    sent = {":action": "file_upload", "protocol_version": "1", "name": name, "version": version, **(fields or {})}
    parts = [f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in sent.items()]
    file = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="content"; filename="{filename}"\r\n\r\n'
    return ("".join(parts) + file).encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()


_BOUNDARY = "a-boundary-that-no-wheel-holds"
_CONTENT_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"
