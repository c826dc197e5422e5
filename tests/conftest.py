"""A real, migrated PostGIS database for every test session, and the factory that fills it."""

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import AsyncEngine

from app.backends.base import Backend
from app.backends.router import Router
from app.database import make_engine
from app.ingest.load import figures
from app.main import create_app
from app.settings import Settings

ROOT = Path(__file__).parent.parent
TABLES = (
    "permits, permit_changes, source_rows, rejected_records, regions, register_words, city_states, source_states,"
    " permit_cells, search_words, ingest_runs, stats_words, stats_places, stats_cells, stats_months, stats_years,"
    " stats_blocks"
)


@pytest.fixture(scope="session")
def database_url() -> Generator[str]:
    """The URL of a scratch database, migrated, and dropped at the end."""
    maintenance = os.environ.get("UNDERVOLT_TEST_DATABASE_URL")
    if not maintenance:
        raise pytest.UsageError("tests need PostGIS: run `make test`, or set UNDERVOLT_TEST_DATABASE_URL")
    name = f"undervolt_test_{os.getpid()}"
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = rename_database(maintenance, name)
        migrate(url, "head")
        yield url
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def rename_database(url: str, name: str) -> str:
    """Give the URL of another database of the same server."""
    parts = conninfo_to_dict(url)
    host = parts.get("host", "localhost")
    user = (
        f"{parts['user']}{':' + str(parts['password']) if parts.get('password') else ''}@" if parts.get("user") else ""
    )
    port = f"&port={parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user}/{name}?host={host}{port}"


def migrate(url: str, revision: str) -> None:
    """Migrate a database to a revision, up or down."""
    (command.downgrade if revision == "base" else command.upgrade)(alembic_config(url), revision)


def alembic_config(url: str) -> Config:
    """Alembic's own configuration, on another database."""
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = url
    return config


