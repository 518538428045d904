"""What upstreams said, by its age, so that finding what nobody wants any more reads nothing else."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the index."""
    with op.batch_alter_table("upstream_pages", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_upstream_pages_found_fetched_at_source"), ["found", "fetched_at", "source"], unique=False)
