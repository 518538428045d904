"""Requests that cannot be carried out: values that are none, changes that the rules do not allow."""

from collections.abc import Mapping

from attrs import frozen

from registry.domain.errors.base import RegistryError, shown


@frozen(kw_only=True)
class BodyTooLarge(RegistryError):
    """A request body that is not an upload is over the limit; `limit` in bytes."""

    limit: int

    def __str__(self) -> str:
        return f"The request body is over {self.limit:,} bytes"


@frozen(kw_only=True)
class NotAcceptable(RegistryError):
    """The client's `Accept` rules out the one type there is."""

    offered: str

    def __str__(self) -> str:
        return f"This is {self.offered} and nothing else; send that in Accept, or no Accept at all"


@frozen(kw_only=True)
class InvalidMoment(RegistryError):
    """The text is no date and no instant."""

    text: str

    def __str__(self) -> str:
        return f"{shown(self.text)} is neither a date such as 2026-11-21 nor an instant such as 2026-11-21T09:30:00Z (RFC 3339)"


@frozen(kw_only=True)
class InvalidSetting(RegistryError):
    """A value given on the command line or in the API is not one of those allowed."""

    what: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.what} {shown(self.value)} is invalid: {self.allowed}"


@frozen(kw_only=True)
class InvalidParameters(RegistryError):
    """Parameters of a REST request are missing or of the wrong kind; `problem` in Grape's words."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@frozen(kw_only=True)
class Refused(RegistryError):
    """A change that the rules do not allow; `problems` maps the fields at fault to GitLab's words."""

    problems: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        return "; ".join(f"{name} {' and '.join(words)}" for name, words in self.problems.items())


@frozen(kw_only=True)
class BadRequest(RegistryError):
    """A change that is well-formed and not allowed, in GitLab's words."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen(kw_only=True)
class Conflict(RegistryError):
    """What is to be made exists already."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen(kw_only=True)
class Unprocessable(RegistryError):
    """A change that is well-formed and cannot be made, such as a pattern that is taken."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen(kw_only=True)
class PreconditionFailed(RegistryError):
    """What is to be changed is newer than the caller believes."""

    def __str__(self) -> str:
        return "Precondition Failed"


@frozen(kw_only=True)
class AlreadyTaken(RegistryError):
    """The name or path of something new belongs to something that exists."""

    what: str
    value: str

    def __str__(self) -> str:
        return f"{self.what} {shown(self.value)} has already been taken"
