"""What the gate asks, and the rules of single projects that it obeys."""

from collections.abc import Sequence
from typing import Any

from zope.interface import Interface

from registry.domain.access import Group, Identity, Place, Project, Standing
from registry.domain.model import Actor, Memberships, StoredCredential
from registry.domain.protection import ProtectionRule


class IAccess(Interface):
    """What the gate asks: credentials, places, and how a caller stands in them."""

    async def credential(digest: str) -> StoredCredential | None:
        """The credential whose secret has this digest, expired or revoked ones included; None if there is none."""

    async def enter(kind: str, ref: int | str, identity: Identity) -> tuple[Place | None, Standing]:
        """The project or group (`kind`) with this id (int) or full path (any case), None if there is none; the caller's standing."""

    async def memberships(user_id: int) -> Memberships:
        """All direct memberships of a user that have not expired."""

    async def below(group: Group) -> Sequence[Project]:
        """The projects of a group and of all groups below it, by id."""

    async def admitting(source_project_id: int) -> frozenset[int]:
        """The ids of the projects whose job-token allowlist admits jobs of this one; itself among them."""


class IProtection(Interface):
    """Protection rules."""

    async def rules(project_id: int, *, limit: int | None = None, offset: int = 0) -> tuple[list[ProtectionRule], int]:
        """A page of the project's `ProtectionRule`s, oldest first, and how many there are in all."""

    async def create_rule(project_id: int, pattern: str, push: int | None, delete: int | None, actor: Actor) -> ProtectionRule:
        """A new `ProtectionRule`. Raises `Unprocessable`."""

    async def change_rule(project_id: int, rule_id: int, changes: dict[str, Any], actor: Actor) -> ProtectionRule:
        """Change `pattern`, `least_for_push` or `least_for_delete`; the changed rule. Raises `NotFound`, `Unprocessable`."""

    async def delete_rule(project_id: int, rule_id: int, actor: Actor) -> ProtectionRule:
        """Delete; the rule that was. Raises `NotFound`."""
