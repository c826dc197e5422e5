"""What changed in the register since a run, a day or an instant: new permits, fields, withdrawals and returns.

Every run that publishes keeps what it changed, field by field. A city's first run is where its register begins: what it
brought is not news.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator
from sqlalchemy import ColumnElement, and_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.cities.city import find_city
from app.errors import MalformedCursor, NoSuchCity
from app.permits.areas import BoxText, bind_area, join_area
from app.permits.cursor import CURSOR_MAX_LENGTH, Position, decode, fingerprint
from app.permits.features import FEATURE_COLUMNS, AnyRow
from app.permits.filters import RADIUS_MAX_M, Latitude, Longitude, PermitFilter, bind_filter, join_clauses, with_values
from app.permits.near import WITHIN
from app.permits.register import Register
from app.permits.tables import ingest_runs, permit_changes, permits

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
SINCE_DEFAULT = timedelta(days=7)
RUN = re.compile(r"[0-9]{1,18}")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
POINT = re.compile(r"POINT\((\S+) (\S+)\)")
NUMBERS = {"est_project_cost_usd", "housing_units", "total_sqft", "solar_kw", "battery_kwh"}
Kind = Literal["new", "changed", "removed", "returned"]


def _parse_since(text: str) -> int | date | datetime:
    if RUN.fullmatch(text):
        return int(text)
    try:
        if DAY.fullmatch(text):
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError("must be a day (2026-11-01), an instant (2026-11-01T04:00:00Z) or the number of a run")
    return instant


def _check_since(text: str) -> str:
    _parse_since(text)
    return text


Since = Annotated[str, Field(max_length=40), AfterValidator(_check_since)]


class ChangesQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which changes are asked for: of which permits, as they are now, and since when.

    ``since`` is a day in the city, its beginning is meant; an instant; or a run, and the changes after it are meant.
    """

    since: Since | None = Field(default=None, description="a day, an instant or a run; unset: the last 7 days")
    bbox: BoxText = Field(default=None, description="west,south,east,north; west beyond east crosses the antimeridian")
    lat: Latitude | None = Field(default=None, description="latitude of a circle's middle, degrees north")
    lng: Longitude | None = Field(default=None, description="longitude of a circle's middle, degrees east")
    radius_m: float | None = Field(
        default=None, gt=0, le=RADIUS_MAX_M, allow_inf_nan=False, description="the circle's radius in metres"
    )
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="permits a page")
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")
    f: Annotated[Literal["geojson", "atom"] | None, Field(description="unset: as Accept says")] = None

    @model_validator(mode="after")
    def _has_a_whole_circle_or_none(self) -> Self:
        if len({value is None for value in (self.lat, self.lng, self.radius_m)}) > 1:
            raise ValueError("lat, lng and radius_m say a circle together")
        return self


class Run(NamedTuple):
    """A run that published, and when it had ended."""

    city: str
    run: int
    at: datetime


@dataclass(frozen=True)
class Change:
    """One field of one permit: what it was and is, as the register has it, and the run that changed it."""

    field: str
    old: Any
    new: Any
    run: Run


@dataclass(frozen=True)
class ChangedPermit:
    """A permit as it is now, what last happened to it, and its changes, the newest first."""

    row: AnyRow
    kind: Kind
    run: Run
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class ChangesPage:
    """Permits that changed, the newest change first; when each register begins; and the cursor of the next page."""

    permits: list[ChangedPermit]
    begins: dict[str, datetime]
    cursor: str | None


async def find_changes(session: AsyncSession, register: Register, query: ChangesQuery, *, now: datetime) -> ChangesPage:
    """Find a page of permits that changed, on the session's snapshot.

    Raises :class:`MalformedCursor`, :class:`UnknownWord` and :class:`NoSuchCity`.
    """
    cities = register.choose_cities(query.city)
    runs = await find_runs(session, cities)
    begins = {run.city: run for run in reversed(runs)}
    told = {run.run: run for run in runs if run is not begins[run.city] and is_since(run, query.since, now)}
    after = decode(query.cursor, query)
    rows = await find_touched(session, register, query, sorted(told), after) if told else []
    page = rows[: query.limit]
    changes = await find_fields(session, page, told)
    return ChangesPage(
        permits=[tell(row, changes.get((row.city, row.source_id), ()), told) for row in page],
        begins={city: run.at for city, run in begins.items()},
        cursor=_next_cursor(query, register, rows, after),
    )


async def find_runs(session: AsyncSession, cities: tuple[str, ...]) -> list[Run]:
    """Give the runs that published permits of these cities, in order."""
    columns = ingest_runs.c
    published = select(columns.city, columns.run, columns.finished_at).where(
        columns.city.in_(cities), columns.status == "published", columns.finished_at.is_not(None)
    )
    return [Run(*row) for row in await session.execute(published.order_by(columns.run))]


