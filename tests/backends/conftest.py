"""Backends that a test opened are closed with it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack

import pytest

from app.backends.base import Backend
from app.backends.ollama import OllamaBackend
from app.backends.openai import OpenAIBackend
from app.settings import BackendSettings, Deadlines

Connect = Callable[..., Backend]
# Long enough for a busy machine; a test of a deadline brings its own.
PATIENT = Deadlines(connect_s=5, first_token_s=10, load_s=10, gap_s=10, total_s=30)


@pytest.fixture
async def connect_ollama() -> AsyncGenerator[Connect]:
    """Make an Ollama backend at a URL: ``connect_ollama(url, model=..., ...)``."""
    async with AsyncExitStack() as stack:

        def connect(url: str, **settings: object) -> Backend:
            entry = BackendSettings.model_validate({"kind": "ollama", "url": url, "deadlines": PATIENT, **settings})
            backend = OllamaBackend("ollama", entry)
            stack.push_async_callback(backend.aclose)
            return backend

        yield connect


@pytest.fixture
async def connect_openai() -> AsyncGenerator[Connect]:
    """Make an OpenAI backend at a URL: ``connect_openai(url, model=..., key=..., ...)``."""
    async with AsyncExitStack() as stack:

        def connect(url: str, *, key: object = None, **settings: object) -> Backend:
            given = {"kind": "openai", "url": f"{url}/v1", "model": "m", "hosted": False, "deadlines": PATIENT}
            backend = OpenAIBackend("openai", BackendSettings.model_validate({**given, **settings}), key=key)  # type: ignore[arg-type]
            stack.push_async_callback(backend.aclose)
            return backend

        yield connect
