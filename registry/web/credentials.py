"""Credentials as HTTP carries them."""

import base64
import binascii
import hashlib

from twisted.web.http_headers import Headers

from registry.domain.errors import Unauthenticated
from registry.domain.tokens import Carrier, Credential, Secret


def fingerprint(headers: Headers) -> bytes:
    """What stands for the credential in `headers`, without being it; empty when there is none.

    Raises `Unauthenticated` when there are several: which one a proxy in front meant cannot be known (hardening row 6).
    """
    token = headers.getRawHeaders(b"private-token")
    authorization = headers.getRawHeaders(b"authorization")
    if token is None and authorization is None:
        return b""
    if len(token or ()) > 1 or len(authorization or ()) > 1:
        raise Unauthenticated
    return hashlib.sha256(b"\0".join((*(token or (b"",)), *(authorization or (b"",))))).digest()


def credential(headers: Headers) -> Credential | None:
    """The credential in `headers`: `PRIVATE-TOKEN` before `Authorization: Bearer` before Basic (GitLab). None if there is none.

    A Basic header that cannot be decoded, an empty password, or a scheme we do not speak count as none.
    """
    token = headers.getRawHeaders(b"private-token")
    if token is not None:
        return Credential(carrier=Carrier.HEADER, secret=_secret(token[0]))
    scheme, _, value = (headers.getRawHeaders(b"authorization") or [b""])[0].strip().partition(b" ")
    if scheme.lower() == b"bearer" and value.strip():
        return Credential(carrier=Carrier.BEARER, secret=_secret(value.strip()))
    if scheme.lower() == b"basic":
        return _basic(value.strip())
    return None


def _basic(value: bytes) -> Credential | None:
    try:
        username, colon, password = base64.b64decode(value, validate=True).partition(b":")
    except binascii.Error:
        return None
    if not colon or not password:
        return None
    return Credential(carrier=Carrier.BASIC, secret=_secret(password), username=username.decode("utf-8", "replace"))


def _secret(raw: bytes) -> Secret:
    return Secret(raw.decode("utf-8", "surrogateescape"))
