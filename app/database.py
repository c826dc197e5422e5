"""The engine, sessions, their limits, and the one way in which a database that fails becomes the domain's error.

Every connection of the API is read-only and sees one snapshot for as long as its transaction lasts.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.types.string import ByteaBinaryLoader
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import ClauseElement, Dialect, String, event, make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from app.errors import DatabaseUnavailable, MisconfiguredError, TooSlow
from app.settings import Settings

log = logging.getLogger(__name__)

PRIVATE_URL_FILE = Path(".undervolt/database_url")
POOL_WAIT_S = 5
CONNECT_S = 3
CLOSE_S = 1
RECONNECT_S = 1
SHAPES_MAX = 512
"""Statements that are kept compiled: by the names of their values, which callers choose among some 2^16 sets."""
QUERY_CANCELED = "57014"
DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
Pool = AsyncConnectionPool[AsyncConnection[Any]]
AS_BYTES = String()
"""What a :class:`Reader` gives as bytes, as the store has it; ``convert_to`` would verify and copy each text first."""
TOO_SLOW = "the query took too long; narrow it by a smaller radius, a period or a category"
UNAVAILABLE = "the permit store does not answer"

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
    engine = create_async_engine(
        name_driver(find_read_url(settings)),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=connection_arguments(settings),
    )
    event.listen(engine.sync_engine, "connect", keep_values_unlogged)
    event.listen(engine.sync_engine, "connect", warn_of_log, once=True)
    return engine


def find_read_url(settings: Settings) -> str:
    """Give the libpq URL that the API reads from. Raises :class:`MisconfiguredError` where there is none."""
    replica = settings.database_read_url
    return replica.get_secret_value() if replica else find_database_url(settings)


CUSTOM = {"plan_cache_mode": "force_custom_plan"}
SETTLED = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_bitmapscan": "off"}
"""Of statements that walk an index in order whatever their values are: to plan them anew takes a quarter of their time.
Nothing else is left to choose."""


def connection_arguments(settings: Settings, plans: Mapping[str, str] = CUSTOM) -> dict[str, Any]:
    """Give what every connection of the API is opened with."""
    limits = {
        **plans,
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
    return {
        "connect_timeout": CONNECT_S,
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
        "application_name": "undervolt",
    }


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


def compile_text(statement: ClauseElement) -> str:
    """Give a statement as psycopg takes it, its values bound by name.

    Raises :class:`ValueError` where a value stands in the statement itself: its text is used again with others.
    """
    compiled = statement.compile(dialect=DIALECT)
    if fixed := [name for name, value in compiled.params.items() if value is not None]:
        raise ValueError(f"values without a name of their own: {fixed}")
    return str(compiled)


class Reader:
    """Runs single statements, each on a snapshot of its own: psycopg alone, without a transaction around it.

    Beside the engine, because a session costs a short statement three round trips more, and SQLAlchemy the rest.
    """

    def __init__(self, settings: Settings) -> None:
        self._planned, self._settled = make_pool(settings, CUSTOM), make_pool(settings, SETTLED)

    async def open(self) -> None:
        """Begin to connect, and wait for nothing."""
        await self._planned.open()
        await self._settled.open()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._planned.close(timeout=CLOSE_S)
        await self._settled.close(timeout=CLOSE_S)

    async def find_one(
        self, statement: str, values: Mapping[str, Any] | None = None, *, settled: bool = False
    ) -> tuple[Any, ...]:
        """Give the only row of a statement. Raises what :meth:`find_all` does."""
        row: tuple[Any, ...]
        (row,) = await self.find_all(statement, values, settled=settled)
        return row

    async def find_all(
        self, statement: str, values: Mapping[str, Any] | None = None, *, settled: bool = False
    ) -> list[Any]:
        """Give the rows of a statement, each a tuple. ``settled``: one plan is the best one for all values.

        Raises :class:`DatabaseUnavailable` where PostGIS does not answer and :class:`TooSlow` where it took too long.
        """
        pool = self._settled if settled else self._planned
        try:
            return await find_all(pool, statement, values)
        except psycopg.errors.QueryCanceled as error:
            raise TooSlow(TOO_SLOW) from error
        except PoolTimeout as error:
            raise DatabaseUnavailable(UNAVAILABLE) from error
        except psycopg.OperationalError:
            return await find_again(pool, statement, values)


async def find_again(pool: Pool, statement: str, values: Mapping[str, Any] | None) -> list[Any]:
    """Try once more with connections that live: a server that was started anew broke all that there were."""
    try:
        await pool.check()
        return await find_all(pool, statement, values)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(UNAVAILABLE) from error


async def find_all(pool: Pool, statement: str, values: Mapping[str, Any] | None) -> list[Any]:
    """Run a statement on a connection of the pool."""
    async with pool.connection() as connection, connection.cursor(binary=True) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


def make_pool(settings: Settings, plans: Mapping[str, str]) -> Pool:
    """Make a pool of connections, closed yet."""
    return AsyncConnectionPool(
        find_read_url(settings),
        kwargs=connection_arguments(settings, plans) | {"autocommit": True, "prepare_threshold": 1},
        min_size=1,
        max_size=settings.database_pool_size,
        timeout=CONNECT_S,
        # Then the next caller's wish begins anew: left to itself the pool tries ever more seldom.
        reconnect_timeout=RECONNECT_S,
        configure=set_up,
        name="undervolt",
        open=False,
    )


async def set_up(connection: AsyncConnection[Any]) -> None:
    """Do for the reader's connections what :func:`keep_values_unlogged` does for the engine's, and for ``AS_BYTES``."""
    connection.adapters.register_loader("varchar", ByteaBinaryLoader)
    await connection.execute(SILENCE)


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
        raise DatabaseUnavailable(UNAVAILABLE) from error


def translate(error: DBAPIError) -> Exception:
    """Give the domain's error for a driver's; what is not the database's absence stays what it is."""
    if isinstance(error.orig, psycopg.Error) and error.orig.sqlstate == QUERY_CANCELED:
        return TooSlow(TOO_SLOW)
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return DatabaseUnavailable(UNAVAILABLE)
    return error
