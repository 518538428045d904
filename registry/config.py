"""Configuration: INI and environment to one frozen, inert value. Nothing here opens, creates or connects anything."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from datetime import datetime, timedelta
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from registry.domain.archives.checks import Checks
from registry.domain.curation.advisories import NO_ADVISORIES, Advisories
from registry.domain.curation.choices import Choices, name_pattern, name_patterns
from registry.domain.curation.policy import Policy, parse_date_line, parse_kinds, parse_licences
from registry.domain.curation.severity import Severity
from registry.domain.curation.waivers import Waiver, waivers
from registry.domain.filenames import Kind
from registry.domain.tokens import Secret

_PREFIX = "REGISTRY__"
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SPANS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 10 * 365 * 86400  # seconds; the reactor's timers end some way beyond
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", re.IGNORECASE | re.ASCII)
_DIGITS = 9  # of a number of something
_ADDRESS = re.compile(r"[!\"$->A-~]+")  # printable ASCII but "#", "?" and "@"
_FURTHER = re.compile(r"upstream[:_]([a-z0-9][a-z0-9-]{0,63})", re.ASCII)
_SWITCH = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}


class InvalidConfig(Exception):
    """The configuration cannot be used; `str()` names the section, the key and what would be right."""


def size(text: str) -> int:
    """A number of bytes: `5G`, `64M`, `1024`; units are powers of 1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("use a number of bytes such as 5G, 64M or 1048576")
    return int(match[1]) * _UNITS[match[2].lower()]


def duration(text: str) -> float:
    """A number of seconds: `30s`, `5m`, `7d`, `1.5`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("use a duration such as 30s, 5m, 12h or 7d")
    seconds = float(match[1]) * _SPANS[match[2].lower()]
    if seconds > _LONGEST:
        raise ValueError("use a duration of at most 10 years")
    return seconds


def interval(text: str) -> float:
    """A duration that something is done again after, or given up after: never so short that it is done without end."""
    seconds = duration(text)
    if seconds < 1:
        raise ValueError("use a duration of at least 1s")
    return seconds


def directory(text: str) -> Path:
    """A path, absolute or relative to where the server is started."""
    if not text or "\0" in text:
        raise ValueError("use the path of a directory, such as registry-data or /var/lib/registry")
    return Path(text)


def switch(text: str) -> bool:
    """Yes or no."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError("use yes or no") from None


