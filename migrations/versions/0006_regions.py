"""What regions are asked for: how many permits lie in each, how large it is, and its outline for a map."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# As permits.words reads a district: its number, where there is one.
DISTRICT = "coalesce(substring(district FROM '^[^0-9]*0*([0-9]+)(?:\\.0)?$'), district)"
OUTLINE = "ST_Multi(ST_SimplifyPreserveTopology(area, 0.0002))"
FIELDS = "permit_type, permit_class, work_class, status_current"

UP = (
    "ALTER TABLE regions ADD COLUMN outline geometry(MULTIPOLYGON,4326)",
    "ALTER TABLE regions ADD COLUMN area_km2 DOUBLE PRECISION",
    "ALTER TABLE regions ADD COLUMN permits BIGINT NOT NULL DEFAULT 0",
    f"UPDATE regions SET outline = {OUTLINE}, area_km2 = ST_Area(area::geography) / 1e6",
    "ALTER TABLE regions ALTER COLUMN outline SET NOT NULL, ALTER COLUMN area_km2 SET NOT NULL",
    "COMMENT ON COLUMN regions.outline IS 'its area to about 20 metres, for a map'",
    "COMMENT ON COLUMN regions.area_km2 IS 'on the spheroid'",
    "COMMENT ON COLUMN regions.permits IS 'how many permits that are not removed lie in it'",
    f"UPDATE permits SET district = {DISTRICT} WHERE district <> {DISTRICT}",
    """
    INSERT INTO register_words (city, field, word, permits)
    SELECT city, 'district', district, count(*) FROM permits
    WHERE district IS NOT NULL AND removed_run IS NULL GROUP BY city, district
    """,
    f"COMMENT ON COLUMN register_words.field IS '{FIELDS}, district or issued_year'",
)

DOWN = (
    f"COMMENT ON COLUMN register_words.field IS '{FIELDS} or issued_year'",
    "DELETE FROM register_words WHERE field = 'district'",
    "UPDATE permits SET zip = original_zip, district = council_district, regions = '{}' WHERE regions <> '{}'",
    """
    UPDATE city_states c SET without_zip = (
      SELECT count(*) FROM permits p WHERE p.city = c.city AND p.zip IS NULL AND p.removed_run IS NULL)
    """,
    "DELETE FROM regions",
    "ALTER TABLE regions DROP COLUMN permits, DROP COLUMN area_km2, DROP COLUMN outline",
)


def upgrade() -> None:
    """Add them; a district that permits tell in several forms is told in one."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take them away again, and what permits had from regions with them."""
    for statement in DOWN:
        op.execute(statement)
