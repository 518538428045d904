"""What `openapi` cannot read from the routes: the parameters each takes, and the statuses it answers with beside those all do."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen
class Operation:
    """One route's parameters, by their names in `FIELDS`: in the query, in the body, those of the body that must be there; its statuses.

    `own`: schemas that stand here in place of those in `FIELDS`. `beyond`: the statuses it has because it may have to ask an upstream.
    """

    answers: tuple[int, ...] = (200,)
    beyond: tuple[int, ...] = ()
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    own: Mapping[str, Mapping[str, Any]] = field(factory=dict)


_TEXT = {"type": "string", "maxLength": 255}
_ID = {"type": "integer", "minimum": 1, "maximum": 2**31}
_REF = {"type": "string", "minLength": 1, "maxLength": 255, "description": "A number, or a full path with every / written %2F."}
_FLAG = {"type": "boolean"}
_DATE = {"type": "string", "format": "date"}
_MOMENT = {"type": "string", "format": "date-time"}


def _choice(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


_LEVELS = {"type": "integer", "enum": [10, 15, 20, 30, 40, 50]}
_WORDS = {"type": "array", "items": _TEXT, "maxItems": 20}

# One name, one meaning, wherever it is a parameter.
FIELDS: Mapping[str, Mapping[str, Any]] = {
    # in paths
    "project": _REF,
    "group": _REF,
    "package_id": _ID,
    "package_file_id": _ID,
    "package_protection_rule_id": _ID,
    "user_id": _ID,
    "token_id": _ID,
    "target": _ID,
    "namespace_id": {**_REF, "description": "A number; in paths a full path with every / written %2F, too."},
    "sha256": {
        "type": "string",
        "pattern": "^([0-9a-f]{64}|by-name)$",
        "description": "Of the file; by-name where its index tells no sha256.",
    },
    "filename": _TEXT,
    "at": {"type": "string", "description": "A date (the end of that day, UTC) or an instant (RFC 3339)."},
    # of lists
    "page": {"type": "integer", "minimum": 1},
    "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
    "cursor": _ID,
    "order_by": {"type": "string", "description": "One of the keys shown, id among them."},
    "sort": {"type": "string", "description": "asc or desc; for tokens created_asc, name_desc and the like."},
    "search": _TEXT,
    "query": _TEXT,
    "owned": _FLAG,
    "owned_only": _FLAG,
    "membership": _FLAG,
    "simple": _FLAG,
    "all_available": _FLAG,
    "top_level_only": _FLAG,
    "include_subgroups": _FLAG,
    "exclude_subgroups": _FLAG,
    "include_versionless": _FLAG,
    "min_access_level": _LEVELS,
    "user_ids": {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{1,9}$"}, "maxItems": 20},
    "active": _FLAG,
    "blocked": _FLAG,
    "humans": _FLAG,
    "without_project_bots": _FLAG,
    "revoked": _FLAG,
    "state": _choice("active", "inactive"),
    "created_after": _MOMENT,
    "created_before": _MOMENT,
    "expires_after": _DATE,
    "expires_before": _DATE,
    "last_used_after": _MOMENT,
    "last_used_before": _MOMENT,
    "package_type": _choice("pypi"),
    "package_name": _TEXT,
    "package_version": _TEXT,
    "status": _choice("default", "hidden", "processing", "error", "pending_destruction", "deprecated"),
    "format": _choice("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html", "text/html"),
    # of places and people
    "name": _TEXT,
    "path": _TEXT,
    "description": {"type": "string"},
    "visibility": _choice("private", "internal", "public"),
    "parent_id": _ID,
    "namespace": _REF,
    "packages_enabled": _FLAG,
    "package_registry_access_level": _choice("disabled", "private", "enabled", "public"),
    "username": _TEXT,
    "email": _TEXT,
    "admin": _FLAG,
    "access_level": _LEVELS,
    # of tokens and jobs
    "scopes": _WORDS,
    "expires_at": {"type": "string", "description": "A date (expired from 00:00 UTC of that day) or an ISO 8601 time with its zone."},
    "ref": _TEXT,
    "sha": {"type": "string", "maxLength": 64},
    "pipeline_id": _ID,
    "job_id": _ID,
    "enabled": _FLAG,
    "target_project_id": _ID,
    # of packages and the instance
    "package_name_pattern": _TEXT,
    "minimum_access_level_for_push": _choice("maintainer", "owner", "admin"),
    "minimum_access_level_for_delete": _choice("owner", "admin"),
    "pypi_package_requests_forwarding": {"type": ["boolean", "null"], "description": "null: as above."},
    "lock_pypi_package_requests_forwarding": _FLAG,
    "package_registry_allow_anyone_to_pull_option": _FLAG,
    "plan_name": _choice("default"),
    "pypi_max_file_size": {"type": "integer", "minimum": 0},
    "reason": {"type": "string", "maxLength": 512, "description": "One line; empty or left out for none."},
    # of the upload form
    "version": _TEXT,
    "content": {"type": "string", "format": "binary"},
    "requires_python": _TEXT,
    "sha256_digest": {"type": "string"},
    "md5_digest": {"type": "string"},
    "blake2_256_digest": {"type": "string"},
    "attestations": {"type": "string", "maxLength": 1 << 20, "description": "A JSON array of attestation objects (PEP 740)."},
    "metadata_version": _TEXT,
    "summary": _TEXT,
    "description_content_type": _TEXT,
    "keywords": _TEXT,
    "author_email": _TEXT,
}

_PAGE = (200, 304)
_FILE = (200, 206, 304, 410, 416)
_UPSTREAM_PAGE, _UPSTREAM_FILE = (302, 502, 503), (302, 403, 502, 503)
_MADE, _GONE, _ACCEPTED = (201,), (204,), (202,)
_PAGING = ("page", "per_page")
_LISTED = ("search", "owned", "min_access_level", "visibility", "order_by", "sort", *_PAGING)
_TOKENS = (
    "state",
    "revoked",
    "search",
    "created_after",
    "created_before",
    "expires_after",
    "expires_before",
    "last_used_after",
    "last_used_before",
    "sort",
    *_PAGING,
)
_PROJECT, _GROUP = "/api/v4/projects/<segment:project>", "/api/v4/groups/<segment:group>"
_FORWARDING = ("pypi_package_requests_forwarding", "lock_pypi_package_requests_forwarding")
_SETTINGS = ("description", "visibility", "packages_enabled", "package_registry_access_level")

OPERATIONS: Mapping[str, Operation] = {
    "GET /": Operation(),
    "GET /-/health": Operation(),
    "GET /-/liveness": Operation(),
    "GET /-/readiness": Operation(answers=(200, 503)),
    # --- PyPI
    **{
        f"GET {top}/packages/pypi/{rest}": Operation(answers=answers, query=query, beyond=beyond)
        for top in (_PROJECT, f"{_GROUP}/-")
        for rest, answers, query, beyond in (
            ("simple", _PAGE, ("format",), ()),
            ("simple/<segment:name>", _PAGE, ("format",), _UPSTREAM_PAGE),
            ("at/<segment:at>/simple", _PAGE, ("format",), ()),
            ("at/<segment:at>/simple/<segment:name>", _PAGE, ("format",), ()),
            ("+simple/<segment:name>", _PAGE, ("format",), _UPSTREAM_PAGE),
            ("pypi/<segment:name>/json", _PAGE, (), (502, 503)),
            ("pypi/<segment:name>/<segment:version>/json", _PAGE, (), (502, 503)),
            ("<segment:name>/json", _PAGE, (), (502, 503)),
            ("explain/<segment:name>", (200,), (), ()),
            ("files/<segment:sha256>/<segment:filename>", _FILE, (), _UPSTREAM_FILE),
            ("integrity/<segment:name>/<segment:version>/<segment:filename>/provenance", (200, 304, 406), (), _UPSTREAM_FILE),
        )
    },
    f"POST {_PROJECT}/packages/pypi": Operation(
        answers=(201, 507),
        required=("content", "name", "version"),
        body=(
            "requires_python",
            "sha256_digest",
            "md5_digest",
            "blake2_256_digest",
            "attestations",
            "metadata_version",
            "summary",
            "description",
            "description_content_type",
            "keywords",
            "author_email",
        ),
    ),
    # --- packages
    f"GET {_PROJECT}/packages": Operation(
        query=("package_name", "package_version", "package_type", "status", "include_versionless", "order_by", "sort", *_PAGING)
    ),
    f"GET {_GROUP}/packages": Operation(
        query=("package_name", "package_version", "package_type", "status", "exclude_subgroups", "order_by", "sort", *_PAGING)
    ),
    f"GET {_PROJECT}/packages/<segment:package_id>": Operation(),
    f"GET {_PROJECT}/packages/<segment:package_id>/package_files": Operation(query=("order_by", "sort", *_PAGING)),
    f"GET {_PROJECT}/packages/<segment:package_id>/pipelines": Operation(query=("cursor", "per_page")),
    f"DELETE {_PROJECT}/packages/<segment:package_id>": Operation(answers=(204, 412)),
    f"DELETE {_PROJECT}/packages/<segment:package_id>/package_files/<segment:package_file_id>": Operation(answers=(204, 412)),
    **{
        f"{method} {_PROJECT}/packages/<segment:package_id>/{rest}": operation
        for rest, put in (
            ("yank", Operation(body=("reason",))),
            ("package_files/<segment:package_file_id>/yank", Operation(body=("reason",))),
            ("close", Operation()),
        )
        for method, operation in (("PUT", put), ("DELETE", Operation(answers=_GONE)))
    },
    f"GET {_PROJECT}/packages/pypi/status/<segment:name>": Operation(),
    f"PUT {_PROJECT}/packages/pypi/status/<segment:name>": Operation(
        required=("status",), body=("reason",), own={"status": _choice("active", "archived", "deprecated", "quarantined")}
    ),
    f"GET {_PROJECT}/packages/protection/rules": Operation(query=_PAGING),
    f"POST {_PROJECT}/packages/protection/rules": Operation(
        answers=(201, 422),
        required=("package_name_pattern", "package_type"),
        body=("minimum_access_level_for_push", "minimum_access_level_for_delete"),
    ),
    f"PATCH {_PROJECT}/packages/protection/rules/<segment:package_protection_rule_id>": Operation(
        answers=(200, 422),
        body=("package_name_pattern", "package_type", "minimum_access_level_for_push", "minimum_access_level_for_delete"),
    ),
    f"DELETE {_PROJECT}/packages/protection/rules/<segment:package_protection_rule_id>": Operation(answers=_GONE),
    # --- what may be asked of upstreams
    f"GET {_PROJECT}/packages/pypi/upstream": Operation(query=_PAGING),
    f"PUT {_PROJECT}/packages/pypi/upstream/<segment:name>": Operation(answers=_GONE),
    f"DELETE {_PROJECT}/packages/pypi/upstream/<segment:name>": Operation(answers=_GONE),
    # --- the instance
    "GET /api/v4/version": Operation(),
    "GET /api/v4/metadata": Operation(),
    "GET /api/v4/application/settings": Operation(),
    "PUT /api/v4/application/settings": Operation(
        body=(*_FORWARDING, "package_registry_allow_anyone_to_pull_option"), own={_FORWARDING[0]: _FLAG}
    ),
    "GET /api/v4/application/plan_limits": Operation(query=("plan_name",)),
    "PUT /api/v4/application/plan_limits": Operation(required=("plan_name",), body=("pypi_max_file_size",)),
    # --- people
    "GET /api/v4/user": Operation(),
    "GET /api/v4/users": Operation(
        query=("username", "search", "active", "blocked", "humans", "without_project_bots", "order_by", "sort", *_PAGING)
    ),
    "POST /api/v4/users": Operation(answers=(201, 409), required=("username", "email", "name"), body=("admin",)),
    "GET /api/v4/users/<segment:user_id>": Operation(),
    "PUT /api/v4/users/<segment:user_id>": Operation(answers=(200, 409), body=("name", "email", "admin")),
    "DELETE /api/v4/users/<segment:user_id>": Operation(answers=_GONE),
    "POST /api/v4/users/<segment:user_id>/block": Operation(answers=_MADE),
    "POST /api/v4/users/<segment:user_id>/unblock": Operation(answers=_MADE),
    # --- places
    "GET /api/v4/groups": Operation(query=("all_available", "top_level_only", *_LISTED)),
    "POST /api/v4/groups": Operation(answers=_MADE, required=("name", "path"), body=("parent_id", "visibility", "description")),
    f"GET {_GROUP}": Operation(),
    f"PUT {_GROUP}": Operation(body=("name", "path", "description", "visibility", *_FORWARDING)),
    f"DELETE {_GROUP}": Operation(answers=_ACCEPTED),
    f"GET {_GROUP}/projects": Operation(query=("include_subgroups", "simple", *_LISTED)),
    f"GET {_GROUP}/subgroups": Operation(query=("all_available", *_LISTED)),
    f"GET {_GROUP}/descendant_groups": Operation(query=("all_available", *_LISTED)),
    "GET /api/v4/projects": Operation(query=("membership", "simple", *_LISTED)),
    "POST /api/v4/projects": Operation(answers=_MADE, body=("name", "path", "namespace_id", *_SETTINGS)),
    "POST /api/v4/projects/user/<segment:user_id>": Operation(answers=_MADE, body=("name", "path", *_SETTINGS)),
    f"GET {_PROJECT}": Operation(),
    f"PUT {_PROJECT}": Operation(body=("name", "path", *_SETTINGS, _FORWARDING[0])),
    f"DELETE {_PROJECT}": Operation(answers=_ACCEPTED),
    f"PUT {_PROJECT}/transfer": Operation(required=("namespace",)),
    "GET /api/v4/namespaces": Operation(query=("search", "owned_only", "top_level_only", *_PAGING)),
    "GET /api/v4/namespaces/<segment:namespace_id>": Operation(),
    # --- members, access tokens and deploy tokens, of projects and of groups
    **{
        f"{method} {top}/{rest}": operation
        for top in (_PROJECT, _GROUP)
        for method, rest, operation in (
            ("GET", "members", Operation(query=("query", "user_ids", *_PAGING))),
            ("GET", "members/all", Operation(query=("query", "user_ids", *_PAGING))),
            ("GET", "members/all/<segment:user_id>", Operation()),
            ("GET", "members/<segment:user_id>", Operation()),
            ("POST", "members", Operation(answers=(201, 409), required=("access_level",), body=("user_id", "username", "expires_at"))),
            ("PUT", "members/<segment:user_id>", Operation(required=("access_level",), body=("expires_at",))),
            ("DELETE", "members/<segment:user_id>", Operation(answers=_GONE)),
            ("GET", "access_tokens", Operation(query=_TOKENS)),
            (
                "POST",
                "access_tokens",
                Operation(answers=_MADE, required=("name", "scopes"), body=("expires_at", "access_level", "description")),
            ),
            ("GET", "access_tokens/<segment:token_id>", Operation()),
            ("DELETE", "access_tokens/<segment:token_id>", Operation(answers=_GONE)),
            ("POST", "access_tokens/<segment:token_id>/rotate", Operation(body=("expires_at",))),
            ("POST", "access_tokens/self/rotate", Operation(body=("expires_at",))),
            ("GET", "deploy_tokens", Operation(query=("active", *_PAGING))),
            ("POST", "deploy_tokens", Operation(answers=_MADE, required=("name", "scopes"), body=("expires_at", "username"))),
            ("GET", "deploy_tokens/<segment:token_id>", Operation()),
            ("DELETE", "deploy_tokens/<segment:token_id>", Operation(answers=_GONE)),
        )
    },
    "GET /api/v4/deploy_tokens": Operation(query=("active", *_PAGING)),
    # --- tokens of people
    "GET /api/v4/personal_access_tokens": Operation(query=("user_id", *_TOKENS)),
    "GET /api/v4/personal_access_tokens/self": Operation(),
    "DELETE /api/v4/personal_access_tokens/self": Operation(answers=_GONE),
    "POST /api/v4/personal_access_tokens/self/rotate": Operation(body=("expires_at",)),
    "GET /api/v4/personal_access_tokens/<segment:token_id>": Operation(),
    "DELETE /api/v4/personal_access_tokens/<segment:token_id>": Operation(answers=_GONE),
    "POST /api/v4/personal_access_tokens/<segment:token_id>/rotate": Operation(body=("expires_at",)),
    "POST /api/v4/users/<segment:user_id>/personal_access_tokens": Operation(
        answers=_MADE, required=("name", "scopes"), body=("expires_at", "description")
    ),
    "POST /api/v4/user/personal_access_tokens": Operation(answers=_MADE, required=("name", "scopes"), body=("expires_at", "description")),
    # --- jobs
    "GET /api/v4/job": Operation(),
    f"POST {_PROJECT}/job_tokens": Operation(answers=_MADE, body=("user_id", "ref", "sha", "pipeline_id", "job_id", "expires_at")),
    f"DELETE {_PROJECT}/job_tokens/<segment:token_id>": Operation(answers=_GONE),
    f"GET {_PROJECT}/job_token_scope": Operation(),
    f"PATCH {_PROJECT}/job_token_scope": Operation(answers=_GONE, required=("enabled",)),
    f"GET {_PROJECT}/job_token_scope/allowlist": Operation(query=_PAGING),
    f"POST {_PROJECT}/job_token_scope/allowlist": Operation(answers=(201, 409), required=("target_project_id",)),
    f"DELETE {_PROJECT}/job_token_scope/allowlist/<segment:target>": Operation(answers=_GONE),
}
