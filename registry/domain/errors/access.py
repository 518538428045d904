"""Callers who are nobody, or may not."""

from datetime import datetime

from attrs import frozen

from registry.domain.errors.base import RegistryError


@frozen(kw_only=True)
class TooManyFailures(RegistryError):
    """Too many failed sign-ins from this address or for this user name; `retry_after` in seconds."""

    retry_after: int

    def __str__(self) -> str:
        return "Too many failed sign-ins; check the token, then try again in a minute"


@frozen(kw_only=True)
class Unauthenticated(RegistryError):
    """The caller gave no credential, or one that means nothing here."""

    def __str__(self) -> str:
        return "Unauthorized"


@frozen(kw_only=True)
class TokenExpired(RegistryError):
    """The token was valid once; its expiry has passed."""

    def __str__(self) -> str:
        return "Token is expired. You can either do re-authorization or token refresh."


@frozen(kw_only=True)
class TokenRevoked(RegistryError):
    """The token was valid once; somebody revoked it."""

    def __str__(self) -> str:
        return "Token was revoked. You have to re-authorize from the user."


@frozen(kw_only=True)
class InsufficientScope(RegistryError):
    """The token is valid but carries none of the scopes that would do (`wanted`)."""

    wanted: tuple[str, ...]

    def __str__(self) -> str:
        return "The request requires higher privileges than provided by the access token."


@frozen(kw_only=True)
class Forbidden(RegistryError):
    """The caller is known and may not do this; `reason` may be empty."""

    reason: str = ""

    def __str__(self) -> str:
        return f"Forbidden - {self.reason}" if self.reason else "Forbidden"


def expiry_passed(expires_at: datetime | None, now: datetime) -> bool:
    """Tell whether an expiry lies at or before `now`; None never expires. GitLab: a date means 00:00 UTC of that day."""
    return expires_at is not None and expires_at <= now
