"""The sections about what comes from elsewhere: upstreams, whose names are whose, and what is let in."""

from datetime import datetime
from pathlib import Path

from attrs import frozen

from registry.config.values import (
    ages,
    count,
    duration,
    either,
    index_url,
    key,
    networks,
    optional_directory,
    optional_file,
    secret,
    size,
    switch,
    wildcards,
    word_of,
)
from registry.domain.curation.choices import Choices, name_patterns
from registry.domain.curation.policy import parse_date_line, parse_kinds, parse_licences
from registry.domain.curation.severity import Severity
from registry.domain.curation.waivers import Waiver, waivers
from registry.domain.filenames import Kind
from registry.domain.tokens import Secret


@frozen(kw_only=True)
class UpstreamIndex:
    """`[upstream:NAME]`: a further index that names not held here are asked of."""

    url: str = key("", index_url, "The index that names not held here are asked of; empty: PyPI.")
    mode: str = key(
        "cache",
        word_of("cache", "stream", "redirect", "offline", "off"),
        "cache: fetch and keep; stream: fetch; redirect: send clients there; offline: give what is kept, ask nobody; off: none of it.",
    )
    priority: int = key("0", count, "The lowest number is asked first; the first index that has a name is the only one that counts for it.")
    names: tuple[str, ...] = key("", wildcards, "What may be asked of it: names, where * stands for any text; empty: every name.")
    fresh_for: float = key("5m", duration, "How long what it says about a name is believed before it is asked again.")
    stale_for: float = key("7d", duration, "How long what it said may be given while it cannot be asked.")
    username: str = key("", str, "Who we are to it; with a password and no user name, a token.")
    password: Secret | None = key("", secret, "The password or token; better as the variable REGISTRY__UPSTREAM__PASSWORD, or in a file.")
    password_file: Path | None = key("", optional_file, "A file that holds the password or token.")


@frozen(kw_only=True)
class Upstream(UpstreamIndex):
    """`[upstream]`: names that are not held here. Further indexes are sections `[upstream:NAME]`, with the keys up to `password_file`."""

    enabled: bool = key(
        "yes", switch, "Whether names not held here may be asked upstream, unless an administrator says otherwise while it runs."
    )
    cache_size: int = key("20G", size, "Room for upstreams' files that are kept, in bytes; the least recently used go first.")
    ahead: bool = key(
        "yes", switch, "Whether what a package requires is asked for as soon as a client reads that, so that it need not wait for it."
    )
    allow_private: tuple[str, ...] = key(
        "",
        networks,
        "Networks that may be connected to though they are not public, such as 10.1.0.0/16, one a line or separated by commas.",
    )


@frozen(kw_only=True)
class Names:
    """`[names]`: whose names are whose."""

    reserved: tuple[str, ...] = key(
        "", name_patterns, "Names that are ours alone and never asked of an upstream, such as acme-*; * stands for any text."
    )


@frozen(kw_only=True)
class Curation:
    """`[curation]`: which files of upstreams may come in (docs/curation.md)."""

    deny: Choices = key("", Choices.parse, "What never comes in, one a line: a name pattern, or with versions: requests <2.31.")
    allow: Choices = key("", Choices.parse, "What alone may come in, one a line as in deny, which goes before it; empty: everything.")
    kinds: frozenset[Kind] = key("wheel, sdist", parse_kinds, "Which kinds of files may come in: wheel, sdist or both.")
    licences_deny: tuple[str, ...] = key("", parse_licences, "Licences that never come in, such as AGPL-*, as far as they are known.")
    licences_allow: tuple[str, ...] = key("", parse_licences, "Licences that alone may come in, such as MIT, BSD-*; empty: all.")
    unknown_licence: bool = key("allow", either("allow", "deny"), "Whether a file may come in whose licence is not known: allow or deny.")
    min_age: float = key("0", duration, "The cooldown: how long ago a file must have been uploaded there, such as 7d; 0: it need not.")
    min_age_for: tuple[tuple[str, float], ...] = key(
        "", ages, "Another cooldown for some names, one pattern a line: torch-* = 30d; the first that fits counts."
    )
    not_after: datetime | None = key(
        "", parse_date_line, "The date line: nothing uploaded after this date (UTC) or instant (RFC 3339) comes in; empty: none."
    )
    yanked: bool = key(
        "show", either("show", "hide"), "Whether files that were yanked there are shown (marked so) or hidden: show or hide."
    )
    osv: Path | None = key("", optional_directory, "Directory of advisories: OSV's export for PyPI, unpacked or as all.zip; empty: none.")
    osv_severity: Severity = key(
        "high", Severity.parse, "From which severity on an advisory counts: none (all do), low, medium, high or critical."
    )
    exceptions: tuple[Waiver, ...] = key(
        "",
        waivers,
        "Break-glass, one a line: NAME[SPECIFIER] until DATE because REASON; goes before cooldown, licences and advisories.",
    )
