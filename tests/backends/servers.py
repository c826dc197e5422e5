"""A scripted HTTP server on loopback: it answers byte for byte what a test wrote down, faults included."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
JSON = "application/json; charset=utf-8"
MODEL = "nemotron-3-nano:4b"


@dataclass(frozen=True)
class Reply:
    """One answer: its pieces in order, a number being a pause in seconds, and how it ends.

    ``complete`` ends the body in good order, ``cut`` closes the connection inside it, ``hang`` leaves it open. Without
    a status nothing is sent at all before that end. The pieces of a ``raw`` one are all that is sent, its head among
    them, and its end in good order is that the connection closes.
    """

    pieces: Sequence[bytes | float] = ()
    status: int | None = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    end: Literal["complete", "cut", "hang"] = "complete"
    raw: bool = False


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class ScriptedServer:
    """Answers each path with its replies in order, the last again and again; notes all that it is sent."""

    def __init__(self, routes: Mapping[str, Reply | Sequence[Reply]]) -> None:
        self.routes = {path: [reply] if isinstance(reply, Reply) else list(reply) for path, reply in routes.items()}
        self.requests: list[Request] = []
        self.bytes_received = 0
        self.connections = 0
        self.client_left = asyncio.Event()
        self.port = 0
        self._arrived = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, path: str) -> list[Request]:
        """The requests that came for ``path``."""
        return [request for request in self.requests if request.path == path]

    async def wait_until_asked(self, path: str, *, times: int) -> None:
        """Wait until ``path`` was asked for so many times."""
        while len(self.asked(path)) < times:
            self._arrived.clear()
            await self._arrived.wait()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self._writers.add(writer)
        self._handlers.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    def choose_reply(self, request: Request) -> Reply:
        """Give the reply that a request gets."""
        replies = self.routes.get(request.path) or [Reply([b"404 page not found"], 404, "text/plain")]
        return replies[min(len(self.asked(request.path)), len(replies)) - 1]

    async def stop(self) -> None:
        """Break every connection off."""
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*filter(None, self._handlers))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await self._read_request(reader)
        reply = self.choose_reply(request)
        if reply.raw or reply.status is not None:
            if not reply.raw:
                self._write_head(reply, writer)
            for piece in reply.pieces:
                await self._write_piece(piece, writer, raw=reply.raw)
        if reply.end == "complete" and not reply.raw:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        if reply.end == "hang":
            await reader.read()
            self.client_left.set()
        return False

    async def _read_request(self, reader: asyncio.StreamReader) -> Request:
        head = await reader.readexactly(1)
        if not head.isalpha():
            raise ConnectionError("no HTTP")
        head += await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.bytes_received += len(head) + len(body)
        method, path, _ = first.split(" ")
        request = Request(method, path, headers, json.loads(body) if body else None)
        self.requests.append(request)
        self._arrived.set()
        return request

    def _write_head(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        headers = {"content-type": reply.content_type, "transfer-encoding": "chunked", **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())

    async def _write_piece(self, piece: bytes | float, writer: asyncio.StreamWriter, *, raw: bool) -> None:
        if isinstance(piece, bytes):
            writer.write(piece if raw else b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        else:
            await asyncio.sleep(piece)


@asynccontextmanager
async def serving(routes: Mapping[str, Reply | Sequence[Reply]]) -> AsyncGenerator[ScriptedServer]:
    """Run a scripted server on a free port of loopback."""
    scripted = ScriptedServer(routes)
    async with listening(scripted):
        yield scripted


@asynccontextmanager
async def listening(
    scripted: ScriptedServer, *, port: int = 0, trust: ssl.SSLContext | None = None
) -> AsyncGenerator[None]:
    """Let a scripted server answer on a port of loopback, a free one unless it is named."""
    server = await asyncio.start_server(scripted.handle, "127.0.0.1", port, ssl=trust)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        await scripted.stop()


def whole(body: object, status: int = 200, **headers: str) -> Reply:
    """One JSON document."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([json.dumps(body).encode()], status, headers=named)


def error_line(message: str) -> bytes:
    """An error in the stream, as Ollama sends it."""
    return line({"error": message})


def line(body: object) -> bytes:
    """One line of NDJSON."""
    return json.dumps(body).encode() + b"\n"


