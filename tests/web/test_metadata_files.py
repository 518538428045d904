"""Core metadata beside files (PEP 658, PEP 714): which files have it, what it says, who gets it, and when it goes."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.domain.access import Visibility
from registry.domain.archives.bounds import METADATA_BYTES
from registry.testing import Answer, Built, MemoryRegistry, done, registry_in_memory, wheel
from registry.testing.distributions import wheel_of
from registry.workflows.upkeep import sweep, verify

API = "/api/v4/projects/1/packages"
BASE = f"{API}/pypi"
V1_JSON = "application/vnd.pypi.simple.v1+json"
HEAD = "Metadata-Version: {}\nName: demo\nVersion: {}\n"


def of_metadata(metadata: bytes, *, version: str = "1.0", tag: str = "py3-none-any", deflated: bool = False) -> Built:
    """A wheel of demo with exactly this METADATA."""
    info = f"demo-{version}.dist-info"
    members = {f"{info}/METADATA": metadata, f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nTag: {tag}\n".encode()}
    content = wheel_of(members, info)
    if deflated:
        packed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as stored, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in stored.infolist():
                archive.writestr(entry.filename, stored.read(entry))
        content = packed.getvalue()
    return Built(name="demo", version=version, filename=f"demo-{version}-{tag}.whl", content=content)


def source(metadata: bytes, version: str) -> Built:
    """A source distribution of demo with exactly this PKG-INFO."""
    written = io.BytesIO()
    with gzip.GzipFile(fileobj=written, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(f"demo-{version}/PKG-INFO")
        member.size = len(metadata)
        archive.addfile(member, io.BytesIO(metadata))
    return Built(name="demo", version=version, filename=f"demo-{version}.tar.gz", content=written.getvalue())


def said(number: str, version: str, more: str = "") -> bytes:
    return f"{HEAD.format(number, version)}{more}\nText of {version}\n".encode()


# What is uploaded, and what must be served beside it.
FILES: dict[str, tuple[Built, bytes]] = {
    "a wheel": (of_metadata(said("2.1", "1.0")), said("2.1", "1.0")),
    "a wheel of an old tool": (of_metadata(said("1.0", "1.1"), version="1.1"), said("1.0", "1.1")),
    "a wheel with lines of its own": (
        of_metadata(said("2.1", "1.2").replace(b"\n", b"\r\n"), version="1.2"),
        said("2.1", "1.2").replace(b"\n", b"\r\n"),
    ),
    "a deflated wheel": (of_metadata(said("2.4", "1.3"), version="1.3", deflated=True), said("2.4", "1.3")),
    "an sdist that tells all": (source(said("2.2", "2.0"), "2.0"), said("2.2", "2.0")),
    "a newer one": (source(said("2.4", "2.1", "Requires-Dist: other\n"), "2.1"), said("2.4", "2.1", "Requires-Dist: other\n")),
    "an sdist of an old tool": (source(said("2.1", "3.0"), "3.0"), b""),
    "an sdist that may change": (source(said("2.2", "3.1", "Dynamic: Requires-Dist\n"), "3.1"), b""),
}
WITH = [what for what, (_, metadata) in FILES.items() if metadata]
WITHOUT = [what for what, (_, metadata) in FILES.items() if not metadata]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """A registry that holds all of FILES in project 1, and one of them in a project of the group acme."""
    registry = registry_in_memory(tmp_path_factory.mktemp("metadata") / "data")
    for built, _ in FILES.values():
        assert registry.upload(1, built).code == 201
    registry.group("acme")
    assert registry.upload(registry.project("acme/tools").id, FILES["a wheel"][0]).code == 201
    yield registry
    registry.close()


def path_of(built: Built, base: str = BASE) -> str:
    return f"{base}/files/{built.sha256}/{built.filename}.metadata"


def get(registry: MemoryRegistry, path: str, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return registry.ask(method, path, sent, token=registry.root_token)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listed(registry: MemoryRegistry, base: str = BASE) -> dict[str, dict[str, object]]:
    return {file["filename"]: file for file in get(registry, f"{base}/simple/demo/", Accept=V1_JSON).json.get("files", [])}


# --- what is served -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", WITH)
def test_metadata_is_that_of_the_archive(held: MemoryRegistry, what: str) -> None:
    """Beside a wheel, and an sdist whose metadata is final, lie exactly its bytes, with their digest on both pages (hardening row 17)."""
    built, metadata = FILES[what]
    assert get(held, path_of(built)).body == metadata
    file = listed(held)[built.filename]
    assert file["core-metadata"] == file["dist-info-metadata"] == {"sha256": digest(metadata)}
    anchor = next(line for line in get(held, f"{BASE}/simple/demo/").text.splitlines() if f">{built.filename}<" in line)
    for attribute in ("data-core-metadata", "data-dist-info-metadata"):
        assert f'{attribute}="sha256={digest(metadata)}"' in anchor


@pytest.mark.parametrize("what", WITHOUT)
def test_metadata_that_may_be_another_is_not_served(held: MemoryRegistry, what: str) -> None:
    """Of an sdist older than 2.2, or with anything dynamic, no metadata is advertised, and none is there (PEP 643, hardening row 17)."""
    built, _ = FILES[what]
    answer = get(held, path_of(built))
    assert (answer.code, answer.json) == (404, {"message": "404 Package Not Found"})
    assert "immutable" not in answer.headers.get("cache-control", "")
    file = listed(held)[built.filename]
    assert not {"core-metadata", "dist-info-metadata"} & set(file)
    anchor = next(line for line in get(held, f"{BASE}/simple/demo/").text.splitlines() if f">{built.filename}<" in line)
    assert "-metadata" not in anchor


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_metadata_may_be_kept_for_ever(held: MemoryRegistry, method: str) -> None:
    """It goes out as a file does: never a page of ours, never to change, under the digest of its own bytes (hardening rows 5 and 17)."""
    built, metadata = FILES["a wheel"]
    answer = get(held, path_of(built), method)
    assert (answer.code, answer.complete, answer.body) == (200, True, metadata if method == "GET" else b"")
    wanted = {
        "content-type": "application/octet-stream",
        "content-disposition": f"attachment; filename=\"{built.filename}.metadata\"; filename*=UTF-8''{built.filename}.metadata",
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "accept-ranges": "bytes",
        "etag": f'"{digest(metadata)}"',
        "content-length": str(len(metadata)),
        "cache-control": "private, max-age=365000000, immutable",
    }
    assert {name: answer.headers[name] for name in wanted} == wanted


def test_a_part_of_metadata_is_206(held: MemoryRegistry) -> None:
    """A range gets its bytes, one outside 416, and the validator of the wheel itself does not match."""
    built, metadata = FILES["a wheel"]
    part = get(held, path_of(built), Range="bytes=5-9")
    assert (part.code, part.body, part.headers["content-range"]) == (206, metadata[5:10], f"bytes 5-9/{len(metadata)}")
    assert get(held, path_of(built), Range=f"bytes={len(metadata) - 1}-").body == metadata[-1:]
    outside = get(held, path_of(built), Range=f"bytes={len(metadata)}-")
    assert (outside.code, outside.headers["content-range"]) == (416, f"bytes */{len(metadata)}")
    assert get(held, path_of(built), Range="bytes=5-9", If_Range=f'"{digest(metadata)}"').code == 206
    assert get(held, path_of(built), Range="bytes=5-9", If_Range=f'"{built.sha256}"').body == metadata


def test_metadata_that_is_current_is_not_sent_again(held: MemoryRegistry) -> None:
    """304 for its own digest; the wheel's digest is another's."""
    built, metadata = FILES["a wheel"]
    again = get(held, path_of(built), If_None_Match=f'"{digest(metadata)}"')
    assert (again.code, again.body, again.headers["etag"]) == (304, b"", f'"{digest(metadata)}"')
    assert again.headers["cache-control"] == "private, max-age=365000000, immutable"
    assert get(held, path_of(built), If_None_Match=f'"{built.sha256}"').body == metadata


def test_metadata_is_found_by_the_digest_of_its_file(held: MemoryRegistry) -> None:
    """Its own digest, that of another file, another name or a second ending lead nowhere; capitals of the digest do (hardening row 27)."""
    (built, metadata), (other, _) = FILES["a wheel"], FILES["a deflated wheel"]
    for sha256, filename in (
        (digest(metadata), f"{built.filename}.metadata"),
        (digest(metadata), built.filename),
        (other.sha256, f"{built.filename}.metadata"),
        (built.sha256, f"{other.filename}.metadata"),
        (built.sha256, f"{built.filename}.metadata.metadata"),
        (built.sha256, f"{built.filename}.METADATA"),
        (built.sha256, ".metadata"),
    ):
        assert get(held, f"{BASE}/files/{sha256}/{filename}").code == 404, (sha256, filename)
    assert get(held, f"{BASE}/files/{built.sha256.upper()}/{built.filename}.metadata").body == metadata


def test_metadata_comes_through_every_door_its_file_does(held: MemoryRegistry) -> None:
    """A group's page leads to the same bytes below the group, and whoever may not have the file has no metadata (hardening row 22)."""
    built, metadata = FILES["a wheel"]
    group = "/api/v4/groups/acme/-/packages/pypi"
    path = urlsplit(str(listed(held, group)[built.filename]["url"])).path
    assert path.startswith("/api/v4/groups/")
    assert get(held, f"{path}.metadata").body == metadata
    held.user("stranger")
    for path in (path_of(built), path_of(built, group)):
        assert held.ask("GET", path).code == held.ask("GET", path.removesuffix(".metadata")).code == 401
        stranger = held.token("stranger")
        assert held.ask("GET", path, token=stranger).code == held.ask("GET", path.removesuffix(".metadata"), token=stranger).code == 404
    assert get(held, path_of(FILES["a deflated wheel"][0], group)).code == 404


