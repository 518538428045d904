"""The one table from what went wrong to what HTTP says about it."""

import json
from http import HTTPStatus

from twisted.web.iweb import IRequest

from registry.domain import errors

# GitLab's envelopes.
_MESSAGE, _GRAPE, _OAUTH, _PLAIN, _LIST = "message", "error", "oauth", "plain", "list"

# status, envelope, and the words between status and message (GitLab writes "400 Bad request - ...").
_TABLE: dict[type[errors.RegistryError], tuple[int, str, str]] = {
    errors.InvalidName: (400, _MESSAGE, "Bad request - Validation failed: "),
    errors.ConfusableName: (400, _MESSAGE, "Bad request - Validation failed: "),
    errors.InvalidVersion: (400, _MESSAGE, "Bad request - Validation failed: "),
    errors.InvalidFileName: (400, _MESSAGE, "Bad request - Validation failed: "),
    errors.MalformedForm: (400, _MESSAGE, "Bad request - "),
    errors.MissingFields: (400, _GRAPE, ""),
    errors.InvalidField: (400, _GRAPE, ""),
    errors.EmptyFile: (400, _MESSAGE, "Bad request - "),
    errors.DigestMismatch: (400, _MESSAGE, "Bad request - "),
    errors.InvalidArchive: (400, _MESSAGE, "Bad request - "),
    errors.NotAccepting: (403, _MESSAGE, "Forbidden - "),
    errors.VersionClosed: (400, _MESSAGE, "Bad request - "),
    errors.Quarantined: (403, _MESSAGE, "Forbidden - "),
    errors.Deleted: (410, _MESSAGE, "Gone - "),
    errors.NotAcceptable: (406, _MESSAGE, "Not Acceptable - "),
    errors.InvalidMoment: (400, _MESSAGE, "Bad request - "),
    errors.InvalidAttestations: (400, _MESSAGE, "Bad request - "),
    errors.FileExists: (400, _MESSAGE, "Bad request - "),
    errors.InvalidSetting: (400, _MESSAGE, "Bad request - "),
    errors.InvalidParameters: (400, _GRAPE, ""),
    errors.AlreadyTaken: (400, _MESSAGE, "Bad request - "),
    errors.BadRequest: (400, _MESSAGE, "Bad request - "),
    errors.Conflict: (409, _PLAIN, ""),
    errors.PreconditionFailed: (412, _MESSAGE, ""),
    errors.Unprocessable: (422, _LIST, ""),
    errors.TooManyFailures: (429, _MESSAGE, "Too Many Requests - "),
    errors.Missing: (404, _MESSAGE, ""),
    errors.UnknownGroup: (404, _MESSAGE, ""),
    errors.UnknownPackage: (404, _PLAIN, ""),
    errors.NotFound: (404, _MESSAGE, ""),
    errors.FileTooLarge: (413, _MESSAGE, "Request Entity Too Large - "),
    errors.BodyTooLarge: (413, _MESSAGE, "Request Entity Too Large - "),
    errors.UnknownProject: (404, _MESSAGE, ""),
    errors.UnknownName: (404, _MESSAGE, ""),
    errors.UnknownFile: (404, _MESSAGE, ""),
    errors.BlobMissing: (404, _MESSAGE, ""),
    errors.Unauthenticated: (401, _MESSAGE, ""),
    errors.TokenExpired: (401, _OAUTH, "invalid_token"),
    errors.TokenRevoked: (401, _OAUTH, "invalid_token"),
    errors.InsufficientScope: (403, _OAUTH, "insufficient_scope"),
    errors.Forbidden: (403, _MESSAGE, ""),
    errors.PolicyRefused: (403, _MESSAGE, "Forbidden - "),
    errors.UpstreamRefused: (502, _MESSAGE, "Bad Gateway - "),
    errors.UpstreamBroken: (502, _MESSAGE, "Bad Gateway - "),
    errors.UpstreamUnavailable: (503, _MESSAGE, "Service Unavailable - "),
    errors.StorageFull: (507, _MESSAGE, "Insufficient Storage - "),
    errors.Broken: (500, _MESSAGE, ""),
    errors.Unavailable: (503, _MESSAGE, "Service Unavailable - "),
}
_REASON_LIMIT = 300


def secure(request: IRequest) -> None:
    """Headers that every answer carries. GitLab: `X-Frame-Options` and `X-Content-Type-Options`."""
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"x-frame-options", b"SAMEORIGIN")


def answer_error(request: IRequest, error: errors.RegistryError) -> bytes:
    """Set status, reason phrase and headers for `error`; the body to send."""
    text = str(error)
    if isinstance(error, errors.Refused):
        return answer(
            request, 400, {"message": {name: list(words) for name, words in error.problems.items()}}, reason=f"Bad request - {text}"
        )
    status, envelope, words = _TABLE[type(error)]
    if status == HTTPStatus.UNAUTHORIZED:
        request.setHeader(b"www-authenticate", b'Basic realm="GitLab Packages Registry"')
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = error.retry_after if isinstance(error, errors.UpstreamUnavailable) else 1
        request.setHeader(b"retry-after", str(wait).encode())
    if envelope == _OAUTH:
        return _oauth(request, status, words, text, error)
    if isinstance(error, errors.TooManyFailures):
        request.setHeader(b"retry-after", str(error.retry_after).encode())
    if envelope == _LIST:
        return answer(request, status, {"message": [text]}, reason=text)
    if envelope == _PLAIN:
        return answer(request, status, {"message": text}, reason=text)
    if envelope == _GRAPE:
        return answer(request, status, {"error": text}, reason=text)
    return answer(request, status, {"message": f"{status} {words}{text}"}, reason=f"{words}{text}")


def answer(request: IRequest, status: int, value: object, *, reason: str = "") -> bytes:
    """Set status and headers for a JSON body nobody may cache; the body to send.

    The reason phrase carries the message too: twine and pip show it, and the body only on request.
    """
    request.setResponseCode(status, _phrase(reason) if reason else None)
    secure(request)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    return json.dumps(value, separators=(",", ":")).encode()


def _oauth(request: IRequest, status: int, code: str, text: str, error: errors.RegistryError) -> bytes:
    body = {"error": code, "error_description": text}
    if isinstance(error, errors.InsufficientScope):
        body["scope"] = " ".join(error.wanted)
    else:
        challenge = f'Bearer realm="Protected by OAuth 2.0", error="{code}", error_description="{text}"'
        request.setHeader(b"www-authenticate", challenge.encode())
    return answer(request, status, body)


def _phrase(text: str) -> bytes:
    # RFC 9112: no line break may get in; what latin-1 cannot say becomes "?".
    line = " ".join(text.split())
    return (line if len(line) <= _REASON_LIMIT else line[: _REASON_LIMIT - 3] + "...").encode("latin-1", "replace")
