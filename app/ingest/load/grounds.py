"""Categories of permits of which a source told some grounds anew and lacks others: they follow from both together."""

from psycopg import sql

from app.ingest.categories import find_categories
from app.ingest.load.merge import Values
from app.ingest.load.staging import Database, mask_of, name_tables

GROUNDS = ("description", "permit_type_mapped", "permit_class", "work_class")


def refresh_categories(database: Database, run: int, values: Values) -> None:
    """Tell the categories in ``differing`` where the source could not, and what they are told by has changed."""
    statement = """
        SELECT d.source_id, coalesce(d.description, ''), d.permit_type_mapped, coalesce(d.permit_class, ''),
          coalesce(d.work_class, '')
        FROM differing d
        JOIN winners w ON w.source_id = d.source_id
        JOIN {rows} r ON r.ctid = w.place
        JOIN permits p ON p.city = %(city)s AND p.source_id = d.source_id
        WHERE NOT d.is_new AND r.carried & {told} = 0 AND ({ours}) IS DISTINCT FROM ({theirs})
    """
    ours, theirs = (sql.SQL(", ").join(sql.Identifier(table, column) for column in GROUNDS) for table in ("d", "p"))
    told = sql.Literal(mask_of({"categories"}))
    composed = sql.SQL(statement).format(told=told, ours=ours, theirs=theirs, **name_tables(run))
    changed = database.execute(composed, values).fetchall()
    with database.cursor() as cursor:
        cursor.executemany(
            "UPDATE differing SET categories = %s, solar_kw = %s, battery_kwh = %s WHERE source_id = %s",
            [(*find_categories(*grounds), source_id) for source_id, *grounds in changed],
        )
