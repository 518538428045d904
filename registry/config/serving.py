"""The sections about what is here: serving, publishing, keeping, signing in."""

from pathlib import Path

from attrs import frozen

from registry.config.values import (
    checks,
    count,
    directory,
    duration,
    endpoints,
    identity_patterns,
    interval,
    key,
    optional_file,
    patterns,
    size,
    switch,
    url,
)
from registry.domain.archives.checks import Checks


@frozen(kw_only=True)
class Server:
    """`[server]`: where it listens, keeps its data, and how it stops."""

    data_dir: Path = key("registry-data", directory, "Directory of the catalog and all files; created (mode 0700) if it does not exist.")
    listen: tuple[str, ...] = key(
        "tcp:8080:interface=127.0.0.1", endpoints, "Where to listen: Twisted endpoint descriptions, one a line; tcp:0 picks a free port."
    )
    external_url: str = key(
        "", url, "The address clients use, for links in pages; empty: that of the first listening port, if it is on one interface."
    )
    grace: float = key("30s", duration, "How long running transfers may take to finish when the server is asked to stop.")
    head_timeout: float = key("30s", interval, "How long a connection may take to send a request's headers, or stay idle.")
    stall_timeout: float = key("60s", interval, "A transfer that moves less than 1 KiB in this time is cut.")


@frozen(kw_only=True)
class Uploads:
    """`[uploads]`: what may be published."""

    max_file_size: int = key("5G", size, "Largest file that may be uploaded, in bytes (K, M, G: powers of 1024).")
    accept_identical: bool = key(
        "no", switch, "yes: uploading the same bytes under the same name again succeeds; no: it is refused, as GitLab does."
    )
    checks: Checks = key(
        "strict",
        checks,
        "What archives are held to: strict or lenient, then checks switched, as in strict -record +linux-tags (see docs/checks.md).",
    )
    close_after: float = key(
        "0", duration, "How long a version takes files after its first one, such as 14d; 0: for ever. Closing by hand works either way."
    )


@frozen(kw_only=True)
class Cache:
    """`[cache]`: memory spent on speed."""

    pages: int = key("64M", size, "Memory for rendered pages, in bytes; the least recently used go first.")
    files: int = key("8M", size, "Memory for the contents of small files (up to 64 KiB each), in bytes; the least recently used go first.")


@frozen(kw_only=True)
class Storage:
    """`[storage]`: looking after what is held."""

    sweep_every: float = key("1h", interval, "How often files that no package names (left by a crash) are removed; also once at start.")


@frozen(kw_only=True)
class Log:
    """`[log]`: what is written down."""

    access: str = key(
        "access.log", str, "File for one line a request, relative to data_dir, rotated at 10 MB (5 kept); - for stdout, empty: none."
    )


@frozen(kw_only=True)
class Auth:
    """`[auth]`: signing in."""

    failures_per_minute: int = key(
        "30", count, "How many failed sign-ins a minute are looked at from one address, or for one user name; 0: all of them."
    )


@frozen(kw_only=True)
class GitLab:
    """`[gitlab]`: an instance whose CI jobs may use their tokens here."""

    url: str = key("", url, "The address of the GitLab instance that is asked about CI job tokens unknown here; empty: none.")
    projects: tuple[tuple[str, str], ...] = key(
        "", patterns, "Which of its projects are which of ours, one pattern a line: group/* = team/*; the first that fits counts."
    )


@frozen(kw_only=True)
class Attestations:
    """`[attestations]`: proofs of who built a file (PEP 740)."""

    trust_root: Path | None = key(
        "", optional_file, "Whom signatures are traced to: Sigstore's trusted_root.json; empty: attestations are not verified and not kept."
    )
    identities: tuple[tuple[str, str], ...] = key(
        "",
        identity_patterns,
        "Whose attestations are accepted, one a line: ISSUER IDENTITY-PATTERN, where * stands for any text; empty: nobody's.",
    )