@pytest.mark.parametrize(("visibility", "cached"), [(Visibility.PUBLIC, "public"), (Visibility.PRIVATE, "private")])
def test_shared_caches_keep_only_what_anybody_may_read(registry: MemoryRegistry, visibility: Visibility, cached: str) -> None:
    """As for files: for everybody in a public project, for its reader alone in a private one (hardening row 15)."""
    project, built = registry.project("root/other", visibility).id, wheel()
    assert registry.upload(project, built).code == 201
    answer = get(registry, path_of(built, f"/api/v4/projects/{project}/packages/pypi"))
    assert (answer.code, answer.headers["cache-control"]) == (200, f"{cached}, max-age=365000000, immutable")


def test_metadata_is_no_download(registry: MemoryRegistry) -> None:
    """Who reads metadata has not downloaded the file: nothing is counted."""
    built = wheel()
    registry.upload(1, built)
    for _ in range(2):
        assert get(registry, path_of(built)).code == 200
    done(registry.downloads.flush())
    assert get(registry, f"{API}/1").json["last_downloaded_at"] is None
    assert get(registry, path_of(built).removesuffix(".metadata")).code == 200
    done(registry.downloads.flush())
    assert get(registry, f"{API}/1").json["last_downloaded_at"] is not None


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), max_size=300) | st.binary(max_size=300))
def test_whatever_it_says_it_is_served_to_the_byte(held: MemoryRegistry, text: str | bytes) -> None:
    """Any bytes behind the headers, text or not, come back exactly, under the digest that the page gives."""
    metadata = said("2.1", "9.0") + (text.encode() if isinstance(text, str) else text)
    built = of_metadata(metadata, version="9.0", tag=f"py3-none-x{digest(metadata)[:16]}")
    answer = held.upload(1, built)
    assert answer.code in {201, 400}  # 400: the same example again
    assert get(held, path_of(built)).body == metadata
    assert listed(held)[built.filename]["core-metadata"] == {"sha256": digest(metadata)}


