"""``/regions``: the areas that permits can be asked for by, as GeoJSON."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.cursor import NO_CONTROLS
from app.permits.regions import RegionQuery, find_region, find_regions
from app.permits.register import Register
from app.problems import PROBLEM_RESPONSES
from app.routes.permits import href, query_parameters
from app.routes.queries import QueryRoute
from app.routes.replies import GEOJSON, Content, on_snapshot, reply

router = APIRouter(prefix="/regions", tags=["regions"], responses=PROBLEM_RESPONSES, route_class=QueryRoute)


@router.get("", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def list_regions(request: Request, query: Annotated[RegionQuery, Query()]) -> Response:
    """Regions by city, kind, name and box, ordered by id, each with its outline, size, source and number of permits."""

    async def produce(session: AsyncSession, register: Register) -> Content:
        page = await find_regions(session, register, query)
        parameters = query_parameters(query)
        links = [{"rel": "self", "href": href(request, "/regions", parameters)}]
        following = None
        if page.cursor is not None:
            kept = [pair for pair in parameters if pair[0] != "cursor"]
            following = href(request, "/regions", [*kept, ("cursor", page.cursor)])
            links.append({"rel": "next", "href": following})
        head: dict[str, Any] = {
            "type": "FeatureCollection",
            "numberReturned": len(page.features),
            "as_of": register.as_of(register.choose_cities(query.city)),
            "links": links,
        }
        features = ",".join(page.features).encode()
        return Content(b"".join((orjson.dumps(head)[:-1], b',"features":[', features, b"]}")), GEOJSON, following)

    return await reply(request, query, on_snapshot(request, produce), media_type=GEOJSON)


class RegionWord(BaseModel, frozen=True):
    """Which region is meant."""

    region: str


@router.get("/{region:path}", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def region(request: Request, region: Annotated[str, Path(max_length=200, pattern=NO_CONTROLS)]) -> Response:
    """One region by its id, with its whole area: ``/regions/austin/council_district/District%209``."""

    async def produce(session: AsyncSession, register: Register) -> Content:
        return Content((await find_region(session, register, region)).encode(), GEOJSON)

    return await reply(request, RegionWord(region=region), on_snapshot(request, produce), media_type=GEOJSON)
