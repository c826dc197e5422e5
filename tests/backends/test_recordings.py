"""The same backends against what real Ollama servers said, byte for byte, where those recordings are at hand."""

import json
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.backends.base import Backend, Prompt, Voice
from app.errors import BackendUnavailable
from app.settings import Deadlines
from tests.backends.servers import NOTHING_RUNS, Reply, openai_routes, running, serving

RECORDINGS = Path(__file__).parents[3] / "shared" / "ollama"
VERSIONS = ("0.24.0", "0.33.0")
PROMPT = Prompt(system="Tell the facts.", user="How many?")
QUICK = Deadlines(connect_s=5, first_token_s=10, load_s=10, gap_s=0.5, total_s=30)
ENDS = {"complete": "complete", "connection closed before the end": "cut", "client closed": "hang"}

pytestmark = [
    pytest.mark.skipif(
        not RECORDINGS.is_dir(), reason="the recordings of real Ollama servers are not beside this checkout"
    ),
    pytest.mark.parametrize("version", VERSIONS),
]


def replay(version: str, name: str) -> Reply:
    """Read one recorded reply; pauses are left out."""
    response: dict[str, Any] = json.loads((RECORDINGS / version / f"{name}.json").read_text())["response"]
    return Reply(
        [piece["text"].encode() for piece in response["pieces"]],
        response["status"],
        response["headers"].get("content-type", "application/json"),
        end=ENDS[response["end"]],  # type: ignore[arg-type]
    )


def text_of(version: str, name: str, *path: str) -> str:
    """Join the text that a recording carries at ``path`` in its lines."""
    body = b"".join(piece for piece in replay(version, name).pieces if isinstance(piece, bytes)).decode()
    rows = [json.loads(row.removeprefix("data: ")) for row in body.splitlines() if row.startswith(("{", "data: {"))]
    return "".join(_follow(row, path) for row in rows)


def _follow(row: Any, path: tuple[str, ...]) -> str:
    for step in path:
        row = row[int(step)] if step.isdigit() else row.get(step, "")
        if not row:
            return ""
    return str(row)


def ollama_as(version: str, chat: str, *, model: str = "smollm2:135m", **others: str) -> dict[str, Any]:
    named = {"chat": chat, "show": "show", "tags": "tags", "ps": "ps_resident"} | others
    return {f"/api/{path}": replay(version, name) for path, name in named.items()} | {"/api/ps": running(model)}


async def read(voice: Voice) -> str:
    async with aclosing(voice):
        return "".join([chunk async for chunk in voice])


Connect = Callable[..., Backend]


@pytest.mark.parametrize(
    "name", ["chat_stream", "chat_cold", "chat_whole", "chat_length", "chat_format", "chat_think_off"]
)
async def test_recorded_answer_is_read_to_its_end(connect_ollama: Connect, version: str, name: str) -> None:
    async with serving(ollama_as(version, name)) as server:
        voice = await connect_ollama(server.url, model="smollm2:135m").open(PROMPT)
        told = await read(voice)
    assert told == text_of(version, name, "message", "content").lstrip()
    assert voice.finish_reason in {"stop", "length"}
    assert voice.usage is not None
    assert voice.usage.output_tokens


async def test_recorded_thoughts_are_not_shown(connect_ollama: Connect, version: str) -> None:
    async with serving(ollama_as(version, "chat_think_stream", model="thinker:135m")) as server:
        with pytest.raises(BackendUnavailable, match="empty"):
            await connect_ollama(server.url, model="thinker:135m").open(PROMPT)
    assert text_of(version, "chat_think_stream", "message", "thinking")


@pytest.mark.parametrize(
    "name", ["chat_runner_killed", "chat_server_killed", "chat_server_terminated", "chat_client_leaves"]
)
async def test_recorded_answer_that_broke_off_is_a_failure(connect_ollama: Connect, version: str, name: str) -> None:
    async with serving(ollama_as(version, name)) as server:
        voice = await connect_ollama(server.url, model="smollm2:135m", deadlines=QUICK).open(PROMPT)
        assert await anext(voice)
        with pytest.raises(BackendUnavailable):
            await read(voice)


@pytest.mark.parametrize(
    ("name", "fatal"),
    [
        ("chat_queue_full", False),
        ("chat_too_long_refused", False),
        ("chat_unknown_model", True),
        ("chat_bad_option", False),
        ("chat_format_bad", False),
        ("chat_bad_keep_alive", False),
        ("chat_think_true_refused", False),
        ("chat_load", False),
        ("not_found", True),
    ],
)
async def test_recorded_refusal_is_a_failure(connect_ollama: Connect, version: str, name: str, fatal: bool) -> None:
    async with serving(ollama_as(version, name)) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await connect_ollama(server.url, model="smollm2:135m").open(PROMPT)
    assert caught.value.fatal is fatal


async def test_recorded_load_warms_the_model(connect_ollama: Connect, version: str) -> None:
    async with serving(ollama_as(version, "chat_load")) as server:
        await connect_ollama(server.url, model="smollm2:135m").warm()


@pytest.mark.parametrize(("name", "resident"), [("ps_resident", True), ("ps_two", True), ("ps_empty", False)])
async def test_recorded_residency_is_understood(
    connect_ollama: Connect, version: str, name: str, resident: bool
) -> None:
    async with serving({"/api/ps": replay(version, name)}) as server:
        state = await connect_ollama(server.url, model="smollm2:135m").look()
    assert (state.reachable, state.resident) == (True, resident)


async def test_recorded_list_of_models_holds_no_preferred_one(connect_ollama: Connect, version: str) -> None:
    async with serving({"/api/tags": replay(version, "tags")}) as server:
        state = await connect_ollama(server.url).look()
    assert state.note is not None
    assert "ollama pull" in state.note


@pytest.mark.parametrize("name", ["show", "show_thinking_model"])
async def test_recorded_model_runs_in_the_house(connect_ollama: Connect, version: str, name: str) -> None:
    routes = ollama_as(version, "chat_stream", show=name) | {"/api/ps": NOTHING_RUNS}
    async with serving(routes) as server:
        voice = await connect_ollama(server.url, model="smollm2:135m").open(PROMPT, wait_for_load=True)
        assert await read(voice)
    assert not voice.hosted


async def test_recorded_openai_answer_is_read_to_its_end(connect_openai: Connect, version: str) -> None:
    async with serving(openai_routes(replay(version, "openai_stream"))) as server:
        voice = await connect_openai(server.url).open(PROMPT)
        told = await read(voice)
    assert told == text_of(version, "openai_stream", "choices", "0", "delta", "content").lstrip()
    assert voice.usage is not None
    assert voice.usage.output_tokens


async def test_recorded_openai_answer_of_a_killed_runner_is_a_failure(connect_openai: Connect, version: str) -> None:
    async with serving(openai_routes(replay(version, "openai_runner_killed"))) as server:
        voice = await connect_openai(server.url).open(PROMPT)
        with pytest.raises(BackendUnavailable, match="without saying"):
            await read(voice)


async def test_recorded_openai_thoughts_are_not_shown(connect_openai: Connect, version: str) -> None:
    async with serving(openai_routes(replay(version, "openai_thinking"))) as server:
        with pytest.raises(BackendUnavailable, match="empty"):
            await connect_openai(server.url).open(PROMPT)
    assert text_of(version, "openai_thinking", "choices", "0", "delta", "reasoning")


async def test_recorded_openai_refusal_is_fatal(connect_openai: Connect, version: str) -> None:
    async with serving(openai_routes(replay(version, "openai_unknown_model"))) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await connect_openai(server.url).open(PROMPT)
    assert caught.value.fatal
