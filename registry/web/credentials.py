"""Credentials as HTTP carries them."""

import base64
import binascii
import hashlib
from enum import Enum
from typing import Any

from twisted.web.http_headers import Headers

from registry.domain.errors import Unauthenticated
from registry.domain.tokens import Carrier, Credential, Secret


class Door(Enum):
    """Through which kind of route a request comes: each reads the carriers that GitLab's does, and no other."""

    PYPI = (b"private-token", b"deploy-token", b"authorization")
    REST = (b"private-token", b"job-token", b"authorization")


_JOB_TOKEN, _PRIVATE_TOKEN = b"job_token", b"private_token"


def fingerprint(request: Any, door: Door) -> bytes:
    """What stands for the credential of `request`, without being it; empty when there is none.

    Raises `Unauthenticated` when one header is there several times: which one a proxy in front meant cannot be known (hardening row 6).
    """
    headers: Headers = request.requestHeaders
    found = b""
    for name in door.value:
        values = headers.getRawHeaders(name)
        if values is not None:
            if len(values) > 1:
                raise Unauthenticated
            found += name + b"\0" + values[0] + b"\0"
    if door is Door.REST and getattr(request, "args", None):
        for name in (_JOB_TOKEN, _PRIVATE_TOKEN):
            for value in request.args.get(name, ()):
                found += name + b"\0" + value + b"\0"
    # The door counts: the same header may say more at one than at another.
    return hashlib.sha256(door.name.encode() + b"\0" + found).digest() if found else b""


def credential(request: Any, door: Door) -> Credential | None:
    """The credential of `request`: token headers before `Authorization: Bearer` before Basic (GitLab). None if there is none.

    A Basic header that cannot be decoded, an empty password, or a scheme we do not speak count as none.
    """
    headers: Headers = request.requestHeaders
    for name, carrier in _TOKEN_HEADERS.items():
        values = headers.getRawHeaders(name)
        if name in door.value and values is not None:
            return Credential(carrier=carrier, secret=_secret(values[0].strip()))
    if door is Door.REST and getattr(request, "args", None):
        for name, carrier in ((_PRIVATE_TOKEN, Carrier.HEADER), (_JOB_TOKEN, Carrier.JOB_HEADER)):
            if request.args.get(name):
                return Credential(carrier=carrier, secret=_secret(request.args[name][0]))
    scheme, _, value = (headers.getRawHeaders(b"authorization") or [b""])[0].strip().partition(b" ")
    if scheme.lower() == b"bearer" and value.strip():
        return Credential(carrier=Carrier.BEARER, secret=_secret(value.strip()))
    if scheme.lower() == b"basic" and door is Door.PYPI:
        return _basic(value.strip())
    return None


_TOKEN_HEADERS = {b"private-token": Carrier.HEADER, b"deploy-token": Carrier.DEPLOY_HEADER, b"job-token": Carrier.JOB_HEADER}


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
