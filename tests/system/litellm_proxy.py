"""The real LiteLLM proxy in an environment of its own, with the shipped configuration, watched while it runs."""

import asyncio
import fcntl
import hashlib
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest

from tests.backends.servers import COMPLETED, SPOKEN, Reply, ScriptedServer, ollama_routes, openai_routes, whole
from tests.conftest import ROOT

CONFIGURATION = ROOT / "deploy/litellm.yaml"
SHIPPED = ROOT / "deploy/litellm.env"
REQUIREMENTS = ROOT / "deploy/requirements-litellm.txt"
ENVIRONMENT = ROOT / ".undervolt/litellm"
INSTALL_S = 900
START_S = 120
STOP_S = 15
REST_S = 30
MASTER_KEY = "sk-undervolt-" + "7d1c" * 8
HOSTED_KEY = "hosted-key"
CHAT = "/api/chat"
COMPLETIONS = "/v1/chat/completions"
BROKEN = whole({"error": {"message": "boom"}}, 500)


def find_litellm() -> Path:
    """Give the Python that has LiteLLM, and skip the test where it cannot be had."""
    if fault := install_litellm():
        pytest.skip(f"LiteLLM cannot be installed here: {fault}")
    return ENVIRONMENT / "bin/python"


@cache
def install_litellm() -> str | None:
    """Make its environment from the hashed requirements unless it is there, and say what stood in the way."""
    mark = ENVIRONMENT / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "litellm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.is_file() and mark.read_text() == wanted:
            return None
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        pip = (ENVIRONMENT / "bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet")
        steps = [
            (sys.executable, "-m", "venv", ENVIRONMENT),
            (*pip, "install", "--no-deps", "--require-hashes", "-r", REQUIREMENTS),
        ]
        fault = next(filter(None, (run_step(*step) for step in steps)), None)
        if fault is None:
            mark.write_text(wanted)
        return fault


def run_step(*command: object) -> str | None:
    """Run one step of the installation, and give the last line that it said where it failed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        return f"it takes longer than {INSTALL_S} s"
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else None


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs. ``home`` holds all that it may write, its output included."""

    port: int
    pid: int
    home: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def notes(self, kind: str) -> list[str]:
        """What it was seen to do: ``calls``, ``writes`` or ``starts``."""
        lines = (self.home / "notes").read_text().splitlines()
        return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]

    def output(self) -> str:
        """All that it has said."""
        return (self.home / "output").read_text()


@asynccontextmanager
async def running(home: Path, environment: Mapping[str, str]) -> AsyncGenerator[Proxy]:
    """Run the proxy on loopback until the block ends, with the shipped environment and ``environment``, no other."""
    python = find_litellm()
    port = find_port()
    for name in ("work", "tmp"):
        (home / name).mkdir(parents=True)
    watched = {"PYTHONPATH": ROOT / "tests/system/watch", "WATCH_NOTES": home / "notes", "PYTHONDONTWRITEBYTECODE": 1}
    places = {"PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home / "tmp", **watched}
    with (home / "output").open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *(python.with_name("litellm"), "--config", CONFIGURATION, "--host", "127.0.0.1", "--port", str(port)),
            cwd=home / "work",
            env={name: str(value) for name, value in places.items()} | read_shipped() | dict(environment),
            stdout=output,
            stderr=output,
        )
    proxy = Proxy(port, process.pid, home)
    try:
        await wait_until_ready(proxy, process)
        yield proxy
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def read_shipped() -> dict[str, str]:
    """Give the environment that is shipped with the configuration."""
    lines = SHIPPED.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


async def wait_until_ready(proxy: Proxy, process: asyncio.subprocess.Process) -> None:
    """Wait until the proxy answers."""
    async with asyncio.timeout(START_S), httpx.AsyncClient(trust_env=False) as client:
        while True:
            assert process.returncode is None, f"the proxy ended: {proxy.output()[-2000:]}"
            try:
                if (await client.get(f"http://127.0.0.1:{proxy.port}/health/liveliness")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)


def find_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Door(ScriptedServer):
    """A scripted server that keeps its address while it is shut."""

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self.handle, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse every connection, and break off those that there are."""
        self._server.close()
        await self.stop()

    def forget(self) -> None:
        """Forget what came so far."""
        self.requests.clear()
        self.bytes_received = 0
        self.client_left.clear()


@dataclass(frozen=True)
class Scene:
    """A proxy with the two scripted servers that it knows: an Ollama and a hosted one."""

    proxy: Proxy
    box: Door
    hosted: Door

    def play(self, box: Reply | None = None, hosted: Reply | None = None) -> None:
        """Have the servers answer every question so; left out, the box has an error and the hosted one no answer."""
        self.box.routes[CHAT] = [box or BROKEN]
        self.hosted.routes[COMPLETIONS] = [hosted or BROKEN]

    async def rest(self) -> None:
        """Wait until the proxy asks both, for it passes over one that has just failed; then forget all that came."""
        await self.box.shut()
        await self.box.open()
        self.play(SPOKEN, COMPLETED)
        async with asyncio.timeout(REST_S), httpx.AsyncClient(trust_env=False, timeout=REST_S) as client:
            for model, door in (("nemotron", self.box), ("nemotron-hosted", self.hosted)):
                door.forget()
                while not door.requests:
                    body = {"model": model, "messages": [{"role": "user", "content": "Yes?"}], "stream": True}
                    await client.post(
                        f"{self.proxy.url}/chat/completions",
                        json=body,
                        headers={"authorization": f"Bearer {MASTER_KEY}"},
                    )
                    await asyncio.sleep(0.05)
        self.box.forget()
        self.hosted.forget()


@asynccontextmanager
async def staging(home: Path, **environment: str) -> AsyncGenerator[Scene]:
    """Run a proxy before two scripted servers."""
    box, hosted = Door(ollama_routes()), Door(openai_routes())
    await box.open()
    await hosted.open()
    places = {"OLLAMA_API_BASE": box.url, "HOSTED_API_BASE": f"{hosted.url}/v1"}
    keys = {"LITELLM_MASTER_KEY": MASTER_KEY, "HOSTED_API_KEY": HOSTED_KEY}
    try:
        async with running(home, places | keys | environment) as proxy:
            yield Scene(proxy, box, hosted)
    finally:
        await box.shut()
        await hosted.shut()


class Relay:
    """An address that hands every byte on to a port of loopback, and counts what it is sent."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.bytes_received = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one connection to one of the port."""
        ahead, back = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._carry(reader, back, counted=True))
            both.create_task(self._carry(ahead, writer, counted=False))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(ConnectionError):
            while part := await reader.read(65536):
                self.bytes_received += len(part) if counted else 0
                writer.write(part)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def relaying(port: int) -> AsyncGenerator[Relay]:
    """Stand before a port of loopback."""
    relay = Relay(port)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield relay
    finally:
        server.close()
