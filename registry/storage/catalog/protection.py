"""IProtection over the database."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, delete, func, select, update
from zope.interface import implementer

from registry.domain.errors import NotFound, Unprocessable
from registry.domain.model import Actor
from registry.domain.protection import ProtectionRule, check_levels, check_pattern, normalize_pattern
from registry.interfaces import IProtection
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import protection_rules


@implementer(IProtection)
@frozen
class SqlProtection:
    """Protection rules of projects."""

    _database: Database

    async def rules(self, project_id: int, *, limit: int | None = None, offset: int = 0) -> tuple[list[ProtectionRule], int]:
        """IProtection."""

        def work(connection: Connection) -> tuple[list[ProtectionRule], int]:
            mine = protection_rules.c.project_id == project_id
            total = connection.execute(select(func.count()).select_from(protection_rules).where(mine)).scalar_one()
            return rules_of(connection, project_id, limit=limit, offset=offset), total

        return await self._database.read(work)

    async def create_rule(self, project_id: int, pattern: str, push: int | None, delete: int | None, actor: Actor) -> ProtectionRule:
        """IProtection."""

        def work(writing: Writing) -> ProtectionRule:
            check_pattern(pattern)
            check_levels(push, delete)
            _demand_free(writing.connection, project_id, pattern)
            values = {
                "project_id": project_id,
                "pattern": pattern,
                "least_for_push": push,
                "least_for_delete": delete,
                "created_at": writing.at,
            }
            number = insert_row(writing.connection, protection_rules, values)
            rule = ProtectionRule(id=number, project_id=project_id, pattern=pattern, least_for_push=push, least_for_delete=delete)
            _record(writing, "rule.create", rule, actor)
            return rule

        return await self._database.write(work)

    async def change_rule(self, project_id: int, rule_id: int, changes: dict[str, Any], actor: Actor) -> ProtectionRule:
        """IProtection."""

        def work(writing: Writing) -> ProtectionRule:
            found = _one(writing.connection, project_id, rule_id)
            pattern = changes.get("pattern", found.pattern)
            push = changes.get("least_for_push", found.least_for_push)
            delete = changes.get("least_for_delete", found.least_for_delete)
            check_levels(push, delete)
            if pattern != found.pattern:
                check_pattern(pattern)
                _demand_free(writing.connection, project_id, pattern, but=rule_id)
            rule = ProtectionRule(id=rule_id, project_id=project_id, pattern=pattern, least_for_push=push, least_for_delete=delete)
            if rule != found:
                values = {"pattern": pattern, "least_for_push": push, "least_for_delete": delete}
                writing.connection.execute(update(protection_rules).where(protection_rules.c.id == rule_id).values(values))
                _record(writing, "rule.update", rule, actor)
            return rule

        return await self._database.write(work)

    async def delete_rule(self, project_id: int, rule_id: int, actor: Actor) -> ProtectionRule:
        """IProtection."""

        def work(writing: Writing) -> ProtectionRule:
            rule = _one(writing.connection, project_id, rule_id)
            writing.connection.execute(delete(protection_rules).where(protection_rules.c.id == rule_id))
            _record(writing, "rule.delete", rule, actor)
            return rule

        return await self._database.write(work)


# Made once, so that SQLAlchemy compiles it once: every upload asks.
_RULES = select(protection_rules).where(protection_rules.c.project_id == bindparam("project")).order_by(protection_rules.c.id)


def rules_of(connection: Connection, project_id: int, *, limit: int | None = None, offset: int = 0) -> list[ProtectionRule]:
    """The rules of a project, oldest first."""
    query = _RULES if limit is None else _RULES.limit(limit).offset(offset or None)
    return [_rule(row) for row in connection.execute(query, {"project": project_id})]


def _rule(row: Any) -> ProtectionRule:
    return ProtectionRule(
        id=row.id,
        project_id=row.project_id,
        pattern=row.pattern,
        least_for_push=row.least_for_push,
        least_for_delete=row.least_for_delete,
    )


def _one(connection: Connection, project_id: int, rule_id: int) -> ProtectionRule:
    mine = (protection_rules.c.project_id == project_id, protection_rules.c.id == rule_id)
    row = connection.execute(select(protection_rules).where(*mine)).one_or_none()
    if row is None:
        raise NotFound
    return _rule(row)


def _demand_free(connection: Connection, project_id: int, pattern: str, *, but: int | None = None) -> None:
    others: Sequence[ProtectionRule] = [rule for rule in rules_of(connection, project_id) if rule.id != but]
    # Two spellings of one pattern are one rule: they match the same names.
    if any(normalize_pattern(rule.pattern) == normalize_pattern(pattern) for rule in others):
        raise Unprocessable(text="Package name pattern has already been taken")


def _record(writing: Writing, action: str, rule: ProtectionRule, actor: Actor) -> None:
    detail: dict[str, Any] = {"rule_id": rule.id, "pattern": rule.pattern, "push": rule.least_for_push, "delete": rule.least_for_delete}
    writing.record(action, actor, project_id=rule.project_id, **detail)
