"""What may stand behind a key: parsers of text, each with a sentence (ValueError) for text that will not do."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import field

from registry.domain.archives.checks import Checks
from registry.domain.curation.choices import name_pattern
from registry.domain.tokens import Secret

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SPANS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 10 * 365 * 86400  # seconds; the reactor's timers end some way beyond
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", re.IGNORECASE | re.ASCII)
_DIGITS = 9  # of a number of something
_ADDRESS = re.compile(r"[!\"$->A-~]+")  # printable ASCII but "#", "?" and "@"
_SWITCH = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}


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


def key(default: str, parse: Callable[[str], object], doc: str) -> Any:
    """One setting: its default as it would stand in the file, its parser, and the sentence that explains it (with its unit)."""
    return field(default=parse(default), metadata={"default": default, "parse": parse, "doc": doc})
