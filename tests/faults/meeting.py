"""Stages faults before the whole service, and holds it to what the matrix says of them."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import trustme
from fastapi import FastAPI

from app.main import create_app
from app.settings import Deadlines, Settings
from tests.backends.faults import TRUE, Breaker, Ends, Fault, Place, Recorded, Route, Told
from tests.backends.servers import (
    MODEL,
    Reply,
    ScriptedServer,
    completion,
    delta,
    listening,
    ollama_routes,
    openai_routes,
    serving,
)
from tests.backends.test_recordings import replay

QUESTION = {"question": "How many solar permits were issued in 2015?"}
SAID_NEXT = "2 solar permits were issued in 2015."
"""As true as what the backend at fault says, and another sentence."""
NEXT = openai_routes(completion(delta(f"{SAID_NEXT} "), delta(finish_reason="stop")))

SHORT_S = 0.25
"""The one limit that is to end a fault."""
LONG_S = 20.0
"""All the others: should one of these end it, the test fails."""
BOUND_S = 10.0
"""Far from both, so that a busy machine spoils nothing."""


OWN_TEXT = {Told.NEXT: [], Told.KEPT: [TRUE], Told.WHOLE: [TRUE], Told.DROPPED: []}
"""What the backend at fault contributes."""
BREAKERS = {
    Breaker.COUNTS: ("closed", "open 30"),
    Breaker.FATAL: ("open 900", "open 900"),
    Breaker.AS_TOLD: ("open 60", "open 60"),
    Breaker.CLOSED: ("closed", "closed"),
}
"""After one question and after two, at most some seconds later."""


@dataclass(frozen=True)
class Answered:
    """A reply of ``POST /ask``, as one object, and the seconds until its end."""

    document: dict[str, Any]
    elapsed_s: float

    @property
    def text(self) -> list[str]:
        return [sentence["text"] for sentence in self.document["text"]]

    @property
    def seen_by(self) -> list[str]:
        return [seen["backend"] for seen in self.document["done"]["seen_by"]]

    @property
    def made_by_code(self) -> dict[str, Any]:
        """What no model has a part in."""
        return {name: self.document[name] for name in ("plan", "facts", "answer")}


class Service:
    """The application with its lifespan, asked without a socket."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self._app = app
        self._client = client

    async def ask(self, **more: Any) -> Answered:
        """Ask for one JSON object."""
        began = time.monotonic()
        reply = await self._client.post("/ask", json=QUESTION | more)
        elapsed_s = time.monotonic() - began
        assert reply.status_code == 200, reply.text
        document: dict[str, Any] = reply.json()
        assert "error" not in document
        return Answered(document, elapsed_s)

    async def look_at_store(self) -> None:
        """Have the application know its register, so that a question's time is none of a start's."""
        await self._client.get("/metrics")

    async def ask_for_events(self) -> Answered:
        """Ask for events, which must be all of them, in order."""
        began = time.monotonic()
        reply = await self._client.post("/ask", json=QUESTION, headers={"accept": "text/event-stream"})
        elapsed_s = time.monotonic() - began
        assert reply.status_code == 200, reply.text
        events = []
        blocks = reply.text.strip().split("\n\n")
        for block in (block for block in blocks if not block.startswith(":")):
            fields = dict(row.split(": ", 1) for row in block.split("\n"))
            events.append((fields["event"], json.loads(fields["data"])))
        names = [name for name, _ in events]
        assert names == ["plan", "facts", "answer", *["text"] * (len(names) - 4), "done"]
        text = [data for name, data in events if name == "text"]
        return Answered(dict(events) | {"text": text}, elapsed_s)

    async def tell_breaker(self) -> str:
        """Give the first backend's breaker as readiness shows it, with how long it stays open yet, in whole seconds."""
        state: str = (await self._client.get("/health/ready")).json()["backends"]["backends"][0]["breaker"]
        until = self.breaker._open_until
        assert (until is not None) == (state != "closed")
        return state if until is None else f"{state} {until - time.monotonic():.0f}"

    @property
    def backend(self) -> Any:
        """The first backend."""
        return self._app.state.router.backends[0]

    @property
    def breaker(self) -> Any:
        """The first backend's breaker."""
        return self._app.state.router._posts[0].breaker


@asynccontextmanager
async def serve(settings: Settings) -> AsyncGenerator[Service]:
    """Run the application on its settings, as ``make run`` does."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield Service(app, client)


def set_limits(ends: Ends, *, alone: bool = False, short_s: float = SHORT_S, long_s: float = LONG_S) -> Deadlines:
    """Give deadlines of which the one that is to end a fault is short, and the others are long.

    ``alone`` is for a backend without another behind it, whose second question may wait for the model to load anew.
    """
    short = {"load_s" if alone else "first_token_s"} if ends is Ends.BEGIN else {ends.value.strip("`")}
    short |= {"load_s"} if alone and ends is Ends.FIRST_TOKEN else set()
    short_s *= 3 if ends is Ends.TOTAL else 1  # a sentence may have to come within it
    return Deadlines.model_validate({name: short_s if name in short else long_s for name in Deadlines.model_fields})


def at(url: str, kind: str, limits: Deadlines, **more: object) -> dict[str, object]:
    """Give the settings' entry for a backend."""
    if kind == "ollama":
        return {"kind": kind, "url": url, "model": MODEL, "deadlines": limits, **more}
    return {"kind": kind, "url": f"{url}/v1", "model": "m", "hosted": False, "deadlines": limits, **more}


