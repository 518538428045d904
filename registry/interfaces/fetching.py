"""Other servers, asked over HTTP."""

from collections.abc import Mapping

from zope.interface import Attribute, Interface

from registry.domain.errors import RegistryError
from registry.domain.fetched import Fetched


class IFetcher(Interface):
    """Other servers, asked over HTTP: the only way this process reaches addresses that strangers may have written.

    Every address is checked when it is connected to, and after every redirect again. Credentials are sent to the origin they are configured
    for and nowhere else. Answers 2xx, 304, 404, 410 and 416 are given as they are, others are errors, whose sentences name the upstream as
    it is configured, or the host. All raise `UpstreamRefused`, `UpstreamBroken` or `UpstreamUnavailable`. Cancelling a wait aborts the
    connection.
    """

    async def fetch(url: str, headers: Mapping[str, str], *, limit: int, timeout: float) -> Fetched:  # noqa: ASYNC109 - there is no asyncio here
        """GET a small answer: all of it, decoded. Over `limit` bytes, decoded or not, is `UpstreamBroken`.

        `timeout`: seconds from now to the first byte of the last answer, redirects and the wait for a free connection included.
        """

    async def head(url: str, headers: Mapping[str, str], *, timeout: float) -> Fetched:  # noqa: ASYNC109 - there is no asyncio here
        """HEAD: an answer without its body. `timeout` as for `fetch`."""

    async def stream(url: str, headers: Mapping[str, str], *, timeout: float = 30.0) -> "IStream":  # noqa: ASYNC109 - there is no asyncio here
        """GET an answer whose body is read as it comes, never encoded: an `IStream`. `timeout` as for `fetch`.

        Whoever gets it calls `deliver` or `abort`.
        """


class IStream(Interface):
    """An answer whose body is to come. Nothing of it is read before `deliver`, nor while it is paused."""

    status: int = Attribute("The status code")
    headers: Mapping[str, str] = Attribute("By lower-case name")
    length: int | None = Attribute("How many bytes the body has; None where the server does not say")
    url: str = Attribute("Where it came from, after redirects; without credentials")

    def deliver(reader: "IStreamReader") -> None:
        """Give the body to `reader`, from now on. Once."""

    def pause() -> None:
        """Give nothing more until `resume`; what is on its way through this process may still come."""

    def resume() -> None:
        """Go on."""

    def abort() -> None:
        """Break the connection off; the reader hears nothing more. May be called at any time and twice."""


class IStreamReader(Interface):
    """Who takes a body as it comes. After `ended` or `failed` nothing more is called."""

    def received(data: bytes) -> None:
        """Take the next bytes; may `pause`, `resume` and `abort` the stream."""

    def ended() -> None:
        """All of the body has come: as many bytes as were announced."""

    def failed(error: RegistryError) -> None:
        """The body has broken off, or nothing has come for too long; an `UpstreamBroken` or `UpstreamUnavailable`."""
