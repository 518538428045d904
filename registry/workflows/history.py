"""Reading the past: what an index said at an instant, for whom may read it now."""

from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from registry.domain.access import Permission, Project, may
from registry.domain.errors import Deleted, UnknownFile, UnknownGroup, UnknownName, UnknownProject
from registry.domain.model import Index
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.simple import Links, render_index, render_page
from registry.interfaces import IHistory, IThreads
from registry.workflows.answers import Rendered
from registry.workflows.gate import Admission, Gate
from registry.workflows.views import View


@frozen(kw_only=True)
class History:
    """Indexes and pages as they were, rendered as those of today; nothing of it is kept. `threads` render.

    What there was is what the journal tells; who may see it is decided by the caller's rights of now. So what belongs to a project that he
    may not read now, or that has been removed, is left out, though he may have been shown it then.
    """

    history: IHistory
    gate: Gate
    threads: IThreads

    async def page(self, admission: Admission, name: Name, at: datetime, representation: Representation, base: str) -> Rendered:
        """The page of `name`. Raises `UnknownName` where the place had no file of it, `UnknownProject` or `UnknownGroup` if it was not."""
        view = await self._view(admission, at)
        page = await self.history.page(view.projects, name, at)
        if page is None:
            raise UnknownName(name=name.normalized)
        return await self._rendered(lambda: render_page(page, Links(base=base, scope=view.scope), representation))

    async def index(self, admission: Admission, at: datetime, representation: Representation, prefix: str) -> Rendered:
        """The index of the place; links relative behind `prefix`. Raises `UnknownProject` or `UnknownGroup` if it was not there."""
        view = await self._view(admission, at)
        index = Index(title=view.title, names=await self.history.names(view.projects, at))
        return await self._rendered(lambda: render_index(index, representation, prefix=prefix))

    async def missing(self, view: View, sha256: str, filename: str) -> UnknownFile | Deleted:
        """Why the view does not hold a file of this digest and name: it never did, or it was deleted."""
        at = await self.history.deleted(view.projects, sha256, filename)
        return UnknownFile(filename=filename) if at is None else Deleted(filename=filename, at=at)

    async def _view(self, admission: Admission, at: datetime) -> View:
        if isinstance(admission.place, Project):
            title = await self.history.project_title(admission.place.id, at)
            if title is None:
                raise UnknownProject
            return View(scope=f"projects/{admission.place.id}", title=title, projects=(admission.place.id,))
        then = await self.history.group(admission.group.id, at)
        if then is None:
            raise UnknownGroup
        readable = frozenset(await self.gate.readable(admission))
        projects = [
            number for number in then.projects if number in readable or (number in then.elsewhere and await self._may(admission, number))
        ]
        return View(scope=f"groups/{admission.group.id}/-", title=then.title, projects=tuple(projects))

    async def _may(self, admission: Admission, project_id: int) -> bool:
        """Whether the caller may read, today, what is in a project that has left the group."""
        place, standing = await self.gate.access.enter("project", project_id, admission.identity)
        return place is not None and may(Permission.READ_GROUP_PACKAGE, admission.identity, place, standing)

    async def _rendered(self, render: Callable[[], bytes]) -> Rendered:
        def work() -> Rendered:
            body = render()
            return Rendered.of((), body)

        return await self.threads.run(work)
