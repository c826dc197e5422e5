"""``/tiles``: vector tiles of the permits, and the TileJSON that a map library begins with."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from app.cities.city import find_city
from app.errors import NoSuchCity
from app.permits.filters import PermitFilter, bind_filter
from app.permits.grid import ZOOM_MAX, find_tile
from app.permits.numbers import PLAIN
from app.permits.register import Register
from app.permits.tiles import CELL_FIELDS, POINT_FIELDS, POINTS_MAX, TileMaker, find_bounds
from app.problems import PROBLEM_RESPONSES
from app.routes.permits import href, query_parameters
from app.routes.queries import QueryRoute
from app.routes.replies import Content, reply

router = APIRouter(prefix="/tiles", tags=["tiles"], responses=PROBLEM_RESPONSES, route_class=QueryRoute)
MVT = "application/vnd.mapbox-vector-tile"
TILEJSON = "application/json"
TEMPLATE = "/tiles/permits/{z}/{x}/{y}.mvt"
LAYERS = {
    "permits": ("one point a permit, where a tile holds few enough", POINT_FIELDS),
    "cells": (
        f"the middle of each cell and its counts, where a tile would hold more than {POINTS_MAX:,} points",
        CELL_FIELDS,
    ),
}


@router.get("/permits.json", response_class=Response, responses={200: {"content": {TILEJSON: {}}}})
async def describe_tiles(request: Request, query: Annotated[PermitFilter, Query()]) -> Response:
    """TileJSON 3.0 of the permits' vector tiles; a filter given here is in the address of its tiles."""

    async def produce(register: Register) -> Content:
        bind_filter(query, register)  # refuses here what every tile would refuse
        cities = register.choose_cities(query.city)
        box = await find_bounds(request.app.state.reader, register, cities)
        document = {
            "tilejson": "3.0.0",
            "name": "Building permits",
            "attribution": ", ".join(name_city(city) for city in cities),
            "scheme": "xyz",
            "tiles": [href(request, TEMPLATE, query_parameters(query))],
            "minzoom": 0,
            "maxzoom": ZOOM_MAX,
            "bounds": list(box),
            "vector_layers": [describe_layer(name) for name in LAYERS],
        }
        return Content(orjson.dumps(document), TILEJSON)

    return await reply(request, query, produce, media_type=TILEJSON)


@router.get("/permits/{z}/{x}/{y}.mvt", response_class=Response, responses={200: {"content": {MVT: {}}}})
async def tile(
    request: Request,
    z: Annotated[int, Path(description=f"zoom, 0 to {ZOOM_MAX}"), PLAIN],
    x: Annotated[int, Path(description="column, from the antimeridian eastwards"), PLAIN],
    y: Annotated[int, Path(description="row, from the north"), PLAIN],
    query: Annotated[PermitFilter, Query()],
) -> Response:
    """The permits of one Web Mercator tile (XYZ) as a Mapbox vector tile: layer ``permits``, or else ``cells``.

    A tile without any permit is 200 with no bytes: that is a vector tile without layers, which every map library
    reads, while some take a 404 for a fault and ask again.
    """
    wanted = find_tile(z, x, y)
    maker: TileMaker = request.app.state.tiles

    async def produce(register: Register) -> Content:
        return Content(await maker.find(register, wanted, query), MVT)

    return await reply(request, query, produce, media_type=MVT)


def describe_layer(name: str) -> dict[str, Any]:
    """Say what a layer holds, as TileJSON does."""
    description, fields = LAYERS[name]
    return {"id": name, "description": description, "minzoom": 0, "maxzoom": ZOOM_MAX, "fields": fields}


def name_city(city: str) -> str:
    """Give a city's title, or its name where it has no file here."""
    try:
        return find_city(city).title
    except NoSuchCity:
        return city