def url(text: str) -> str:
    """An http(s) address without user, query, fragment or trailing slash; empty for none."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("use an address such as https://packages.example.com") from None
    # Looked for in the text, not in the parts: an empty user or query is still one, and urlsplit drops line breaks.
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _ADDRESS.fullmatch(text):
        raise ValueError("use an address such as https://packages.example.com, in ASCII, without user, query or fragment")
    if port == {"http": 80, "https": 443}[parts.scheme]:
        # GitLab: with a default port spelt out, pip does not send its credentials to the files' addresses.
        raise ValueError(f"leave out the port, {port} is the default of {parts.scheme}")
    return text.rstrip("/")


def endpoints(text: str) -> tuple[str, ...]:
    """Twisted endpoint descriptions, one a line (they may hold commas and colons)."""
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        raise ValueError("use a Twisted endpoint description such as tcp:8080:interface=127.0.0.1, one a line")
    return found


def patterns(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of project paths, one a line, `theirs = ours`; a `*` in both stands for the same text."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        theirs, equals, ours = (part.strip() for part in line.partition("="))
        if not (theirs and equals and ours) or theirs.count("*") > 1 or theirs.count("*") != ours.count("*"):
            raise ValueError("write one pattern a line, such as group/* = team/*, with one * on both sides or none")
        found.append((theirs, ours))
    return tuple(found)


def optional_file(text: str) -> Path | None:
    """The path of a file, absolute or relative to where the server is started; None for the empty text."""
    if "\0" in text:
        raise ValueError("use the path of a file, such as /etc/registry/trusted_root.json")
    return Path(text) if text else None


def optional_directory(text: str) -> Path | None:
    """A path, absolute or relative to where the server is started; None for the empty text."""
    return directory(text) if text else None


def identity_patterns(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of token issuer and identity pattern, one a line: `ISSUER IDENTITY-PATTERN`; a `*` in the pattern stands for any text."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        issuer, *patterns = line.split()
        # An issuer is the word of whoever names identities, so it is never a pattern.
        if len(patterns) != 1 or not issuer.startswith(("https://", "http://")) or "*" in issuer:
            raise ValueError("write an issuer and an identity pattern a line, such as https://gitlab.com https://gitlab.com/team/*")
        found.append((issuer, patterns[0]))
    return tuple(found)


def count(text: str) -> int:
    """A whole number that is not negative."""
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS:
        raise ValueError("use a whole number such as 30")
    return int(text)


def checks(text: str) -> Checks:
    """A level of checks, then those that are switched on or off beside it: `strict -sdist-format +linux-tags`."""
    level, *switched = text.split() or [""]
    if odd := [word for word in switched if word[0] not in "+-"]:
        raise ValueError(f"write +{odd[0]} to switch a check on and -{odd[0]} to switch it off")
    return Checks.of(level, [word[1:] for word in switched if word[0] == "+"], [word[1:] for word in switched if word[0] == "-"])


def index_url(text: str) -> str:
    """The address of an index, with a slash at its end; empty for none."""
    found = url(text)
    return f"{found}/" if found else ""


def word_of(*known: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"use one of {', '.join(known)}")
        return text

    return parse


def words(text: str) -> tuple[str, ...]:
    """Words, one a line or separated by commas."""
    return tuple(filter(None, map(str.strip, text.replace(",", "\n").splitlines())))


def wildcards(text: str) -> tuple[str, ...]:
    """Normalised names, where `*` stands for any text."""
    return tuple(re.sub(r"[-_.]+", "-", word).lower() for word in words(text))


def networks(text: str) -> tuple[str, ...]:
    """Networks in CIDR form."""
    found = words(text)
    for one in found:
        try:
            ip_network(one)
        except ValueError:
            raise ValueError(f"{one!r} is no network; use one such as 10.1.0.0/16 or fd00::/8") from None
    return found


def secret(text: str) -> Secret | None:
    """A password or token; empty for none."""
    return Secret(text) if text else None


def ages(text: str) -> tuple[tuple[str, float], ...]:
    """Pairs of name pattern and duration in seconds, one a line: `torch-* = 30d`."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        pattern, equals, age = (part.strip() for part in line.partition("="))
        if not equals:
            raise ValueError("write a pattern of names and a duration a line, such as torch-* = 30d")
        found.append((name_pattern(pattern), duration(age)))
    return tuple(found)


def either(yes: str, no: str) -> Callable[[str], bool]:
    """One of two words, the first for True."""

    def parse(text: str) -> bool:
        if text not in {yes, no}:
            raise ValueError(f"use {yes} or {no}")
        return text == yes

    return parse


def _key(default: str, parse: Callable[[str], object], doc: str) -> Any:
    """One setting: its default as it would stand in the file, its parser, and the sentence that explains it (with its unit)."""
    return field(default=parse(default), metadata={"default": default, "parse": parse, "doc": doc})


@frozen(kw_only=True)
class Server:
    """`[server]`: where it listens, keeps its data, and how it stops."""

    data_dir: Path = _key("registry-data", directory, "Directory of the catalog and all files; created (mode 0700) if it does not exist.")
    listen: tuple[str, ...] = _key(
        "tcp:8080:interface=127.0.0.1", endpoints, "Where to listen: Twisted endpoint descriptions, one a line; tcp:0 picks a free port."
    )
    external_url: str = _key(
        "", url, "The address clients use, for links in pages; empty: that of the first listening port, if it is on one interface."
    )
    grace: float = _key("30s", duration, "How long running transfers may take to finish when the server is asked to stop.")
    head_timeout: float = _key("30s", interval, "How long a connection may take to send a request's headers, or stay idle.")
    stall_timeout: float = _key("60s", interval, "A transfer that moves less than 1 KiB in this time is cut.")


