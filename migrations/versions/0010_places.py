"""Near queries in a ZIP or district: an index that walks only its permits, whatever lies between it and the origin."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# A plain index of points is built sorted, in seconds; one of btree_gist, place and point, takes minutes of the same
# permits. So each place gets a square of its own, 500 km from the next. The farthest is at 5e7 m, where the index,
# which keeps four bytes a number, is true to 4 m; the store orders by the true ones. Places that fall on one square
# are told apart by their names.
APART = """
CREATE FUNCTION apart(point geometry, place text) RETURNS geometry LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN ST_Translate(
    point, (hashtext(place) & 63) * 500000::double precision, (hashtext(place) >> 6 & 63) * 500000::double precision
  )
"""


def upgrade() -> None:
    """Add them."""
    op.execute(APART)
    op.execute("CREATE INDEX ix_permits_zip_mercator ON permits USING gist (apart(mercator, zip))")
    op.execute("CREATE INDEX ix_permits_district_mercator ON permits USING gist (apart(mercator, district))")
    # The planner knows how many permits a box in the index holds from what is gathered of the expression.
    op.execute("ANALYZE permits")


def downgrade() -> None:
    """Take them away again."""
    op.execute("DROP INDEX ix_permits_district_mercator")
    op.execute("DROP INDEX ix_permits_zip_mercator")
    op.execute("DROP FUNCTION apart")