def with_backends(settings: Settings, *entries: dict[str, object]) -> Settings:
    """Give the settings with these backends."""
    return Settings.model_validate(settings.model_dump() | {"backends": entries, "answer_timeout_s": 10 * LONG_S})


@asynccontextmanager
async def staged(fault: Fault, *, version: str = "") -> AsyncGenerator[str]:
    """Have the fault wait at a URL, one that was recorded as that version of Ollama had it."""
    if isinstance(fault.stage, Place):
        async with placed(fault.stage) as url:
            yield url
    else:
        async with serving(lay_routes(fault, version)) as server:
            yield server.url


def lay_routes(fault: Fault, version: str) -> dict[str, Route]:
    """Give the routes of a server at which the fault waits."""
    if isinstance(fault.stage, Mapping):
        return ollama_routes() | dict(fault.stage)
    reply = replay(version, fault.stage.name) if isinstance(fault.stage, Recorded) else fault.stage
    assert isinstance(reply, Reply)
    return openai_routes(reply) if fault.kind == "openai" else ollama_routes(reply)


@asynccontextmanager
async def placed(place: Place) -> AsyncGenerator[str]:
    """Make the place where a backend is said to be, and give its URL."""
    match place:
        case Place.NOBODY_LISTENS:
            with closing(socket.create_server(("127.0.0.1", 0))) as taken:
                port = taken.getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        case Place.NO_SUCH_NAME:
            yield "http://unknown.invalid:11434"
        case Place.NAME_SERVER_HANGS:
            yield "http://unanswered.invalid:11434"
        case Place.NOBODY_PICKS_UP:
            with full_queue() as port:
                yield f"http://127.0.0.1:{port}"
        case Place.NO_TLS:
            async with serving(ollama_routes()) as server:
                yield f"https://127.0.0.1:{server.port}"
        case Place.STRANGER:
            server = ScriptedServer(ollama_routes())
            async with listening(server, trust=make_strange_certificate()):
                yield f"https://127.0.0.1:{server.port}"
        case Place.TLS_HANGS:
            async with greeting(b"") as port:
                yield f"https://127.0.0.1:{port}"
        case Place.NO_HTTP:
            async with greeting(b"SSH-2.0-OpenSSH_9.9\r\n") as port:
                yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def greeting(words: bytes) -> AsyncGenerator[int]:
    """Listen on a port of loopback, greet whoever comes, and say no more."""
    writers: list[asyncio.StreamWriter] = []
    over = asyncio.Event()

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(words)
        await over.wait()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        over.set()
        for writer in writers:
            writer.close()


@contextmanager
def full_queue() -> Generator[int]:
    """Give a port of loopback whose queue is full: who connects gets no answer."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            caller = stack.enter_context(closing(socket.socket()))
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def make_strange_certificate() -> ssl.SSLContext:
    """Make a certificate for loopback by an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def meet_alone(fault: Fault, settings: Settings, *, version: str = "") -> Answered:
    """Ask twice where there is no other backend: once for events, once for an object."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(staged(fault, version=version))
        limits = set_limits(fault.ends, alone=True)
        alone = with_backends(settings, at(url, fault.kind, limits))
        service = await stack.enter_async_context(serve(alone))
        first = await service.ask_for_events()
        assert first.text == OWN_TEXT[fault.told]
        assert first.document["done"]["backend"] == (None if fault.told is Told.NEXT else fault.kind)
        assert (first.document["done"]["model"] is None) == (fault.told is Told.NEXT)
        assert first.seen_by == ([fault.kind] if fault.sent else [])
        check_time(fault, first)
        after_one = await service.tell_breaker()
        await service.ask()
        check_breaker(fault, after_one, await service.tell_breaker())
    return first


async def meet_with_next(fault: Fault, settings: Settings, *, version: str = "") -> Answered:
    """Ask once where another backend stands behind."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(staged(fault, version=version))
        well = await stack.enter_async_context(serving(NEXT))
        limits = set_limits(fault.ends)
        entries = at(url, fault.kind, limits), at(well.url, "openai", set_limits(Ends.NOTHING))
        service = await stack.enter_async_context(serve(with_backends(settings, *entries)))
        answered = await service.ask()
        following = "openai-2" if fault.kind == "openai" else "openai"
        tells = following if fault.told is Told.NEXT else fault.kind
        assert answered.text == ([SAID_NEXT] if fault.told is Told.NEXT else OWN_TEXT[fault.told])
        assert answered.document["done"]["backend"] == tells
        assert answered.seen_by == ([fault.kind] if fault.sent else []) + [following] * (fault.told is Told.NEXT)
        check_time(fault, answered)
    return answered


def check_time(fault: Fault, answered: Answered) -> None:
    """The one short limit ended it, or none did: the others are longer than the bound."""
    assert (SHORT_S if fault.ends.limits else 0) <= answered.elapsed_s < BOUND_S
    assert answered.document["done"]["ms"]["answer"] < answered.elapsed_s * 1000


def check_breaker(fault: Fault, *seen: str) -> None:
    """The breaker is as it has to be after one question and after two; an opening may be some seconds old."""
    for expected, state in zip(BREAKERS[fault.breaker], seen, strict=True):
        word, _, left = expected.partition(" ")
        assert state.split()[0] == word
        if left:
            assert int(left) - BOUND_S < int(state.split()[1]) <= int(left)