@frozen(kw_only=True)
class Uploads:
    """`[uploads]`: what may be published."""

    max_file_size: int = _key("5G", size, "Largest file that may be uploaded, in bytes (K, M, G: powers of 1024).")
    accept_identical: bool = _key(
        "no", switch, "yes: uploading the same bytes under the same name again succeeds; no: it is refused, as GitLab does."
    )
    checks: Checks = _key(
        "strict",
        checks,
        "What archives are held to: strict or lenient, then checks switched, as in strict -record +linux-tags (see docs/checks.md).",
    )
    close_after: float = _key(
        "0", duration, "How long a version takes files after its first one, such as 14d; 0: for ever. Closing by hand works either way."
    )


@frozen(kw_only=True)
class Cache:
    """`[cache]`: memory spent on speed."""

    pages: int = _key("64M", size, "Memory for rendered pages, in bytes; the least recently used go first.")
    files: int = _key("8M", size, "Memory for the contents of small files (up to 64 KiB each), in bytes; the least recently used go first.")


@frozen(kw_only=True)
class Storage:
    """`[storage]`: looking after what is held."""

    sweep_every: float = _key("1h", interval, "How often files that no package names (left by a crash) are removed; also once at start.")


@frozen(kw_only=True)
class Log:
    """`[log]`: what is written down."""

    access: str = _key(
        "access.log", str, "File for one line a request, relative to data_dir, rotated at 10 MB (5 kept); - for stdout, empty: none."
    )


@frozen(kw_only=True)
class Auth:
    """`[auth]`: signing in."""

    failures_per_minute: int = _key(
        "30", count, "How many failed sign-ins a minute are looked at from one address, or for one user name; 0: all of them."
    )


@frozen(kw_only=True)
class GitLab:
    """`[gitlab]`: an instance whose CI jobs may use their tokens here."""

    url: str = _key("", url, "The address of the GitLab instance that is asked about CI job tokens unknown here; empty: none.")
    projects: tuple[tuple[str, str], ...] = _key(
        "", patterns, "Which of its projects are which of ours, one pattern a line: group/* = team/*; the first that fits counts."
    )


@frozen(kw_only=True)
class Attestations:
    """`[attestations]`: proofs of who built a file (PEP 740)."""

    trust_root: Path | None = _key(
        "", optional_file, "Whom signatures are traced to: Sigstore's trusted_root.json; empty: attestations are not verified and not kept."
    )
    identities: tuple[tuple[str, str], ...] = _key(
        "",
        identity_patterns,
        "Whose attestations are accepted, one a line: ISSUER IDENTITY-PATTERN, where * stands for any text; empty: nobody's.",
    )


@frozen(kw_only=True)
class UpstreamIndex:
    """`[upstream:NAME]`: a further index that names not held here are asked of."""

    url: str = _key("", index_url, "The index that names not held here are asked of; empty: PyPI.")
    mode: str = _key(
        "cache",
        word_of("cache", "stream", "redirect", "offline", "off"),
        "cache: fetch and keep; stream: fetch; redirect: send clients there; offline: give what is kept, ask nobody; off: none of it.",
    )
    priority: int = _key(
        "0", count, "The lowest number is asked first; the first index that has a name is the only one that counts for it."
    )
    names: tuple[str, ...] = _key("", wildcards, "What may be asked of it: names, where * stands for any text; empty: every name.")
    fresh_for: float = _key("5m", duration, "How long what it says about a name is believed before it is asked again.")
    stale_for: float = _key("7d", duration, "How long what it said may be given while it cannot be asked.")
    username: str = _key("", str, "Who we are to it; with a password and no user name, a token.")
    password: Secret | None = _key("", secret, "The password or token; better as the variable REGISTRY__UPSTREAM__PASSWORD, or in a file.")
    password_file: Path | None = _key("", optional_file, "A file that holds the password or token.")


