"""Honest distributions to spoil, and a look at them."""

import base64
import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence

from registry.domain.archives.checks import Checks
from registry.domain.archives.inspection import Inspected, inspect_archive
from registry.domain.filenames import file_name
from registry.domain.names import Name
from registry.domain.versions import Version
from tests.domain.archives.zip_records import Record

STRICT, LENIENT = Checks.of("strict"), Checks.of("lenient")
WHEEL, TAR, ZIP = "my_package-1.0-py3-none-any.whl", "my_package-1.0.tar.gz", "my_package-1.0.zip"
TOP, INFO = "my_package-1.0", "my_package-1.0.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\nRequires-Python: >=3.11\n\nText\n"
WHEEL_FILE = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def look(
    content: bytes, filename: str = WHEEL, *, checks: Checks = STRICT, declared: Mapping[str, str] | None = None, version: str = "1.0"
) -> Inspected:
    """Inspect `content` as uploaded under this name."""
    name, of = Name("my-package"), Version(version)
    return inspect_archive(io.BytesIO(content), len(content), file_name(filename, name, of), name, of, declared or {}, checks)


def files(**others: bytes | None) -> dict[str, bytes]:
    """What an honest wheel holds but its RECORD; `others` replace METADATA and WHEEL, add to the .dist-info, or leave out (None)."""
    found = {"METADATA": METADATA, "WHEEL": WHEEL_FILE, **others}
    return {
        "my_package/__init__.py": b"",
        "my_package/code.py": b"x = 1\n" * 50,
        **{f"{INFO}/{name.replace('__', '.')}": data for name, data in found.items() if data is not None},
    }


def digest(data: bytes, algorithm: str = "sha256") -> str:
    """A hash as RECORD writes it."""
    return f"{algorithm}={base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b'=').decode()}"


def record_of(members: Mapping[str, bytes]) -> bytes:
    """A true RECORD."""
    rows = [f"{path},{digest(data)},{len(data)}" for path, data in members.items() if not path.endswith("/")]
    return "\n".join([*rows, f"{INFO}/RECORD,,", ""]).encode()


def records(members: Mapping[str, bytes] | None = None, record: bytes | None = None) -> list[Record]:
    """The records of an honest wheel of these members, with this RECORD instead of a true one."""
    held = files() if members is None else members
    whole = {**held, f"{INFO}/RECORD": record_of(held) if record is None else record}
    return [Record(name=path.encode(), content=data, method=8 if len(data) > 20 else 0) for path, data in whole.items()]


def tar_member(path: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", size: int | None = None) -> bytes:
    """One member as it stands in a tar; `size` is what it claims."""
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname, entry.size = kind, link, len(data) if size is None else size
    return entry.tobuf(tarfile.GNU_FORMAT) + data + b"\0" * (-len(data) % 512)


def sdist(*others: bytes, top: str = TOP, metadata: bytes = METADATA, end: bytes = b"\0" * 1024) -> bytes:
    """A source distribution with these further members."""
    honest: Sequence[bytes] = (tar_member(f"{top}/", kind=tarfile.DIRTYPE), tar_member(f"{top}/PKG-INFO", metadata))
    return gzip.compress(b"".join([*honest, *others, end]), mtime=0)
