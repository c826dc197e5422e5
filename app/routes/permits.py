"""``/permits``: near a point, by area and attributes, and one by its id, as GeoJSON."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.cursor import NO_CONTROLS
from app.permits.features import WHOLE, render_end, render_feature, render_point
from app.permits.filters import Form
from app.permits.listing import ListQuery, SearchQuery, find_listed, find_permit
from app.permits.near import PAGED_MAX, NearPage, NearQuery, find_near_features, read_name
from app.permits.register import Register
from app.permits.search import find_widened
from app.problems import PROBLEM_RESPONSES
from app.routes.forms import FORM_RESPONSES, MEDIA_TYPES, choose_form, render_rows
from app.routes.queries import QueryRoute
from app.routes.replies import GEOJSON, Content, base_url, on_snapshot, produce_settled, reply

router = APIRouter(prefix="/permits", tags=["permits"], responses=PROBLEM_RESPONSES, route_class=QueryRoute)
Json = dict[str, Any]


@router.get("/near", response_class=Response, responses=FORM_RESPONSES)
async def near(request: Request, query: Annotated[NearQuery, Query()]) -> Response:
    """Permits within ``radius_m`` of a point, nearest first, each with its geodesic ``distance_m``."""
    form = choose_form(request, query.f)

    async def produce(register: Register) -> Content:
        more = await tell_search(request, query)
        page = await find_near_features(request.app.state.reader, register, query)
        more |= {} if page.number_matched is None else {"numberMatched": page.number_matched}
        if page.ended_early:
            more["ended"] = f"near pages end after {PAGED_MAX:,} permits; /permits/export gives the rest"
        features = complete_features(page, register, query)
        if page.ended_early:
            links = [{"rel": "enclosure", "href": href(request, "/permits/export", export_parameters(query))}]
            return render_collection(request, register, query, features, form, links=links, more=more)
        return render_collection(request, register, query, features, form, cursor=page.cursor, more=more)

    return await reply(request, query, produce, media_type=MEDIA_TYPES[form])


@router.get("", response_class=Response, responses=FORM_RESPONSES)
async def list_permits(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Permits by area and attributes, newest, largest or nearest first, with or without a usable point."""
    form = choose_form(request, query.f)
    return await reply(request, query, partial(produce_listed, request, query, form), media_type=MEDIA_TYPES[form])


@router.post("/search", response_class=Response, responses=FORM_RESPONSES)
async def search(request: Request, query: SearchQuery) -> Response:
    """Permits inside a polygon, by attributes as everywhere; the next page is the same body with ``cursor``.

    Its link says so as STAC API does: ``method``, and a ``body`` to ``merge`` into the one that was sent.
    """
    _, content = await produce_settled(request, partial(produce_listed, request, query, choose_form(request, query.f)))
    return Response(content.body, media_type=content.media_type, headers={"Cache-Control": "no-store"})


async def produce_listed(request: Request, query: ListQuery, form: Form, register: Register) -> Content:
    """Make a page of a list."""
    more = await tell_search(request, query)
    page = await find_listed(request.app.state.reader, register, query)
    features = [row[0] + render_end(register, row[1]) for row in page.rows]
    if not isinstance(query, SearchQuery):
        return render_collection(request, register, query, features, form, cursor=page.cursor, more=more)
    links = [link_search(request, page.cursor)] if page.cursor else []
    more |= ({"cursor": page.cursor} if page.cursor else {}) | ({"notes": query.notes} if query.notes else {})
    return render_collection(request, register, query, features, form, links=links, more=more)


def link_search(request: Request, cursor: str) -> Json:
    """Link to the next page of a search, in the words of STAC API: ``body`` is merged into the body that was sent."""
    where = {"rel": "next", "href": href(request, "/permits/search"), "type": GEOJSON}
    return {**where, "method": "POST", "body": {"cursor": cursor}, "merge": True}


async def tell_search(request: Request, query: NearQuery | ListQuery) -> Json:
    """Say what was searched for the words of a query that no permit has.

    Asked before the permits, whose mark then holds for both.
    """
    widened = await find_widened(request.app.state.reader, query.q) if query.q else {}
    return {"search": {"widened": widened}} if widened else {}