def is_since(run: Run, since: str | None, now: datetime) -> bool:
    """Tell whether a run is one of those asked about."""
    said = _parse_since(since) if since is not None else now - SINCE_DEFAULT
    if isinstance(said, int):
        return run.run > said
    if isinstance(said, datetime):
        return run.at >= said
    return run.at >= datetime.combine(said, time(), find_zone(run.city))


def find_zone(city: str) -> ZoneInfo:
    """Give the time zone of a city; of one whose file is gone, UTC."""
    try:
        return ZoneInfo(find_city(city).time_zone)
    except NoSuchCity:
        return ZoneInfo("UTC")


async def find_touched(
    session: AsyncSession, register: Register, query: ChangesQuery, runs: list[int], after: Position | None
) -> list[AnyRow]:
    """Find the permits that these runs changed last, one more than the page holds."""
    columns = permits.c
    statement = select(*FEATURE_COLUMNS, columns.first_run, columns.changed_run, columns.removed_run)
    statement = statement.where(columns.changed_run.in_(runs), *bind_clauses(query, register))
    if after is not None:
        statement = statement.where(_follow(after))
    order = (columns.changed_run.desc(), columns.city, columns.source_id)
    return list(await session.execute(statement.order_by(*order).limit(query.limit + 1)))


def bind_clauses(query: ChangesQuery, register: Register) -> list[ColumnElement[bool]]:
    """Give the clauses of filters and area, with their values; withdrawn permits are meant too."""
    values = bind_filter(query, register) | bind_area(query.bbox)
    if query.radius_m is not None:
        values |= {"lat": query.lat, "lng": query.lng, "radius_m": query.radius_m}
    names = frozenset(values)
    circle = [WITHIN] if "radius_m" in names else []
    clauses = [*join_clauses(names, removed_too=True), *join_area(names), *circle]
    return [with_values(clause, values) for clause in clauses]


def _follow(after: Position) -> ColumnElement[bool]:
    columns = permits.c
    if after.key is None or not RUN.fullmatch(after.key):
        raise MalformedCursor("the cursor is damaged")
    run = int(after.key)
    later = tuple_(columns.city, columns.source_id) > tuple_(after.city, after.source_id)
    return or_(columns.changed_run < run, and_(columns.changed_run == run, later))


async def find_fields(
    session: AsyncSession, rows: list[AnyRow], runs: Mapping[int, Run]
) -> dict[tuple[str, str], tuple[Change, ...]]:
    """Find what these runs changed of these permits, field by field, the newest first."""
    if not rows:
        return {}
    columns = permit_changes.c
    statement = select(
        columns.city, columns.source_id, columns.field, columns.old_value, columns.new_value, columns.run
    )
    keys = [(row.city, row.source_id) for row in rows]
    statement = statement.where(tuple_(columns.city, columns.source_id).in_(keys), columns.run.in_(list(runs)))
    found: dict[tuple[str, str], tuple[Change, ...]] = {}
    for row in await session.execute(statement.order_by(columns.run.desc(), columns.field)):
        key = (row.city, row.source_id)
        old, new = read_value(row.field, row.old_value), read_value(row.field, row.new_value)
        found[key] = (*found.get(key, ()), Change(row.field, old, new, runs[row.run]))
    return found


def read_value(field: str, text: str | None) -> object:
    """Give a value of the change log as replies have it: points as [longitude, latitude], numbers as numbers."""
    if text is None or field == "removed_run":
        return text
    if field == "location" and (point := POINT.fullmatch(text)):
        return [round(float(part), 6) for part in point.groups()]
    if field in NUMBERS:
        number = float(text)
        return int(number) if number.is_integer() else number
    if field == "categories":
        return text.split(", ") if text else []
    return text


def tell(row: AnyRow, changes: tuple[Change, ...], runs: Mapping[int, Run]) -> ChangedPermit:
    """Tell what happened to a permit; that it was withdrawn or came back is its kind and no field."""
    last = runs[row.changed_run]
    came_back = any(change.field == "removed_run" and change.new is None and change.run == last for change in changes)
    kind: Kind = "returned" if came_back else "changed"
    if row.removed_run is not None:
        kind = "removed"
    elif row.first_run in runs:
        kind = "new"
    return ChangedPermit(row, kind, last, tuple(change for change in changes if change.field != "removed_run"))


def _next_cursor(query: ChangesQuery, register: Register, rows: list[AnyRow], after: Position | None) -> str | None:
    if len(rows) <= query.limit:
        return None
    last = rows[query.limit - 1]
    position = Position(
        of=fingerprint(query),
        data_version=register.data_version,
        key=str(last.changed_run),
        city=last.city,
        source_id=last.source_id,
        seen=(after.seen if after else 0) + query.limit,
    )
    return position.encode()


def render_instant(instant: datetime) -> str:
    """Give an instant as RFC 3339 has it, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
