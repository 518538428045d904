"""The OpenAPI document says what the routes are, and nothing else."""

from pathlib import Path

import pytest
import yaml

from registry.domain.access import Permission
from registry.testing import MemoryRegistry
from registry.web.openapi import as_yaml, document
from registry.web.openapi_fields import FIELDS, OPERATIONS

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "openapi.yaml"


def test_the_document_is_that_of_the_routes(registry: MemoryRegistry) -> None:
    """docs/openapi.yaml is what the routes of an assembled registry come to, operation by operation, in both directions."""
    assert yaml.safe_load(DOCUMENT.read_text("utf-8")) == document(registry.routes.routes)


def test_yaml_says_what_was_meant(registry: MemoryRegistry) -> None:
    """Writing the document and reading it back changes nothing."""
    made = document(registry.routes.routes)
    assert yaml.safe_load(as_yaml(made)) == made


def test_no_operation_is_described_that_is_not_there(registry: MemoryRegistry) -> None:
    """What is known of parameters belongs to routes that exist, and every field is one that some route takes."""
    endpoints = {route.endpoint for route in registry.routes.routes}
    assert set(OPERATIONS) == endpoints
    used = {name for operation in OPERATIONS.values() for name in (*operation.query, *operation.body, *operation.required)}
    used |= {
        part.removesuffix(">")
        for endpoint in endpoints
        for part in endpoint.replace("/", " ").replace(":", " ").split()
        if part.endswith(">")
    }
    assert set(FIELDS) == used


def test_every_route_states_a_permission(registry: MemoryRegistry) -> None:
    """Only the front page and the health routes are open to everybody."""
    opened = {route.endpoint for route in registry.routes.routes if route.permission is Permission.OPEN}
    assert opened == {"GET /", "GET /-/health", "GET /-/liveness", "GET /-/readiness"}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_type(name: str) -> None:
    """A parameter's schema says at least what kind of value it is."""
    assert "type" in FIELDS[name]
