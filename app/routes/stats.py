"""``/permits/stats``: counts, sums, means and medians of permits, in total and by group."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.features import plain
from app.permits.register import Register
from app.permits.series import (
    KINDS,
    Statistics,
    StatsQuery,
    StatsSearch,
    bound_period,
    gather_statistics,
    is_partial,
    name_period,
)
from app.permits.stats import MONTHS_IN, Group, Total
from app.permits.words import DEFINITIONS, Category
from app.problems import PROBLEM_RESPONSES
from app.routes.permits import href, query_parameters
from app.routes.queries import QueryRoute
from app.routes.replies import Content, on_snapshot, produce_settled, reply

router = APIRouter(prefix="/permits", tags=["permits"], responses=PROBLEM_RESPONSES, route_class=QueryRoute)
JSON = "application/json"
Json = dict[str, Any]
SEVERAL = {"category": "categories", "region": "regions"}
NOT_OF_ROWS = {"group_by", "kind", "measure"}


@router.get("/stats", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def stats(request: Request, query: Annotated[StatsQuery, Query()]) -> Response:
    """Figures of permits: number, declared value, days from application to issue, in total and by group."""

    async def produce(session: AsyncSession, register: Register) -> Content:
        found = await gather_statistics(session, register, query)
        return Content(orjson.dumps(render_statistics(request, register, query, found)), JSON)

    return await reply(request, query, on_snapshot(request, produce), media_type=JSON)


@router.post("/stats", response_class=Response, responses={200: {"content": {JSON: {}}}})
async def search_stats(request: Request, query: StatsSearch) -> Response:
    """Figures of permits inside a polygon, with filters, groups and measures as everywhere."""

    async def produce(session: AsyncSession, register: Register) -> Content:
        found = await gather_statistics(session, register, query)
        return Content(orjson.dumps(render_statistics(request, register, query, found)), JSON)

    _, content = await produce_settled(request, on_snapshot(request, produce))
    return Response(content.body, media_type=JSON, headers={"Cache-Control": "no-store"})


def render_statistics(request: Request, register: Register, query: StatsQuery, found: Statistics) -> Json:
    """Make the reply."""
    cities = register.choose_cities(query.city)
    render = partial(render_group, request, query, found)
    parameters = [] if isinstance(query, StatsSearch) else query_parameters(query)
    document: Json = {
        "group_by": query.group_by,
        "measures": list(query.measure),
        "total": render_total(query, found.total, found.km2.get(None)),
        "groups": [render(group) for group in found.groups],
        "as_of": register.as_of(cities),
        "missing": register.missing(cities, tuple(lacking(query))),
        "definitions": {name: DEFINITIONS[Category(name)] for name in list_categories(query, found)},
        "links": [{"rel": "self", "href": href(request, request.url.path, parameters)}],
    }
    if query.group_by in SEVERAL:
        document["note"] = f"a permit with several {SEVERAL[query.group_by]} counts in each of them"
    if isinstance(query, StatsSearch) and query.notes:
        document["notes"] = query.notes
    return document


def render_total(query: StatsQuery, total: Total, km2: float | None) -> Json:
    """Give the measures asked for; each of money and of days with how many permits state it."""
    told: Json = {"permits": total.permits}
    asked = set(query.measure)
    if any(name.startswith("value_usd") for name in asked):
        told["permits_with_value"] = total.priced
    if "value_usd_sum" in asked:
        told["value_usd_sum"] = plain(total.value_usd)
    if "value_usd_mean" in asked:
        told["value_usd_mean"] = plain(total.value_usd_mean)
    if "value_usd_median" in asked:
        told["value_usd_median"] = plain(total.value_usd_median)
    if "days_to_issue_median" in asked:
        days = total.days_to_issue_median
        median = None if days is None else plain(Decimal(str(days)))
        told |= {"permits_with_days": total.timed, "days_to_issue_median": median}
    if "permits_per_km2" in asked and km2:
        told |= {"km2": round(km2, 6), "permits_per_km2": round(total.permits / km2, 3)}
    return told


def render_group(request: Request, query: StatsQuery, found: Statistics, group: Group) -> Json:
    """Give one group with its figures and, where a filter says it, the link to its permits."""
    key, by = group.key, query.group_by or ""
    told: Json = {"key": key}
    if isinstance(key, int):
        told |= {"key": name_period(key, by), "partial": is_partial(bound_period(key, by), query, found.through)}
    is_area = query.group_by in KINDS
    km2 = None if is_area and key is None else found.km2.get(str(key) if is_area else None)
    told |= render_total(query, group, km2)
    rows = filter_rows(query, group)
    return told | ({"rows": href(request, rows_path(query), rows)} if rows else {})


def rows_path(query: StatsQuery) -> str:
    """Give the path that lists permits of the query."""
    return "/permits/near" if query.area else "/permits"


def is_listed(query: StatsQuery) -> bool:
    """Tell whether a path lists permits of these areas: none takes a circle and a box, nor a polygon by GET."""
    return not (isinstance(query, StatsSearch) and query.polygon) and not (query.area and query.bbox)


def filter_rows(query: StatsQuery, group: Group) -> list[tuple[str, str]]:
    """Give the parameters that list a group's permits; none where no filter says exactly that."""
    key, by = group.key, query.group_by or ""
    said = [pair for pair in query_parameters(query) if pair[0] not in NOT_OF_ROWS]
    if key is None or (by not in MONTHS_IN and getattr(query, by, None)) or not is_listed(query):
        return []
    if isinstance(key, int):
        first, last = bound_period(key, by)
        first, last = max(first, query.issued_from or first), min(last, query.issued_to or last)
        kept = [pair for pair in said if pair[0] not in {"issued_from", "issued_to"}]
        return [*kept, ("issued_from", first.isoformat()), ("issued_to", last.isoformat())]
    word = f"{query.kind}/{key}" if by == "region" else key
    return [*said, (by, word)] if by in type(query).model_fields else []


def list_categories(query: StatsQuery, found: Statistics) -> list[str]:
    """Give the categories that the reply speaks of."""
    grouped = [str(group.key) for group in found.groups if group.key] if query.group_by == "category" else []
    return sorted({*map(str, query.category), *grouped})


def lacking(query: StatsQuery) -> Iterator[str]:
    """Name what permits must state to be counted, or to be in a group."""
    by, measured = query.group_by, " ".join(query.measure)
    if query.list_areas() or by == "region":
        yield "without_location"
    if query.category or by == "category":
        yield "without_category"
    if query.zip or by == "zip":
        yield "without_zip"
    if query.issued_from or query.issued_to or by in MONTHS_IN or "days" in measured:
        yield "without_issued_date"
    if query.applied_from or query.applied_to or "days" in measured:
        yield "without_applied_date"
    if query.min_value_usd is not None or query.max_value_usd is not None or "value" in measured:
        yield "without_value"
