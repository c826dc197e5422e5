"""The tables of the store, as SQLAlchemy Core knows them; Alembic compares the database with them.

Names follow BLDS 1.2 in snake case. Text keys collate as "C", so that every order is the same on every machine.
"""

from typing import Any

from geoalchemy2 import Geography, Geometry
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    and_,
    false,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KeyText = Text(collation="C")

LOCATED = ("rooftop", "interpolated", "approximate", "multipoint", "unstated")
UNLOCATED = ("default", "outside", "swapped", "missing")
SHORT = (
    "city",
    "source_id",
    "permit_number",
    "permit_type",
    "permit_type_mapped",
    "permit_class",
    "permit_class_mapped",
    "work_class",
    "status_current",
    "status_current_mapped",
    "applied_date",
    "issued_date",
    "completed_date",
    "categories",
    "solar_kw",
    "battery_kwh",
    "description",
    "original_address1",
    "original_zip",
    "council_district",
    "zip",
    "district",
    "est_project_cost_usd",
    "housing_units",
    "total_sqft",
    "contractor_company_name",
    "link",
    "location_quality",
)
"""The properties of a feature in a collection, in their order; ``permit_feature`` in the store writes them."""
FEATURE_ARGUMENTS = ", ".join((*SHORT, "location"))


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


SAMPLE_SHARES = (16, 128)
"""Of so many permits one is in a sample, whose index alone tells what filters ask."""
SAMPLE_COLUMNS = (
    "city",
    "source_id",
    "categories",
    "status_current",
    "status_current_mapped",
    "permit_type",
    "permit_type_mapped",
    "permit_class",
    "permit_class_mapped",
    "work_class",
    "zip",
    "district",
    "regions",
    "issued_date",
    "applied_date",
    "est_project_cost_usd",
    "location",
)


def is_sampled(share: int) -> ColumnElement[bool]:
    """Tell whether a permit is one of those that stand for ``share`` each, in the words of the index."""
    return literal_column(f"(hashtext(permits.source_id) & {share - 1}) = 0", Boolean)


ingest_runs = Table(
    "ingest_runs",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=True),
    Column("city", KeyText, nullable=False),
    Column("source", Text, nullable=False, comment="file name or portal data set; never a path or a key"),
    Column("status", Text, nullable=False, comment="running, published, unchanged, failed, refused, error"),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    Column("report", JSONB, comment="the run's report, as it was printed"),
    Column("request", LargeBinary, comment="hash of what was asked for: a later run that asks for the same may resume"),
    Column("progress", JSONB, comment="what is staged and where to go on; null once the run needs neither"),
    Index(None, "city", "run"),
)

