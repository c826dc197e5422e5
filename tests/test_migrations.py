"""The migrations make what the models say, and can be taken back."""

import os
from collections.abc import Generator
from datetime import UTC, datetime

import psycopg
import pytest
from alembic import command

from tests.conftest import alembic_config, migrate, rename_database


@pytest.fixture
def empty_database(database_url: str) -> Generator[str]:
    """A database of its own, so that taking migrations back harms no other test."""
    name = f"undervolt_migrations_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
        yield rename_database(database_url, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_migrations_go_up_down_and_up_again_and_match_the_models(empty_database: str) -> None:
    migrate(empty_database, "head")
    command.check(alembic_config(empty_database))
    migrate(empty_database, "base")
    with psycopg.connect(empty_database) as connection:
        left = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert {name for (name,) in left} == {"alembic_version", "spatial_ref_sys"}
    migrate(empty_database, "head")
    command.check(alembic_config(empty_database))


def test_a_city_loaded_before_keeps_the_instant_of_its_last_good_run(empty_database: str) -> None:
    migrate(empty_database, "0001")
    counts = "permits, without_location, without_category, without_zip, without_issued_date, without_applied_date"
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO ingest_runs (city, source, status, finished_at) VALUES"
            " ('austin', 'a', 'published', '2026-11-21Z'), ('austin', 'a', 'unchanged', '2026-11-22Z'),"
            " ('austin', 'a', 'failed', '2026-11-23Z'), ('chicago', 'c', 'published', '2026-11-24Z')"
        )
        connection.execute(
            f"INSERT INTO city_states (city, run, {counts}, without_value) VALUES ('austin', 1, 1, 0, 0, 0, 0, 0, 0)"
        )
    migrate(empty_database, "head")
    with psycopg.connect(empty_database) as connection:
        kept = connection.execute("SELECT succeeded_at FROM city_states").fetchall()
    assert kept == [(datetime(2026, 11, 22, tzinfo=UTC),)]


def test_features_are_made_without_a_search_path_as_a_restored_dump_makes_them(empty_database: str) -> None:
    migrate(empty_database, "head")
    with psycopg.connect(empty_database) as connection:
        connection.execute("SET search_path = ''")
        row = connection.execute(
            "INSERT INTO public.permits (city, source_id, categories, location, location_quality, first_run,"
            " changed_run) VALUES ('austin', 'x', '{}', public.ST_MakePoint(-97.75, 30.25), 'unstated', 1, 1)"
            " RETURNING feature"
        ).fetchone()
    assert row is not None
    assert '"coordinates":[-97.75,30.25]' in row[0]
