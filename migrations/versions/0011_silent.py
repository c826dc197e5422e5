"""Permits that state no place, no district or no day of issue, counted from indexes alone: answers say how many."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS = (
    "permit_type, permit_type_mapped, permit_class, permit_class_mapped, status_current, status_current_mapped,"
    " work_class, categories, zip, district, issued_date, applied_date, est_project_cost_usd"
)
SILENT = {"unlocated": "location", "undistricted": "district", "unissued": "issued_date"}


def upgrade() -> None:
    """Add them."""
    for name, column in SILENT.items():
        op.execute(
            f"CREATE INDEX ix_permits_{name} ON permits (city) INCLUDE ({COLUMNS})"
            f" WHERE {column} IS NULL AND removed_run IS NULL"
        )


def downgrade() -> None:
    """Take them away again."""
    for name in SILENT:
        op.execute(f"DROP INDEX ix_permits_{name}")