# --- how much ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "code"), [(0, 201), (1, 400)])
def test_metadata_has_a_largest_size(tmp_path: Path, more: int, code: int) -> None:
    """8 MiB of METADATA are kept and served, a byte more is refused in words and stores nothing (hardening row 39)."""
    registry = registry_in_memory(tmp_path / "data", limit=64 << 20)
    head = said("2.1", "1.0")
    metadata = head + b"x" * (METADATA_BYTES + more - len(head))
    built = of_metadata(metadata)
    answer = registry.upload(1, built)
    assert answer.code == code, answer
    if code == 201:
        assert get(registry, path_of(built)).body == metadata
    else:
        assert "8,388,608 bytes" in answer.reason
        assert (registry.staged_files(), registry.kept_files()) == ([], [])
    registry.close()


# --- when it goes -----------------------------------------------------------------------------------------------------------------------


def test_metadata_goes_with_its_file(registry: MemoryRegistry) -> None:
    """With a deleted file its metadata is gone, from the address (410) and from the disk, and comes back with it."""
    built, other = wheel("demo", "1.0"), wheel("demo", "2.0")
    for one in (built, other):
        assert registry.upload(1, one).code == 201
    assert get(registry, path_of(built)).code == 200
    assert get(registry, f"{API}/1", "DELETE").code == 204
    assert get(registry, path_of(built)).code == 410
    assert registry.kept_files() == other.blobs
    assert registry.upload(1, built).code == 201
    assert get(registry, path_of(built)).body == built.metadata


