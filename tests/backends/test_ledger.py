"""What is counted of every backend that is asked, and which answers in the house count as hosted calls avoided."""

import asyncio
from contextlib import aclosing

import pytest

from app.backends.base import Backend, MustLoad, NeverSent, Prompt
from app.backends.ledger import HOUR_S, HostedCalls
from app.backends.router import Router
from app.backends.thoughts import ThoughtsShown
from app.errors import BackendUnavailable
from app.settings import Deadlines, Settings
from app.telemetry.metrics import Metrics
from app.telemetry.models import LEFT
from tests.backends.fakes import FakeBackend
from tests.figures import figures, total

PROMPT = Prompt(system="Tell the facts.", user="How many roofs on Canary Street?")
DOWN = BackendUnavailable("down")
SPOKEN = ["Nine ", "roofs."]
ATTEMPTS = "gen_ai_client_operation_duration_seconds_count"
FIRST_CHUNKS = "gen_ai_client_operation_time_to_first_chunk_seconds_count"
MADE = "undervolt_hosted_calls_made_total"
REFUSED = "undervolt_hosted_calls_refused_total"
AVOIDED = "undervolt_hosted_calls_avoided_total"


class House:
    """A router over backends, and what it has counted."""

    def __init__(self, *backends: Backend, hosted_max_per_hour: int | None = None, local_only: bool = False) -> None:
        self.metrics = Metrics(Settings(hosted_max_per_hour=hosted_max_per_hour))
        self.router = Router(backends, hosted_max_per_hour=hosted_max_per_hour, local_only=local_only)
        self.router.count_in(self.metrics.models)

    async def ask(self, prompt: Prompt = PROMPT, *, planning: bool = False, escalating: bool = False) -> None:
        """Hear the first voice that comes to its end."""
        conversation = self.router.ask(prompt, planning=planning, escalating=escalating)
        async with aclosing(conversation.voices()) as voices:
            async for voice in voices:
                try:
                    _ = [chunk async for chunk in voice]
                except BackendUnavailable:
                    continue
                break

    def count(self, name: str, **labels: str) -> float:
        return total(self.metrics, name, **labels)


def local(*script: object) -> FakeBackend:
    return FakeBackend("box", list(script) or [SPOKEN])  # type: ignore[arg-type]


def hosted(*script: object, plans: bool = False) -> FakeBackend:
    return FakeBackend("hosted", list(script) or [SPOKEN], hosted=True, plans=plans)  # type: ignore[arg-type]


