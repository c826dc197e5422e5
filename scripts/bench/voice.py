"""How much later the first chunk of a voice comes through the router than by a call of the same server without it.

Both ask the same server with the same messages in turn, in one run; the server answers at once, so that what is told is
the way and not the model. Where the embedded model is installed it is asked as well, and so is the Ollama that
``OLLAMA_HOST`` names.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from time import perf_counter
from typing import Any

import httpx

from app.backends.base import Prompt
from app.backends.embedded import find_weights
from app.backends.router import Router, build_router
from app.settings import read_settings
from scripts.bench.figures import show_times

MODEL = "nemotron-3-nano:4b"
PROMPT = Prompt("Tell the facts.", "Facts:\n1. There are 9 roof permits issued in 2024.", max_tokens=4)
KEY = "bench"
FIRST = 20
NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
Read = Callable[[str], str]


def main() -> None:
    """Serve until standard input closes, as the child of :func:`serving`; the address is the one line printed."""
    asyncio.run(serve())


async def show(requests: int) -> None:
    """Compare the first chunk of a voice with that of a call without the router, and print both."""
    async with aclosing(measure(requests + FIRST)) as measured:
        async for name, samples in measured:
            kept = {case: [seconds * 1000 for seconds in times[FIRST:]] for case, times in samples.items()}
            show_times(f"first chunk of a voice, {name}", kept, against="direct")


async def measure(requests: int) -> AsyncGenerator[tuple[str, dict[str, list[float]]]]:
    """Give what was asked, and seconds to the first chunk without the router and through it."""
    async with serving("scripts.bench.voice") as address:
        yield "Ollama's API", await compare_ollama(address, MODEL, requests)
        server = {"kind": "openai", "url": f"{address}/v1", "model": "m", "hosted": False}
        body = {"model": "m", "temperature": 0, "max_tokens": PROMPT.max_tokens}
        yield "OpenAI's API", await compare(server, f"{address}/v1/chat/completions", body, read_event, requests)
    weights = find_weights(None)
    if weights is not None:
        wanted = {"weights": str(weights.resolve()), "num_ctx": 2048, "key": KEY}
        async with serving("app.backends.embedded", wanted) as address:
            server = {"kind": "openai", "url": f"{address}/v1", "model": "m", "hosted": False, "api_key_env": "KEY"}
            yield weights.stem, await compare(server, f"{address}/v1/chat/completions", body, read_event, requests)

    if "OLLAMA_HOST" in os.environ:
        settings = read_settings(os.environ)
        async with aclosing(build_router(settings)) as router:
            await router.backends[0].warm()
            model = router.backends[0].model or ""
        yield f"Ollama, {model}", await compare_ollama(settings.ollama_host, model, requests)


async def compare_ollama(address: str, model: str, requests: int) -> dict[str, list[float]]:
    """Ask an Ollama in turn, by the body that a question has."""
    options = {"num_ctx": 4096, "temperature": 0, "num_predict": PROMPT.max_tokens}
    body = {"model": model, "think": False, "options": options, "keep_alive": "20m", "truncate": False}
    entry = {"kind": "ollama", "url": address, "model": model}
    return await compare(entry, f"{address}/api/chat", body, read_line, requests)


async def compare(
    entry: Mapping[str, Any], url: str, body: Mapping[str, Any], read: Read, requests: int
) -> dict[str, list[float]]:
    """Ask in turn, first without the router; seconds to the first chunk."""
    router = build_router(read_settings({"UNDERVOLT_BACKENDS": json.dumps([entry]), "KEY": KEY}))
    samples: dict[str, list[float]] = {"direct": [], "router": []}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aclosing(router), httpx.AsyncClient(trust_env=False, timeout=60, headers=headers) as client:
        for _ in range(requests):
            samples["direct"].append(await time_direct(client, url, body, read))
            samples["router"].append(await time_router(router))
    return samples


async def time_direct(client: httpx.AsyncClient, url: str, body: Mapping[str, Any], read: Read) -> float:
    """Ask the server itself, and read its answer to the end."""
    messages = [{"role": "system", "content": PROMPT.system}, {"role": "user", "content": PROMPT.user}]
    began, first = perf_counter(), 0.0
    async with client.stream("POST", url, json={**body, "messages": messages, "stream": True}) as reply:
        async for line in reply.aiter_lines():
            if not first and read(line):
                first = perf_counter() - began
    return first


async def time_router(router: Router) -> float:
    """Ask through the router, and read the voice to the end."""
    began = perf_counter()
    async with aclosing(router.ask(PROMPT).voices()) as voices:
        async for voice in voices:
            first = perf_counter() - began
            async for _ in voice:
                pass
            return first
    raise OSError("the server gave no voice")


def read_line(line: str) -> str:
    """Give the text in a line of Ollama's."""
    return str(json.loads(line)["message"]["content"]) if line else ""


def read_event(line: str) -> str:
    """Give the text in a line of an OpenAI-compatible server's."""
    if not line.startswith("data: {"):
        return ""
    choices = json.loads(line.removeprefix("data: "))["choices"]
    return str(choices[0]["delta"].get("content") or "") if choices else ""


@asynccontextmanager
async def serving(module: str, wanted: Mapping[str, Any] | None = None) -> AsyncGenerator[str]:
    """Run a module that serves in a child until its input closes, and give the address that it prints."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        if wanted is not None:
            child.stdin.write(json.dumps(wanted).encode() + b"\n")
        yield (await asyncio.wait_for(child.stdout.readline(), 60)).decode().strip()
    finally:
        child.kill()
        await child.wait()


async def serve() -> None:
    """Answer every request of either protocol at once with the same three words."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    replies = {
        b"/api/ps": [RUNNING],
        b"/api/show": [SHOWN],
        b"/api/chat": SPOKEN_LINES,
        b"/v1/chat/completions": SPOKEN_EVENTS,
    }
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
            await reader.readexactly(int(fields.get(b"content-length", 0)))
            path = head.split(b" ", 2)[1]
            kind = EVENTS if path.startswith(b"/v1") else NDJSON
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for piece in replies[path]:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def speak_line(text: str, **more: object) -> bytes:
    """One line of Ollama's chat."""
    return json.dumps({"model": MODEL, "message": {"role": "assistant", "content": text}, **more}).encode() + b"\n"


def speak_event(text: str, reason: str | None = None) -> bytes:
    """One event of a completion."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


RUNNING = json.dumps({"models": [{"name": MODEL, "model": MODEL, "size": 1, "context_length": 4096}]}).encode()
SHOWN = json.dumps({"details": {"format": "gguf"}, "model_info": {}, "modelfile": f"FROM {MODEL}\n"}).encode()
SPOKEN_LINES = [
    *(speak_line(text, done=False) for text in ("Nine ", "roof ", "permits.")),
    speak_line("", done=True, done_reason="stop"),
]
SPOKEN_EVENTS = [
    *(speak_event(text) for text in ("Nine ", "roof ", "permits.")),
    speak_event("", "stop"),
    b"data: [DONE]\n\n",
]


if __name__ == "__main__":
    main()
