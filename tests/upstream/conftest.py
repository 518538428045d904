"""What these tests share: authorities, which take a while to make."""

import pytest

from registry.testing.authority import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    """One that signs servers' certificates."""
    return Authority.make()


@pytest.fixture(scope="session")
def other_authority() -> Authority:
    """Another one."""
    return Authority.make("another authority")
