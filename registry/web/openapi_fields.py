"""What `openapi` cannot read from the routes: the parameters each takes, and the statuses it answers with beside those all do."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen


@frozen
class Operation:
    """One route's parameters, by their names in `FIELDS`: in the query, in the body, those of the body that must be there; its statuses."""

    answers: tuple[int, ...] = (200,)
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


_TEXT = {"type": "string", "maxLength": 255}
_ID = {"type": "integer", "minimum": 1, "maximum": 2**31}
_REF = {"type": "string", "minLength": 1, "maxLength": 255, "description": "A number, or a full path with every / written %2F."}
_FLAG = {"type": "boolean"}
_DATE = {"type": "string", "format": "date"}
_MOMENT = {"type": "string", "format": "date-time"}


def _choice(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


# One name, one meaning, wherever it is a parameter.
FIELDS: Mapping[str, Mapping[str, Any]] = {
    "project": _REF,
    "group": _REF,
    "name": _TEXT,
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "filename": _TEXT,
    "format": _choice("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html", "text/html"),
    "version": _TEXT,
    "content": {"type": "string", "format": "binary"},
    "requires_python": _TEXT,
    "sha256_digest": {"type": "string"},
    "md5_digest": {"type": "string"},
    "blake2_256_digest": {"type": "string"},
    "metadata_version": _TEXT,
    "summary": _TEXT,
    "description": {"type": "string"},
    "description_content_type": _TEXT,
    "keywords": _TEXT,
    "author_email": _TEXT,
    "page": _ID,
    "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
}

_PAGE = (200, 304)
_FILE = (200, 206, 304, 416)

OPERATIONS: Mapping[str, Operation] = {
    "GET /": Operation(),
    "GET /-/health": Operation(),
    "GET /-/liveness": Operation(),
    "GET /-/readiness": Operation(answers=(200, 503)),
    **{
        f"GET /api/v4/{top}/packages/pypi/{rest}": Operation(answers=answers, query=query)
        for top in ("projects/<segment:project>", "groups/<segment:group>/-")
        for rest, answers, query in (
            ("simple", _PAGE, ("format",)),
            ("simple/<segment:name>", _PAGE, ("format",)),
            ("files/<segment:sha256>/<segment:filename>", _FILE, ()),
        )
    },
    "POST /api/v4/projects/<segment:project>/packages/pypi": Operation(
        answers=(201, 507),
        required=("content", "name", "version"),
        body=(
            "requires_python",
            "sha256_digest",
            "md5_digest",
            "blake2_256_digest",
            "metadata_version",
            "summary",
            "description",
            "description_content_type",
            "keywords",
            "author_email",
        ),
    ),
}
