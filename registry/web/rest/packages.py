"""GitLab's packages API: lists of projects and groups, packages, their files and pipelines, and deletion."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from attrs import frozen

from registry.domain.access import Permission, Project, may
from registry.domain.errors import InvalidParameters
from registry.domain.inventory import FileInfo, FileOrder, Order, Origin, PackageInfo, Wanted, distinct
from registry.interfaces import IInventory
from registry.web.credentials import Door
from registry.web.rest.answers import iso, nothing, number, reply, reply_page
from registry.web.rest.paging import Paging
from registry.web.rest.params import Params
from registry.web.routes import Call, Route
from registry.web.simple import mount
from registry.workflows.curation import Curation
from registry.workflows.gate import Gate

_PROJECT = "/api/v4/projects/<segment:project>/packages"
_PACKAGE = f"{_PROJECT}/<segment:package_id>"
# GitLab's words. This registry holds one type and one status of each; whoever filters by another one is shown nothing.
_PYPI, _DEFAULT = "pypi", "default"
_TYPES = (
    *("maven", "npm", "conan", "nuget", _PYPI, "composer", "generic", "golang", "debian", "rubygems", "helm", "terraform_module"),
    *("rpm", "ml_model", "cargo"),
)
_STATUSES = (_DEFAULT, "hidden", "processing", "error", "pending_destruction", "deprecated")
_SORT = ("asc", "desc")
_PIPELINES = 20  # GitLab: at most this many on a page


@frozen(kw_only=True)
class Packages:
    """`external_url` gives the base of absolute links, empty while there is none."""

    gate: Gate
    inventory: IInventory
    curation: Curation
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """What GitLab has under /packages, without what belongs to one package type."""
        read, destroy = Permission.LIST_PACKAGES, Permission.DESTROY_PACKAGE
        group = "/api/v4/groups/<segment:group>/packages"
        file = f"{_PACKAGE}/package_files/<segment:package_file_id>"
        return (
            Route(method="GET", rule=_PROJECT, permission=read, handler=self.list_of_project, door=Door.REST),
            Route(method="GET", rule=group, permission=Permission.LIST_GROUP_PACKAGES, handler=self.list_of_group, door=Door.REST),
            Route(method="GET", rule=_PACKAGE, permission=read, handler=self.one, door=Door.REST),
            Route(method="GET", rule=f"{_PACKAGE}/package_files", permission=read, handler=self.files, door=Door.REST),
            Route(method="GET", rule=f"{_PACKAGE}/pipelines", permission=read, handler=self.pipelines, door=Door.REST),
            Route(method="DELETE", rule=_PACKAGE, permission=destroy, handler=self.delete, door=Door.REST),
            Route(method="DELETE", rule=file, permission=destroy, handler=self.delete_file, door=Door.REST),
        )

    async def list_of_project(self, call: Call) -> bytes:
        """The project's packages."""
        params = call.params()
        paging, wanted = Paging.of(params), _wanted(params, (order.value for order in Order if order is not Order.PROJECT_PATH))
        found: list[PackageInfo] = []
        total = 0
        if wanted is not None:
            found, total = await self.inventory.packages((call.project.id,), wanted, limit=paging.per_page, offset=paging.offset)
        base, deletable = self._base(call), _may_delete(call, call.project)
        rows = [package_shape(one, base if deletable else None) for one in found]
        return reply_page(call, rows, total, paging, self.external_url())

    async def list_of_group(self, call: Call) -> bytes:
        """The packages of all projects below the group that the caller may read."""
        params = call.params()
        direct = call.group.id if params.flag("exclude_subgroups") else None
        paging, wanted = Paging.of(params), _wanted(params, (order.value for order in Order), direct)
        readable = await self.gate.readable(call.admission)
        found: list[PackageInfo] = []
        total = 0
        if wanted is not None and readable:
            found, total = await self.inventory.packages(readable, wanted, limit=paging.per_page, offset=paging.offset)
        base, deletable = self._base(call), set(await self.gate.permitted(call.admission, Permission.DESTROY_PACKAGE))
        rows = [
            {
                **package_shape(one, base if one.project_id in deletable else None),
                "project_id": one.project_id,
                "project_path": one.project_path,
            }
            for one in found
        ]
        return reply_page(call, rows, total, paging, self.external_url())

    async def one(self, call: Call, package_id: str) -> bytes:
        """One package, and which other versions there are."""
        package = await self.inventory.package(number("package_id", package_id), call.project.id)
        others = await self.inventory.versions(package)
        base = self._base(call) if _may_delete(call, call.project) else None
        return reply(call, {**package_shape(package, base), "versions": [_version(other) for other in others]})

    async def files(self, call: Call, package_id: str) -> bytes:
        """The files of a package."""
        params = call.params()
        paging = Paging.of(params)
        order = FileOrder(params.choice("order_by", [order.value for order in FileOrder], FileOrder.ID.value))
        found, total = await self.inventory.files(
            number("package_id", package_id),
            call.project.id,
            order,
            descending=params.choice("sort", _SORT, "asc") == "desc",
            limit=paging.per_page,
            offset=paging.offset,
        )
        return reply_page(call, [file_shape(one) for one in found], total, paging, self.external_url())

    async def pipelines(self, call: Call, package_id: str) -> bytes:
        """The pipelines whose jobs uploaded files of the package, newest first; keyset pages (`cursor`), as GitLab's."""
        params = call.params()
        per_page = params.integer("per_page", _PIPELINES)
        if not 1 <= per_page <= _PIPELINES:
            raise InvalidParameters(problem="per_page does not have a valid value")
        before = params.optional_integer("cursor")
        origins = distinct(await self.inventory.origins(number("package_id", package_id), call.project.id))
        left = [origin for origin in origins if before is None or origin.file_id < before]
        page = left[:per_page]
        if len(left) > per_page:
            here = f"{self.external_url()}{call.request.path.decode('ascii', 'replace')}"
            call.request.setHeader(b"link", f'<{here}?cursor={page[-1].file_id}&per_page={per_page}>; rel="next"'.encode())
        return reply(call, [_pipeline(origin) for origin in page])

    async def delete(self, call: Call, package_id: str) -> bytes:
        """Delete a package."""
        wanted, since = number("package_id", package_id), _unmodified_since(call)
        await self.curation.delete_package(call.admission, call.actor, wanted, since)
        return nothing(call)

    async def delete_file(self, call: Call, package_id: str, package_file_id: str) -> bytes:
        """Delete one file; with the last one goes the package."""
        package, file = number("package_id", package_id), number("package_file_id", package_file_id)
        await self.curation.delete_file(call.admission, call.actor, package, file, _unmodified_since(call))
        return nothing(call)

    def _base(self, call: Call) -> str:
        return self.external_url() or mount(call.request)


