"""Runs the migrations, each in a transaction of its own, on the database of the settings."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from app.database import find_database_url, name_driver
from app.permits.tables import metadata
from app.settings import read_settings


def is_ours(_object: object, name: str | None, type_: str, reflected: bool, _compared: object) -> bool:
    """Leave out what PostGIS and the ingest's staging keep in the same schema."""
    return not (type_ == "table" and reflected and name not in metadata.tables)


def run_migrations() -> None:
    """Migrate the database whose URL the caller handed over, or the one of the environment."""
    url = context.config.attributes.get("url") or find_database_url(read_settings(os.environ))
    engine = create_engine(name_driver(url), hide_parameters=True)
    with engine.connect() as connection:
        migrate(connection)
    engine.dispose()


def migrate(connection: Connection) -> None:
    """Run what Alembic was asked for."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=is_ours,
        transaction_per_migration=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run_migrations()
