"""What goes wrong between two questions: models that leave memory, boxes that go away, connections that die."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import pytest

from app.settings import Settings
from tests.backends.faults import OLLAMA, TRUE, Ends, Story, bare, body_of
from tests.backends.servers import (
    NOTHING_RUNS,
    Reply,
    Request,
    ScriptedServer,
    chat,
    done,
    listening,
    ollama_routes,
    running,
    serving,
)
from tests.faults.meeting import NEXT, SAID_NEXT, SHORT_S, Answered, Service, at, serve, set_limits, with_backends

TOLD = body_of(OLLAMA.sentence, OLLAMA.end)


class Box(ScriptedServer):
    """An Ollama whose one model is in memory or is not, and comes into it when it is asked something."""

    def __init__(self) -> None:
        super().__init__(ollama_routes())
        self.running = running()
        self.answer = chat(TOLD)
        self.loaded = asyncio.Event()

    def choose_reply(self, request: Request) -> Reply:
        """Answer as Ollama would, from what is in memory now."""
        if request.path == "/api/ps":
            return self.running
        if request.path != "/api/chat":
            return super().choose_reply(request)
        self.running = running()
        self.loaded.set()
        return self.answer if request.body["messages"] else chat(done("load"))


@asynccontextmanager
async def alone(settings: Settings, port: int) -> AsyncGenerator[Service]:
    """Serve with the box at a port and nothing else."""
    entry = at(f"http://127.0.0.1:{port}", "ollama", set_limits(Ends.NOTHING))
    async with serve(with_backends(settings, entry)) as service:
        yield service


@asynccontextmanager
async def before_another(settings: Settings, port: int) -> AsyncGenerator[Service]:
    """Serve with the box at a port and a sound backend behind it."""
    limits = set_limits(Ends.NOTHING)
    async with serving(NEXT) as well:
        entries = at(f"http://127.0.0.1:{port}", "ollama", limits), at(well.url, "openai", limits)
        async with serve(with_backends(settings, *entries)) as service:
            yield service


@asynccontextmanager
async def standing(box: Box, port: int = 0) -> AsyncGenerator[int]:
    """Let the box stand at a port, the same as before where one is named, and give the port."""
    async with listening(box, port=port):
        yield box.port


def told_by(answered: Answered) -> tuple[str | None, list[str], list[str]]:
    """Give who told the answer, what, and who saw the question."""
    return answered.document["done"]["backend"], answered.text, answered.seen_by


async def settle(service: Service) -> None:
    """Wait until the service knows that the model has loaded."""
    await asyncio.wait_for(service.backend._loading, 5)


BY_BOX = ("ollama", [TRUE], ["ollama"])
BY_NEXT = ("openai", [SAID_NEXT], ["openai"])
BY_NOBODY: tuple[None, list[str], list[str]] = (None, [], [])
OUT_OF_MEMORY = {Story.EVICTED: NOTHING_RUNS, Story.OTHER_CONTEXT: running(context_length=2048)}

Told = TypeVar("Told")
staged: set[Story] = set()


def stages(*stories: Story) -> Callable[[Told], Told]:
    """Note that a test stages stories of the matrix."""
    staged.update(stories)
    return lambda test: test


def test_every_story_of_the_matrix_is_staged() -> None:
    assert staged == set(Story)


@stages(*OUT_OF_MEMORY)
@pytest.mark.parametrize("gone", OUT_OF_MEMORY.values(), ids=[story.name for story in OUT_OF_MEMORY])
async def test_question_to_a_model_out_of_memory_is_told_by_the_next_and_then_by_itself_again(
    gone: Reply, settings: Settings, without_any: Answered
) -> None:
    box = Box()
    async with standing(box) as port, before_another(settings, port) as service:
        assert told_by(await service.ask()) == BY_BOX
        box.running = gone
        box.loaded.clear()
        answered = await service.ask()
        assert told_by(answered) == BY_NEXT
        assert answered.made_by_code == without_any.made_by_code
        await asyncio.wait_for(box.loaded.wait(), 5)
        await settle(service)
        assert told_by(await service.ask_for_events()) == BY_BOX
        assert await service.tell_breaker() == "closed"


@stages(*OUT_OF_MEMORY)
@pytest.mark.parametrize("gone", OUT_OF_MEMORY.values(), ids=[story.name for story in OUT_OF_MEMORY])
async def test_question_to_a_model_out_of_memory_waits_for_it_where_there_is_no_other(
    gone: Reply, settings: Settings, without_any: Answered
) -> None:
    box = Box()
    async with standing(box) as port, alone(settings, port) as service:
        assert told_by(await service.ask()) == BY_BOX
        box.running = gone
        answered = await service.ask()
        assert told_by(answered) == BY_BOX
        assert answered.made_by_code == without_any.made_by_code
        assert await service.tell_breaker() == "closed"


@stages(Story.LOAD_HANGS)
async def test_model_that_does_not_come_into_memory_is_waited_for_as_long_as_a_load_may_take(
    settings: Settings, without_any: Answered
) -> None:
    async with serving(ollama_routes(Reply(status=None, end="hang"), ps=NOTHING_RUNS)) as box:
        entry = at(box.url, "ollama", set_limits(Ends.LOAD))
        async with serve(with_backends(settings, entry)) as service:
            answered = await service.ask()
            assert told_by(answered) == (None, [], ["ollama"])
            assert answered.made_by_code == without_any.made_by_code
            assert answered.elapsed_s >= SHORT_S
            assert await service.tell_breaker() == "closed"
            await service.ask()
            assert (await service.tell_breaker()).startswith("open")
        async with before_another(settings, box.port) as service:
            assert told_by(await service.ask()) == BY_NEXT
            assert await service.tell_breaker() == "closed"


@stages(Story.REBOOTING)
async def test_box_that_reboots_costs_the_questions_between_their_narrative(
    settings: Settings, without_any: Answered
) -> None:
    async with AsyncExitStack() as stack:
        async with standing(Box()) as port:
            service = await stack.enter_async_context(alone(settings, port))
            assert told_by(await service.ask()) == BY_BOX
        answered = await service.ask()
        assert told_by(answered) == BY_NOBODY
        assert answered.made_by_code == without_any.made_by_code
        async with standing(Box(), port):
            assert told_by(await service.ask()) == BY_BOX
            assert await service.tell_breaker() == "closed"


@stages(Story.AWAY)
async def test_box_that_is_away_for_long_is_asked_again_when_the_breaker_has_cooled_down(
    settings: Settings, without_any: Answered
) -> None:
    async with AsyncExitStack() as stack:
        async with standing(Box()) as port:
            service = await stack.enter_async_context(alone(settings, port))
            assert told_by(await service.ask()) == BY_BOX
        for _ in range(2):
            assert told_by(await service.ask()) == BY_NOBODY
        async with standing(back := Box(), port):
            answered = await service.ask_for_events()
            assert (told_by(answered), back.connections) == (BY_NOBODY, 0)
            assert answered.made_by_code == without_any.made_by_code
            assert (await service.tell_breaker()).startswith("open")
            service.breaker._open_until = time.monotonic()
            assert told_by(await service.ask()) == BY_BOX
            assert await service.tell_breaker() == "closed"


@stages(Story.CONNECTION_CLOSED)
async def test_kept_connection_that_the_server_closed_is_opened_anew(settings: Settings) -> None:
    box = Box()
    async with standing(box) as port, alone(settings, port) as service:
        for _ in range(3):
            assert told_by(await service.ask()) == BY_BOX
            await box.stop()
        assert await service.tell_breaker() == "closed"


@stages(Story.CONNECTION_DIES)
async def test_kept_connection_that_dies_under_a_question_costs_that_question(
    settings: Settings, without_any: Answered
) -> None:
    box = Box()
    async with standing(box) as port, before_another(settings, port) as service:
        assert told_by(await service.ask()) == BY_BOX
        box.answer = Reply(status=None, end="cut")
        answered = await service.ask()
        assert told_by(answered) == ("openai", [SAID_NEXT], ["ollama", "openai"])
        assert answered.made_by_code == without_any.made_by_code
        box.answer = chat(TOLD)
        box.loaded.clear()
        assert told_by(await service.ask()) == BY_NEXT, "a box that broke off loads its model first: it may be gone"
        await asyncio.wait_for(box.loaded.wait(), 5)
        await settle(service)
        assert told_by(await service.ask()) == BY_BOX
        assert await service.tell_breaker() == "closed"


@stages(Story.WAITS_ITS_TURN)
async def test_box_that_waits_silently_behind_another_program_is_waited_for(settings: Settings) -> None:
    box = Box()
    box.answer = bare(SHORT_S, OLLAMA.head(b"connection: close"), TOLD)
    async with standing(box) as port, before_another(settings, port) as service:
        answered = await service.ask()
        assert told_by(answered) == BY_BOX
        assert answered.elapsed_s >= SHORT_S
        assert await service.tell_breaker() == "closed"