def complete_features(page: NearPage[bytes], register: Register, query: NearQuery) -> list[bytes]:
    """Put into each feature how far it is, and its end."""
    ends = {render_end(register, city) for city in register.choose_cities(query.city)}
    if len(ends) == 1:
        end = ends.pop()
        return [b'%b,"distance_m":%.1f%b' % (*told, end) for told in zip(page.rows, page.distances_m, strict=True)]
    return [
        b'%b,"distance_m":%.1f%b' % (feature, distance_m, render_end(register, read_name(feature)[0]))
        for feature, distance_m in zip(page.rows, page.distances_m, strict=True)
    ]


class PermitName(BaseModel, frozen=True):
    """Which permit is meant."""

    city: str
    source_id: str


@router.get("/{city}/{source_id:path}", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def permit(
    request: Request,
    city: Annotated[str, Path(max_length=100, pattern=NO_CONTROLS)],
    source_id: Annotated[str, Path(max_length=200, pattern=NO_CONTROLS)],
) -> Response:
    """One permit, with everything that is kept of it."""

    async def produce(session: AsyncSession, register: Register) -> Content:
        (known,) = register.choose_cities((city,))
        row = await find_permit(session, city=known, source_id=source_id)
        feature = render_feature(row, register, WHOLE)
        feature["properties"]["reported_location"] = render_point(row.reported_lng, row.reported_lat)
        feature["properties"]["regions"] = sorted(register.regions[number].id for number in row.regions)
        feature["as_of"] = register.as_of((known,))
        feature["links"] = [{"rel": "self", "href": href(request, permit_path(known, source_id))}]
        return Content(orjson.dumps(feature), GEOJSON)

    name = PermitName(city=city, source_id=source_id)
    return await reply(request, name, on_snapshot(request, produce), media_type=GEOJSON)


def render_collection(
    request: Request,
    register: Register,
    query: NearQuery | ListQuery,
    features: list[bytes],
    form: Form,
    *,
    cursor: str | None = None,
    links: Sequence[Json] = (),
    more: Json | None = None,
) -> Content:
    """Make a page: a FeatureCollection with what it stands on and where it goes on, or its rows alone."""
    cities = register.choose_cities(query.city)
    parameters = [] if request.method == "POST" else query_parameters(query)
    first = href(request, request.url.path, [pair for pair in parameters if pair[0] != "cursor"])
    told: list[Json] = [{"rel": "self", "href": add_cursor(first, query.cursor)}, *links]
    following = None
    if cursor is not None:
        following = add_cursor(first, cursor)
        told.append({"rel": "next", "href": following})
    if form != "geojson":
        body = render_rows(form, features, with_distance=isinstance(query, NearQuery))
        return Content(body, MEDIA_TYPES[form], following)
    head = {
        "type": "FeatureCollection",
        "numberReturned": len(features),
        "as_of": register.as_of(cities),
        "missing": register.missing(cities),
        "links": told,
        **(more or {}),
    }
    body = b"".join((orjson.dumps(head)[:-1], b',"features":[', b",".join(features), b"]}"))
    return Content(body, GEOJSON, following)


def add_cursor(address: str, cursor: str | None) -> str:
    """Give the address of a page of a sequence; a cursor needs no quoting."""
    return address if cursor is None else f"{address}{'&' if '?' in address else '?'}cursor={cursor}"


def query_parameters(query: BaseModel) -> list[tuple[str, str]]:
    """Give a query as the parameters that say it, defaults left out."""
    said = query.model_dump(mode="json", exclude_defaults=True)
    return [
        (name, str(item)) for name, value in said.items() for item in (value if isinstance(value, list) else [value])
    ]


def export_parameters(query: NearQuery) -> list[tuple[str, str]]:
    """Give the parameters by which an export gives what a near query is about."""
    kept = [pair for pair in query_parameters(query) if pair[0] not in {"limit", "cursor", "count", "radius_m"}]
    return [*kept, ("radius_m", str(query.radius_m))]


def permit_path(city: str, source_id: str) -> str:
    """Give the path of a permit."""
    return f"/permits/{quote(city, safe='')}/{quote(source_id, safe='')}"


def href(request: Request, path: str, parameters: list[tuple[str, str]] | None = None) -> str:
    """Give the address of a path as callers see this service."""
    return base_url(request) + path + (f"?{urlencode(parameters)}" if parameters else "")
