"""Protection rules: whose packages take more than the usual role to publish or to delete."""

import re
from collections.abc import Iterable
from functools import lru_cache

from attrs import frozen

from registry.domain.access import Identity, Place, Standing, role_in
from registry.domain.errors import Forbidden, Unprocessable
from registry.domain.names import Name
from registry.domain.wildcards import fits

# An administrator's level, above every role.
ADMIN = 60
# GitLab's words for the levels a rule may ask for.
PUSH_LEVELS = {"maintainer": 40, "owner": 50, "admin": ADMIN}
DELETE_LEVELS = {"owner": 50, "admin": ADMIN}
_LONGEST = 255
_ALLOWED = re.compile(r"[A-Za-z0-9._*-]+")
_SEPARATORS = re.compile(r"[-_.]+")
_STARS = re.compile(r"\*+")


@frozen(kw_only=True)
class ProtectionRule:
    """Packages whose name matches `pattern` ask for these levels; None asks for nothing special."""

    id: int
    project_id: int
    pattern: str
    least_for_push: int | None
    least_for_delete: int | None


def check_pattern(text: str) -> str:
    """`text`, if it can be a rule's pattern. Raises `Unprocessable` in GitLab's words."""
    if not text.strip():
        raise Unprocessable(text="Package name pattern can't be blank")
    if len(text) > _LONGEST:
        raise Unprocessable(text=f"Package name pattern is too long (maximum is {_LONGEST} characters)")
    if not _ALLOWED.fullmatch(text):
        raise Unprocessable(text="Package name pattern should be a valid PyPI package name with optional wildcard characters.")
    return text


def check_levels(push: int | None, delete: int | None) -> None:
    """Raises `Unprocessable` for a rule that protects from nothing."""
    if push is None and delete is None:
        raise Unprocessable(text="A rule must have at least a minimum access role for push or delete.")


@lru_cache(maxsize=4096)
def normalize_pattern(text: str) -> str:
    """The one spelling of a pattern, made as names are (PEP 503), so that `My_*` is `my-*`; `*` stays."""
    return _STARS.sub("*", _SEPARATORS.sub("-", text).lower())


def matches(pattern: str, name: str) -> bool:
    """Whether the normalised `name` is one of those that `pattern`, in any spelling, means; `*` stands for any text, empty too."""
    return fits(normalize_pattern(pattern), name)


def level_of(identity: Identity, place: Place, standing: Standing) -> int:
    """How high the caller stands for rules: his role, `ADMIN` for an administrator, nothing for a deploy token (it acts for nobody)."""
    role = int(role_in(identity, place, standing))
    return ADMIN if role and identity.user is not None and identity.user.admin else role


def demand_push(rules: Iterable[ProtectionRule], name: Name, level: int) -> None:
    """Let pass who may publish `name` under all of `rules`. Raises `Forbidden`."""
    if any(rule.least_for_push is not None and level < rule.least_for_push and matches(rule.pattern, name.normalized) for rule in rules):
        raise Forbidden(reason="Package protected.")


def demand_delete(rules: Iterable[ProtectionRule], name: str, level: int) -> None:
    """Let pass who may delete packages of the normalised `name` under all of `rules`. Raises `Forbidden`."""
    if any(rule.least_for_delete is not None and level < rule.least_for_delete and matches(rule.pattern, name) for rule in rules):
        raise Forbidden(reason="Package is deletion protected.")
