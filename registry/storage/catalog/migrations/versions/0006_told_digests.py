"""The digests that an index told of a kept file, so that one that replaces it under its name is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; of what is kept already nobody knows."""
    with op.batch_alter_table("upstream_files", schema=None) as batch_op:
        batch_op.add_column(sa.Column("told", sa.JSON(), nullable=True))
