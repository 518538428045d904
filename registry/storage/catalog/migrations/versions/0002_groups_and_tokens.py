"""Groups and members, access, deploy and job tokens, protection rules, settings, pipelines."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what GitLab's permissions and REST API need."""
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    op.create_table(
        "deploy_tokens",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=True),
        sa.Column("namespace_id", _ID, nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("creator_id", _ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(project_id IS NULL) <> (namespace_id IS NULL)", name=op.f("ck_deploy_tokens_one_place")),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_deploy_tokens_creator_id")),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_deploy_tokens_namespace_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_deploy_tokens_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deploy_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_deploy_tokens_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deploy_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deploy_tokens_creator_id"), ["creator_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deploy_tokens_namespace_id"), ["namespace_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deploy_tokens_project_id"), ["project_id"], unique=False)

    op.create_table(
        "job_allowlist",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("source_project_id", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_job_allowlist_project_id")),
        sa.ForeignKeyConstraint(["source_project_id"], ["projects.id"], name=op.f("fk_job_allowlist_source_project_id")),
        sa.PrimaryKeyConstraint("project_id", "source_project_id", name=op.f("pk_job_allowlist")),
    )
    with op.batch_alter_table("job_allowlist", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_allowlist_source_project_id"), ["source_project_id"], unique=False)

    op.create_table(
        "job_tokens",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("creator_id", _ID, nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ref", sa.String(length=255), nullable=False),
        sa.Column("sha", sa.String(length=64), nullable=False),
        sa.Column("pipeline_id", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_job_tokens_creator_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_job_tokens_project_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_job_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_job_tokens_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("job_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_tokens_creator_id"), ["creator_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_tokens_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_tokens_user_id"), ["user_id"], unique=False)

    op.create_table(
        "members",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=True),
        sa.Column("namespace_id", _ID, nullable=True),
        sa.Column("access_level", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(project_id IS NULL) <> (namespace_id IS NULL)", name=op.f("ck_members_one_place")),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_members_namespace_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_members_project_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_members_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_members")),
        sa.UniqueConstraint("user_id", "namespace_id", name=op.f("uq_members_user_id_namespace_id")),
        sa.UniqueConstraint("user_id", "project_id", name=op.f("uq_members_user_id_project_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_members_namespace_id"), ["namespace_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_members_project_id"), ["project_id"], unique=False)

    op.create_table(
        "protection_rules",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("pattern", sa.String(length=255), nullable=False),
        sa.Column("least_for_push", sa.Integer(), nullable=True),
        sa.Column("least_for_delete", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_protection_rules_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protection_rules")),
        sa.UniqueConstraint("project_id", "pattern", name=op.f("uq_protection_rules_project_id_pattern")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("files", schema=None) as batch_op:
        batch_op.add_column(sa.Column("pipeline", sa.JSON(), nullable=True))

    with op.batch_alter_table("namespaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("description", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("traversal", sa.String(length=1024), server_default="", nullable=False))
        batch_op.create_index(batch_op.f("ix_namespaces_traversal"), ["traversal"], unique=False)

    with op.batch_alter_table("packages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("last_downloaded_at", sa.BigInteger(), nullable=True))
        batch_op.create_index(batch_op.f("ix_packages_project_id_created_at_id"), ["project_id", "created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_packages_project_id_version_id"), ["project_id", "version", "id"], unique=False)

    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("description", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("registry_access", sa.String(length=8), server_default="enabled", nullable=False))
        batch_op.add_column(sa.Column("creator_id", sa.BigInteger(), nullable=True))
        batch_op.create_index(batch_op.f("ix_projects_creator_id"), ["creator_id"], unique=False)

    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("description", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("last_used_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("project_id", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("namespace_id", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("family", sa.BigInteger(), nullable=True))
        batch_op.create_index(batch_op.f("ix_tokens_namespace_id"), ["namespace_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tokens_project_id"), ["project_id"], unique=False)

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("name", sa.String(length=255), server_default="", nullable=False))

    # Outside of the batches, which would copy these tables for a default that is an expression, and leave AUTOINCREMENT behind.
    op.add_column("projects", sa.Column("job_tokens_limited", sa.Boolean(), server_default=sa.text("1"), nullable=False))
    op.add_column("users", sa.Column("bot", sa.Boolean(), server_default=sa.text("0"), nullable=False))

    op.execute("UPDATE namespaces SET traversal = CAST(id AS VARCHAR)")
    op.execute("UPDATE users SET name = username")
    op.execute("UPDATE projects SET registry_access = 'disabled' WHERE NOT packages_enabled")