FILTERED = (
    *("permit_type", "permit_type_mapped", "permit_class", "permit_class_mapped", "status_current"),
    *("status_current_mapped", "work_class", "categories", "zip", "district", "issued_date", "applied_date"),
    "est_project_cost_usd",
)
permits = Table(
    "permits",
    metadata,
    Column("city", KeyText, primary_key=True),
    Column("source_id", KeyText, primary_key=True),
    Column("permit_number", Text),
    Column("permit_type", Text),
    Column("permit_type_mapped", Text),
    Column("permit_class", Text),
    Column("permit_class_mapped", Text),
    Column("work_class", Text),
    Column("status_current", Text),
    Column("status_current_mapped", Text),
    Column("applied_date", Date),
    Column("issued_date", Date),
    Column("completed_date", Date),
    Column("expires_date", Date),
    Column("status_date", Date),
    Column("description", Text),
    Column("est_project_cost_usd", Numeric),
    Column("housing_units", Integer),
    Column("total_sqft", Numeric),
    Column("original_address1", Text),
    Column("house_number", Integer, comment="of original_address1, as permits.addresses reads it"),
    Column("street", Text, comment="of original_address1, in one canonical form"),
    Column("original_zip", Text),
    Column("council_district", Text),
    Column("jurisdiction", Text),
    Column("parcel_id", Text),
    Column("contractor_company_name", Text),
    Column("contractor_trade", Text),
    Column("master_permit_number", Text),
    Column("project_id", Text),
    Column("link", Text),
    Column("categories", ARRAY(Text), nullable=False),
    Column("solar_kw", Double),
    Column("battery_kwh", Double),
    Column("location", Geography("POINT", 4326, spatial_index=False), comment="a usable point, or null"),
    Column("reported_location", Geometry("POINT", 4326, spatial_index=False), comment="the source's own pair"),
    Column("location_quality", Text, nullable=False),
    Column("first_run", BigInteger, nullable=False, comment="the run that inserted it"),
    Column("changed_run", BigInteger, nullable=False, comment="the run that last changed it"),
    Column("removed_run", BigInteger, comment="the run that found it gone from the source"),
    Column("zip", Text, comment="the permit's own, or else that of the polygon it lies in"),
    Column("district", Text, comment="the permit's own, or else that of the polygon it lies in"),
    Column("regions", ARRAY(BigInteger), nullable=False, server_default="{}", comment="the regions it lies in"),
    Column(
        "feature",
        Text,
        Computed(f"permit_feature({FEATURE_ARGUMENTS})", persisted=True),
        comment="its GeoJSON feature without the last two braces: a distance may follow",
    ),
    Column(
        "mercator",
        Geometry("POINT", 3857, spatial_index=False),
        Computed(
            "CASE WHEN abs(ST_Y(location::geometry)) <= 85.06 THEN ST_Transform(location::geometry, 3857) END",
            persisted=True,
        ),
        comment="its point in the plane of map tiles, where directions are alike; null near a pole",
    ),
    Column(
        "search",
        TSVECTOR,
        Computed(
            "to_tsvector('english', searchable(coalesce(description, '') || ' ' || coalesce(original_address1, '')))"
        ),
        comment="the words of description and address",
    ),
    CheckConstraint(f"location_quality IN ({_quoted(LOCATED + UNLOCATED)})", name="location_quality"),
    Index("ix_permits_location_planar", text("(location::geometry(Point,4326))"), postgresql_using="gist"),
    *(
        Index(
            f"ix_permits_sampled_{share}",
            text("(location::geometry(Point,4326))"),
            postgresql_using="gist",
            postgresql_include=SAMPLE_COLUMNS,
            postgresql_where=and_(is_sampled(share), literal_column("removed_run IS NULL", Boolean)),
        )
        for share in SAMPLE_SHARES
    ),
    CheckConstraint(f"(location IS NULL) = (location_quality IN ({_quoted(UNLOCATED)}))", name="located"),
)

Index("ix_permits_location", permits.c.location, postgresql_using="gist")
Index(
    "ix_permits_words",
    permits.c.categories,
    permits.c.status_current,
    permits.c.status_current_mapped,
    permits.c.permit_type,
    permits.c.permit_type_mapped,
    permits.c.permit_class,
    permits.c.permit_class_mapped,
    permits.c.work_class,
    permits.c.zip,
    permits.c.district,
    postgresql_using="gin",
)
Index("ix_permits_mercator", permits.c.mercator, postgresql_using="gist")
Index("ix_permits_zip_mercator", func.apart(permits.c.mercator, permits.c.zip), postgresql_using="gist")
Index("ix_permits_district_mercator", func.apart(permits.c.mercator, permits.c.district), postgresql_using="gist")
Index("ix_permits_regions", permits.c.regions, postgresql_using="gin")
Index("ix_permits_search", permits.c.search, postgresql_using="gin")
Index("ix_permits_zip_issued", permits.c.zip, permits.c.issued_date)
Index("ix_permits_issued", permits.c.issued_date.desc().nulls_last(), permits.c.city, permits.c.source_id)
Index("ix_permits_applied", permits.c.applied_date)
Index("ix_permits_cost", permits.c.est_project_cost_usd.desc().nulls_last(), permits.c.city, permits.c.source_id)
Index("ix_permits_changed", permits.c.city, permits.c.changed_run.desc(), permits.c.source_id)
for name, silent in {"unlocated": "location", "undistricted": "district", "unissued": "issued_date"}.items():
    # How many permits that meet a filter state nothing: told from the index alone, which has what filters ask of.
    Index(
        f"ix_permits_{name}",
        permits.c.city,
        postgresql_include=FILTERED,
        postgresql_where=and_(permits.c[silent].is_(None), permits.c.removed_run.is_(None)),
    )
Index("ix_permits_address", permits.c.house_number, permits.c.street)
Index("ix_permits_street", permits.c.street, permits.c.house_number)

