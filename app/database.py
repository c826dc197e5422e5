"""The engine, sessions, their limits, and the one way in which a database that fails becomes the domain's error.

Every connection of the API is read-only and sees one snapshot for as long as its transaction lasts.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from app.errors import DatabaseUnavailable, MisconfiguredError, TooSlow
from app.settings import Settings

log = logging.getLogger(__name__)

PRIVATE_URL_FILE = Path(".undervolt/database_url")
POOL_WAIT_S = 5
CONNECT_S = 3
QUERY_CANCELED = "57014"

# Values of a statement are what callers ask about. A superuser may say that none is logged; for another role its server
# must. Raw SQL: a connection that was just made has no session yet.
SILENCE = """
    SELECT set_config(name, value, false)
    FROM (VALUES ('log_parameter_max_length', '0'), ('auto_explain.log_min_duration', '-1')) AS silent (name, value)
    WHERE current_setting('is_superuser')::boolean
"""
TELLS_VALUES = """
    SELECT current_setting('log_parameter_max_length') <> '0' AND (
        current_setting('log_statement') = 'all'
        OR current_setting('log_min_duration_statement') <> '-1'
        OR current_setting('log_min_duration_sample') <> '-1'
        OR current_setting('log_transaction_sample_rate') <> '0'
      )
      OR coalesce(current_setting('auto_explain.log_min_duration', true), '-1') <> '-1'
"""


def find_database_url(settings: Settings) -> str:
    """Give the libpq URL of the database: the setting, else that of the checkout's private cluster.

    Raises :class:`MisconfiguredError` where there is neither.
    """
    if settings.database_url:
        return settings.database_url.get_secret_value()
    if PRIVATE_URL_FILE.is_file():
        return PRIVATE_URL_FILE.read_text().strip()
    raise MisconfiguredError("no database: set UNDERVOLT_DATABASE_URL, or run `make run` once in this checkout")


def name_driver(url: str) -> str:
    """Give a libpq URL as SQLAlchemy's, with psycopg as its driver."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def make_engine(settings: Settings) -> AsyncEngine:
    """Make the API's engine: read-only, repeatable read, bounded in time, and never a generic plan.

    A generic plan turned a near query of 2 ms into one of 340-470 ms after ten executions.
    """
    url = settings.database_read_url.get_secret_value() if settings.database_read_url else find_database_url(settings)
    limits = {
        "plan_cache_mode": "force_custom_plan",
        "statement_timeout": f"{settings.statement_timeout_s * 1000:.0f}",
        "idle_in_transaction_session_timeout": "60000",
        "default_transaction_read_only": "on",
        "default_transaction_isolation": r"repeatable\ read",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "TimeZone": "UTC",
        "log_parameter_max_length_on_error": "0",
        "debug_print_plan": "off",
    }
    engine = create_async_engine(
        name_driver(url),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            "application_name": "undervolt",
        },
    )
    event.listen(engine.sync_engine, "connect", keep_values_unlogged)
    event.listen(engine.sync_engine, "connect", warn_of_log, once=True)
    return engine


def keep_values_unlogged(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's, in SQLAlchemy's dress
    """Tell the server to leave values out of its log, where it lets this role say so."""
    run_once(connection, SILENCE)


def warn_of_log(connection: Any, _record: object) -> None:  # noqa: ANN401
    """Say once that the server's log would hold what callers ask about."""
    if run_once(connection, TELLS_VALUES) == [(True,)]:
        log.warning(
            "the database's log holds what callers ask about; a superuser ends that with"
            " ALTER ROLE ... SET log_parameter_max_length = 0, and SET auto_explain.log_min_duration = -1"
        )


def run_once(connection: Any, statement: str) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """Run one statement on a new connection, for good, and give its rows."""
    cursor = connection.cursor()
    cursor.execute(statement)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    cursor.close()
    connection.commit()
    return rows


@asynccontextmanager
async def open_session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    """Open a session on one snapshot.

    Raises :class:`DatabaseUnavailable` where PostGIS does not answer and :class:`TooSlow` where a query took too long.
    """
    try:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            yield session
    except DBAPIError as error:
        translated = translate(error)
        if translated is error:
            raise
        raise translated from error
    except (PoolTimeoutError, OSError) as error:
        raise DatabaseUnavailable("the permit store does not answer") from error


def translate(error: DBAPIError) -> Exception:
    """Give the domain's error for a driver's; what is not the database's absence stays what it is."""
    if isinstance(error.orig, psycopg.Error) and error.orig.sqlstate == QUERY_CANCELED:
        return TooSlow("the query took too long; narrow it by a smaller radius, a period or a category")
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return DatabaseUnavailable("the permit store does not answer")
    return error
