"""`docs/openapi.yaml`, made from the routes themselves and from what `openapi_fields` says of their parameters.

`python -m registry.testing.openapi > docs/openapi.yaml` writes it; a test compares the two.
"""

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.domain.access import RULES, Permission
from registry.web.credentials import Door
from registry.web.openapi_fields import FIELDS, OPERATIONS, Operation
from registry.web.routes import Route

_PARAMETER = re.compile(r"<segment:([a-z0-9_]+)>")
# Anybody may meet these at any door: a broken credential, too many of them, a part of us that is not there.
_EVERYWHERE = (401, 403, 429, 503)
_WORDS = {
    200: "As asked.",
    201: "Made.",
    202: "Accepted.",
    204: "Done.",
    206: "A part of the file.",
    304: "The client's copy is current.",
    400: "Something about the request is wrong; the body says what.",
    401: "No credential, or one that means nothing here.",
    403: "The caller is known and may not do this.",
    404: "Nothing of the kind that this caller may see.",
    406: "There is no such representation.",
    409: "It exists already.",
    410: "It was here, and has been deleted.",
    412: "It has changed meanwhile.",
    413: "The body is too large.",
    416: "The file has no such part.",
    422: "Well-formed, and impossible.",
    429: "Too many failed sign-ins.",
    503: "A part of the registry is not available.",
    507: "The disk is full.",
}
# Where an upstream may have to be asked, these mean more.
_BEYOND = {
    302: "The upstream has it, and clients are sent there (`mode = redirect`).",
    403: f"{_WORDS[403]} Or the policy keeps the file back; reason phrase and body name the rule.",
    502: "The upstream's answer cannot be used.",
    503: f"{_WORDS[503]} Or the upstream cannot be asked, and nothing that it said before will do.",
}
_LOCATION = {"required": True, "schema": {"type": "string", "format": "uri"}}
_RETRY_AFTER = {"required": True, "schema": {"type": "integer", "minimum": 0}, "description": "In so many seconds."}
_HEADERS = {302: {"Location": _LOCATION}, 429: {"Retry-After": _RETRY_AFTER}, 503: {"Retry-After": _RETRY_AFTER}}
# What nearly every operation has is written once.
_SHARED = {429: "too_many", 503: "unavailable"}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `routes`. Raises KeyError for a route that `OPERATIONS` does not know."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.rule)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, OPERATIONS[route.endpoint])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Private Python package registry",
            "version": "v4",
            "description": "GitLab's PyPI registry protocol and REST API, as far as a package registry needs it.",
        },
        "security": [{"private_token": []}, {"bearer": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "responses": {name: {"description": _WORDS[code], "headers": _HEADERS[code]} for code, name in _SHARED.items()},
            "securitySchemes": {
                "private_token": {"type": "apiKey", "in": "header", "name": "PRIVATE-TOKEN"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "job_token": {"type": "apiKey", "in": "header", "name": "JOB-TOKEN"},
                "deploy_token": {"type": "apiKey", "in": "header", "name": "Deploy-Token"},
            },
        },
    }


def _operation(route: Route, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{route.method} {route.rule}".lower()).strip("_"),
        "summary": (inspect.getdoc(route.handler) or "").split("\n", 1)[0],
        "description": _permission(route.permission),
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _schema(name)} for name in _PARAMETER.findall(route.rule)),
            *({"name": _query_name(name), "in": "query", "required": False, "schema": _schema(name)} for name in operation.query),
        ],
        "responses": _responses(route, operation),
    }
    if route.permission is Permission.OPEN:
        described["security"] = [{}]
    elif route.door is Door.PYPI:
        described["security"] = [{"basic": []}, {"private_token": []}, {"bearer": []}, {"deploy_token": []}, {}]
    if operation.body or operation.required:
        described["requestBody"] = _body(route, operation)
    return described


def _body(route: Route, operation: Operation) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: operation.own.get(name, _schema(name)) for name in (*operation.required, *operation.body)},
    }
    if operation.required:
        schema["required"] = list(operation.required)
    kinds = ("multipart/form-data",) if route.takes_upload else ("application/json",)
    return {"required": bool(operation.required), "content": {kind: {"schema": schema} for kind in kinds}}


def _responses(route: Route, operation: Operation) -> dict[str, Any]:
    codes = {*operation.answers, *operation.beyond}
    if route.permission is not Permission.OPEN:
        codes |= set(_EVERYWHERE)
    if "{" in _PARAMETER.sub("{}", route.rule):
        codes |= {404}
    # A path may hold bytes that are no text, a query or a body parameters that are none.
    codes |= {400, 413}
    return {str(code): _response(route, operation, code) for code in sorted(codes)}


def _response(route: Route, operation: Operation, code: int) -> dict[str, Any]:
    if code in operation.beyond:
        return {"description": _BEYOND[code], **({"headers": _HEADERS[code]} if code in _HEADERS else {})}
    if code in _SHARED and route.permission is not Permission.OPEN:
        return {"$ref": f"#/components/responses/{_SHARED[code]}"}
    return {"description": _WORDS[code]}


def _permission(permission: Permission) -> str:
    if permission is Permission.OPEN:
        return "Open to everybody."
    if permission is Permission.READ_JOB:
        return "CI job tokens only."
    scopes = RULES[permission].scopes
    if scopes is None:
        return "Any valid token."
    return f"Permission {permission.value}; scopes {', '.join(scope.value for scope in scopes)}."


def _query_name(name: str) -> str:
    return f"{name}[]" if _schema(name).get("type") == "array" else name


def _schema(name: str) -> Mapping[str, Any]:
    return FIELDS[name]


def as_yaml(value: Mapping[str, Any]) -> str:
    """`value` as YAML: block style for structure, JSON for what is short."""
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: Mapping[str, Any], depth: int) -> Iterable[str]:
    indent = "  " * depth
    for key, item in value.items():
        name = key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", key) else json.dumps(key)
        if isinstance(item, Mapping) and item and not _short(item):
            yield f"{indent}{name}:"
            yield from _lines(item, depth + 1)
        elif isinstance(item, Sequence) and not isinstance(item, str) and item and not _short(item):
            yield f"{indent}{name}:"
            yield from (f"{indent}- {json.dumps(one)}" for one in item)
        else:
            yield f"{indent}{name}: {json.dumps(item)}"


def _short(value: object) -> bool:
    return len(json.dumps(value)) <= 60  # noqa: PLR2004 - a matter of looks
