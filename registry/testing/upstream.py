"""Another index, to be asked by this registry: honest unless told otherwise, and it remembers whatever it is asked."""

import base64
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from typing import Any
from urllib.parse import quote, unquote

from attrs import Factory, define, evolve, field, frozen
from packaging.utils import canonicalize_name

from registry.testing.distributions import Built
from registry.testing.troubles import HTML, JSON, V1_HTML, Gate, Reply, Trouble

LONG_AGO = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
# For facts: what must never reach anybody as it is.
MARKUP = """'"><script>alert(1)</script><base href="https://evil.test/">&amp;"""
METADATA = ".metadata"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@frozen(kw_only=True)
class Style:
    """How an index looks. `href`: "relative", "rooted" (a path from the root) or "absolute"; `base`: what `<base href>` says, if anything.

    `hashes` are hashlib names, the first of which is the one in HTML (none: no fragment). `flat`: no page per name, but one list of all
    files at `/files/`, as a web server's own list of a directory.
    """

    json: bool = True
    html: bool = True
    href: str = "absolute"
    base: str = ""
    hashes: tuple[str, ...] = ("sha256",)
    metadata: bool = True  # core-metadata is told, and served
    times: bool = True  # size and upload-time are told (PEP 700)
    etags: bool = True
    ranges: bool = True
    suffixes: bool = True  # the last bytes are given to who asks for so many (RFC 9110, 14.1.2)
    modified: bool = False  # files have Last-Modified: when they were uploaded
    flat: bool = False


