"""The configuration as one value, section by section."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import attrs
from attrs import field, frozen

from registry.config.serving import Attestations, Auth, Cache, GitLab, Log, Server, Storage, Uploads
from registry.config.upstream import Curation, Names, Upstream, UpstreamIndex
from registry.domain.curation.advisories import NO_ADVISORIES, Advisories
from registry.domain.curation.policy import Policy
from registry.domain.errors import FIRST_UPSTREAM


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

    @property
    def indexes(self) -> tuple[tuple[str, UpstreamIndex], ...]:
        """All upstreams by their names, first that of `[upstream]`, and then the further ones."""
        return (FIRST_UPSTREAM, self.upstream), *self.upstreams

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


def upstream_section(name: str) -> str:
    """The section, without its brackets, that is about the upstream of this name."""
    return name if name == FIRST_UPSTREAM else f"upstream:{name}"


def describe() -> Iterator[tuple[str, str, str, str]]:
    """Every setting there is: section, key, default as written, sentence."""
    for section in attrs.fields(Config):
        if section.name not in known_sections():
            continue
        for key in attrs.fields(cast("type[Any]", section.type)):
            yield section.name, key.name, key.metadata["default"], key.metadata["doc"]


def known_sections() -> dict[str, type[Any]]:
    """The sections that stand in a file under their own name: name, and the class that has its keys."""
    return {section.name: cast("type[Any]", section.type) for section in attrs.fields(Config) if section.name != "upstreams"}
