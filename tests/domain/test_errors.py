"""Errors: one place to import them from, whatever they are about."""

import pkgutil
from importlib import import_module
from types import ModuleType

import pytest

from registry.domain import errors
from registry.domain.errors import RegistryError

GROUPS = [import_module(f"{errors.__name__}.{found.name}") for found in pkgutil.iter_modules(errors.__path__)]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__.rpartition(".")[2])
def test_every_error_is_given_by_the_package(group: ModuleType) -> None:
    """What a module about some errors defines, the package gives: the table of answers is held to what the package gives."""
    own = {name: found for name, found in vars(group).items() if getattr(found, "__module__", None) == group.__name__}
    errors_of_it = {name: found for name, found in own.items() if isinstance(found, type) and issubclass(found, RegistryError)}
    assert errors_of_it
    assert {name: getattr(errors, name, None) for name in errors_of_it} == errors_of_it
    assert set(errors_of_it) <= set(errors.__all__)
