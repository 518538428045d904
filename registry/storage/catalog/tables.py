"""The catalog's tables. A change here needs a revision in `migrations/versions`; a test compares the two."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    sql,
    text,
    types,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Names for every constraint, so that later revisions can alter them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(types.TypeDecorator[datetime]):
    """A moment in UTC, kept as microseconds since 1970: exact, sortable, the same on every database. Refuses naive values."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """TypeDecorator."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """TypeDecorator."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


# SQLite gives only a column of exactly INTEGER PRIMARY KEY a number of its own.
_Id = BigInteger().with_variant(Integer, "sqlite")


def _table(name: str, *items: Any) -> Table:
    # AUTOINCREMENT: a number, once given, is never given again, not even after a deletion (URLs and the journal name them).
    return Table(name, metadata, *items, sqlite_autoincrement=True)


users = _table(
    "users",
    Column("id", _Id, primary_key=True),
    Column("username", String(255), nullable=False),
    Column("username_key", String(255), nullable=False, unique=True),  # lower case
    Column("email", String(255), nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("blocked", Boolean, nullable=False),
    Column("name", String(255), nullable=False, server_default=""),
    Column("bot", Boolean, nullable=False, server_default=sql.false()),
    Column("created_at", Instant, nullable=False),
)

namespaces = _table(
    "namespaces",
    Column("id", _Id, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("full_path", String(1024), nullable=False),
    Column("full_path_key", String(1024), nullable=False, unique=True),  # lower case
    Column("name", String(255), nullable=False),
    Column("visibility", String(8), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    # The ids from the outermost namespace to this one, "1/5/9": all below it begin with this and a slash.
    Column("traversal", String(1024), nullable=False, index=True, server_default=""),
    Column("parent_id", ForeignKey("namespaces.id"), index=True),
    Column("owner_id", ForeignKey("users.id"), index=True),  # of a personal namespace
    Column("created_at", Instant, nullable=False),
    CheckConstraint("kind IN ('user', 'group')", name="kind"),
)

projects = _table(
    "projects",
    Column("id", _Id, primary_key=True),
    Column("namespace_id", ForeignKey("namespaces.id"), nullable=False, index=True),
    Column("full_path", String(1024), nullable=False),
    Column("full_path_key", String(1024), nullable=False, unique=True),  # lower case
    Column("name", String(255), nullable=False),
    Column("visibility", String(8), nullable=False),
    Column("packages_enabled", Boolean, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("registry_access", String(8), nullable=False, server_default="enabled"),
    Column("job_tokens_limited", Boolean, nullable=False, server_default=sql.true()),  # the allowlist is enforced
    Column("creator_id", BigInteger, index=True),  # no foreign key: SQLite could only add one by copying the table
    Column("created_at", Instant, nullable=False),
    CheckConstraint("visibility IN ('private', 'internal', 'public')", name="visibility"),
)

tokens = _table(
    "tokens",
    Column("id", _Id, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the secret, which is nowhere
    Column("scopes", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("description", Text, nullable=False, server_default=""),
    Column("last_used_at", Instant),
    # Of a project or group access token: its bot is a member there.
    Column("project_id", BigInteger, index=True),
    Column("namespace_id", BigInteger, index=True),
    Column("family", BigInteger),  # the first token of a row of rotations; empty: its own
)

members = _table(
    "members",
    Column("id", _Id, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("project_id", ForeignKey("projects.id"), index=True),
    Column("namespace_id", ForeignKey("namespaces.id"), index=True),
    Column("access_level", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    UniqueConstraint("user_id", "project_id"),
    UniqueConstraint("user_id", "namespace_id"),
    CheckConstraint("(project_id IS NULL) <> (namespace_id IS NULL)", name="one_place"),
)

deploy_tokens = _table(
    "deploy_tokens",
    Column("id", _Id, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), index=True),
    Column("namespace_id", ForeignKey("namespaces.id"), index=True),
    Column("name", String(255), nullable=False),
    Column("username", String(255), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("creator_id", ForeignKey("users.id"), index=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    CheckConstraint("(project_id IS NULL) <> (namespace_id IS NULL)", name="one_place"),
)

job_tokens = _table(
    "job_tokens",
    Column("id", _Id, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),  # the job runs in it
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),  # who triggered it
    Column("creator_id", ForeignKey("users.id"), index=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("ref", String(255), nullable=False),
    Column("sha", String(64), nullable=False),
    Column("pipeline_id", BigInteger),
    Column("job_id", BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

# Whose jobs may use their tokens in a project, beside its own.
job_allowlist = Table(
    "job_allowlist",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("source_project_id", ForeignKey("projects.id"), primary_key=True, index=True),
    Column("created_at", Instant, nullable=False),
)

protection_rules = _table(
    "protection_rules",
    Column("id", _Id, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("pattern", String(255), nullable=False),  # as given
    Column("least_for_push", Integer),  # an access level, 60 for administrators; empty: not protected
    Column("least_for_delete", Integer),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("project_id", "pattern"),
)

# Settings of the whole registry that are changed while it runs.
settings = Table("settings", metadata, Column("name", String(255), primary_key=True), Column("value", JSON, nullable=False))

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
)

packages = _table(
    "packages",
    Column("id", _Id, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String(255), nullable=False),  # normalised
    Column("display_name", String(255), nullable=False),  # as first uploaded
    Column("version_key", String(255), nullable=False),  # PEP 440: equal versions have equal keys
    Column("version", String(255), nullable=False),  # as first uploaded
    Column("creator_id", ForeignKey("users.id"), index=True),
    Column("created_at", Instant, nullable=False),
    Column("last_downloaded_at", Instant),
    Column("yanked", Text),  # the reason (PEP 592), which files published later inherit; NULL: not yanked as a whole
    Column("closed", Boolean),  # true: takes no more files; false: stays open whatever its age; NULL: as the configuration says
    UniqueConstraint("project_id", "name", "version_key"),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "project_id", "version", "id"),
)

files = _table(
    "files",
    Column("id", _Id, primary_key=True),
    Column("package_id", ForeignKey("packages.id"), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("sha256", ForeignKey("blobs.sha256"), nullable=False),
    Column("md5", String(32)),
    Column("blake2_256", String(64)),
    Column("requires_python", Text, nullable=False),
    Column("metadata", JSON, nullable=False),  # core metadata as the archive has it, the form's where it has none
    Column("uploader_id", ForeignKey("users.id"), index=True),
    Column("uploaded_at", Instant, nullable=False),
    Column("pipeline", JSON),  # of an upload by a CI job: ref, sha, pipeline_id, job_id, user_id
    Column("yanked", Text),  # the reason (PEP 592), empty where none was given; NULL: not yanked
    # Of the blob that holds its core metadata (PEP 658). No foreign key: SQLite could only add one by copying the table.
    Column("metadata_sha256", String(64), index=True),
    Column("provenance", JSON),  # the provenance object (PEP 740)
    UniqueConstraint("package_id", "filename"),
    Index(None, "sha256", "filename"),
)

# What became of names (PEP 792); a name without a row is active.
statuses = Table(
    "statuses",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("name", String(255), primary_key=True),  # normalised
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

# The journal rows that tell where projects and groups are: few among all, so they have an index of their own.
PLACE_ACTIONS = "action IN ('group.create', 'group.update', 'project.create', 'project.transfer', 'project.update')"

# Every name that was ever published here: it is ours, and never asked of anybody else.
own_names = Table("own_names", metadata, Column("name", String(255), primary_key=True))

# Names of ours that a project may fetch from upstream beside its own, by an administrator's leave.
shared_names = Table(
    "shared_names",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
)

# Whether names not held here may be asked upstream, in a group or project and below; "locked": nobody below may say otherwise.
forwarding = Table(
    "forwarding",
    metadata,
    Column("kind", String(8), primary_key=True),  # "group" or "project"
    Column("place_id", BigInteger, primary_key=True),
    Column("enabled", Boolean),  # NULL: as above
    Column("locked", Boolean, nullable=False),
)

# What an upstream said about a name, last time it was asked.
upstream_pages = Table(
    "upstream_pages",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("found", Boolean, nullable=False),  # false: it has no such name
    Column("etag", Text, nullable=False),
    Column("fetched_at", Instant, nullable=False),  # or confirmed
    Column("used_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the page, as `domain/upstream/packing.py` makes it
    # A row is as long as its page: without this, each round that looks for what nobody wants any more would read all of them.
    Index(None, "found", "fetched_at", "source"),
)

# Upstreams' files that are kept.
upstream_files = _table(
    "upstream_files",
    Column("id", _Id, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("metadata_sha256", String(64), index=True),
    Column("metadata_size", BigInteger),
    Column("licence", Text),  # as its core metadata tells it
    Column("told", JSON),  # the digests beside sha256 that its index told when it came
    Column("kept_at", Instant, nullable=False),
    Column("used_at", Instant, nullable=False, index=True),
    UniqueConstraint("source", "name", "filename", "sha256"),
)

journal = _table(
    "journal",
    Column("serial", _Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("action", String(64), nullable=False),
    Column("user_id", BigInteger),  # no foreign keys: the journal outlives what it tells of
    Column("username", String(255), nullable=False),
    Column("token_id", BigInteger),
    Column("token_name", String(255), nullable=False),
    Column("address", String(64), nullable=False),
    Column("project_id", BigInteger),
    Column("name", String(255), nullable=False),
    Column("detail", JSON, nullable=False),
    Index(None, "project_id", "name", "serial"),
    # Naming another dialect's condition here would load that dialect: 2 MB and 25 ms of every start.
    Index("ix_journal_of_places", "serial", sqlite_where=text(PLACE_ACTIONS)),
)