def test_metadata_that_another_file_shares_stays(registry: MemoryRegistry) -> None:
    """Wheels of one release have the same METADATA: one blob, which goes with the last of them and not before."""
    one, two = (of_metadata(said("2.1", "1.0"), tag=tag) for tag in ("py3-none-any", "cp311-cp311-win_amd64"))
    for built in (one, two):
        assert registry.upload(1, built).code == 201
    assert sorted(registry.kept_files()) == sorted({*one.blobs, *two.blobs})
    assert get(registry, f"{API}/1/package_files/1", "DELETE").code == 204
    assert registry.kept_files() == two.blobs
    assert get(registry, path_of(two)).body == said("2.1", "1.0")
    assert get(registry, f"{API}/1/package_files/2", "DELETE").code == 204
    assert registry.kept_files() == []


def test_metadata_shared_between_projects_stays(registry: MemoryRegistry) -> None:
    """What a file of another project names outlives the one that goes, and the sweep."""
    metadata = said("2.1", "1.0")
    first, second = of_metadata(metadata, tag="py3-none-win32"), of_metadata(metadata, tag="py3-none-win_amd64")
    project = registry.project("root/other").id
    assert registry.upload(1, first).code == registry.upload(project, second).code == 201
    assert get(registry, f"{API}/1", "DELETE").code == 204
    assert get(registry, path_of(second, f"/api/v4/projects/{project}/packages/pypi")).body == metadata
    assert done(sweep(registry.store.packages, registry.store.blobs)) == 0
    assert registry.kept_files() == second.blobs


def test_a_failed_upload_leaves_metadata_of_others_alone(registry: MemoryRegistry) -> None:
    """An upload that is refused takes neither its own metadata's bytes, if others name them, nor leaves them, if nobody does."""
    held = wheel()
    assert registry.upload(1, held).code == 201
    assert registry.upload(1, wheel(payload=b"other bytes, the same METADATA")).code == 400
    assert registry.kept_files() == held.blobs
    assert get(registry, path_of(held)).body == held.metadata


def test_metadata_is_not_given_for_what_is_quarantined(registry: MemoryRegistry) -> None:
    """A quarantined name gives out no metadata, also to who has asked before, and gives it again afterwards (PEP 792, hardening row 20)."""
    built = wheel()
    registry.upload(1, built)
    assert get(registry, path_of(built)).code == 200
    status = f"{BASE}/status/demo"
    body = b'{"status": "quarantined", "reason": "looked at"}'
    assert registry.ask("PUT", status, {"Content-Type": "application/json"}, body, token=registry.root_token).code == 200
    answer = get(registry, path_of(built))
    assert (answer.code, answer.json["message"].startswith("403 Forbidden - ")) == (403, True)
    body = b'{"status": "active"}'
    assert registry.ask("PUT", status, {"Content-Type": "application/json"}, body, token=registry.root_token).code == 200
    assert get(registry, path_of(built)).body == built.metadata


# --- what the disk does -----------------------------------------------------------------------------------------------------------------


def spoiled(registry: MemoryRegistry, built: Built) -> Path:
    name = digest(built.metadata)
    return registry.store.data_dir.blobs / name[:2] / name


def test_metadata_whose_bytes_are_gone_is_404(registry: MemoryRegistry) -> None:
    """What the disk has lost is GitLab's 404, which nobody may keep, and the wheel itself can still be had."""
    built = wheel()
    registry.upload(1, built)
    spoiled(registry, built).unlink()
    answer = get(registry, path_of(built))
    assert (answer.code, answer.json) == (404, {"message": "404 Not Found"})
    assert "immutable" not in answer.headers.get("cache-control", "")
    assert get(registry, path_of(built).removesuffix(".metadata")).body == built.content


