"""Distribution files, and the form they are uploaded with."""

import base64
import csv
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from itertools import product

from attrs import frozen


@frozen(kw_only=True)
class Built:
    """A distribution file as a build tool leaves it."""

    name: str
    version: str
    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Its digest in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def fields(self) -> dict[str, str]:
        """The least a client sends with it, but for `content`."""
        return {":action": "file_upload", "protocol_version": "1", "name": self.name, "version": self.version}

    @property
    def metadata(self) -> bytes:
        """METADATA of a wheel; empty for what is none."""
        if not self.filename.endswith(".whl"):
            return b""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return archive.read(next(path for path in archive.namelist() if path.endswith(".dist-info/METADATA")))

    @property
    def blobs(self) -> list[str]:
        """The digests of what a registry keeps of it, sorted: itself and, beside a wheel, its METADATA."""
        beside = [hashlib.sha256(self.metadata).hexdigest()] if self.metadata else []
        return sorted([self.sha256, *beside])


def wheel(
    name: str = "demo",
    version: str = "1.0",
    *,
    requires_python: str = "",
    requires: Sequence[str] = (),
    payload: bytes = b"",
    tag: str = "py3-none-any",
) -> Built:
    """A small honest wheel; `payload` makes its bytes differ, `requires` are its dependencies."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    members = {
        f"{name.replace('-', '_')}/payload.bin": payload,
        f"{info}/METADATA": _metadata(name, version, requires_python, requires).encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n{_tag_lines(tag)}".encode(),
    }
    return Built(name=name, version=version, filename=f"{stem}-{tag}.whl", content=wheel_of(members, info))


def wheel_of(members: Mapping[str, bytes], info: str) -> bytes:
    """A wheel of these members, and a true RECORD of them in the folder `info`; it states no sizes, so as to be itself of one size."""
    written = io.BytesIO()
    rows = io.StringIO(newline="")
    record = csv.writer(rows, lineterminator="\n")
    with zipfile.ZipFile(written, "w") as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path), data)  # of no time, so that the same call makes the same bytes
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.writerow([path, f"sha256={digest}", ""])
        record.writerow([f"{info}/RECORD", "", ""])
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), rows.getvalue())
    return written.getvalue()


def _tag_lines(tag: str) -> str:
    """A line for each of the single tags that a compressed one such as py2.py3-none-any stands for (PEP 425)."""
    return "".join(f"Tag: {'-'.join(single)}\n" for single in product(*(part.split(".") for part in tag.split("-"))))


def sdist(name: str = "demo", version: str = "1.0", *, requires_python: str = "", payload: bytes = b"") -> Built:
    """A small valid source distribution."""
    stem = f"{name.replace('-', '_')}-{version}"
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for path, data in ((f"{stem}/PKG-INFO", _metadata(name, version, requires_python).encode()), (f"{stem}/payload.bin", payload)):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return Built(name=name, version=version, filename=f"{stem}.tar.gz", content=written.getvalue())


def _metadata(name: str, version: str, requires_python: str, requires: Sequence[str] = ()) -> str:
    more = f"Requires-Python: {requires_python}\n" if requires_python else ""
    more += "".join(f"Requires-Dist: {line}\n" for line in requires)
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: for tests\n{more}\nA description.\n"


BOUNDARY = "0123456789abcdef"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(fields: Mapping[str, str], *files: tuple[str, str, bytes], last: Mapping[str, str] | None = None) -> bytes:
    """An upload form's body: `fields`, then `files` (field, file name, content), then the fields of `last`."""
    parts = [_field(key, value) for key, value in fields.items()]
    for key, filename, content in files:
        head = f'Content-Disposition: form-data; name="{key}"; filename="{filename}"\r\nContent-Type: application/octet-stream'
        parts.append(head.encode() + b"\r\n\r\n" + content)
    parts += [_field(key, value) for key, value in (last or {}).items()]
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def _field(key: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'.encode()
