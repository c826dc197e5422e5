"""``POST /ask`` and ``POST /facts``: a question as events or as one JSON object, and a plan's figures without words."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel

from app.ask.answer import Event, Prepared, Resources, prepare, respond
from app.ask.facts import gather
from app.ask.plan import Plan
from app.ask.planner import Question
from app.problems import PROBLEM_RESPONSES, describe_problem
from app.routes.dependencies import CurrentRegister, Session

T = TypeVar("T")
EVENT_STREAM = "text/event-stream"
PING_S = 10.0
PING = b": still here\n\n"
router = APIRouter(tags=["ask"], responses=PROBLEM_RESPONSES)


class FactsQuery(BaseModel, frozen=True, extra="forbid"):
    """A plan whose facts are wanted."""

    plan: Plan


@router.post("/ask", response_class=Response, responses={200: {"content": {EVENT_STREAM: {}, "application/json": {}}}})
async def ask(request: Request, asked: Question) -> Response:
    """A question in plain language, answered from permits: events with ``Accept: text/event-stream``, else one object.

    The answer is made by code and comes first; a model's sentences follow where a model is there.
    """
    state = request.app.state
    resources = Resources(state.engine, state.registers, state.router, state.settings)
    try:
        return await answer(request, resources, asked)
    except CallerLeft:
        return Response(status_code=204)


async def answer(request: Request, resources: Resources, asked: Question) -> Response:
    """Answer in the form that is asked for. Raises :class:`CallerLeft`, and then everything has stopped."""
    prepared = await unless_left(request, prepare(resources, asked))
    if EVENT_STREAM in request.headers.get("accept", ""):
        events = stream_events(resources, prepared, request.url.path)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type=EVENT_STREAM, headers=headers)
    document = await unless_left(request, collect_events(resources, prepared))
    return Response(orjson.dumps(document), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post("/facts", response_class=Response, responses={200: {"content": {"application/json": {}}}})
async def facts(session: Session, register: CurrentRegister, query: FactsQuery) -> Response:
    """The facts of a plan: the same figures as an answer's, computed again, without words and without a model."""
    found = await gather(session, register, query.plan)
    document: dict[str, Any] = {"facts": [fact.render() for fact in found.items], "as_of": found.as_of}
    if found.remarks:
        document["remarks"] = list(found.remarks)
    return Response(orjson.dumps(document), media_type="application/json")


class CallerLeft(Exception):  # noqa: N818 - what a caller may do, no fault
    """Nobody waits for this answer any more."""


async def unless_left(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Give what ``work`` gives; a caller who leaves stops it, and with it the model. Raises :class:`CallerLeft`."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(wait_for_disconnect(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CallerLeft
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        # Gathering looks at what they raised; asyncio would log the rest, message and all.
        await asyncio.gather(working, leaving, return_exceptions=True)


async def wait_for_disconnect(request: Request) -> None:
    """Wait until the caller has closed the connection; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def collect_events(resources: Resources, prepared: Prepared) -> dict[str, Any]:
    """Give one object with a member an event; ``text`` is a list."""
    document: dict[str, Any] = {"plan": None, "facts": None, "answer": None, "text": [], "done": None}

    async def emit(event: Event) -> None:
        if event.name == "text":
            document["text"].append(event.data)
        else:
            document[event.name] = event.data

    await respond(resources, prepared, emit)
    return document


async def stream_events(resources: Resources, prepared: Prepared, path: str) -> AsyncGenerator[bytes]:
    """Give each event as it happens, and a comment where nothing does; a caller who leaves stops the model."""
    events: asyncio.Queue[Event | None] = asyncio.Queue()

    async def produce() -> None:
        try:
            await respond(resources, prepared, events.put)
        except Exception as error:  # noqa: BLE001 - the status is out; what is left is to say it
            await events.put(Event("error", describe_problem(error, instance=path)))
        finally:
            await events.put(None)

    producer = asyncio.create_task(produce())
    try:
        while (event := await next_event(events)) is not None:
            yield (
                PING
                if event is PING_EVENT
                else format_sse_event(data_str=orjson.dumps(event.data).decode(), event=event.name)
            )
    finally:
        producer.cancel()
        with suppress(asyncio.CancelledError):
            await producer


PING_EVENT = Event("ping", {})


async def next_event(events: asyncio.Queue[Event | None]) -> Event | None:
    """Wait for the next event, or give a ping where it takes long."""
    try:
        async with asyncio.timeout(PING_S):
            return await events.get()
    except TimeoutError:
        return PING_EVENT
