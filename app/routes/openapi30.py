"""The paths under ``/ogc`` in OpenAPI 3.0, which is what OGC API - Features and its clients read.

FastAPI describes itself in OpenAPI 3.1 only. What queries and features hold is taken from their own classes and table,
so that a filter added there is described here.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, Column

from app.permits.collection import PAGE_MAX, CollectionQuery
from app.permits.filters import LIMIT_DEFAULT
from app.permits.tables import SHORT, permits
from app.problems import MEDIA_TYPE as PROBLEM_JSON
from app.problems import PROBLEM_SCHEMA

Json = dict[str, Any]

VERSION = "3.0.3"
TYPES: dict[type, Json] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    date: {"type": "string", "format": "date"},
}
POINT: Json = {
    "type": "object",
    "required": ["type", "coordinates"],
    "properties": {
        "type": {"type": "string", "enum": ["Point"]},
        "coordinates": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}},
    },
}
LINK: Json = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {name: {"type": "string"} for name in ("href", "rel", "type", "title")},
}
LINKS: Json = {"type": "array", "items": {"$ref": "#/components/schemas/link"}}


def column_schema(column: Column[Any]) -> Json:
    """Give the schema of a column's value in a feature."""
    if isinstance(column.type, ARRAY):
        return {"type": "array", "items": TYPES[column.type.item_type.python_type]}
    return TYPES[column.type.python_type]


def feature_schema(*, nullable: bool) -> Json:
    """Give the schema of a feature; ``nullable`` says in OpenAPI 3.0's word which members may be null.

    Without it the schema tells what kind of value a property has, which is what GDAL makes its fields of.
    """
    null: Json = {"nullable": True} if nullable else {}
    columns = {name: permits.c[name] for name in SHORT}
    told = {name: column_schema(column) | (null if column.nullable else {}) for name, column in columns.items()}
    return {
        "type": "object",
        "required": ["type", "id", "geometry", "properties"],
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": "string"},
            "geometry": POINT | null,
            "properties": {"type": "object", "properties": told | {"synthetic": {"type": "boolean"}}},
        },
    }


FEATURE_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Building permit",
    **feature_schema(nullable=False),
}
"""What a feature is, as JSON Schema."""


# --- parameters ------------------------------------------------------------------------------------------------------

STANDARD: dict[str, Json] = {
    "bbox": {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}},
    "datetime": {"type": "string"},
    "limit": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": LIMIT_DEFAULT},
}
"""The standard's own parameters, described word for word as it wants them."""


def list_parameters() -> Iterator[Json]:
    """Give the parameters of the items, the standard's own first."""
    described = CollectionQuery.model_json_schema()
    for name in sorted(described["properties"], key=lambda name: name not in STANDARD):
        said = described["properties"][name]
        schema = STANDARD.get(name) or lower(said, described.get("$defs", {}))
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "style": "form",
            "explode": name not in STANDARD,
            "description": said["description"],
            "schema": schema,
        }


