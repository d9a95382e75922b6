"""What a rater guesses of the model, and that a judgment was opened again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; judgments given before were neither asked for a guess nor opened again."""
    op.add_column("assignments", sa.Column("undone_ms", sa.BigInteger(), nullable=True))
    op.add_column("judgments", sa.Column("guess", sa.JSON(none_as_null=True), nullable=True))
