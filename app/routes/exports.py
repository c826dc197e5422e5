"""``GET /permits/export``: permits in bulk, streamed, up to a ceiling."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.errors import TooBusy
from app.permits.exports import TOTAL_S, Export, ExportQuery, open_export, render_csv, render_ndjson
from app.permits.features import render_end
from app.permits.filters import Form
from app.permits.register import Register
from app.problems import PROBLEM_RESPONSES
from app.routes.forms import FORM_RESPONSES, MEDIA_TYPES, choose_form
from app.routes.heads import wants_headers
from app.routes.queries import QueryRoute
from app.routes.replies import VARY, produce_settled

log = logging.getLogger(__name__)
AT_ONCE_MAX = 2
router = APIRouter(prefix="/permits", tags=["permits"], responses=PROBLEM_RESPONSES, route_class=QueryRoute)


class Exports:
    """How many exports run in this process."""

    def __init__(self) -> None:
        self.running = 0

    def __enter__(self) -> None:
        if self.running >= AT_ONCE_MAX:
            raise TooBusy(f"{AT_ONCE_MAX} exports are running, which is as many as are given at once")
        self.running += 1

    def __exit__(self, *_: object) -> None:
        self.running -= 1


class ExportResponse(StreamingResponse):
    """A stream that holds a connection: both end with the last byte, with the caller, or with the time."""

    def __init__(self, held: AsyncExitStack, content: AsyncGenerator[bytes], **rest: Any) -> None:  # noqa: ANN401
        super().__init__(content, **rest)
        self.held = held
        self.content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; where the time is over it ends without its end, so that it cannot pass for whole."""
        if wants_headers(scope):
            self.body_iterator = stream_nothing()
        async with self.held:
            try:
                async with asyncio.timeout(TOTAL_S):
                    await super().__call__(scope, receive, send)
            finally:
                await self.content.aclose()


@router.get("/export", response_class=Response, responses=FORM_RESPONSES)
async def export(request: Request, query: Annotated[ExportQuery, Query()]) -> Response:
    """Permits in bulk by filters and area, ordered by city and id; ``Export-Truncated`` says whether there are more."""
    form = choose_form(request, query.f)
    rows_max = request.app.state.settings.export_max_rows
    async with AsyncExitStack() as held:
        held.enter_context(request.app.state.exports)

        async def produce(register: Register) -> Export:
            opened = open_export(request.app.state.settings, register, query, rows_max=rows_max)
            return await held.enter_async_context(opened)

        register, opened = await produce_settled(request, produce)
        headers = {
            "Vary": VARY,
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="permits.{form}"',
            "Export-Rows": str(opened.number_returned),
            "Export-Truncated": "?1" if opened.truncated else "?0",
        }
        content = stream(form, register, query, opened)
        return ExportResponse(held.pop_all(), content, media_type=MEDIA_TYPES[form], headers=headers)
    raise AssertionError("an export that is not opened raises")


async def stream(form: Form, register: Register, query: ExportQuery, opened: Export) -> AsyncGenerator[bytes]:
    """Give an export in a form, a batch at a time."""
    first = True
    if form == "geojson":
        yield render_head(register, query, opened)
    elif form == "csv":
        yield render_csv(())
    async for rows in opened.batches:
        features = [feature + render_end(register, city) for feature, city in rows]
        if form == "geojson":
            yield (b"" if first else b",\n") + b",\n".join(features)
        else:
            yield render_ndjson(features) if form == "ndjson" else render_csv(features, header=False)
        first = False
    if form == "geojson":
        yield b"]}\n"


async def stream_nothing() -> AsyncGenerator[bytes]:
    """Begin a stream, so that it is dressed as one, and end it."""
    yield b""


def render_head(register: Register, query: ExportQuery, opened: Export) -> bytes:
    """Give the beginning of a FeatureCollection, as far as its features."""
    cities = register.choose_cities(query.city)
    head = {
        "type": "FeatureCollection",
        "numberReturned": opened.number_returned,
        "truncated": opened.truncated,
        "as_of": register.as_of(cities),
        "missing": register.missing(cities),
    }
    return orjson.dumps(head)[:-1] + b',"features":[\n'