def lower(schema: Json, definitions: Json) -> Json:
    """Give a schema of JSON Schema 2020-12, as Pydantic makes it for a parameter, in OpenAPI 3.0's words.

    Of alternatives the first is told: what follows is null, which a parameter says by its absence, or another way to
    write the same number.
    """
    if "$ref" in schema:
        return lower(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        return lower(schema["anyOf"][0], definitions)
    lowered = {name: value for name, value in schema.items() if name not in ("title", "description", "default")}
    for bound, closed in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in lowered:
            lowered |= {closed: lowered[bound], bound: True}
    if "const" in lowered:
        lowered["enum"] = [lowered.pop("const")]
    if "items" in lowered:
        lowered["items"] = lower(lowered["items"], definitions)
    return lowered


# --- the document ----------------------------------------------------------------------------------------------------


def describe(url: str) -> Json:
    """Make the document of the service whose landing page is at ``url``."""
    return {
        "openapi": VERSION,
        "info": {
            "title": "Undervolt: building permits as OGC API - Features",
            "description": "Part 1 (1.0): Core, GeoJSON, OpenAPI 3.0. Longitude comes first, in CRS84.",
            "version": "1.0.0",
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": url}],
        "tags": [{"name": "Capabilities"}, {"name": "Data"}],
        "paths": list_paths(),
        "components": {"schemas": SCHEMAS, "parameters": {one["name"]: one for one in list_parameters()}},
    }


def list_paths() -> Json:
    """Give every path with its operation."""
    parameters = [{"$ref": f"#/components/parameters/{one['name']}"} for one in list_parameters()]
    feature_id = {"name": "featureId", "in": "path", "required": True, "schema": {"type": "string"}}
    openapi = "application/vnd.oai.openapi+json;version=3.0"
    geojson, schema = "application/geo+json", "application/schema+json"
    one = "/collections/permits"
    return {
        "/": operation("getLandingPage", "the landing page", {"application/json": "landingPage"}),
        "/api": operation("getApi", "this document", {openapi: "anything"}),
        "/conformance": operation("getConformance", "the conformance classes", {"application/json": "confClasses"}),
        "/collections": operation("getCollections", "the collections", {"application/json": "collections"}),
        one: operation("describePermits", "the collection of permits", {"application/json": "collection"}),
        f"{one}/schema": operation("getSchema", "the properties of a feature", {schema: "anything"}),
        f"{one}/items": operation("getPermits", "permits", {geojson: "permits"}, parameters=parameters),
        f"{one}/items/{{featureId}}": operation("getPermit", "a permit", {geojson: "permit"}, parameters=[feature_id]),
    }


def operation(name: str, told: str, content: dict[str, str], *, parameters: list[Json] | None = None) -> Json:
    """Give a path with its one operation, which answers with a schema in a media type."""
    tag = "Data" if parameters else "Capabilities"
    good = {"description": told, "content": {media: {"schema": reference(schema)} for media, schema in content.items()}}
    problem = {"content": {PROBLEM_JSON: {"schema": reference("problem")}}}
    responses: Json = {"200": good, "400": problem | {"description": "a parameter is unknown or has an invalid value"}}
    if parameters and parameters[0].get("in") == "path":
        responses["404"] = problem | {"description": "there is no such permit"}
        responses["410"] = problem | {"description": "the city withdrew this permit"}
    responses["503"] = problem | {"description": "the store does not answer, or not in time"}
    said = {"tags": [tag], "summary": told, "operationId": name, "responses": responses}
    return {"get": said | ({"parameters": parameters} if parameters else {})}


def reference(name: str) -> Json:
    """Point to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Json = {"type": "string"}
SCHEMAS: Json = {
    "anything": {"type": "object"},
    "link": LINK,
    "problem": PROBLEM_SCHEMA,
    "landingPage": {
        "type": "object",
        "required": ["links"],
        "properties": {"title": TEXT, "description": TEXT, "links": LINKS},
    },
    "confClasses": {
        "type": "object",
        "required": ["conformsTo"],
        "properties": {"conformsTo": {"type": "array", "items": TEXT}},
    },
    "extent": {
        "type": "object",
        "properties": {
            "spatial": {
                "type": "object",
                "properties": {
                    "bbox": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "number"}},
                    },
                    "crs": TEXT,
                },
            },
            "temporal": {
                "type": "object",
                "properties": {
                    "interval": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "array",
                            "minItems": 2,
                            "maxItems": 2,
                            "items": {"type": "string", "format": "date-time", "nullable": True},
                        },
                    },
                    "trs": TEXT,
                },
            },
        },
    },
    "collection": {
        "type": "object",
        "required": ["id", "links"],
        "properties": {
            "id": TEXT,
            "title": TEXT,
            "description": TEXT,
            "itemType": TEXT,
            "crs": {"type": "array", "items": TEXT},
            "extent": reference("extent"),
            "links": LINKS,
        },
    },
    "collections": {
        "type": "object",
        "required": ["links", "collections"],
        "properties": {"links": LINKS, "collections": {"type": "array", "items": reference("collection")}},
    },
    "permit": feature_schema(nullable=True),
    "permits": {
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "timeStamp": {"type": "string", "format": "date-time"},
            "numberMatched": {"type": "integer", "minimum": 0},
            "numberReturned": {"type": "integer", "minimum": 0},
            "links": LINKS,
            "features": {"type": "array", "items": reference("permit")},
        },
    },
}
