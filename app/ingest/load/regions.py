"""Regions of one kind replaced as a whole, and the permits whose answer changes, within the caller's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass

import shapely
from psycopg import sql
from shapely.geometry import MultiPolygon

from app.ingest.load import figures, merge, placing, summaries
from app.ingest.load.merge import Values
from app.ingest.load.staging import Database

# What waits to enter the GIN indexes of words is sorted in once it is so much; many small batches cost a multiple.
PENDING = "64MB"
# Degrees: about 20 metres.
OUTLINE = sql.SQL("ST_Multi(ST_SimplifyPreserveTopology({area}, 0.0002))")


@dataclass(frozen=True)
class Replaced:
    """What became of the regions of a kind, and of how many permits the regions, the ZIP or the district changed."""

    inserted: int
    updated: int
    removed: int
    permits: int

    @property
    def changed(self) -> int:
        """How many regions are not what they were."""
        return self.inserted + self.updated + self.removed


def replace(database: Database, values: Values, areas: Mapping[str, MultiPolygon]) -> Replaced:
    """Make the regions of a kind those of ``areas``, by name, and write the permits that lie in others than before.

    A region whose area is the same keeps its number and its permits, whatever its source and vintage are called.
    """
    _stage(database, areas)
    stale = _find_stale(database, values)
    values = {**values, "stale": stale}
    removed = _remove(database, values)
    updated = _update(database, values)
    inserted = _insert(database, values)
    fresh = inserted + [region for region in stale if region not in removed]
    permits = _place(database, values, fresh=fresh, stale=stale) if fresh or stale else 0
    replaced = Replaced(len(inserted), updated, len(removed), permits)
    if replaced.changed:
        _count_on(database, values)
    return replaced


def _stage(database: Database, areas: Mapping[str, MultiPolygon]) -> None:
    """Make the table ``incoming``."""
    create = "CREATE TEMPORARY TABLE incoming (name text, area geometry(MULTIPOLYGON, 4326)) ON COMMIT DROP"
    database.execute(create)
    with database.cursor() as cursor, cursor.copy("COPY incoming FROM STDIN") as copy:
        for name, area in areas.items():
            copy.write_row((name, shapely.to_wkb(shapely.set_srid(area, 4326), hex=True, include_srid=True)))


def _find_stale(database: Database, values: Values) -> list[int]:
    """Give the numbers of the regions that are gone or have another area, to the last vertex."""
    statement = """
        SELECT r.region FROM regions r LEFT JOIN incoming i ON i.name = r.name
        WHERE r.city = %(city)s AND r.kind = %(kind)s AND (i.name IS NULL OR ST_AsEWKB(i.area) <> ST_AsEWKB(r.area))
    """
    return [int(region) for (region,) in database.execute(statement, values)]


def _remove(database: Database, values: Values) -> list[int]:
    statement = """
        DELETE FROM regions WHERE region = ANY (%(stale)s) AND name NOT IN (SELECT name FROM incoming)
        RETURNING region
    """
    return [int(region) for (region,) in database.execute(statement, values)]


def _update(database: Database, values: Values) -> int:
    statement = """
        UPDATE regions r SET source = %(source)s, vintage = %(vintage)s, area = i.area, outline = {outline},
          area_km2 = ST_Area(i.area::geography) / 1e6
        FROM incoming i
        WHERE r.city = %(city)s AND r.kind = %(kind)s AND i.name = r.name
          AND (r.region = ANY (%(stale)s) OR (r.source, r.vintage) <> (%(source)s, %(vintage)s))
    """
    outline = OUTLINE.format(area=sql.SQL("i.area"))
    return database.execute(sql.SQL(statement).format(outline=outline), values).rowcount


def _insert(database: Database, values: Values) -> list[int]:
    statement = """
        INSERT INTO regions (city, kind, name, source, vintage, area, outline, area_km2)
        SELECT %(city)s, %(kind)s, i.name, %(source)s, %(vintage)s, i.area, {outline},
          ST_Area(i.area::geography) / 1e6
        FROM incoming i
        WHERE NOT EXISTS (
          SELECT FROM regions r WHERE r.city = %(city)s AND r.kind = %(kind)s AND r.name = i.name
        )
        ORDER BY i.name COLLATE "C" RETURNING region
    """
    outline = OUTLINE.format(area=sql.SQL("i.area"))
    return [int(region) for (region,) in database.execute(sql.SQL(statement).format(outline=outline), values)]


def _place(database: Database, values: Values, *, fresh: list[int], stale: list[int]) -> int:
    """Write the permits whose answer changes, and give how many."""
    placing.find_anew(database, values, fresh=fresh, stale=stale)
    _count_permits(database, {**values, "fresh": fresh})
    statement = """
        CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
        SELECT p.source_id, told.*, (p.zip, p.district) IS DISTINCT FROM (told.zip, told.district) AS is_renamed,
          p.zip AS old_zip, p.district AS old_district, p.removed_run IS NULL AS counts
        FROM touched JOIN permits p ON p.city = %(city)s AND p.source_id = touched.source_id
        LEFT JOIN placed ON placed.source_id = p.source_id
        CROSS JOIN LATERAL (SELECT {place}) AS told ({placed})
        WHERE (p.regions, p.zip, p.district) IS DISTINCT FROM (told.regions, told.zip, told.district)
    """
    composed = sql.SQL(statement).format(place=merge.tell_place("p"), placed=merge.PLACED)
    found = database.execute(composed, values).rowcount
    merge.index(database, "moved", "source_id")
    _shift_words(database, values)
    _shift_without_zip(database, values)
    figures.note_leaving(database, values, "SELECT source_id FROM moved")
    _write(database, values)
    figures.shift_figures(database, values)
    return found


def _count_permits(database: Database, values: Values) -> None:
    """Count the permits of each region that is new or has another area."""
    statement = """
        UPDATE regions r SET permits = coalesce(c.permits, 0)
        FROM unnest(%(fresh)s::bigint[]) AS fresh (region) LEFT JOIN (
          SELECT l.region, count(*) AS permits FROM lying l
          JOIN permits p ON p.city = %(city)s AND p.source_id = l.source_id AND p.removed_run IS NULL
          GROUP BY l.region
        ) AS c USING (region)
        WHERE r.region = fresh.region
    """
    database.execute(statement, values)


def _write(database: Database, values: Values) -> None:
    """Write what changed; a permit that keeps its ZIP and district keeps its feature, which is not made again."""
    database.execute(sql.SQL("SET LOCAL gin_pending_list_limit = {}").format(PENDING))
    for is_renamed, columns in ((False, "regions"), (True, "regions, zip, district")):
        statement = """
            UPDATE permits p SET ({columns}) = ROW ({told}) FROM moved m
            WHERE p.city = %(city)s AND p.source_id = m.source_id AND m.is_renamed = {is_renamed}
        """
        told = sql.SQL(", ").join(sql.Identifier("m", column) for column in columns.split(", "))
        composed = sql.SQL(statement).format(columns=sql.SQL(columns), told=told, is_renamed=sql.Literal(is_renamed))
        database.execute(composed, values)


def _shift_words(database: Database, values: Values) -> None:
    statement = """
        INSERT INTO register_words AS known (city, field, word, permits)
        SELECT %(city)s, 'district', told.word, sum(told.sign) FROM moved
        CROSS JOIN LATERAL (VALUES (old_district, -1), (district, 1)) AS told (word, sign)
        WHERE counts AND is_renamed AND told.word IS NOT NULL GROUP BY told.word HAVING sum(told.sign) <> 0
        ON CONFLICT (city, field, word) DO UPDATE SET permits = known.permits + excluded.permits
    """
    database.execute(statement, values)
    database.execute("DELETE FROM register_words WHERE city = %(city)s AND permits = 0", values)


def _shift_without_zip(database: Database, values: Values) -> None:
    statement = """
        UPDATE city_states SET without_zip = without_zip + (
          SELECT count(*) FILTER (WHERE zip IS NULL) - count(*) FILTER (WHERE old_zip IS NULL) FROM moved WHERE counts
        ) WHERE city = %(city)s
    """
    database.execute(statement, values)


def _count_on(database: Database, values: Values) -> None:
    """Name the run as the last that published, and count the data version on."""
    database.execute("UPDATE city_states SET run = %(run)s WHERE city = %(city)s", values)
    summaries.count_version(database)