@frozen(kw_only=True)
class Upstream(UpstreamIndex):
    """`[upstream]`: names that are not held here. Further indexes are sections `[upstream:NAME]`, with the keys up to `password_file`."""

    enabled: bool = _key(
        "yes", switch, "Whether names not held here may be asked upstream, unless an administrator says otherwise while it runs."
    )
    cache_size: int = _key("20G", size, "Room for upstreams' files that are kept, in bytes; the least recently used go first.")
    allow_private: tuple[str, ...] = _key(
        "",
        networks,
        "Networks that may be connected to though they are not public, such as 10.1.0.0/16, one a line or separated by commas.",
    )


@frozen(kw_only=True)
class Names:
    """`[names]`: whose names are whose."""

    reserved: tuple[str, ...] = _key(
        "", name_patterns, "Names that are ours alone and never asked of an upstream, such as acme-*; * stands for any text."
    )


@frozen(kw_only=True)
class Curation:
    """`[curation]`: which files of upstreams may come in (docs/curation.md)."""

    deny: Choices = _key("", Choices.parse, "What never comes in, one a line: a name pattern, or with versions: requests <2.31.")
    allow: Choices = _key("", Choices.parse, "What alone may come in, one a line as in deny, which goes before it; empty: everything.")
    kinds: frozenset[Kind] = _key("wheel, sdist", parse_kinds, "Which kinds of files may come in: wheel, sdist or both.")
    licences_deny: tuple[str, ...] = _key("", parse_licences, "Licences that never come in, such as AGPL-*, as far as they are known.")
    licences_allow: tuple[str, ...] = _key("", parse_licences, "Licences that alone may come in, such as MIT, BSD-*; empty: all.")
    unknown_licence: bool = _key("allow", either("allow", "deny"), "Whether a file may come in whose licence is not known: allow or deny.")
    min_age: float = _key("0", duration, "The cooldown: how long ago a file must have been uploaded there, such as 7d; 0: it need not.")
    min_age_for: tuple[tuple[str, float], ...] = _key(
        "", ages, "Another cooldown for some names, one pattern a line: torch-* = 30d; the first that fits counts."
    )
    not_after: datetime | None = _key(
        "", parse_date_line, "The date line: nothing uploaded after this date (UTC) or instant (RFC 3339) comes in; empty: none."
    )
    yanked: bool = _key(
        "show", either("show", "hide"), "Whether files that were yanked there are shown (marked so) or hidden: show or hide."
    )
    osv: Path | None = _key("", optional_directory, "Directory of advisories: OSV's export for PyPI, unpacked or as all.zip; empty: none.")
    osv_severity: Severity = _key(
        "high", Severity.parse, "From which severity on an advisory counts: none (all do), low, medium, high or critical."
    )
    exceptions: tuple[Waiver, ...] = _key(
        "",
        waivers,
        "Break-glass, one a line: NAME[SPECIFIER] until DATE because REASON; goes before cooldown, licences and advisories.",
    )


@frozen(kw_only=True)
class Config:
    """Everything that can be configured; every field is one section."""

    server: Server = field(factory=Server)
    uploads: Uploads = field(factory=Uploads)
    cache: Cache = field(factory=Cache)
    storage: Storage = field(factory=Storage)
    log: Log = field(factory=Log)
    auth: Auth = field(factory=Auth)
    gitlab: GitLab = field(factory=GitLab)
    attestations: Attestations = field(factory=Attestations)
    upstream: Upstream = field(factory=Upstream)
    upstreams: tuple[tuple[str, UpstreamIndex], ...] = ()  # the further ones, by name
    names: Names = field(factory=Names)
    curation: Curation = field(factory=Curation)

    def policy(self, advisories: Advisories = NO_ADVISORIES) -> Policy:
        """`[names]` and `[curation]` as the policy they mean, with the advisories that `[curation] osv` holds."""
        chosen = self.curation
        return Policy(
            reserved=self.names.reserved,
            deny=chosen.deny,
            allow=chosen.allow,
            kinds=chosen.kinds,
            licences_deny=chosen.licences_deny,
            licences_allow=chosen.licences_allow,
            unknown_licence=chosen.unknown_licence,
            min_age=timedelta(seconds=chosen.min_age),
            min_age_for=tuple((pattern, timedelta(seconds=age)) for pattern, age in chosen.min_age_for),
            not_after=chosen.not_after,
            hide_yanked=not chosen.yanked,
            advisories=advisories,
            osv_severity=chosen.osv_severity,
            exceptions=chosen.exceptions,
        )


