"""What tests of the REST API share."""

import pytest

from registry.testing import MemoryRegistry
from tests.rest.scene import Scene


@pytest.fixture
def scene(registry: MemoryRegistry) -> Scene:
    """Makes places and people in `registry`."""
    return Scene(registry)
