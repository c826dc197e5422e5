"""``/ogc``: OGC API - Features, Part 1 (1.0), over one collection, the register, for QGIS and GDAL.

What other routes answer with 422 is 400 here, unknown parameters included, because the standard wants it. Queries are
read by the framework, which lets a parameter that is given twice count once: the OGC's suite gives a page's so.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.collection import (
    CollectionQuery,
    Extent,
    find_collected,
    find_extent,
    find_one,
    parse_feature_id,
    render_feature_bytes,
)
from app.permits.cursor import NO_CONTROLS
from app.permits.register import Register
from app.problems import BAD_REQUEST_ROOT, problem_responses
from app.routes.openapi30 import FEATURE_SCHEMA, describe
from app.routes.permits import href, permit_path, query_parameters
from app.routes.queries import NoParameters, refuse_parameters
from app.routes.replies import GEOJSON, Content, on_snapshot, reply

Json = dict[str, Any]
Links = list[dict[str, str]]

ROOT = BAD_REQUEST_ROOT
COLLECTION = f"{ROOT}/collections/permits"
JSON = "application/json"
SCHEMA_JSON = "application/schema+json"
OPENAPI_JSON = "application/vnd.oai.openapi+json;version=3.0"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
CONFORMS_TO = [
    f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "geojson", "oas30")
]
TITLE = "Building permits"
DESCRIPTION = (
    "The permits of the register. A permit without a usable point has a null geometry, and bbox"
    " leaves it out; datetime is about issued_date and leaves out permits that were not issued."
)


# With a range among them the framework does not add its own 422, which is never sent here.
PROBLEMS = problem_responses(400, 404, 410, 503) | {"4XX": problem_responses(400)[400]}
router = APIRouter(tags=["ogc"], responses=PROBLEMS)
bare = APIRouter(prefix=ROOT, dependencies=[Depends(refuse_parameters)])


def says(media_type: str) -> dict[int | str, Json]:
    """Give what the API's description says of a good reply."""
    return {200: {"content": {media_type: {}}}}


@bare.get("", response_class=Response, responses=says(JSON))
@bare.get("/", response_class=Response, include_in_schema=False)
async def landing_page(request: Request) -> Response:
    """The landing page: where a client that knows OGC API - Features begins."""
    links = [
        link(request, ROOT, rel="self", type=JSON, title="this document"),
        link(request, f"{ROOT}/api", rel="service-desc", type=OPENAPI_JSON, title="the API in OpenAPI 3.0"),
        link(request, "/docs", rel="service-doc", type="text/html", title="the whole service, for people"),
        link(request, f"{ROOT}/conformance", rel="conformance", type=JSON, title="what it conforms to"),
        link(request, f"{ROOT}/collections", rel="data", type=JSON, title="the collections"),
    ]
    return respond(request, {"title": f"Undervolt: {TITLE.lower()}", "description": DESCRIPTION, "links": links})


@bare.get("/api", response_class=Response, responses=says(OPENAPI_JSON))
async def api(request: Request) -> Response:
    """These paths in OpenAPI 3.0, which is what clients of OGC API - Features read; ``/openapi.json`` is 3.1."""
    return respond(request, describe(href(request, ROOT)), media_type=OPENAPI_JSON)


@bare.get("/conformance", response_class=Response, responses=says(JSON))
async def conformance(request: Request) -> Response:
    """The conformance classes."""
    return respond(request, {"conformsTo": CONFORMS_TO})


@bare.get("/collections", response_class=Response, responses=says(JSON))
async def collections(request: Request) -> Response:
    """The one collection there is."""

    async def produce(session: AsyncSession, register: Register) -> Content:
        links = [link(request, f"{ROOT}/collections", rel="self", type=JSON, title="this document")]
        one = render_collection(request, await find_extent(session, register))
        return Content(orjson.dumps({"links": links, "collections": [one]}), JSON)

    return await reply(request, NoParameters(), on_snapshot(request, produce), media_type=JSON)


@bare.get("/collections/permits", response_class=Response, responses=says(JSON))
async def collection(request: Request) -> Response:
    """The collection, and what it reaches over."""

    async def produce(session: AsyncSession, register: Register) -> Content:
        return Content(orjson.dumps(render_collection(request, await find_extent(session, register))), JSON)

    return await reply(request, NoParameters(), on_snapshot(request, produce), media_type=JSON)


@bare.get("/collections/permits/schema", response_class=Response, responses=says(SCHEMA_JSON))
async def schema(request: Request) -> Response:
    """The properties of a feature and their types, which a client cannot tell from a page where one is always null."""
    return respond(request, FEATURE_SCHEMA, media_type=SCHEMA_JSON)


