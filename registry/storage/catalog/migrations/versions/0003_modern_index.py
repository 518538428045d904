"""Core metadata beside files, yanking, closing, project status, provenance; the journal tells all that a page once said."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what the modern index needs."""
    op.create_table(
        "statuses",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_statuses_project_id")),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_statuses")),
    )
    # Outside of batches: SQLite adds a column in place, and a batch would copy the table.
    op.add_column("packages", sa.Column("yanked", sa.Text(), nullable=True))
    op.add_column("packages", sa.Column("closed", sa.Boolean(), nullable=True))
    op.add_column("files", sa.Column("yanked", sa.Text(), nullable=True))
    op.add_column("files", sa.Column("metadata_sha256", sa.String(length=64), nullable=True))
    op.add_column("files", sa.Column("provenance", sa.JSON(), nullable=True))
    with op.batch_alter_table("files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_files_metadata_sha256"), ["metadata_sha256"], unique=False)
    places = sa.text("action IN ('group.create', 'group.update', 'project.create', 'project.transfer', 'project.update')")
    op.create_index("ix_journal_of_places", "journal", ["serial"], unique=False, sqlite_where=places, postgresql_where=places)
    _complete_the_journal()


def _complete_the_journal() -> None:
    """Dated views replay pages from the journal: what it did not tell of a file is filled in, as long as the file is there."""
    connection = op.get_bind()
    held = connection.exec_driver_sql(
        "SELECT packages.project_id, packages.name, packages.display_name, files.filename, files.sha256, files.requires_python, files.id"
        " FROM files JOIN packages ON packages.id = files.package_id"
    )
    known = {(row[0], row[1], row[3], row[4]): row for row in held}
    rows = connection.exec_driver_sql("SELECT serial, project_id, name, detail FROM journal WHERE action = 'file.publish'").all()
    for serial, project_id, name, text in rows:
        detail = json.loads(text)
        row = known.get((project_id, name, detail.get("filename"), detail.get("sha256")))
        if row is not None:
            detail.update({"display": row[2], "requires_python": row[5], "file_id": row[6]})
            connection.exec_driver_sql(
                "UPDATE journal SET detail = ? WHERE serial = ?", (json.dumps(detail, separators=(",", ":")), serial)
            )
