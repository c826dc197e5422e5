"""What changed since a day, an instant or a run: permits that are new, gone, back, or told otherwise, field by field.

A city's register begins with its first run: what that brought is no change. A permit is where it is now, or was last.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from sqlalchemy import BigInteger, Integer, Numeric, Text, and_, bindparam, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Float

from app.cities.city import find_city
from app.database import SHAPES_MAX
from app.errors import MalformedCursor, RefusedQuery
from app.permits.areas import join_area
from app.permits.cursor import CURSOR_MAX_LENGTH, Position, decode, fingerprint
from app.permits.exports import AreaFilter, bind_export, join_circle
from app.permits.features import AnyRow, AnySelect, plain, render_point
from app.permits.filters import LIMIT_DEFAULT, Limit, join_clauses
from app.permits.register import Register
from app.permits.tables import ingest_runs, permit_changes, permits

SINCE_DEFAULT = timedelta(days=7)
SINCE_MAX = timedelta(days=366)
RUN_MAX = 2**62
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
POINT = re.compile(r"POINT\((\S+) (\S+)\)")
NUMBERS = frozenset(column.name for column in permits.c if isinstance(column.type, Integer | Numeric | Float))

Kind = Literal["new", "changed", "removed", "returned"]


@dataclass(frozen=True)
class Since:
    """From when on: one of a city's calendar day, an instant, and a run that is not among them any more."""

    day: date | None = None
    at: datetime | None = None
    run: int | None = None