permit_changes = Table(
    "permit_changes",
    metadata,
    Column("change", BigInteger, primary_key=True, autoincrement=True),
    Column("city", KeyText, nullable=False),
    Column("source_id", KeyText, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("field", Text, nullable=False),
    Column("old_value", Text),
    Column("new_value", Text),
    Index(None, "city", "source_id"),
    Index(None, "run"),
)

source_rows = Table(
    "source_rows",
    metadata,
    Column("city", KeyText, primary_key=True),
    Column("source_row_id", KeyText, primary_key=True, comment="the portal's row id, or one made of key and hash"),
    Column("row_hash", LargeBinary, nullable=False, comment="of the kept columns only"),
    Column("source_id", KeyText, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("form", KeyText, nullable=False, comment="the form of the city file that read it"),
    Column("updated_at", KeyText, comment="the source's own instant or day of this content, as it wrote it"),
    Index(None, "city", "source_id"),
)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("run", BigInteger, ForeignKey("ingest_runs.run"), primary_key=True),
    Column("source", KeyText, primary_key=True, comment="the file of the run; never a path"),
    Column("position", BigInteger, primary_key=True, comment="the record's number in its source, from 1"),
    Column("city", KeyText, nullable=False),
    Column("row_hash", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("kept_columns", JSONB, comment="the columns that the city file allows; null where columns are in doubt"),
    Column("row_id", Text, comment="the portal's row id, where it has one"),
    Column("source_id", KeyText, comment="the key of its permit, where it could be read"),
    Column("resolved_run", BigInteger, comment="the run that took it after all"),
    Index(None, "city", "reason"),
)

source_states = Table(
    "source_states",
    metadata,
    Column("city", KeyText, primary_key=True),
    Column("source", KeyText, primary_key=True),
    Column(
        "run", BigInteger, ForeignKey("ingest_runs.run"), nullable=False, comment="the last run that read it to its end"
    ),
    Column("state", JSONB, nullable=False, comment="watermark, tags and counts; nothing of a row"),
)

regions = Table(
    "regions",
    metadata,
    Column("region", BigInteger, primary_key=True, autoincrement=True),
    Column("city", KeyText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("vintage", Text, nullable=False),
    Column("area", Geometry("MULTIPOLYGON", 4326, spatial_index=False), nullable=False),
    Column(
        "outline",
        Geometry("MULTIPOLYGON", 4326, spatial_index=False),
        nullable=False,
        comment="its area to about 20 metres, for a map",
    ),
    Column("area_km2", Double, nullable=False, comment="on the spheroid"),
    Column(
        "permits",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="how many permits that are not removed lie in it",
    ),
    Index("ix_regions_name", "city", "kind", "name", unique=True),
    Index("ix_regions_area", "area", postgresql_using="gist"),
)

data_versions = Table(
    "data_versions",
    metadata,
    Column("one", SmallInteger, CheckConstraint("one = 1", name="one_row"), primary_key=True, server_default="1"),
    Column("version", BigInteger, nullable=False, comment="one more in every transaction that publishes"),
    Column("published_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

city_states = Table(
    "city_states",
    metadata,
    Column("city", KeyText, primary_key=True),
    Column("run", BigInteger, ForeignKey("ingest_runs.run"), nullable=False, comment="the last run that published"),
    Column("data_through", Date, comment="the latest issue date in the register, not after the run"),
    Column("synthetic", Boolean, nullable=False, server_default=false(), comment="invented data, and said so"),
    Column("permits", BigInteger, nullable=False),
    Column("without_location", BigInteger, nullable=False),
    Column("without_category", BigInteger, nullable=False),
    Column("without_zip", BigInteger, nullable=False),
    Column("without_issued_date", BigInteger, nullable=False),
    Column("without_applied_date", BigInteger, nullable=False),
    Column("without_value", BigInteger, nullable=False),
    Column(
        "succeeded_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.now(),
        comment="when a run last ended published or unchanged",
    ),
    Column(
        "categories_version",
        Integer,
        nullable=False,
        comment="of the rules that every permit of the city was read by",
    ),
)

register_words = Table(
    "register_words",
    metadata,
    Column("city", KeyText, primary_key=True),
    Column(
        "field",
        KeyText,
        primary_key=True,
        comment="permit_type, permit_class, work_class, status_current, district or issued_year",
    ),
    Column("word", KeyText, primary_key=True, comment="as the city writes it"),
    Column("permits", BigInteger, nullable=False),
)

permit_cells = Table(
    "permit_cells",
    metadata,
    Column("city", KeyText, primary_key=True),
    Column(
        "level",
        SmallInteger,
        primary_key=True,
        autoincrement=False,
        comment="the Web Mercator grid has 2^level cells a side; a tile is a cell of its zoom",
    ),
    Column("x", Integer, primary_key=True, autoincrement=False),
    Column("y", Integer, primary_key=True, autoincrement=False),
    Column("permits", Integer, nullable=False, comment="those with a usable point, and not removed"),
    Column(
        "categories",
        JSONB,
        nullable=False,
        comment="category to how many of the permits have it; a permit may have several",
    ),
)

search_words = Table(
    "search_words",
    metadata,
    Column(
        "word",
        KeyText,
        primary_key=True,
        comment="the stem of a word of letters that a permit has or had in search",
    ),
    Index("ix_search_words_alike", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
)


SUMS = ("permits", "priced", "timed", "value_usd")
"""The figures of a cell that add up; indexes hold them, so that sums need no row."""


def _figures() -> tuple[Column[Any], ...]:
    """Give the figures of one cell; sums are exact."""
    return (
        Column("permits", Integer, nullable=False),
        Column("priced", Integer, nullable=False, comment="how many state an estimated cost"),
        Column("timed", Integer, nullable=False, comment="how many state both days, of application and of issue"),
        Column("value_usd", Numeric, nullable=False),
    )


def _packed() -> tuple[Column[Any], ...]:
    """Give the figures of cells one by one, since a median does not add up; numbers are packed, the high byte first."""
    return (
        Column("values_usd", LargeBinary, comment="every stated cost, 8 bytes each, as a double"),
        Column("days", LargeBinary, comment="from application to issue, of each that states both, 4 bytes each"),
    )


stats_words = Table(
    "stats_words",
    metadata,
    Column("words", Integer, Identity(), primary_key=True),
    Column("city", KeyText, nullable=False),
    Column("permit_type", Text),
    Column("permit_type_mapped", Text),
    Column("permit_class", Text),
    Column("permit_class_mapped", Text),
    Column("work_class", Text),
    Column("status_current", Text),
    Column("status_current_mapped", Text),
    Column("categories", ARRAY(Text), nullable=False),
    Column("told", KeyText, nullable=False, comment="all the words as one text: null equals null in it"),
    Index("ix_stats_words_told", "city", "told", unique=True),
)

stats_places = Table(
    "stats_places",
    metadata,
    Column("place", Integer, Identity(), primary_key=True),
    Column("city", KeyText, nullable=False),
    Column("zip", Text),
    Column("district", Text),
    Column("regions", ARRAY(BigInteger), nullable=False),
    Column("told", KeyText, nullable=False, comment="all of them as one text: null equals null in it"),
    Index("ix_stats_places_told", "city", "told", unique=True),
)

stats_cells = Table(
    "stats_cells",
    metadata,
    Column("words", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column(
        "month",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="of issue: twelve times the year, plus 0 to 11; 0 without a date",
    ),
    *_figures(),
    *_packed(),
    Index("ix_stats_cells_month_words", "month", "words"),
    Index("ix_stats_cells_place_month", "place", "month", postgresql_include=["words", *SUMS]),
)

stats_months = Table(
    "stats_months",
    metadata,
    Column("words", Integer, primary_key=True, autoincrement=False),
    Column("month", Integer, primary_key=True, autoincrement=False),
    *_figures(),
    Index("ix_stats_months_month", "month", "words", postgresql_include=list(SUMS)),
)

stats_years = Table(
    "stats_years",
    metadata,
    Column("words", Integer, primary_key=True, autoincrement=False, comment="0: all words together"),
    Column("place", Integer, primary_key=True, autoincrement=False, comment="0: every place together"),
    Column("year", Integer, primary_key=True, autoincrement=False),
    *_figures(),
    Index("ix_stats_years_place", "place", "words", postgresql_include=["year", *SUMS]),
)

stats_blocks = Table(
    "stats_blocks",
    metadata,
    Column("words", Integer, primary_key=True, autoincrement=False),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("places", LargeBinary, nullable=False, comment="of each cell of the words in the year, 4 bytes each"),
    Column("months", LargeBinary, nullable=False, comment="of each cell, 2 bytes each"),
    Column("priced", LargeBinary, nullable=False, comment="how many costs are of each cell, 4 bytes each"),
    Column("timed", LargeBinary, nullable=False, comment="how many days are of each cell, 4 bytes each"),
    *_packed(),
)
