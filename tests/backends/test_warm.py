"""The warm-up entry: one line a backend, and an exit status that a timer can act on."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.backends.base import Prompt
from app.backends.embedded import EmbeddedBackend
from app.settings import read_settings
from scripts.warm import warm_all
from tests.backends.conftest import Connect
from tests.backends.servers import MODEL, SPOKEN, SmallBox, chat, done, listening, ollama_routes, openai_routes, serving

SCRIPT = Path(__file__).parents[2] / "scripts" / "warm.py"
LOADED = chat(done("load"))


async def run_warm(*backends: Mapping[str, Any]) -> int:
    return await warm_all(read_settings({"UNDERVOLT_BACKENDS": json.dumps(backends)}))


async def test_warm_up_loads_the_model_with_the_options_of_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(ollama_routes(LOADED)) as server:
        assert await run_warm({"kind": "ollama", "url": server.url, "model": MODEL, "num_ctx": 4096}) == os.EX_OK
    assert capsys.readouterr().out.startswith(f"ollama: {MODEL} is warm after")
    body = server.asked("/api/chat")[0].body
    assert (body["messages"], body["keep_alive"]) == ([], "20m")
    assert body["options"] == {"num_ctx": 4096, "temperature": 0, "num_predict": 160}


async def test_every_request_has_the_same_options_but_for_the_length_of_its_answer(connect_ollama: Connect) -> None:
    """With others, Ollama would load the model anew."""
    prompts = [Prompt("Tell.", "Roofs?", max_tokens=120), Prompt("Plan.", "Pools?", schema={"type": "object"})]
    async with serving(ollama_routes([LOADED, SPOKEN])) as server:
        backend = connect_ollama(server.url, model=MODEL, num_ctx=4096)
        await backend.warm()
        for prompt in prompts:
            async with aclosing(await backend.open(prompt)) as voice:
                assert [chunk async for chunk in voice]
    bodies = [request.body for request in server.asked("/api/chat")]
    options = [body["options"] | {"keep_alive": body["keep_alive"], "num_predict": None} for body in bodies]
    assert options == [options[0]] * 3


async def test_warm_up_goes_on_where_one_model_is_not_to_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(ollama_routes(LOADED)) as server:
        status = await run_warm(
            {"kind": "ollama", "url": "http://127.0.0.1:9", "model": MODEL},
            {"kind": "ollama", "url": server.url, "model": MODEL},
        )
    assert status == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == "ollama: not warm: ollama cannot be reached"
    assert second.startswith(f"ollama-2: {MODEL} is warm")


async def test_warm_up_sends_nothing_to_a_hosted_server() -> None:
    async with serving(openai_routes()) as server:
        assert await run_warm({"kind": "openai", "url": f"{server.url}/v1", "model": "m"}) == os.EX_OK
    assert server.connections == 0


async def test_warm_up_leaves_the_embedded_model_to_the_service(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would load ends with it."""
    monkeypatch.setattr(EmbeddedBackend, "is_there", True)
    assert await run_warm({"kind": "embedded"}) == os.EX_OK
    assert capsys.readouterr().out == "embedded: inside the service, nothing to warm\n"


async def test_warm_up_leaves_the_memory_to_whose_models_are_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    box = SmallBox(8_000_000_000, {MODEL: 2_800_000_000, "other:8b": 5_600_000_000})
    backend = {"kind": "ollama", "model": MODEL, "memory_gb": 8}
    async with listening(box):
        box.use("other:8b")
        assert await run_warm(backend | {"url": box.url}) == os.EX_TEMPFAIL
        assert list(box.resident) == ["other:8b"]
        assert await run_warm(backend | {"url": box.url}, {"kind": "ollama", "url": "http://127.0.0.1:9"}) == 1
    assert capsys.readouterr().out.startswith("ollama: not warm: ollama has other models in memory and no room for")


async def test_warm_up_again_keeps_the_model_without_loading_it_anew() -> None:
    box = SmallBox(8_000_000_000, {MODEL: 2_800_000_000})
    async with listening(box):
        for _ in range(3):
            assert await run_warm({"kind": "ollama", "url": box.url, "model": MODEL}) == os.EX_OK
    assert (box.loads, len(box.asked("/api/chat"))) == ([MODEL], 3)


@pytest.mark.parametrize(
    ("backends", "status"),
    [
        ('[{"kind": "ollama", "url": "http://127.0.0.1:9", "model": "m"}]', 1),
        ("no list", os.EX_USAGE),
    ],
    ids=["not warm", "wrong setting"],
)
async def test_warm_up_tells_a_timer_by_its_exit_status_how_it_went(backends: str, status: int) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERVOLT_", "OLLAMA_"))}
    environment = kept | {"UNDERVOLT_BACKENDS": backends}
    finished = await anyio.run_process([sys.executable, str(SCRIPT)], env=environment, check=False)
    assert finished.returncode == status
    assert b"Traceback" not in finished.stderr
