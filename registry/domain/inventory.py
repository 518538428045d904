"""Packages and files as a catalogue of them shows them: with numbers, dates and where they came from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum

from attrs import frozen

from registry.domain.access import Identity


class Order(Enum):
    """What a list of packages is sorted by."""

    CREATED_AT = "created_at"
    NAME = "name"
    VERSION = "version"
    TYPE = "type"  # all are of one type
    PROJECT_PATH = "project_path"


class FileOrder(Enum):
    """What a list of files is sorted by."""

    ID = "id"
    FILE_NAME = "file_name"
    CREATED_AT = "created_at"


@frozen(kw_only=True)
class Wanted:
    """Which packages of a list are wanted, and in which order. `name`: part of it, in any spelling; `version`: exactly.

    `directly_in`: only of projects that lie in this namespace itself.
    """

    order: Order = Order.CREATED_AT
    descending: bool = False
    name: str = ""
    version: str | None = None
    directly_in: int | None = None


@frozen(kw_only=True)
class Origin:
    """The CI job that uploaded a file: `facts` as `origin_of` made them, `at` when."""

    facts: Mapping[str, object]
    file_id: int
    at: datetime


@frozen(kw_only=True)
class PackageInfo:
    """One package; `name` as first uploaded, `normalized` as compared. `origin` is that of the last file that a job uploaded."""

    id: int
    project_id: int
    project_path: str
    name: str
    normalized: str
    version: str
    created_at: datetime
    last_downloaded_at: datetime | None
    creator_id: int | None
    origin: Origin | None = None
    yanked: str | None = None  # as a whole (PEP 592): the reason, empty where none was given
    closed: bool | None = None  # to new files; False: stays open whatever its age; None: as its age says


@frozen(kw_only=True)
class FileInfo:
    """One file of a package; `md5` where the client has declared it. `size` in bytes."""

    id: int
    package_id: int
    filename: str
    size: int
    sha256: str
    md5: str | None
    created_at: datetime
    origin: Origin | None = None
    yanked: str | None = None  # the reason (PEP 592), empty where none was given


@frozen(kw_only=True)
class Removed:
    """What a deletion took away: `digests` are those of bytes that no file names any more."""

    name: str
    version: str
    digests: Sequence[str]


def origin_of(identity: Identity) -> dict[str, object] | None:
    """What is kept about the CI job that uploads a file; None for anybody else."""
    job, user = identity.job, identity.user
    if job is None or user is None:
        return None
    return {
        "ref": job.ref,
        "sha": job.sha,
        "pipeline_id": job.pipeline_id,
        "job_id": job.job_id,
        "project_id": job.project_id,
        "user": {"id": user.id, "username": user.username, "name": user.name or user.username},
    }


def distinct(origins: Sequence[Origin]) -> list[Origin]:
    """One for each pipeline, its newest, newest first."""
    found: dict[object, Origin] = {}
    for origin in sorted(origins, key=lambda one: one.file_id, reverse=True):
        pipeline = origin.facts.get("pipeline_id")
        found.setdefault((origin.facts.get("project_id"), pipeline) if pipeline is not None else origin.file_id, origin)
    return list(found.values())
