"""Everything that asks other indexes, made of the configuration. Asks nobody and reads nothing before `load`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define, field
from twisted.logger import Logger

from registry.config import Config, UpstreamIndex, upstream_section
from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.core_metadata import CoreMetadata
from registry.domain.archives.inspection import inspect_archive
from registry.domain.curation.policy import Policy
from registry.domain.errors import InvalidArchive, InvalidFileName, InvalidSetting
from registry.domain.filenames import file_name
from registry.domain.model import File
from registry.domain.tokens import Secret
from registry.domain.upstream import Mode, Upstream, names_in
from registry.domain.versions import Version
from registry.interfaces import IBlobs, IForwarding, IThreads, IUpstreamCatalog
from registry.storage.advisories import AdvisoryDirectory
from registry.upstream.addresses import literal_refusal
from registry.upstream.client import UpstreamClient
from registry.upstream.connecting import Connector
from registry.upstream.origins import Credentials, Known, Target
from registry.upstream.pages import default_index, read_page
from registry.upstream.proxies import Proxies
from registry.workflows.arrivals import Arrivals
from registry.workflows.courses import Courses
from registry.workflows.fallback import Fallback
from registry.workflows.filling import Filling
from registry.workflows.glimpses import Glimpses
from registry.workflows.inquiries import Inquiries
from registry.workflows.sayings import Sayings

_log = Logger()
_WHOLE = Checks.of("lenient")
# Whether a wheel is a tar, too, is seen at its beginning; for that alone, that would have to be fetched.
_OF_PARTS = Checks.of("lenient", without=[Check.POLYGLOT.value])


@define(kw_only=True, eq=False)
class Outward:
    """The fallback, and what it needs to be told from time to time."""

    config: Config
    client: UpstreamClient
    advisories: AdvisoryDirectory | None
    fallback: Fallback = field(init=False)
    filling: Filling = field(init=False)
    _policy: Policy = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Until advisories are read, there are none."""
        self._policy = self.config.policy()

    def policy(self) -> Policy:
        """The policy of this moment."""
        return self._policy

    def load(self) -> None:
        """Read passwords and advisories. Blocks; raises `InvalidSetting`."""
        self.client.known = tuple(
            Known(name=name, origin=Target.read(index.url).origin, credentials=_credentials(name, index))
            for name, index in _indexes(self.config)
            if index.url
        )
        self.refresh()
        for name, index in _indexes(self.config):
            if index.url and index.mode != Mode.OFF.value:
                why = literal_refusal(Target.read(index.url).origin.host, self.client.connector.allow_private)
                if why:
                    _log.warn("The upstream {name} cannot be asked: {why}", name=name, why=why)

    def refresh(self) -> bool:
        """Read the advisories again; whether that changes the policy. Blocks; raises `InvalidSetting`."""
        if self.advisories is None:
            return False
        reading = self.advisories.read()
        policy = self.config.policy(reading.advisories)
        changed, self._policy = policy != self._policy, policy
        if changed:
            _log.info("{count} advisories are known; {malformed} could not be read", count=reading.records, malformed=reading.malformed)
        return changed


def outward(
    config: Config,
    *,
    catalog: IUpstreamCatalog,
    forwarding: IForwarding,
    blobs: IBlobs,
    reactor: Any,
    threads: IThreads,
    now: Callable[[], datetime],
    environ: Mapping[str, str],
    on_used: Callable[[int], object] = lambda _: None,
    on_kept: Callable[[int], object] = lambda _: None,
    on_replaced: Callable[[Sequence[int]], object] = lambda _: None,
) -> Outward:
    """Put it together. Raises `InvalidSetting` for proxies in the environment that cannot be used."""
    ca_file = environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE")
    connector = Connector(
        reactor=reactor,
        threads=threads,
        allow_private=tuple(map(ip_network, config.upstream.allow_private)),
        proxies=Proxies.of(environ),
        ca_file=Path(ca_file) if ca_file else None,
    )
    client = UpstreamClient(reactor=reactor, connector=connector)
    osv = config.curation.osv
    made = Outward(config=config, client=client, advisories=AdvisoryDirectory(osv) if osv is not None else None)
    glimpses = Glimpses(fetcher=client, threads=threads, core_metadata=partial(core_metadata, checks=_OF_PARTS), now=now)
    sayings = Sayings(catalog=catalog)
    inquiries = Inquiries(catalog=catalog, sayings=sayings, fetcher=client, reader=read_page, threads=threads, clock=reactor, now=now)
    arrivals = Arrivals(
        catalog=catalog,
        fetcher=client,
        blobs=blobs,
        core_metadata=core_metadata,
        on_used=on_used,
        on_kept=on_kept,
        on_replaced=on_replaced,
        largest=config.upstream.cache_size,
        read_metadata=glimpses.metadata,
    )
    made.filling = Filling(glimpses=glimpses, threads=threads, now=now, amend=sayings.amend, keep_metadata=arrivals.keep_metadata)
    made.fallback = Fallback(
        catalog=catalog,
        courses=Courses(
            catalog=catalog,
            forwarding=forwarding,
            sayings=sayings,
            upstreams=_upstreams(config),
            default_index=default_index,
            threads=threads,
            policy=made.policy,
        ),
        fetcher=client,
        inquiries=inquiries,
        arrivals=arrivals,
        now=now,
        on_news=made.filling.hear,
    )
    return made


def core_metadata(archive: BinaryIO, size: int, file: File, *, checks: Checks = _WHOLE) -> CoreMetadata | None:
    """What an upstream's file says of itself; None if that cannot be read, or is of something else."""
    for name in names_in(file.filename):
        try:
            version = Version(file.version)
            parsed = file_name(file.filename, name, version)
            return inspect_archive(archive, size, parsed, name, version, {}, checks).metadata
        except (InvalidArchive, InvalidFileName):
            continue
    return None


def _indexes(config: Config) -> Sequence[tuple[str, UpstreamIndex]]:
    """All that are configured, in the order in which they are asked."""
    return sorted(config.indexes, key=lambda found: found[1].priority)


def _upstreams(config: Config) -> tuple[Upstream, ...]:
    return tuple(
        Upstream(
            name=name,
            url=index.url,
            mode=Mode(index.mode),
            names=index.names,
            fresh_for=timedelta(seconds=index.fresh_for),
            stale_for=timedelta(seconds=index.stale_for),
        )
        for name, index in _indexes(config)
    )


def _credentials(name: str, index: UpstreamIndex) -> Credentials | None:
    secret = index.password
    if index.password_file is not None:
        try:
            secret = Secret(index.password_file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            what = f"[{upstream_section(name)}] password_file"
            raise InvalidSetting(what=what, value=str(index.password_file), allowed=f"it cannot be read ({error})") from None
    return None if secret is None else Credentials(username=index.username or None, secret=secret)
