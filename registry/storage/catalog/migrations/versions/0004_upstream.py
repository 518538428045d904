"""What is ours, what may be asked upstream, and what upstreams said and sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what the fallback needs."""
    op.create_table(
        "own_names", sa.Column("name", sa.String(length=255), nullable=False), sa.PrimaryKeyConstraint("name", name=op.f("pk_own_names"))
    )
    # The journal tells of all that was ever published; of what older journals may lack, the packages do.
    op.execute("INSERT INTO own_names (name) SELECT name FROM journal WHERE action = 'file.publish' UNION SELECT name FROM packages")
    op.create_table(
        "shared_names",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_shared_names_project_id")),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_shared_names")),
    )
    op.create_table(
        "forwarding",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("place_id", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "place_id", name=op.f("pk_forwarding")),
    )
    op.create_table(
        "upstream_pages",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("found", sa.Boolean(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "name", name=op.f("pk_upstream_pages")),
    )
    op.create_table(
        "upstream_files",
        sa.Column("id", _ID, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("metadata_sha256", sa.String(length=64), nullable=True),
        sa.Column("metadata_size", sa.BigInteger(), nullable=True),
        sa.Column("licence", sa.Text(), nullable=True),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upstream_files")),
        sa.UniqueConstraint("source", "name", "filename", "sha256", name=op.f("uq_upstream_files_source_name_filename_sha256")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("upstream_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_upstream_files_metadata_sha256"), ["metadata_sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_upstream_files_sha256"), ["sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_upstream_files_used_at"), ["used_at"], unique=False)