def _wanted(params: Params, orders: Any, directly_in: int | None = None) -> Wanted | None:
    """What a list is asked for; None where nothing here could be it."""
    kind = params.optional_choice("package_type", _TYPES)
    status = params.optional_choice("status", _STATUSES)
    params.flag("include_versionless")  # there are none
    wanted = Wanted(
        order=Order(params.choice("order_by", list(orders), Order.CREATED_AT.value)),
        descending=params.choice("sort", _SORT, "asc") == "desc",
        name=params.text("package_name", ""),
        version=params.optional_text("package_version") or None,
        directly_in=directly_in,
    )
    return wanted if kind in {None, _PYPI} and status in {None, _DEFAULT} else None


def _may_delete(call: Call, project: Project) -> bool:
    return may(Permission.DESTROY_PACKAGE, call.identity, project, call.admission.standing)


def package_shape(one: PackageInfo, base: str | None) -> dict[str, object]:
    """A package in GitLab's shape. `base`: where the API is, if the caller may delete the package."""
    links = {"web_path": f"/{quote(one.project_path)}/-/packages/{one.id}"}
    if base is not None:
        links["delete_api_path"] = f"{base}/api/v4/projects/{one.project_id}/packages/{one.id}"
    shape: dict[str, object] = {
        "id": one.id,
        "name": one.name,
        "version": one.version,
        "package_type": _PYPI,
        "status": _DEFAULT,
        "_links": links,
        "created_at": iso(one.created_at),
        "last_downloaded_at": iso(one.last_downloaded_at),
        "creator_id": one.creator_id,
        "tags": [],
        "pipelines": [],
    }
    if one.origin is not None:
        shape["pipeline"] = _pipeline(one.origin)
    return shape


def _version(one: PackageInfo) -> dict[str, object]:
    shape: dict[str, object] = {"id": one.id, "version": one.version, "created_at": iso(one.created_at), "tags": [], "pipelines": []}
    if one.origin is not None:
        shape["pipeline"] = _pipeline(one.origin)
    return shape


def file_shape(one: FileInfo) -> dict[str, object]:
    """A file in GitLab's shape."""
    shape: dict[str, object] = {
        "id": one.id,
        "package_id": one.package_id,
        "created_at": iso(one.created_at),
        "file_name": one.filename,
        "size": one.size,
        "file_md5": one.md5,
        "file_sha1": None,
        "file_sha256": one.sha256,
    }
    if one.origin is not None:
        shape["pipelines"] = [_pipeline(one.origin)]
    return shape


def _pipeline(origin: Origin) -> dict[str, object]:
    """A pipeline in GitLab's shape. It runs elsewhere: what the job did not tell is null."""
    facts, user = origin.facts, origin.facts.get("user")
    who = dict(user) if isinstance(user, dict) else {}
    return {
        "id": facts.get("pipeline_id"),
        "iid": None,
        "project_id": facts.get("project_id"),
        "sha": facts.get("sha"),
        "ref": facts.get("ref"),
        "status": "running",  # as it was when it uploaded
        "source": "push",
        "created_at": iso(origin.at),
        "updated_at": iso(origin.at),
        "web_url": None,
        "user": {
            "id": who.get("id"),
            "username": who.get("username"),
            "name": who.get("name"),
            "state": "active",
            "avatar_url": None,
            "web_url": None,
        },
    }


def _unmodified_since(call: Call) -> datetime | None:
    # RFC 9110, 13.1.4: what is not a date is ignored. GitLab takes ISO 8601 too.
    text = call.header("if-unmodified-since")
    if text is None:
        return None
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
            return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
        except (ValueError, OverflowError, TypeError):
            continue
    return None
