"""Taking things out for good: rows go before what they name, all in the transaction of the caller."""

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from registry.domain.model import Actor
from registry.domain.places import NamespaceInfo
from registry.storage.catalog.access import in_tree
from registry.storage.catalog.database import Writing
from registry.storage.catalog.digests import digests_of, drop_blobs
from registry.storage.catalog.tables import (
    deploy_tokens,
    files,
    forwarding,
    job_allowlist,
    job_tokens,
    members,
    namespaces,
    packages,
    projects,
    protection_rules,
    shared_names,
    statuses,
    tokens,
    users,
)

_BATCH = 1000


def remove_project(writing: Writing, project_id: int, path: str, actor: Actor) -> None:
    """Remove a project with all it holds and all that gives access to it. Its blobs are swept later."""
    connection = writing.connection
    held = select(packages.c.id).where(packages.c.project_id == project_id)
    digests = digests_of(connection, files.c.package_id.in_(held))
    connection.execute(delete(files).where(files.c.package_id.in_(held)))
    drop_blobs(connection, digests)
    for table in (packages, statuses, protection_rules, shared_names, job_tokens, deploy_tokens, members):
        connection.execute(delete(table).where(table.c.project_id == project_id))
    connection.execute(
        delete(job_allowlist).where(or_(job_allowlist.c.project_id == project_id, job_allowlist.c.source_project_id == project_id))
    )
    connection.execute(delete(forwarding).where(forwarding.c.kind == "project", forwarding.c.place_id == project_id))
    _remove_bots(writing, tokens.c.project_id == project_id)
    connection.execute(delete(projects).where(projects.c.id == project_id))
    writing.record("project.delete", actor, project_id=project_id, path=path)


def remove_group(writing: Writing, group: NamespaceInfo, actor: Actor) -> None:
    """Remove a group, its subgroups and all their projects."""
    connection = writing.connection
    within = select(namespaces.c.id).where(in_tree(group.lineage))
    below = select(projects.c.id, projects.c.full_path).where(projects.c.namespace_id.in_(within)).order_by(projects.c.id)
    for row in connection.execute(below).all():
        remove_project(writing, row.id, row.full_path, actor)
    for table in (deploy_tokens, members):
        connection.execute(delete(table).where(table.c.namespace_id.in_(within)))
    connection.execute(delete(forwarding).where(forwarding.c.kind == "group", forwarding.c.place_id.in_(within)))
    _remove_bots(writing, tokens.c.namespace_id.in_(within))
    connection.execute(delete(namespaces).where(in_tree(group.lineage)))
    writing.record("group.delete", actor, group_id=group.id, path=group.full_path)


def erase_user(writing: Writing, user_id: int) -> bool:
    """Take everything from a user that lets him act; whether his row could go, too, as nothing he has published names it.

    Projects in his own namespace are the caller's business: there must be none.
    """
    connection = writing.connection
    connection.execute(delete(members).where(members.c.user_id == user_id))
    connection.execute(delete(job_tokens).where(job_tokens.c.user_id == user_id))
    if _has_published(connection, user_id):
        connection.execute(update(tokens).where(tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None)).values(revoked_at=writing.at))
        connection.execute(update(users).where(users.c.id == user_id).values(blocked=True, admin=False))
        return False
    for table in (job_tokens, deploy_tokens):
        connection.execute(update(table).where(table.c.creator_id == user_id).values(creator_id=None))
    connection.execute(delete(tokens).where(tokens.c.user_id == user_id))
    connection.execute(delete(namespaces).where(namespaces.c.owner_id == user_id))
    connection.execute(delete(users).where(users.c.id == user_id))
    return True


def _remove_bots(writing: Writing, of_place: ColumnElement[bool]) -> None:
    for user_id in writing.connection.execute(select(tokens.c.user_id).distinct().where(of_place)).scalars().all():
        erase_user(writing, user_id)


def _has_published(connection: Connection, user_id: int) -> bool:
    made = (select(packages.c.id).where(packages.c.creator_id == user_id), select(files.c.id).where(files.c.uploader_id == user_id))
    return any(connection.execute(query.limit(1)).first() is not None for query in made)
