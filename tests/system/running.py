"""The service as an operator runs it: a process of its own, in folders of its own, watched from its first line on."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.newcomer.service import compose_command
from tests.conftest import ROOT

START_S = 60.0
STOP_S = 20.0
WATCHING = Path(__file__).parent / "watching"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

# uvloop opens connections below Python, where nobody hears of them.
SEEN = {"UVICORN_LOOP": "asyncio"}


@dataclass(frozen=True)
class Folders:
    """Where a process may leave something, and what it said."""

    home: Path

    def make(self) -> dict[str, str]:
        """Make them, and give the environment that leads a process there."""
        for name in ("home", "tmp", "work"):
            (self.home / name).mkdir()
        return self.environment

    @property
    def environment(self) -> dict[str, str]:
        """The environment that leads a process there and watches it."""
        paths = {"HOME": "home", "TMPDIR": "tmp", "XDG_CACHE_HOME": "home/cache"}
        environment = {name: str(self.home / path) for name, path in paths.items()}
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        watched = {"PYTHONPATH": f"{WATCHING}{os.pathsep}{ROOT}", "WATCH_FILE": str(self.home / "watched")}
        return kept | environment | watched | {"PYTHONDONTWRITEBYTECODE": "1"} | SEEN

    @property
    def left_behind(self) -> list[Path]:
        """Every file that the process made in its folders."""
        found = (path for name in ("home", "tmp", "work") for path in (self.home / name).rglob("*"))
        return sorted(path for path in found if not path.is_dir())

    @property
    def said(self) -> str:
        """What it wrote to standard output and standard error."""
        return "".join((self.home / name).read_text(errors="replace") for name in ("stdout", "stderr"))

    @property
    def watched(self) -> list[list[Any]]:
        """What it did to the outside, event by event."""
        return [json.loads(line) for line in (self.home / "watched").read_text().splitlines()]

    def watched_of(self, *events: str) -> list[list[Any]]:
        """What it did of these kinds."""
        return [arguments for event, *arguments in self.watched if event in events]


@dataclass(frozen=True)
class Service:
    """A service that runs."""

    client: httpx.AsyncClient
    folders: Folders
    port: int
    pid: int

    async def ask(self, question: str, **more: Any) -> dict[str, Any]:
        """Ask for one JSON object, which must be a good one."""
        reply = await self.client.post("/ask", json={"question": question, **more})
        assert reply.status_code == 200, reply.text
        document: dict[str, Any] = reply.json()
        return document


def find_free_port() -> int:
    """Give a port of loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def run_service(
    home: Path, settings: Mapping[str, str], *, arguments: Sequence[str] = ()
) -> AsyncGenerator[Service]:
    """Run the service by `make run`'s own command, and more ``arguments``, with folders of its own in ``home``.

    ``settings`` are environment variables; besides them it has only what :class:`Folders` gives.
    """
    folders = Folders(home)
    environment = folders.make() | dict(settings)
    port = find_free_port()
    command = (*compose_command("127.0.0.1", port, Path(sys.executable)), *arguments)
    with (home / "stdout").open("wb") as out, (home / "stderr").open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=home / "work", env=environment, stdout=out, stderr=err
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            await wait_until_live(client, process, folders)
            yield Service(client, folders, port, process.pid)
    finally:
        await end(process)


async def wait_until_live(client: httpx.AsyncClient, process: asyncio.subprocess.Process, folders: Folders) -> None:
    """Wait until the service answers."""
    async with asyncio.timeout(START_S):
        while True:
            assert process.returncode is None, folders.said
            with suppress(httpx.TransportError):
                if (await client.get("/health/live")).is_success:
                    return
            await asyncio.sleep(0.05)


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process in an orderly way, or else at once."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
