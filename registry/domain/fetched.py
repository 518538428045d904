"""What another server answered."""

from collections.abc import Mapping

from attrs import frozen


@frozen(kw_only=True)
class Fetched:
    """A whole answer. `headers` by lower-case name, `body` decoded, `url` where it came from after redirects (without credentials)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
