"""``/permits``: near a point, by area and attributes, and one by its id, as GeoJSON."""

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.cursor import NO_CONTROLS
from app.permits.features import WHOLE, render_end, render_feature, render_point
from app.permits.listing import ListQuery, SearchQuery, find_listed, find_permit
from app.permits.near import PAGED_MAX, NearQuery, find_near_features
from app.permits.register import Register
from app.permits.search import find_widened
from app.problems import PROBLEM_RESPONSES
from app.routes.replies import GEOJSON, Content, base_url, on_snapshot, produce_settled, reply

router = APIRouter(prefix="/permits", tags=["permits"], responses=PROBLEM_RESPONSES)
Json = dict[str, Any]


@router.get("/near", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def near(request: Request, query: Annotated[NearQuery, Query()]) -> Response:
    """Permits within ``radius_m`` of a point, nearest first, each with its geodesic ``distance_m``."""

    async def produce(register: Register) -> Content:
        page = await find_near_features(request.app.state.reader, register, query)
        more: Json = {} if page.number_matched is None else {"numberMatched": page.number_matched}
        if page.ended_early:
            more["ended"] = f"near pages end after {PAGED_MAX:,} permits; narrow radius_m or the filters for the rest"
        more |= await tell_search(request, query)
        ends = {city: render_end(register, city) for city in register.cities}
        features = [f'{row[0]},"distance_m":{row[3]:.1f}{ends[row[1]]}' for row in page.rows]
        return render_collection(request, register, query, features, page.cursor, more)

    return await reply(request, query, produce, media_type=GEOJSON)


@router.get("", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def list_permits(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Permits by area and attributes, newest, largest or nearest first, with or without a usable point."""
    return await reply(request, query, partial(produce_listed, request, query), media_type=GEOJSON)


@router.post("/search", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def search(request: Request, query: SearchQuery) -> Response:
    """Permits inside a polygon, by attributes as everywhere; the next page is the same body with ``cursor``."""
    _, content = await produce_settled(request, partial(produce_listed, request, query))
    return Response(content.body, media_type=content.media_type, headers={"Cache-Control": "no-store"})


async def produce_listed(request: Request, query: ListQuery, register: Register) -> Content:
    """Make a page of a list."""
    page = await find_listed(request.app.state.reader, register, query)
    features = [row[0] + render_end(register, row[1]) for row in page.rows]
    more = await tell_search(request, query)
    if not isinstance(query, SearchQuery):
        return render_collection(request, register, query, features, page.cursor, more)
    more |= ({"cursor": page.cursor} if page.cursor else {}) | ({"notes": query.notes} if query.notes else {})
    return render_collection(request, register, query, features, None, more)


async def tell_search(request: Request, query: NearQuery | ListQuery) -> Json:
    """Say what was searched for the words of a query that no permit has."""
    widened = await find_widened(request.app.state.reader, query.q) if query.q else {}
    return {"search": {"widened": widened}} if widened else {}


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
        feature["as_of"] = register.as_of((known,))
        feature["links"] = [{"rel": "self", "href": href(request, permit_path(known, source_id))}]
        return Content(orjson.dumps(feature), GEOJSON)

    name = PermitName(city=city, source_id=source_id)
    return await reply(request, name, on_snapshot(request, produce), media_type=GEOJSON)


def render_collection(
    request: Request,
    register: Register,
    query: NearQuery | ListQuery,
    features: list[str],
    cursor: str | None,
    more: Json | None = None,
) -> Content:
    """Make the FeatureCollection of a page, with what it stands on and where it goes on."""
    cities = register.choose_cities(query.city)
    parameters = [] if request.method == "POST" else query_parameters(query)
    links = [{"rel": "self", "href": href(request, request.url.path, parameters)}]
    following = None
    if cursor is not None:
        kept = [pair for pair in parameters if pair[0] != "cursor"]
        following = href(request, request.url.path, [*kept, ("cursor", cursor)])
        links.append({"rel": "next", "href": following})
    head = {
        "type": "FeatureCollection",
        "numberReturned": len(features),
        "as_of": register.as_of(cities),
        "missing": register.missing(cities),
        "links": links,
        **(more or {}),
    }
    body = b"".join((orjson.dumps(head)[:-1], b',"features":[', ",".join(features).encode(), b"]}"))
    return Content(body, GEOJSON, following)


def query_parameters(query: BaseModel) -> list[tuple[str, str]]:
    """Give a query as the parameters that say it, defaults left out."""
    said = query.model_dump(mode="json", exclude_defaults=True)
    return [
        (name, str(item)) for name, value in said.items() for item in (value if isinstance(value, list) else [value])
    ]


def permit_path(city: str, source_id: str) -> str:
    """Give the path of a permit."""
    return f"/permits/{quote(city, safe='')}/{quote(source_id, safe='')}"


def href(request: Request, path: str, parameters: list[tuple[str, str]] | None = None) -> str:
    """Give the address of a path as callers see this service."""
    return base_url(request) + path + (f"?{urlencode(parameters)}" if parameters else "")