@router.get(f"{COLLECTION}/items", response_class=Response, responses=says(GEOJSON))
async def items(request: Request, query: Annotated[CollectionQuery, Query()]) -> Response:
    """Permits page by page: all by city and source id, a selection newest first.

    ``numberMatched`` stands where it is known without counting.
    """

    async def produce(register: Register) -> Content:
        page = await find_collected(request.app.state.reader, register, query)
        links = page_links(request, query, page.cursor)
        head: Json = {
            "type": "FeatureCollection",
            "timeStamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "numberReturned": len(page.rows),
            "links": links,
        }
        if page.number_matched is not None:
            head["numberMatched"] = page.number_matched
        features = b",".join(render_feature_bytes(row, register) for row in page.rows)
        body = b"".join((orjson.dumps(head)[:-1], b',"features":[', features, b"]}"))
        following = next((one["href"] for one in links if one["rel"] == "next"), None)
        return Content(body, GEOJSON, following)

    return await reply(request, query, produce, media_type=GEOJSON)


@bare.get("/collections/permits/items/{feature_id}", response_class=Response, responses=says(GEOJSON))
async def item(request: Request, feature_id: Annotated[str, Path(max_length=1000, pattern=NO_CONTROLS)]) -> Response:
    """One permit as it stands in the collection."""
    city, source_id = parse_feature_id(feature_id)

    async def produce(register: Register) -> Content:
        row = await find_one(request.app.state.reader, register, city=city, source_id=source_id)
        links = [
            link(request, f"{COLLECTION}/items/{feature_id}", rel="self", type=GEOJSON, title="this document"),
            link(request, COLLECTION, rel="collection", type=JSON, title=TITLE),
            link(request, permit_path(city, source_id), rel="related", type=GEOJSON, title="everything kept of it"),
        ]
        feature = render_feature_bytes(row, register)
        return Content(b"".join((feature[:-1], b',"links":', orjson.dumps(links), b"}")), GEOJSON)

    return await reply(request, NoParameters(), produce, media_type=GEOJSON)


router.include_router(bare)


def render_collection(request: Request, extent: Extent) -> Json:
    """Make the document of the collection."""
    # The relation's registered name is describedby; GDAL 3.6 compares it letter by letter, and RFC 8288 in any case.
    links = [
        link(request, COLLECTION, rel="self", type=JSON, title="this collection"),
        link(request, f"{COLLECTION}/items", rel="items", type=GEOJSON, title=TITLE),
        link(request, f"{COLLECTION}/schema", rel="describedBy", type=SCHEMA_JSON, title="properties and their types"),
    ]
    document: Json = {
        "id": "permits",
        "title": TITLE,
        "description": DESCRIPTION,
        "itemType": "feature",
        "crs": [CRS84],
        "links": links,
    }
    return document | ({"extent": told} if (told := render_extent(extent)) else {})


def render_extent(extent: Extent) -> Json:
    """Make what is told of an extent; a day reaches from its first second to its last."""
    told: Json = {}
    if extent.box:
        told["spatial"] = {"bbox": [list(extent.box)], "crs": CRS84}
    if extent.days:
        first, last = extent.days
        told["temporal"] = {"interval": [[f"{first}T00:00:00Z", f"{last}T23:59:59Z"]], "trs": GREGORIAN}
    return told


def page_links(request: Request, query: CollectionQuery, cursor: str | None) -> Links:
    """Give the links of a page: itself, the collection, and the next page if there is one."""
    path, parameters = f"{COLLECTION}/items", query_parameters(query)
    links = [
        link(request, path, parameters, rel="self", type=GEOJSON, title="this page"),
        link(request, COLLECTION, rel="collection", type=JSON, title=TITLE),
    ]
    if cursor is not None:
        following = [*(pair for pair in parameters if pair[0] != "cursor"), ("cursor", cursor)]
        links.append(link(request, path, following, rel="next", type=GEOJSON, title="the next page"))
    return links


def link(request: Request, path: str, parameters: list[tuple[str, str]] | None = None, **words: str) -> dict[str, str]:
    """Make a link to a path of this service."""
    return {"href": href(request, path, parameters), **words}


def respond(request: Request, document: Json, *, media_type: str = JSON) -> Response:
    """Send a document that changes with the service's release alone."""
    headers = {"Cache-Control": request.app.state.settings.cache_control}
    return Response(orjson.dumps(document), media_type=media_type, headers=headers)