def event(body: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


# --- as Ollama's native API speaks -----------------------------------------------------------------------------------


def part(text: str = "", **message: str) -> bytes:
    """One line of a streamed chat."""
    answer = {"role": "assistant", "content": text, **message}
    return line({"model": MODEL, "created_at": "2026-11-20T08:00:00.5Z", "message": answer, "done": False})


def done(reason: str = "stop", text: str = "") -> bytes:
    """The last line of a streamed chat."""
    return line(
        {
            "model": MODEL,
            "created_at": "2026-11-20T08:00:01.5Z",
            "message": {"role": "assistant", "content": text},
            "done": True,
            "done_reason": reason,
            "total_duration": 910_000_000,
            "prompt_eval_count": 131,
            "prompt_eval_duration": 240_000_000,
            "eval_count": 9,
            "eval_duration": 600_000_000,
        }
    )


def chat(*pieces: bytes | float, end: Literal["complete", "cut", "hang"] = "complete") -> Reply:
    """A streamed chat."""
    return Reply(pieces, content_type=NDJSON, end=end)


SPOKEN = chat(part("Nine "), part("roofs "), part("were permitted."), done())


def running(model: str = MODEL, context_length: int = 4096) -> Reply:
    """``/api/ps`` with one model in memory."""
    entry = {"name": model, "model": model, "size": 2_900_000_000, "size_vram": 0, "context_length": context_length}
    return whole({"models": [entry]})


NOTHING_RUNS = whole({"models": []})


def installed(*models: str) -> Reply:
    """``/api/tags``."""
    return whole({"models": [{"name": model, "model": model, "size": 2_800_000_000} for model in models]})


def shown(**more: str) -> Reply:
    """``/api/show``, with whatever ``more`` a model says of itself."""
    return whole({"details": {"format": "gguf"}, "model_info": {"general.architecture": "nemotron_h_moe"}, **more})


def ollama_routes(
    chats: Reply | Sequence[Reply] = SPOKEN, **others: Reply | Sequence[Reply]
) -> dict[str, Reply | Sequence[Reply]]:
    """An Ollama with one model, in memory."""
    replies = {"ps": running(), "tags": installed(MODEL), "show": shown(), "chat": chats, **others}
    return {f"/api/{name}": reply for name, reply in replies.items()}


@dataclass(frozen=True)
class Resident:
    """What a model takes in memory, and the context it was loaded with."""

    bytes: int
    context_length: int


class SmallBox(ScriptedServer):
    """An Ollama with a memory: it loads what it is asked for, and pushes out what was used longest ago to make room.

    ``loads`` names each model as it is loaded.
    """

    def __init__(self, memory_bytes: int, models: Mapping[str, int], *, models_max: int = 3) -> None:
        super().__init__({})
        self.models_max = models_max
        self.memory_bytes = memory_bytes
        self.models = models
        self.resident: dict[str, Resident] = {}
        self.loads: list[str] = []

    def choose_reply(self, request: Request) -> Reply:
        """Answer as Ollama would, from what is in memory now."""
        match request.path:
            case "/api/tags":
                return whole({"models": [{"name": m, "model": m, "size": size} for m, size in self.models.items()]})
            case "/api/ps":
                return whole({"models": [self._tell(model) for model in self.resident]})
            case "/api/show":
                return shown()
            case "/api/chat":
                self.use(request.body["model"], request.body["options"]["num_ctx"])
                return SPOKEN if request.body["messages"] else chat(done("load"))
        return super().choose_reply(request)

    def use(self, model: str, num_ctx: int = 4096) -> None:
        """Have a model answer, as any program on the box may."""
        wanted = Resident(self.models[model] * 11 // 10, num_ctx)
        if self.resident.pop(model, None) != wanted:
            self.loads.append(model)
        while self.resident and not self._has_room(wanted):
            self.resident.pop(next(iter(self.resident)))
        self.resident[model] = wanted

    def _has_room(self, wanted: Resident) -> bool:
        taken = sum(one.bytes for one in self.resident.values())
        return len(self.resident) < self.models_max and taken + wanted.bytes <= self.memory_bytes

    def _tell(self, model: str) -> dict[str, object]:
        one = self.resident[model]
        return {"name": model, "model": model, "size": one.bytes, "context_length": one.context_length}


# --- as an OpenAI-compatible server speaks ---------------------------------------------------------------------------


def delta(text: str | None = None, finish_reason: str | None = None, **more: object) -> bytes:
    """One event of a streamed completion."""
    words = {"content": text} if text is not None else {}
    choice = {"index": 0, "delta": {**words, **more}, "finish_reason": finish_reason}
    return event({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


COUNTED = event(
    {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": 5,
            "total_tokens": 45,
            "prompt_tokens_details": {"cached_tokens": 32},
        },
    }
)
DONE = b"data: [DONE]\n\n"


def completion(*pieces: bytes | float, end: Literal["complete", "cut", "hang"] = "complete") -> Reply:
    """A streamed completion."""
    return Reply(pieces, content_type=EVENTS, end=end)


COMPLETED = completion(
    delta(role="assistant"), delta("Two "), delta("pools."), delta(finish_reason="stop"), COUNTED, DONE
)


def openai_routes(
    completions: Reply | Sequence[Reply] = COMPLETED, **others: Reply | Sequence[Reply]
) -> dict[str, Reply | Sequence[Reply]]:
    """A server with one model."""
    return {"/v1/chat/completions": completions, **{f"/v1/{name}": reply for name, reply in others.items()}}
