"""From an error to what a caller sees: RFC 9457 problem documents, and the only table of statuses."""

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    DatabaseUnavailable,
    MalformedCursor,
    NoSuchCity,
    NoSuchPermit,
    NoSuchRegion,
    NoSuchTile,
    RefusedQuery,
    RemovedPermit,
    TooBusy,
    TooSlow,
    UnknownWord,
)
from app.telemetry.logs import describe

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY = {"Retry-After": "5"}


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its status, the last part of its ``type``, and its title, the same each time."""

    status: int
    slug: str
    title: str


UNFORESEEN = Kind(500, "unforeseen", "Something went wrong here")
STOPPING = Kind(503, "stopping", "The service is about to stop")
INVALID = Kind(422, "invalid-parameter", "A parameter is missing, unknown or out of range")

TABLE: tuple[tuple[type[Exception], Kind], ...] = (
    (RemovedPermit, Kind(410, "removed-permit", "The city withdrew this permit")),
    (NoSuchPermit, Kind(404, "no-such-permit", "There is no such permit")),
    (NoSuchCity, Kind(404, "no-such-city", "There is no such register")),
    (NoSuchTile, Kind(404, "no-such-tile", "There is no such tile")),
    (NoSuchRegion, Kind(404, "no-such-region", "There is no such region")),
    (UnknownWord, INVALID),
    (MalformedCursor, Kind(422, "malformed-cursor", "The cursor cannot be used")),
    (RefusedQuery, Kind(422, "refused-query", "The query is not answered as it stands")),
    (TooBusy, Kind(503, "too-busy", "Too much of this is being done at once")),
    (TooSlow, Kind(503, "too-slow", "The query took too long")),
    (DatabaseUnavailable, Kind(503, "store-unavailable", "The permit store does not answer")),
)
"""The first line whose exception fits decides."""

PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "instance": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
BAD_REQUEST_ROOT = "/ogc"
"""Where what is 422 elsewhere is 400: OGC API - Features wants that of unknown and invalid parameters."""


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Give what the API's description says of problems, by status."""
    content = {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


PROBLEM_RESPONSES = problem_responses(*sorted({kind.status for _, kind in TABLE}))


def find_kind(error: Exception) -> Kind:
    """Find the kind of problem that an exception is to a caller."""
    return next((kind for exception, kind in TABLE if isinstance(error, exception)), UNFORESEEN)


def choose_status(kind: Kind, *, path: str) -> int:
    """Give the status of a problem at a path."""
    strict = f"{path}/".startswith(f"{BAD_REQUEST_ROOT}/")
    return HTTPStatus.BAD_REQUEST if strict and kind.status == INVALID.status else kind.status


def render_problem(kind: Kind, *, instance: str, detail: str | None = None, **members: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make the problem document."""
    status = choose_status(kind, path=instance)
    document = {"type": f"/problems/{kind.slug}", "title": kind.title, "status": status, "instance": instance}
    return document | ({"detail": detail} if detail else {}) | members


def describe_problem(error: Exception, *, instance: str) -> dict[str, Any]:
    """Make the problem document of an exception; the unforeseen tells nothing and is logged by class and place."""
    kind = find_kind(error)
    if kind is UNFORESEEN:
        log.error("unforeseen: %s", describe(error))
        return render_problem(kind, instance=instance)
    if isinstance(error, UnknownWord):
        fault = {"detail": str(error), "parameter": error.parameter}
        return render_problem(kind, instance=instance, detail=str(error), errors=[fault])
    return render_problem(kind, instance=instance, detail=str(error))


def respond(document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """Make the HTTP answer of a problem document."""
    return Response(orjson.dumps(document), status_code=document["status"], media_type=MEDIA_TYPE, headers=headers)


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer the domain's own and the unforeseen errors."""
    document = describe_problem(error, instance=request.url.path)
    headers = RETRY if document["status"] == HTTPStatus.SERVICE_UNAVAILABLE else None
    return respond(document, headers)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer the framework's own errors: unknown paths, wrong methods."""
    if not isinstance(error, HTTPException):
        return await answer_error(request, error)
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.BAD_REQUEST:  # the framework's word for a body that is not even text
        return respond(render_problem(INVALID, instance=request.url.path, detail="the body is no JSON"))
    kind = Kind(status, status.phrase.lower().replace(" ", "-"), status.phrase)
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(list_methods(request))
    return respond(render_problem(kind, instance=request.url.path), headers)


def list_methods(request: Request) -> list[str]:
    """List the methods that a path takes: the framework names those of the first route there alone."""
    path = request.scope["path"]
    fitting = [route for route in iter_route_contexts(request.app.routes) if route.path_regex.match(path)]
    # Mounted files name no method.
    methods = {method for route in fitting for method in route.methods or {"GET"}}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """Answer input that does not validate, each fault with its parameter; what was sent is not repeated."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    told = dict.fromkeys((name_fault(fault), name_parameter(fault)) for fault in faults)
    errors = [{"detail": detail, "parameter": parameter} for detail, parameter in told]
    return respond(
        render_problem(
            INVALID,
            instance=request.url.path,
            detail="; ".join(f"{fault['parameter']}: {fault['detail']}" for fault in errors[:5]),
            errors=errors,
        )
    )


def name_parameter(fault: dict[str, Any]) -> str:
    """Name the parameter of a fault, as the query string does, or by its path inside the body."""
    place = fault["loc"] if fault["type"] != "json_invalid" else fault["loc"][:1]  # behind it stands a position
    if place[:1] == ("query",):
        place = place[:2]  # behind it stands which of several
    return ".".join(str(part) for part in place[1:]) or str(place[0] if place else "body")


def name_fault(fault: dict[str, Any]) -> str:
    """Say what is wrong in Pydantic's words, without the value that was sent."""
    if fault["type"] == "extra_forbidden":
        return "no such parameter"
    if fault["type"] == "json_invalid":
        return "the body is no JSON"
    return str(fault["msg"]).removeprefix("Value error, ")


def install_problems(app: FastAPI) -> None:
    """Give every error of the application this form."""
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    for exception, _kind in TABLE:
        app.add_exception_handler(exception, answer_error)
    app.add_middleware(UnforeseenMiddleware)


class UnforeseenMiddleware:
    """Turns what nobody foresaw into a problem document, and keeps its message out of every log.

    The framework's own last handler raises again after its answer, and the server then logs the whole exception.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer for what it raises unless an answer has begun."""
        begun = False

        async def send_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        except asyncio.CancelledError:
            # The server stops, and waits for this request no longer; it would answer with a 500 of its own.
            if scope["type"] == "http" and not begun:
                document = render_problem(STOPPING, instance=scope.get("path", ""))
                await respond(document, RETRY)(scope, receive, send)
            raise
        except Exception as error:  # noqa: BLE001 - this is the last place that can keep it quiet
            document = describe_problem(error, instance=scope.get("path", ""))
            if scope["type"] == "http" and not begun:
                await respond(document)(scope, receive, send)