async def test_a_voice_counts_once_with_its_tokens() -> None:
    house = House(local())
    await house.ask()
    ended = [set(labels) for labels in figures(house.metrics, ATTEMPTS)]
    assert ended == [
        {
            ("gen_ai_operation_name", "chat"),
            ("gen_ai_provider_name", "openai"),
            ("gen_ai_request_model", "box-model"),
            ("backend", "box"),
            ("task", "text"),
        }
    ]
    assert (house.count(ATTEMPTS), house.count(FIRST_CHUNKS)) == (1, 1)
    assert house.count("gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 7
    assert house.count("gen_ai_client_token_usage_sum", gen_ai_token_type="output") == 2


async def test_what_a_prompt_is_for_is_told() -> None:
    house = House(FakeBackend("box", [SPOKEN], plans=True), FakeBackend("large", [SPOKEN], escalate=True))
    await house.ask()
    await house.ask(planning=True)
    await house.ask(escalating=True)
    assert [house.count(ATTEMPTS, backend="box", task=task) for task in ("text", "plan")] == [1, 1]
    assert house.count(ATTEMPTS, backend="large", task="escalate") == 1
    assert house.count(ATTEMPTS) == 3


@pytest.mark.parametrize("error", [DOWN, NeverSent("no"), MustLoad("cold"), ThoughtsShown("hm")])
async def test_a_backend_without_a_voice_counts_by_its_error(error: BackendUnavailable) -> None:
    house = House(local(error), FakeBackend("spare", [SPOKEN]))
    await house.ask()
    assert house.count(ATTEMPTS, backend="box", error_type=type(error).__name__) == 1
    assert house.count(FIRST_CHUNKS, backend="box") == 0
    assert house.count(ATTEMPTS, backend="spare") == 1


async def test_a_voice_that_breaks_off_counts_its_first_chunk_and_its_error() -> None:
    house = House(local(["Nine ", DOWN]))
    await house.ask()
    assert house.count(ATTEMPTS, error_type="BackendUnavailable") == house.count(ATTEMPTS) == 1
    assert house.count(FIRST_CHUNKS) == 1


async def test_a_caller_who_leaves_is_no_fault_of_the_backend() -> None:
    house = House(local(["Nine ", 60.0, "roofs."]))
    async with aclosing(house.router.ask(PROMPT).voices()) as voices:
        await anext(await anext(voices))
    assert house.count(ATTEMPTS, error_type=LEFT) == house.count(ATTEMPTS) == 1


async def test_a_caller_who_leaves_before_the_first_chunk_counts_too() -> None:
    house = House(hosted([60.0, "Nine."]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(house.ask(), 0.05)
    assert house.count(ATTEMPTS, error_type=LEFT) == house.count(MADE) == 1


async def test_times_are_from_asking_the_backend_and_not_from_waiting_for_it() -> None:
    box = FakeBackend("box", [[0.2, "Nine ", 0.1, "roofs."]], slots=1, queue=1)
    house = House(box)
    await asyncio.gather(house.ask(), house.ask())
    name = "gen_ai_client_operation_{}_seconds_{}"
    for what, each_s in (("time_to_first_chunk", 0.2), ("duration", 0.3)):
        assert house.count(name.format(what, "count")) == 2
        assert 2 * each_s <= house.count(name.format(what, "sum")) < 2 * each_s + 0.2


async def test_a_hosted_call_counts_where_the_prompt_left() -> None:
    house = House(hosted(DOWN, SPOKEN, NeverSent("no")))
    for _ in range(3):
        await house.ask()
    assert house.count(MADE) == 2


async def test_an_answer_in_the_house_avoids_the_hosted_call_behind_it() -> None:
    house = House(local(), hosted())
    await house.ask()
    assert (house.count(AVOIDED), house.count(MADE)) == (1, 0)
    assert house.count("undervolt_hosted_avoided_tokens_total") == 9


@pytest.mark.parametrize(
    ("house", "prompt"),
    [
        (House(local()), PROMPT),
        (House(hosted(DOWN), local()), PROMPT),
        (House(local(), hosted(), local_only=True), PROMPT),
        (House(local(), hosted()), Prompt("Tell.", "Roofs?", local_only=True)),
        (House(local(["Nine ", DOWN])), PROMPT),
        (House(local(["Nine ", DOWN]), hosted()), PROMPT),
        (House(local(), hosted(), hosted_max_per_hour=0), PROMPT),
    ],
    ids=["none is there", "it was asked first", "setting", "request", "no answer", "it was asked after", "cap"],
)
async def test_no_call_is_avoided_that_would_not_have_been_made(house: House, prompt: Prompt) -> None:
    await house.ask(prompt)
    assert house.count(ATTEMPTS) > 0
    assert house.count(AVOIDED) == 0


async def test_a_caller_who_leaves_has_avoided_nothing() -> None:
    house = House(local(["Nine ", 60.0]), hosted())
    async with aclosing(house.router.ask(PROMPT).voices()) as voices:
        await anext(voices)
    assert house.count(AVOIDED) == 0


async def test_a_plan_avoids_only_a_hosted_backend_that_plans() -> None:
    planning = FakeBackend("box", [["{}"]], plans=True)
    house, other = House(planning, hosted()), House(planning, hosted(plans=True))
    await house.ask(planning=True)
    await other.ask(planning=True)
    assert (house.count(AVOIDED), other.count(AVOIDED)) == (0, 1)


async def test_no_more_calls_are_avoided_in_an_hour_than_the_cap_would_have_let_out() -> None:
    house = House(local(DOWN, SPOKEN), hosted(), hosted_max_per_hour=3)
    for _ in range(6):
        await house.ask()
    assert (house.count(MADE), house.count(AVOIDED)) == (1, 2)


def test_the_cap_that_would_have_held_is_one_of_an_hour() -> None:
    now = 0.0
    calls = HostedCalls(1, lambda: now)
    calls.count()
    assert not calls.left
    now += HOUR_S
    assert calls.left


def test_calls_of_more_than_an_hour_ago_are_not_kept_where_nobody_asks_how_many_are_left() -> None:
    now = 0.0
    calls = HostedCalls(None, lambda: now)
    for _ in range(3):
        calls.count()
        now += HOUR_S
    assert len(calls._times) == 1


async def test_a_prompt_that_the_cap_keeps_in_the_house_counts_once() -> None:
    house = House(
        local(DOWN), hosted(), FakeBackend("spare", [DOWN]), FakeBackend("last", [SPOKEN]), hosted_max_per_hour=0
    )
    await house.ask()
    assert (house.count(REFUSED), house.count(MADE)) == (1, 0)


async def test_a_prompt_that_may_not_leave_anyway_is_not_refused_by_the_cap() -> None:
    house = House(local(DOWN), hosted(), hosted_max_per_hour=0)
    await house.ask(Prompt("Tell.", "Roofs?", local_only=True))
    assert house.count(REFUSED) == 0


async def test_a_prompt_that_no_hosted_backend_was_needed_for_is_not_refused() -> None:
    house = House(local(), hosted(), hosted_max_per_hour=0)
    await house.ask()
    assert house.count(REFUSED) == 0


async def test_prompts_that_a_full_queue_turns_away_are_counted() -> None:
    house = House(FakeBackend("box", [[0.1, "Nine."]], slots=1, queue=1), hosted())
    await asyncio.gather(*(house.ask() for _ in range(4)))
    turned = "undervolt_prompts_turned_away_total"
    assert house.count(turned, backend="box", reason="full") == house.count(turned) == 2
    assert house.count(ATTEMPTS) == house.count(AVOIDED) == 2


async def test_a_prompt_whose_turn_does_not_come_in_time_is_counted() -> None:
    box = FakeBackend("box", [[0.2, "Nine."]], slots=1, queue=1, deadlines=Deadlines(queue_s=0.05))
    house = House(box)
    await asyncio.gather(house.ask(), house.ask())
    assert house.count("undervolt_prompts_turned_away_total", backend="box", reason="late") == 1


async def test_slots_and_queue_are_told_as_they_are_now() -> None:
    house = House(FakeBackend("box", [["Nine ", 60.0]], slots=1, queue=2), hosted())
    async with aclosing(house.router.ask(PROMPT).voices()) as voices:
        await anext(voices)
        second = asyncio.create_task(house.ask())
        await asyncio.sleep(0)
        box, spare = house.router.standings()
        second.cancel()
        await asyncio.wait([second])
    assert (box.backend, box.slots, box.slots_in_use, box.waiting) == ("box", 1, 1, 1)
    assert (spare.backend, spare.slots, spare.slots_in_use, spare.hosted) == ("hosted", None, 0, True)
    assert [one.slots_in_use + one.waiting for one in house.router.standings()] == [0, 0]


async def test_the_breaker_is_told_as_it_is_now() -> None:
    house = House(local(DOWN))
    seen = [house.router.standings()[0].breaker]
    for _ in range(2):
        await house.ask()
        seen.append(house.router.standings()[0].breaker)
    assert seen == ["closed", "closed", "open"]
