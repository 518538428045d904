"""What is wrong with others: upstreams, and files of theirs."""

from attrs import frozen

from registry.domain.errors.base import RegistryError, shown

# The name of the upstream that `[upstream]` is about.
FIRST_UPSTREAM = "upstream"


@frozen(kw_only=True)
class PolicyRefused(RegistryError):
    """The policy does not let this file of an upstream in. `rule` is its name, `reason` the sentence that explains it."""

    filename: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.filename)} is not let in. {self.reason}"


@frozen(kw_only=True)
class UpstreamRefused(RegistryError):
    """This registry does not go where it was sent, by an address, a page or a redirect. `source` is an upstream's name, or a host."""

    source: str
    problem: str

    def __str__(self) -> str:
        return f"This registry does not fetch from the {upstream_called(self.source)}: {self.problem}"


@frozen(kw_only=True)
class UpstreamBroken(RegistryError):
    """An upstream gave an answer that cannot be used. `source` is an upstream's name, or a host."""

    source: str
    problem: str

    def __str__(self) -> str:
        return f"The {upstream_called(self.source)} gave no usable answer: {self.problem}"


@frozen(kw_only=True)
class UpstreamUnavailable(RegistryError):
    """An upstream does not answer now, or does not want to. `source` is an upstream's name, or a host; `retry_after` in seconds."""

    source: str
    problem: str
    retry_after: int = 30

    def __str__(self) -> str:
        return f"The {upstream_called(self.source)} is not available: {self.problem}; try again in {self.retry_after} seconds"


def upstream_called(source: str) -> str:
    """An upstream in a sentence, behind its article; that of `[upstream]` has no name but that."""
    return source if source == FIRST_UPSTREAM else f"upstream {source}"