CELLS_ANEW = """
    SELECT city, level, x, y, sum(counted) FILTER (WHERE category = '')::integer,
      coalesce(jsonb_object_agg(category, counted) FILTER (WHERE category <> ''), '{{}}')
    FROM (
      SELECT city, level, {x} >> 30 - level AS x, {y} >> 30 - level AS y, category, count(*) AS counted
      FROM permits CROSS JOIN generate_series(0, 20) AS level
      CROSS JOIN unnest(array_append(categories, '')) AS category
      WHERE location IS NOT NULL AND removed_run IS NULL GROUP BY 1, 2, 3, 4, 5
    ) AS counted GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
GRID = {"x": "mercator_x(ST_X(location::geometry))", "y": "mercator_y(ST_Y(location::geometry))"}


class Store:
    """Fills the database as a run would, one permit at a time; what does not matter to a test is filled in."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.added = 0

    def empty(self) -> None:
        """Empty it, also of what a run that ended too early had staged."""
        staged = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'staging%'"
        for (name,) in self.connection.execute(staged).fetchall():
            self.connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        self.connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")

    def add_permit(
        self, *, lat: float | None = None, lng: float | None = None, city: str = "austin", **values: Any
    ) -> str:
        """Add a permit and give its source id; with ``lat`` and ``lng`` it has a usable point."""
        self.added += 1
        source_id = values.pop("source_id", f"2015-{self.added:06d} EP")
        run = self.find_run(city)
        point = None if lat is None else f"SRID=4326;POINT({lng!r} {lat!r})"
        row = {
            "city": city,
            "source_id": source_id,
            "permit_number": source_id,
            "categories": [],
            "location": point,
            "reported_location": point,
            "location_quality": "missing" if point is None else "unstated",
            "first_run": run,
            "changed_run": run,
            "zip": values.get("original_zip"),
            "district": values.get("council_district"),
            **values,
        }
        columns = sql.SQL(", ").join(map(sql.Identifier, row))
        places = sql.SQL(", ").join(sql.Placeholder(name) for name in row)
        self.connection.execute(sql.SQL("INSERT INTO permits ({}) VALUES ({})").format(columns, places), row)
        return str(source_id)

    def add_region(self, kind: str, name: str, area: str, city: str = "austin") -> int:
        """Add a region of an area in WKT and give its number; permits are told of it by hand."""
        statement = """
            INSERT INTO regions (city, kind, name, source, vintage, area, outline, area_km2)
            VALUES (%s, %s, %s, 'made up', '2022', ST_GeomFromText(%s, 4326), ST_GeomFromText(%s, 4326),
              ST_Area(%s::geography) / 1e6) RETURNING region
        """
        row = self.connection.execute(statement, [city, kind, name, area, area, area]).fetchone()
        return int((row or [0])[0])

    def find_run(self, city: str) -> int:
        """Give the city's run, begun at its first permit."""
        found = self.connection.execute("SELECT run FROM ingest_runs WHERE city = %s", [city]).fetchone()
        begin = "INSERT INTO ingest_runs (city, source, status) VALUES (%s, 'test', 'published') RETURNING run"
        return int((found or self.connection.execute(begin, [city]).fetchone() or [0])[0])

    def publish(self) -> None:
        """Bring words and states up to date, and count the data version on."""
        self.connection.execute("TRUNCATE register_words, city_states")
        for field in ("permit_type", "permit_class", "status_current"):
            self._count_words(field)
        self._count_words("work_class")
        self._count_words("district")
        self.connection.execute(
            "INSERT INTO register_words"
            " SELECT city, 'issued_year', extract(year FROM issued_date)::text, count(*) FROM permits"
            " WHERE issued_date IS NOT NULL AND removed_run IS NULL GROUP BY 1, 3"
        )
        self.connection.execute(
            "INSERT INTO city_states (city, run, data_through, synthetic, permits, without_location,"
            " without_category, without_zip, without_issued_date, without_applied_date, without_value,"
            " categories_version)"
            " SELECT city, max(first_run), max(issued_date), city = 'sample', count(*), count(*) - count(location),"
            " count(*) FILTER (WHERE categories = '{}'), count(*) - count(zip),"
            " count(*) - count(issued_date), count(*) - count(applied_date), count(*) - count(est_project_cost_usd), 1"
            " FROM permits WHERE removed_run IS NULL GROUP BY city"
        )
        self.connection.execute("TRUNCATE permit_cells")
        self.connection.execute(f"INSERT INTO permit_cells {CELLS_ANEW.format(**GRID)}")
        self.connection.execute(
            "UPDATE regions r SET permits = (SELECT count(*) FROM permits p WHERE p.regions && ARRAY[r.region])"
        )
        self.connection.execute(
            "INSERT INTO search_words SELECT DISTINCT word FROM permits, unnest(tsvector_to_array(search)) AS word"
            " WHERE word ~ '^[[:alpha:]]{3,}$' ON CONFLICT DO NOTHING"
        )
        self._count_figures()
        self.connection.execute("UPDATE data_versions SET version = version + 1, published_at = now()")

    def _count_figures(self) -> None:
        self.connection.execute("TRUNCATE " + ", ".join(figures.TABLES))
        for (city,) in self.connection.execute("SELECT DISTINCT city FROM permits").fetchall():
            with self.connection.transaction():
                figures.note_all(self.connection, {"city": city})
                figures.shift_figures(self.connection, {"city": city})

    def succeed(self, city: str, at: datetime) -> None:
        """Note that a run of a published city succeeded then, and published nothing."""
        self.connection.execute("UPDATE city_states SET succeeded_at = %s WHERE city = %s", [at, city])

    def _count_words(self, field: str) -> None:
        self.connection.execute(
            f"INSERT INTO register_words SELECT city, '{field}', {field}, count(*)"
            f" FROM permits WHERE {field} IS NOT NULL AND removed_run IS NULL GROUP BY city, {field}"
        )


@pytest.fixture(scope="session")
def store_connection(database_url: str) -> Generator[psycopg.Connection[Any]]:
    """A connection that may write, committing each statement."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def store(store_connection: psycopg.Connection[Any]) -> Store:
    """An empty store."""
    store = Store(store_connection)
    store.empty()
    return store


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Settings on the scratch database, without any backend."""
    return Settings.model_validate({"database_url": database_url, "backends": "[]", "today": "2026-11-23"})


@pytest.fixture(scope="session")
async def engine(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    """The API's engine on the scratch database."""
    engine = make_engine(settings)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def serve(settings: Settings, *backends: Backend) -> AsyncGenerator[httpx.AsyncClient]:
    """Run the application with its lifespan and give a client that calls it without a socket."""
    app = create_app(settings, router=Router(backends) if backends else None)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@pytest.fixture
async def client(settings: Settings, store: Store) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the whole service on an empty store."""
    async with serve(settings) as client:
        yield client