def load_config(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    override: Mapping[tuple[str, str], str] | None = None,
) -> Config:
    """Read `path` (INI; None: defaults only), then the environment (`REGISTRY__SECTION__KEY`), then `override`, the last word winning.

    Raises `InvalidConfig` with section, key and what would be right for an unknown key or a bad value, wherever it came from.
    """
    settings: dict[tuple[str, str], tuple[str, str]] = {}  # section, key -> value, where it came from
    if path is not None:
        settings.update(_read_ini(Path(path)))
    for variable, value in sorted((os.environ if environ is None else environ).items()):
        if variable.startswith(_PREFIX):
            section, separator, key = variable.removeprefix(_PREFIX).lower().partition("__")
            if not separator:
                raise InvalidConfig(f"environment variable {variable}: write REGISTRY__SECTION__KEY, such as REGISTRY__SERVER__DATA_DIR")
            settings[section, key] = (value, f"environment variable {variable}")
    for name, value in (override or {}).items():
        settings[name] = (value, "command line")
    return _build(settings)


def describe() -> Iterator[tuple[str, str, str, str]]:
    """Every setting there is: section, key, default as written, sentence."""
    for section in attrs.fields(Config):
        if section.name not in _sections():
            continue
        for key in attrs.fields(cast("type[Any]", section.type)):
            yield section.name, key.name, key.metadata["default"], key.metadata["doc"]


def _read_ini(path: Path) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    parser = ConfigParser(interpolation=None, default_section="", comment_prefixes=("#", ";"), inline_comment_prefixes=None)
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise InvalidConfig(f"cannot read the configuration file {path}: {error.strerror}") from None
    except (IniError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"the configuration file {path} is not INI: {error}") from None
    for section in parser.sections():
        _section(section, str(path))
        for key, value in parser.items(section):
            yield (section, key), (value, str(path))


def _build(settings: Mapping[tuple[str, str], tuple[str, str]]) -> Config:
    values: dict[str, dict[str, object]] = {}
    further: dict[str, dict[str, object]] = {}
    for (section, key), (text, source) in settings.items():
        keys = {known.name: known for known in attrs.fields(_section(section, source))}
        if key not in keys:
            raise InvalidConfig(f"{source}: section [{section}] has no key {key!r}{_suggest(key, keys)}")
        try:
            named = _further(section)
            where = values.setdefault(section, {}) if named is None else further.setdefault(named, {})
            where[key] = keys[key].metadata["parse"](text.strip())
        except ValueError as error:
            raise InvalidConfig(f"{source}: [{section}] {key} = {text!r} cannot be used: {error}") from None
    upstreams = tuple((name, UpstreamIndex(**cast("dict[str, Any]", keys))) for name, keys in further.items())
    for name, index in upstreams:
        if not index.url:
            raise InvalidConfig(f"[upstream:{name}] needs a url: the address of the index")
    return Config(**{section: _sections()[section](**keys) for section, keys in values.items()}, upstreams=upstreams)


def _sections() -> dict[str, type[Any]]:
    return {section.name: cast("type[Any]", section.type) for section in attrs.fields(Config) if section.name != "upstreams"}


def _section(name: str, source: str) -> type[Any]:
    if _further(name) is not None:
        return UpstreamIndex
    if name not in _sections():
        raise InvalidConfig(f"{source}: there is no section [{name}]{_suggest(name, _sections())}")
    return _sections()[name]


def _further(section: str) -> str | None:
    """The name of a further upstream that `section` is about; in a variable's name an underscore stands for the colon."""
    match = _FURTHER.fullmatch(section)
    return match[1] if match is not None else None


def _suggest(word: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
