"""A pointer for twistd: `twistd registry`. There must never be an `__init__.py` beside it."""

from twisted.application.service import ServiceMaker

registry = ServiceMaker(
    "Python package registry",
    "registry.tap",
    "A private Python package registry that speaks GitLab's PyPI registry protocol.",
    "registry",
)
