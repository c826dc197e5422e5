"""``/permits``: near a point, by attributes, and one by its id, as GeoJSON."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from app.permits.cursor import NO_CONTROLS
from app.permits.features import WHOLE, render_feature, render_point
from app.permits.listing import ListQuery, find_listed, find_permit
from app.permits.near import PAGED_MAX, NearQuery, find_near
from app.permits.register import Register
from app.problems import PROBLEM_RESPONSES
from app.routes.dependencies import CurrentRegister, Session

GEOJSON = "application/geo+json"
router = APIRouter(prefix="/permits", tags=["permits"], responses=PROBLEM_RESPONSES)
Json = dict[str, Any]


@router.get("/near", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def near(
    request: Request, session: Session, register: CurrentRegister, query: Annotated[NearQuery, Query()]
) -> Response:
    """Permits within ``radius_m`` of a point, nearest first, each with its geodesic ``distance_m``."""
    page = await find_near(session, register, query)
    collection = render_collection(request, register, query, page.rows, page.cursor)
    if page.number_matched is not None:
        collection["numberMatched"] = page.number_matched
    if page.ended_early:
        collection["ended"] = f"near pages end after {PAGED_MAX:,} permits; narrow radius_m or the filters for the rest"
    return respond(request, collection)


@router.get("", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def list_permits(
    request: Request, session: Session, register: CurrentRegister, query: Annotated[ListQuery, Query()]
) -> Response:
    """Permits by their attributes, newest or largest first, with or without a usable point."""
    page = await find_listed(session, register, query)
    return respond(request, render_collection(request, register, query, page.rows, page.cursor))


@router.get("/{city}/{source_id:path}", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def permit(
    request: Request,
    session: Session,
    register: CurrentRegister,
    city: Annotated[str, Path(max_length=100, pattern=NO_CONTROLS)],
    source_id: Annotated[str, Path(max_length=200, pattern=NO_CONTROLS)],
) -> Response:
    """One permit, with everything that is kept of it."""
    city = register.choose_cities((city,))[0]
    row = await find_permit(session, city=city, source_id=source_id)
    feature = render_feature(row, register, WHOLE)
    feature["properties"]["reported_location"] = render_point(row.reported_lng, row.reported_lat)
    feature["as_of"] = register.as_of((city,))
    feature["links"] = [{"rel": "self", "href": href(request, permit_path(city, source_id))}]
    return respond(request, feature)


def render_collection(
    request: Request, register: Register, query: NearQuery | ListQuery, rows: list[Any], cursor: str | None
) -> Json:
    """Make the FeatureCollection of a page, with what it stands on and where it goes on."""
    cities = register.choose_cities(query.city)
    parameters = query_parameters(query)
    links = [{"rel": "self", "href": href(request, request.url.path, parameters)}]
    if cursor is not None:
        following = [*(pair for pair in parameters if pair[0] != "cursor"), ("cursor", cursor)]
        links.append({"rel": "next", "href": href(request, request.url.path, following)})
    return {
        "type": "FeatureCollection",
        "numberReturned": len(rows),
        "as_of": register.as_of(cities),
        "missing": register.missing(cities),
        "links": links,
        "features": [render_feature(row, register) for row in rows],
    }


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
    base = request.app.state.settings.public_url or str(request.base_url)
    query = f"?{urlencode(parameters)}" if parameters else ""
    return base.rstrip("/") + path + query


def respond(request: Request, document: Json) -> Response:
    """Send a GeoJSON document, its next page in the ``Link`` header too."""
    following = next((link["href"] for link in document["links"] if link["rel"] == "next"), None)
    headers = {"Cache-Control": request.app.state.settings.cache_control}
    if following:
        headers["Link"] = f'<{following}>; rel="next"'
    return Response(orjson.dumps(document), media_type=GEOJSON, headers=headers)
