"""The OpenAPI document tells the statuses that there are because upstreams are asked: each where it can happen, and only there."""

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import frozen

from registry.config import Curation
from registry.domain.curation.choices import Choices
from registry.testing import FakeUpstream, wheel
from registry.testing.troubles import instead, status
from registry.web.openapi import document
from registry.web.openapi_fields import OPERATIONS
from registry.web.routes import Route
from tests.beyond import Beyond, configured
from tests.conftest import Start

DEMO = wheel("demo")
PAGE = "/simple/demo/"
VALUES: Mapping[str, str] = {
    "name": DEMO.name,
    "version": DEMO.version,
    "sha256": DEMO.sha256,
    "filename": DEMO.filename,
    "at": "2020-01-01",
    "project": "1",
    "group": "team",
}


@frozen
class Case:
    """What makes routes answer with a status: settings of `[upstream]` and `[curation]`, or trouble with the page."""

    code: int
    settings: Mapping[str, Any]
    trouble: Any = None


CASES = {
    "sent there": Case(302, {"mode": "redirect"}),
    "kept back": Case(403, {"curation": Curation(deny=Choices.parse("demo"))}),
    "no use": Case(502, {}, instead(b"%PDF", "application/pdf")),
    "inside": Case(502, {"url": "http://127.0.0.1/simple/"}),
    "down": Case(503, {}, status(500)),
    "busy": Case(503, {}, status(429, retry_after=7)),
}


def package_routes(beyond: Beyond) -> list[Route]:
    """The routes that read packages by name, version or file."""
    return [route for route in beyond.registry.routes.routes if route.method == "GET" and "/packages/pypi/" in route.rule]


def filled(rule: str) -> str:
    """The address of the file DEMO, or of what tells of it, at a route."""
    for name, value in VALUES.items():
        rule = rule.replace(f"<segment:{name}>", value)
    assert "<" not in rule, f"{rule} has a parameter that this test does not know"
    return rule


def responses_of(told: Mapping[str, Any], route: Route) -> Mapping[str, Mapping[str, Any]]:
    """What a document says that a route answers, by status."""
    path = route.rule.replace("<segment:", "{").replace(">", "}")
    responses = told["paths"][path][route.method.lower()]["responses"]
    shared = told["components"]["responses"]
    return {code: shared[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for code, one in responses.items()}


@pytest.mark.parametrize("case", CASES)
def test_statuses_are_told_where_they_happen(start: Start, case: str) -> None:
    """Of all routes about packages those answer with a status of an upstream's doing whose operations say so, and with its headers."""
    what = CASES[case]
    upstream = FakeUpstream()
    upstream.add(DEMO, provenance="http://index.test/provenance")
    beyond = start(upstream, configured(**what.settings))
    beyond.registry.group("team")
    if what.trouble is not None:
        upstream.on(PAGE, what.trouble)
    told = document(beyond.registry.routes.routes)
    answered = set()
    for route in package_routes(beyond):
        answer = beyond.ask(filled(route.rule))
        response = responses_of(told, route).get(str(answer.code))
        assert response is not None, (route.rule, answer)
        if answer.code == what.code:
            answered.add(route.endpoint)
            headers = response.get("headers", {})
            assert {name.lower() for name in headers} == {"location", "retry-after"} & answer.headers.keys()
            assert answer.headers.get("retry-after", "0").isdecimal()
    assert answered == {endpoint for endpoint, operation in OPERATIONS.items() if what.code in operation.beyond}
    assert len(answered) == {302: 8, 403: 4, 502: 14, 503: 14}[what.code]


def test_what_no_upstream_can_cause_is_not_told(start: Start) -> None:
    """No route but those has 302 or 502, and where 403 and 503 can have an upstream's reasons the document says that."""
    beyond = start()
    for route in beyond.registry.routes.routes:
        responses = responses_of(document([route]), route)
        foreign = {code for code in (302, 502) if str(code) in responses}
        foreign |= {
            code for code, word in ((403, "policy"), (503, "upstream")) if word in responses.get(str(code), {}).get("description", "")
        }
        assert foreign == set(OPERATIONS[route.endpoint].beyond), route.endpoint
