"""GitLab's package protection rules."""

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from registry.domain.access import Permission
from registry.domain.protection import DELETE_LEVELS, PUSH_LEVELS, ProtectionRule
from registry.interfaces import IProtection
from registry.web.credentials import Door
from registry.web.rest.answers import nothing, number, reply, reply_page
from registry.web.rest.paging import Paging
from registry.web.rest.params import Params
from registry.web.routes import Call, Route

_RULES = "/api/v4/projects/<segment:project>/packages/protection/rules"
_RULE = f"{_RULES}/<segment:package_protection_rule_id>"
_TYPE = "pypi"
_PUSH, _DELETE = "minimum_access_level_for_push", "minimum_access_level_for_delete"
_COLUMNS = {_PUSH: "least_for_push", _DELETE: "least_for_delete"}


@frozen(kw_only=True)
class Protection:
    """Who may publish and delete which packages, beyond the usual roles."""

    rules: IProtection
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Maintainers' business."""
        read, change = Permission.READ_PROTECTION, Permission.ADMIN_PROTECTION
        return (
            Route(method="GET", rule=_RULES, permission=read, handler=self.list, door=Door.REST),
            Route(method="POST", rule=_RULES, permission=change, handler=self.create, door=Door.REST),
            Route(method="PATCH", rule=_RULE, permission=change, handler=self.change, door=Door.REST),
            Route(method="DELETE", rule=_RULE, permission=change, handler=self.delete, door=Door.REST),
        )

    async def list(self, call: Call) -> bytes:
        """The project's rules."""
        paging = Paging.of(call.params())
        found, total = await self.rules.rules(call.project.id, limit=paging.per_page, offset=paging.offset)
        return reply_page(call, [_rule(one) for one in found], total, paging, self.external_url())

    async def create(self, call: Call) -> bytes:
        """A new rule."""
        params = call.params()
        pattern = params.text("package_name_pattern")
        params.choice("package_type", [_TYPE])
        push, delete = _level(params, _PUSH, PUSH_LEVELS), _level(params, _DELETE, DELETE_LEVELS)
        made = await self.rules.create_rule(call.project.id, pattern, push, delete, call.actor)
        return reply(call, _rule(made), 201)

    async def change(self, call: Call, package_protection_rule_id: str) -> bytes:
        """Change what is given; null takes a level away."""
        params = call.params()
        rule_id = number("package_protection_rule_id", package_protection_rule_id)
        changes: dict[str, object] = {}
        if params.given("package_name_pattern"):
            changes["pattern"] = params.text("package_name_pattern")
        if params.given("package_type"):
            params.choice("package_type", [_TYPE])
        for name, levels in ((_PUSH, PUSH_LEVELS), (_DELETE, DELETE_LEVELS)):
            if params.given(name):
                changes[_COLUMNS[name]] = _level(params, name, levels)
        return reply(call, _rule(await self.rules.change_rule(call.project.id, rule_id, changes, call.actor)))

    async def delete(self, call: Call, package_protection_rule_id: str) -> bytes:
        """Delete a rule."""
        rule_id = number("package_protection_rule_id", package_protection_rule_id)
        await self.rules.delete_rule(call.project.id, rule_id, call.actor)
        return nothing(call)


def _level(params: Params, name: str, levels: Mapping[str, int]) -> int | None:
    word = params.optional_choice(name, list(levels))
    return None if word is None else levels[word]


def _rule(one: ProtectionRule) -> dict[str, object]:
    return {
        "id": one.id,
        "project_id": one.project_id,
        "package_name_pattern": one.pattern,
        "package_type": _TYPE,
        _DELETE: _word(one.least_for_delete),
        _PUSH: _word(one.least_for_push),
    }


def _word(level: int | None) -> str | None:
    return next((word for word, value in PUSH_LEVELS.items() if value == level), None)