def parse_since(text: str) -> Since:
    """Read a day, an instant with its offset, or a run's number. Raises :class:`ValueError`."""
    try:
        if DAY.fullmatch(text):
            return Since(day=date.fromisoformat(text))
        if INSTANT.fullmatch(text):
            return Since(at=datetime.fromisoformat(text).astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    if re.fullmatch(r"[0-9]{1,18}", text):
        return Since(run=int(text))
    raise ValueError("must be a day (YYYY-MM-DD), an instant (YYYY-MM-DDTHH:MM:SSZ) or a run's number")


def _is_since(text: str | None) -> str | None:
    if text is not None:
        parse_since(text)
    return text


class ChangesQuery(AreaFilter, frozen=True, extra="forbid"):
    """Whose changes, and since when; filters and area are met by the permit as it is now."""

    since: Annotated[str | None, AfterValidator(_is_since)] = Field(
        default=None,
        max_length=40,
        description="a day in the city, an instant with its offset, or a run after which; unset: seven days ago;"
        " at most 366 days ago",
    )
    limit: Limit = Field(default=LIMIT_DEFAULT, description="permits a page")
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")
    f: Literal["geojson", "atom"] | None = Field(default=None, description="unset: as Accept says")


@dataclass(frozen=True)
class Change:
    """What one run did to a permit, and when it had; a field's old and new value where it changed one."""

    kind: Kind
    run: int
    at: datetime
    field: str | None = None
    old: object = None
    new: object = None


@dataclass(frozen=True)
class ChangedPermit:
    """A permit as it is now, its feature without the end, and its changes, newest first."""

    feature: bytes
    city: str
    source_id: str
    removed: bool
    changes: list[Change]


@dataclass(frozen=True)
class ChangesPage:
    """Permits by their newest change, the run after which it was looked in each city, and the next page's cursor."""

    permits: list[ChangedPermit]
    floors: dict[str, int]
    cursor: str | None


async def find_changes(session: AsyncSession, register: Register, query: ChangesQuery, *, today: date) -> ChangesPage:
    """Find a page of what changed, the last changed first; equal runs are ordered by city and source id.

    Raises :class:`MalformedCursor`, :class:`UnknownWord`, :class:`NoSuchCity`, and :class:`RefusedQuery` for a run that
    is none or a time too long ago.
    """
    after = decode(query.cursor, query)
    values = bind_export(query, register) | {"take": query.limit + 1}
    if after is not None:
        values |= {"reached": read_run(after), "after_city": after.city, "after_source_id": after.source_id}
    since = parse_since(query.since) if query.since else Since(day=today - SINCE_DEFAULT)
    floors = await find_floors(session, since, register.choose_cities(query.city), today=today)
    found: list[AnyRow] = []
    for city, floor in floors.items():
        bound = {name: value for name, value in values.items() if name != "cities"} | {"city": city, "floor": floor}
        found += await session.execute(select_changed(frozenset(bound)), bound)
    found.sort(key=lambda row: (-row.changed_run, row.city, row.source_id))
    rows = found[: query.limit]
    changes = await find_each(session, rows, floors)
    cursor = _make_cursor(query, register, rows[-1], after) if len(found) > query.limit else None
    return ChangesPage([_tell(row, changes[row.city, row.source_id]) for row in rows], floors, cursor)


def read_run(after: Position) -> int:
    """Read the key of a page of changes. Raises :class:`MalformedCursor`."""
    if not re.fullmatch(r"[0-9]{1,18}", after.key or ""):
        raise MalformedCursor("the cursor is damaged")
    return int(after.key or 0)


def _make_cursor(query: ChangesQuery, register: Register, last: AnyRow, after: Position | None) -> str:
    position = Position(
        of=fingerprint(query),
        data_version=register.data_version,
        key=str(last.changed_run),
        city=last.city,
        source_id=last.source_id,
        seen=(after.seen if after else 0) + query.limit,
    )
    return position.encode()


async def find_floors(session: AsyncSession, since: Since, cities: Iterable[str], *, today: date) -> dict[str, int]:
    """Find, for each city, the run after which changes are meant: never before its first one.

    Raises :class:`RefusedQuery` for a run that is none, and for a time too long ago.
    """
    ended = await _find_end(session, since.run) if since.run is not None else None
    floors = {}
    for city in cities:
        start = ended or since.at or datetime.combine(since.day or today, time.min, find_zone(city))
        if start.astimezone(UTC).date() < today - SINCE_MAX:
            raise RefusedQuery(f"changes are told for {SINCE_MAX.days} days; since lies before them")
        columns = ingest_runs.c
        before = columns.finished_at <= start if ended else columns.finished_at < start
        statement = select(func.min(columns.run), func.max(columns.run).filter(before))
        # Only the report of a run over regions has a kind; a register begins with its first permits.
        of_permits = columns.report["kind"].astext.is_(None)
        published = statement.where(columns.city == city, columns.status == "published", of_permits)
        floors[city] = max(run or 0 for run in (await session.execute(published)).one())
    return floors


def find_zone(city: str) -> ZoneInfo:
    """Give the time zone of a city's calendar."""
    return ZoneInfo(find_city(city).time_zone)


async def _find_end(session: AsyncSession, run: int) -> datetime:
    statement = select(ingest_runs.c.finished_at).where(ingest_runs.c.run == run)
    ended: datetime | None = await session.scalar(statement)
    if ended is None:
        raise RefusedQuery("since names a run that is not known, or has not ended; as_of tells the last ones")
    return ended


FLOOR = bindparam("floor", type_=BigInteger)
TOLD = or_(
    permits.c.first_run > FLOOR,
    exists().where(
        permit_changes.c.city == permits.c.city,
        permit_changes.c.source_id == permits.c.source_id,
        permit_changes.c.run > FLOOR,
    ),
)
REACHED = bindparam("reached", type_=BigInteger)
LATER = and_(
    permits.c.changed_run <= REACHED,
    or_(
        permits.c.changed_run < REACHED,
        permits.c.city > bindparam("after_city", type_=Text),
        and_(
            permits.c.city == bindparam("after_city", type_=Text),
            permits.c.source_id > bindparam("after_source_id", type_=Text),
        ),
    ),
)


@lru_cache(maxsize=SHAPES_MAX)
def select_changed(names: frozenset[str]) -> AnySelect:
    """Select one city's ``take`` permits changed last, by runs after ``floor``, and behind a position if bound."""
    names_told = ("feature", "city", "source_id", "first_run", "changed_run", "removed_run")
    columns = [permits.c[name] for name in names_told]
    statement = select(*columns).where(permits.c.changed_run > FLOOR, TOLD)
    statement = statement.where(*join_clauses(names, with_removed=True), *join_area(names), *join_circle(names))
    if "reached" in names:
        statement = statement.where(LATER)
    statement = statement.order_by(permits.c.changed_run.desc(), permits.c.source_id)
    return statement.limit(bindparam("take", type_=Integer))


async def find_each(
    session: AsyncSession, rows: list[AnyRow], floors: dict[str, int]
) -> dict[tuple[str, str], list[Change]]:
    """Find the changes of each permit, newest first."""
    told = [row for city, floor in floors.items() for row in await _find_fields(session, city, floor, rows)]
    runs = {row.run for row in told} | {row.first_run for row in rows}
    times = select(ingest_runs.c.run, ingest_runs.c.finished_at, ingest_runs.c.started_at)
    known = await session.execute(times.where(ingest_runs.c.run.in_(runs)))
    at = {row.run: row.finished_at or row.started_at for row in known}
    changes: dict[tuple[str, str], list[Change]] = {(row.city, row.source_id): [] for row in rows}
    for row in told:
        changes[row.city, row.source_id].append(_read(row, at[row.run]))
    for row in rows:
        if row.first_run > floors[row.city]:
            changes[row.city, row.source_id].append(Change("new", row.first_run, at[row.first_run]))
    return changes


async def _find_fields(session: AsyncSession, city: str, floor: int, rows: list[AnyRow]) -> Iterable[AnyRow]:
    keys = [row.source_id for row in rows if row.city == city]
    if not keys:
        return ()
    columns = permit_changes.c
    statement = select(permit_changes).where(columns.city == city, columns.source_id.in_(keys), columns.run > floor)
    return await session.execute(statement.order_by(columns.run.desc(), columns.field))


def _read(row: AnyRow, at: datetime) -> Change:
    if row.field == "removed_run":
        return Change("removed" if row.new_value else "returned", row.run, at)
    old, new = (read_value(row.field, text) for text in (row.old_value, row.new_value))
    return Change("changed", row.run, at, row.field, old, new)


def read_value(field: str, text: str | None) -> object:
    """Give a value of the change log as a permit's feature has it."""
    if text is None:
        return None
    if field == "categories":
        return text.split(", ") if text else []
    if field == "location":
        point = POINT.fullmatch(text)
        return render_point(float(point[1]), float(point[2])) if point else None
    return plain(Decimal(text)) if field in NUMBERS else text


def _tell(row: AnyRow, changes: list[Change]) -> ChangedPermit:
    return ChangedPermit(row.feature.encode(), row.city, row.source_id, row.removed_run is not None, changes)
