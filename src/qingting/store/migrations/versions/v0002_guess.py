"""What a rater guesses of the model: a judgment's answer to the question on blinding."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; judgments given before were not asked."""
    op.add_column("judgments", sa.Column("guess", sa.JSON(none_as_null=True), nullable=True))