@frozen(kw_only=True)
class Offered:
    """A file that an index has. `facts` are keys of its JSON, put over those that are true; in HTML, those that HTML has."""

    built: Built
    uploaded_at: datetime = LONG_AGO
    facts: Mapping[str, Any] = Factory(dict)

    @property
    def metadata(self) -> bytes | None:
        """The core metadata of a wheel."""
        if not self.built.filename.endswith(".whl") or not zipfile.is_zipfile(io.BytesIO(self.built.content)):
            return None
        with zipfile.ZipFile(io.BytesIO(self.built.content)) as archive:
            return next((archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA")), None)


@frozen(kw_only=True)
class Asked:
    """One request. `headers` by lower-case name; `host` is what the client took this server for."""

    method: str
    path: str  # with its query, as sent
    host: str
    headers: Mapping[str, str]


@define(kw_only=True, eq=False)
class FakeUpstream:
    """An index at `/simple/` with files at `/files/<name>/<filename>`; `host` by which others know it.

        upstream = FakeUpstream()
        upstream.add(wheel("demo"), sdist("demo"))
        upstream.on("/simple/demo/", status(429, retry_after=7))      # every time, until `calm`
        upstream.on("/files/demo/", cut(100), times=1)                # whatever is below; only once
        gate = upstream.hold("/files/demo/", at=1000)                 # 1,000 bytes, and the rest after gate.open()

    In memory: `network.serve(upstream.site(network), "index.test")` (a `MemoryNetwork`), then `http://index.test/simple/`. Live, for
    processes: `with serving_upstream(upstream) as url`. `requests` are all that came, in order; `mentions` tells whether any had a word
    in it. Troubles (`status`, `cut` and the others) are in `registry.testing.troubles`.
    """

    style: Style = Factory(Style)
    requests: list[Asked] = Factory(list)
    files_url: str = ""  # where absolute links to files lead; the index's own host if empty
    credentials: tuple[str, str] | None = None  # user and password, without which there is 401
    _files: dict[str, list[Offered]] = field(init=False, factory=dict)  # by normalised name, in order
    _statuses: dict[str, tuple[str, str]] = field(init=False, factory=dict)
    _troubles: "list[tuple[str, Trouble, int | None]]" = field(init=False, factory=list)  # path or beginning, trouble, how often still

    # --- what it has ---

    def add(self, *built: Built, uploaded_at: datetime = LONG_AGO, **facts: Any) -> None:
        """Offer files. `facts` are JSON keys with underscores for hyphens: `requires_python=">=3.8"`, `yanked="broken"`, `size=-1`."""
        said = {key.replace("_", "-"): value for key, value in facts.items()}
        for one in built:
            self._files.setdefault(canonicalize_name(one.name), []).append(Offered(built=one, uploaded_at=uploaded_at, facts=said))

    def add_many(self, name: str, count: int) -> None:
        """Offer `count` wheels that are only names with a few bytes, 0.0 to 0.`count`."""
        stem = name.replace("-", "_")
        self.add(
            *(
                Built(name=name, version=f"0.{index}", filename=f"{stem}-0.{index}-py3-none-any.whl", content=b"%d" % index)
                for index in range(count)
            )
        )

    def remove(self, name: str) -> None:
        """Offer nothing of a name any more."""
        self._files.pop(canonicalize_name(name), None)

    def mark(self, name: str, status: str, reason: str = "") -> None:
        """Give a name a status (PEP 792)."""
        self._statuses[canonicalize_name(name)] = (status, reason)

    # --- what goes wrong ---

    def on(self, path: str, trouble: Trouble, *, times: int | None = None) -> None:
        """Make trouble for requests of `path`, or of all below it if it ends in a slash and is no page; `times` None: always.

        Later troubles come on top of earlier ones.
        """
        self._troubles.append((path, trouble, times))

    def hold(self, path: str, *, at: int = -1) -> Gate:
        """Hold replies to `path` back until the gate that is returned is opened: all of it, or what comes after `at` bytes of the body."""
        gate = Gate()
        self.on(path, lambda reply: evolve(reply, gate=gate, held_at=at))
        return gate

    def calm(self) -> None:
        """No more trouble."""
        self._troubles.clear()

    # --- what it was asked ---

    def asked(self, path: str = "/", method: str = "GET") -> int:
        """How many requests came with this method for `path`, or something below it."""
        return sum(one.method == method and one.path.startswith(path) for one in self.requests)

    def mentions(self, word: str) -> bool:
        """Whether `word` stands in any request: path or headers, in any case, escaped or not."""
        said = (f"{unquote(one.path)} {one.path} {one.headers}" for one in self.requests)
        return any(word.lower() in text.lower() for text in said)

    # --- answering; nothing here knows Twisted ---

    def reply(self, asked: Asked, scheme: str = "http") -> Reply:
        """What a request is answered with; remembers it."""
        self.requests.append(asked)
        reply = self._honest(asked, scheme)
        for index, (path, trouble, times) in enumerate(self._troubles):
            below = path.endswith("/") and not path.startswith("/simple/") and asked.path.startswith(path)
            if (below or asked.path == path) and times != 0:
                reply = trouble(reply)
                self._troubles[index] = (path, trouble, None if times is None else times - 1)
        return reply

    def _honest(self, asked: Asked, scheme: str) -> Reply:
        if self.credentials is not None and asked.headers.get("authorization") != _basic(*self.credentials):
            return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="fake", Bearer realm="http://169.254.169.254/"'})
        path = unquote(asked.path.partition("?")[0])
        words = path.strip("/").split("/")
        if path == "/files/" and self.style.flat:
            everything = [offered for files in self._files.values() for offered in files]
            return self._validated(asked, self._html("files", everything, "", page="/files/", scheme=scheme, host=asked.host), HTML)
        if words[0] == "files" and len(words) == (2 if self.style.flat else 3):
            return self._file(asked, words[-1])
        if words[0] == "simple" and not self.style.flat and len(words) < 3:  # noqa: PLR2004 - /simple/ and /simple/name/
            if not path.endswith("/"):
                return Reply(status=301, headers={"Location": f"{path}/"})
            return self._index(asked) if len(words) == 1 else self._page(asked, words[1], scheme)
        return Reply(status=404, body=b"no such thing")

    def _index(self, asked: Asked) -> Reply:
        names = sorted(self._files)
        if self._json_for(asked):
            said = {"meta": {"api-version": "1.4"}, "projects": [{"name": name} for name in names]}
            return self._validated(asked, json.dumps(said).encode(), JSON)
        links = "".join(f'<a href="{name}/">{name}</a>\n' for name in names)
        return self._validated(asked, f"<!DOCTYPE html><html><body>\n{links}</body></html>".encode(), HTML)

    def _page(self, asked: Asked, name: str, scheme: str) -> Reply:
        files = self._files.get(name)
        if files is None:
            return Reply(status=404, body=b"no such project")
        if self._json_for(asked):
            return self._validated(asked, self._json(name, files, scheme, asked.host), JSON)
        body = self._html(name, files, self._status_tags(name), page=f"/simple/{name}/", scheme=scheme, host=asked.host)
        return self._validated(asked, body, V1_HTML if V1_HTML in asked.headers.get("accept", "") else HTML)

    def _file(self, asked: Asked, filename: str) -> Reply:
        for offered in (one for files in self._files.values() for one in files):
            if filename == offered.built.filename:
                return self._ranged(asked, offered.built.content, offered.uploaded_at)
            if filename == offered.built.filename + METADATA and self.style.metadata and offered.metadata is not None:
                return self._ranged(asked, offered.metadata, offered.uploaded_at)
        return Reply(status=404, body=b"no such file")

    def _json_for(self, asked: Asked) -> bool:
        return self.style.json and (JSON in asked.headers.get("accept", "") or not self.style.html)

    def _validated(self, asked: Asked, body: bytes, kind: str) -> Reply:
        headers = {"Content-Type": kind, "Cache-Control": "max-age=600, public"}
        if self.style.etags:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if asked.headers.get("if-none-match") == headers["ETag"]:
                return Reply(status=304, headers=headers)
        if "gzip" in asked.headers.get("accept-encoding", ""):
            return Reply(headers={**headers, "Content-Encoding": "gzip"}, body=gzip.compress(body, 1, mtime=0))
        return Reply(headers=headers, body=body)

    def _ranged(self, asked: Asked, body: bytes, at: datetime) -> Reply:
        headers = {"Content-Type": "application/octet-stream"}
        if self.style.modified:
            headers["Last-Modified"] = format_datetime(at, usegmt=True)
        found = _RANGE.fullmatch(asked.headers.get("range", ""))
        if not self.style.ranges or found is None or found[0] == "bytes=-" or not (found[1] or self.style.suffixes):
            return Reply(headers=headers, body=body)
        first, last = found[1], found[2]
        begin = int(first) if first else max(0, len(body) - int(last))
        end = min(int(last), len(body) - 1) if first and last else len(body) - 1
        if begin > end:
            return Reply(status=416, headers={"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {begin}-{end}/{len(body)}"
        return Reply(status=206, headers=headers, body=body[begin : end + 1])

    # --- pages ---

    def _href(self, offered: Offered, name: str, page: str, scheme: str, host: str) -> str:
        path = f"/files/{quote(offered.built.filename)}" if self.style.flat else f"/files/{name}/{quote(offered.built.filename)}"
        if self.style.href == "rooted":
            return path
        if self.style.href == "relative":
            # With a base it is that which the links are relative to.
            return path.rpartition("/")[2] if self.style.base or self.style.flat else "../" * (page.count("/") - 1) + path[1:]
        return (self.files_url or f"{scheme}://{host}") + path

    def _hashes(self, offered: Offered) -> dict[str, str]:
        return {algorithm: hashlib.new(algorithm, offered.built.content).hexdigest() for algorithm in self.style.hashes}

    def _json(self, name: str, files: list[Offered], scheme: str, host: str) -> bytes:
        entries = []
        for offered in files:
            entry: dict[str, Any] = {
                "filename": offered.built.filename,
                "url": self._href(offered, name, f"/simple/{name}/", scheme, host),
                "hashes": self._hashes(offered),
            }
            if self.style.times:
                entry |= {"size": len(offered.built.content), "upload-time": offered.uploaded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
            metadata = offered.metadata if self.style.metadata else None
            if metadata is not None:
                entry["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
            entries.append({**entry, **offered.facts})
        said: dict[str, Any] = {"meta": {"api-version": "1.4"}, "name": name, "files": entries}
        said["versions"] = list(dict.fromkeys(offered.built.version for offered in files))
        if name in self._statuses:
            said["project-status"] = dict(zip(("status", "reason"), self._statuses[name], strict=True))
        return json.dumps(said).encode()

    def _html(self, title: str, files: list[Offered], tags: str, *, page: str, scheme: str, host: str) -> bytes:
        lines = []
        for offered in files:
            name = canonicalize_name(offered.built.name)
            href = str(offered.facts.get("url", self._href(offered, name, page, scheme, host)))
            fragment = "".join(f"#{algorithm}={digest}" for algorithm, digest in list(self._hashes(offered).items())[:1])
            attributes = {"href": href + fragment}
            metadata = offered.metadata if self.style.metadata and not self.style.flat else None
            if metadata is not None:
                attributes["data-core-metadata"] = f"sha256={hashlib.sha256(metadata).hexdigest()}"
            if offered.facts.get("requires-python"):
                attributes["data-requires-python"] = str(offered.facts["requires-python"])
            yanked = offered.facts.get("yanked", False)
            if yanked is not False:
                attributes["data-yanked"] = "" if yanked is True else str(yanked)
            said = " ".join(f'{key}="{escape(value)}"' for key, value in attributes.items())
            lines.append(f"<a {said}>{escape(str(offered.facts.get('filename', offered.built.filename)))}</a><br>\n")
        base = f'<base href="{escape(self.style.base)}">' if self.style.base else ""
        head = f"<!DOCTYPE html>\n<html><head>{tags}{base}<title>{escape(title)}</title></head><body>\n"
        return (head + "".join(lines) + "</body></html>\n").encode()

    def _status_tags(self, name: str) -> str:
        if name not in self._statuses:
            return ""
        status, reason = map(escape, self._statuses[name])
        return f'<meta name="pypi:project-status" content="{status}"><meta name="pypi:project-status-reason" content="{reason}">'

    # --- how it is served ---

    def site(self, reactor: Any) -> Any:
        """A Twisted Site that answers so; `reactor` is a `MemoryNetwork` or a real one."""
        from registry.testing.upstream_site import UpstreamSite  # noqa: PLC0415 - an upstream without a server does without

        return UpstreamSite(self, reactor)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