def test_verify_sees_metadata_that_has_changed(registry: MemoryRegistry) -> None:
    """Bytes beside a wheel that are no longer what its page says are found by verify, under their name (hardening row 17)."""
    built = wheel()
    registry.upload(1, built)
    spoiled(registry, built).write_bytes(b"Name: other\n")

    async def troubles() -> list[tuple[str, str]]:
        found = verify(registry.store.packages, registry.store.blobs, registry.store.keeping.files_by_digest)
        return [(trouble.filename, trouble.sha256) async for trouble in found if trouble is not None]

    assert done(troubles()) == [(f"{built.filename}.metadata", digest(built.metadata))]


# --- metadata that lies -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("Metadata-Version: 2.2\nName: other\nVersion: 1.0\n\n", "its name is 'other', not 'demo'"),
        ("Metadata-Version: 2.2\nName: demo\nVersion: 1.0.1\n\n", "its version is '1.0.1', not '1.0'"),
        ("Metadata-Version: 2.2\nName: demo\nVersion: latest\n\n", "metadata that cannot be right"),
        ("Metadata-Version: 2.2\nName: d emo\nVersion: 1.0\n\n", "metadata that cannot be right"),
        ("Metadata-Version: 2.2\nVersion: 1.0\n\n", "without Metadata-Version, Name or Version"),
        ("Metadata-Version: 2.2\nName: demo\nVersion: 1.0\nRequires-Python: >=3.9\n\n", "has the Requires-Python '>=3.9'"),
    ],
)
def test_metadata_that_lies_is_refused(registry: MemoryRegistry, kind: str, metadata: str, words: str) -> None:
    """Another name, another version or another Requires-Python than the form's stores nothing, and is told (hardening row 44)."""
    built = of_metadata(metadata.encode()) if kind == "wheel" else source(metadata.encode(), "1.0")
    answer = registry.upload(1, built, fields={"requires_python": ">=3.8"})
    assert answer.code == 400
    assert words in answer.json["message"]
    assert words in answer.reason
    assert (registry.staged_files(), registry.kept_files(), listed(registry)) == ([], [], {})


@pytest.mark.parametrize("spelling", ["Name: DEMO\nVersion: 1.0", "Name: demo\nVersion: 1.0.0", "Name: demo\nVersion: v1"])
def test_another_spelling_is_no_lie(registry: MemoryRegistry, spelling: str) -> None:
    """Names compare as PEP 503 and versions as PEP 440 says, and what is served keeps the spelling (hardening row 44)."""
    built = of_metadata(f"Metadata-Version: 2.2\n{spelling}\n\n".encode())
    assert registry.upload(1, built).code == 201
    assert spelling in get(registry, path_of(built)).text


# --- metadata that is odd ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("Metadata-Version: 2.9\nName: demo\nVersion: 1.0\n\n", "2.9"),
        ("Metadata-Version: 2.0\nName: demo\nVersion: 1.0\n\n", "2.0"),
        ("Metadata-Version: 1.0\nName: demo\nVersion: 1.0\nRequires-Dist: other\n\n", "requires-dist"),
        ("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nClassifier: No :: Such\n\n", "'No :: Such' is unknown"),
        ("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nX-Own: 1\n\n", "x-own"),
    ],
)
def test_odd_metadata_is_taken_with_a_word(registry: MemoryRegistry, metadata: str, words: str) -> None:
    """What old and new build tools write is published; the answer's body says what is odd (hardening row 43)."""
    built = of_metadata(metadata.encode())
    answer = registry.upload(1, built)
    assert (answer.code, answer.json["message"]) == (201, "201 Created")
    assert [warning for warning in answer.json["warnings"] if words in warning], answer.json
    assert get(registry, path_of(built)).text == metadata


def test_nothing_odd_is_no_warning(registry: MemoryRegistry) -> None:
    """What is as it should be is answered without the key."""
    metadata = "Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nSummary: x\nClassifier: Private :: Do Not Upload\n\n"
    assert registry.upload(1, of_metadata(metadata.encode())).json == {"message": "201 Created"}
