"""One voice after another: order, breakers, slots, and who may be told a question."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from app.backends.base import Backend, MustLoad, NeverSent, Prompt
from app.backends.ledger import HostedCalls
from app.backends.post import COOL_DOWN_S, FATAL_COOL_DOWN_S, Breaker
from app.backends.router import Conversation, Router, SeenBy, build_router
from app.errors import BackendUnavailable
from app.settings import BackendSettings, Deadlines, Settings, read_settings
from tests.backends.fakes import FakeBackend
from tests.backends.servers import (
    COMPLETED,
    MODEL,
    NOTHING_RUNS,
    Reply,
    chat,
    completion,
    delta,
    done,
    ollama_routes,
    openai_routes,
    part,
    running,
    serving,
    shown,
)

PROMPT = Prompt(system="Tell the facts.", user="How many roofs on Canary Street?")
DOWN = BackendUnavailable("down")
LOADING = MustLoad("loading")
SPOKEN = ["Nine ", "roofs."]


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def read_first(conversation: Conversation) -> str | None:
    """Read the first voice that comes to its end; a caller that has used nothing takes the next."""
    async with aclosing(conversation.voices()) as voices:
        async for voice in voices:
            try:
                return "".join([chunk async for chunk in voice])
            except BackendUnavailable:
                continue
    return None


async def ask(backends: Sequence[Backend] | Router, prompt: Prompt = PROMPT, *, planning: bool = False) -> str | None:
    router = backends if isinstance(backends, Router) else Router(backends)
    return await read_first(router.ask(prompt, planning=planning))


async def ask_together(router: Router, questions: int) -> list[str | None]:
    return list(await asyncio.gather(*(ask(router) for _ in range(questions))))


async def test_first_backend_that_answers_is_the_voice() -> None:
    first, second = FakeBackend("first", [SPOKEN]), FakeBackend("second", [["Ten."]])
    assert await ask([first, second]) == "Nine roofs."
    assert second.prompts == []


async def test_backend_that_does_not_begin_is_passed_over() -> None:
    assert await ask([FakeBackend("first", [DOWN]), FakeBackend("second", [SPOKEN])]) == "Nine roofs."


async def test_voice_that_fails_is_followed_by_the_next_from_its_beginning() -> None:
    first, second = FakeBackend("first", [["Nine ", DOWN]]), FakeBackend("second", [SPOKEN])
    assert await ask([first, second]) == "Nine roofs."
    assert first.closed == 1


async def test_no_voice_comes_where_every_backend_is_down() -> None:
    assert await ask([FakeBackend("first", [DOWN]), FakeBackend("second", [["Nine ", DOWN]])]) is None
    assert await ask([]) is None


async def test_voice_is_closed_when_the_caller_leaves() -> None:
    backend = FakeBackend("only", [["Nine ", 60.0, "roofs."]])
    async with aclosing(Router([backend]).ask(PROMPT).voices()) as voices:
        voice = await anext(voices)
        assert await anext(voice) == "Nine "
        assert backend.closed == 0
    assert backend.closed == 1


async def test_seen_by_names_everyone_who_was_given_the_prompt() -> None:
    backends = [
        FakeBackend("refused", [NeverSent("no connection")]),
        FakeBackend("hosted", [["Nine ", DOWN]], hosted=True),
        FakeBackend("local", [SPOKEN]),
        FakeBackend("spare", [SPOKEN]),
    ]
    conversation = Router(backends).ask(PROMPT)
    assert await read_first(conversation) == "Nine roofs."
    assert conversation.seen_by == (
        SeenBy("hosted", hosted=True, final_known=True),
        SeenBy("local", hosted=False, final_known=True),
    )


async def test_seen_by_names_a_backend_that_has_the_prompt_and_has_not_answered_yet() -> None:
    conversation = Router([FakeBackend("slow", [[60.0, "Nine."]])]).ask(PROMPT)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read_first(conversation), 0.05)
    assert [seen.backend for seen in conversation.seen_by] == ["slow"]


@pytest.mark.parametrize("setting", [True, False], ids=["by setting", "by request"])
async def test_local_only_passes_hosted_backends_over(setting: bool) -> None:
    hosted, local = FakeBackend("hosted", [SPOKEN], hosted=True), FakeBackend("local", [["Nine."]])
    router = Router([hosted, local], local_only=setting)
    assert await ask(router, Prompt("Tell.", "Roofs?", local_only=not setting)) == "Nine."
    assert hosted.prompts == []


async def test_planning_is_asked_only_of_backends_that_plan() -> None:
    small, able = FakeBackend("small", [SPOKEN]), FakeBackend("able", [["{}"]], plans=True)
    assert await ask([small, able], planning=True) == "{}"
    assert small.prompts == []


@pytest.mark.parametrize("task", ["planning", "escalating"])
async def test_plan_waits_for_no_model_to_load(task: str) -> None:
    first, second = (
        FakeBackend(name, [SPOKEN], plans=task == "planning", escalate=task != "planning") for name in "ab"
    )
    first.loads = second.loads = 1
    router = Router([first, second])
    conversation = router.ask(PROMPT, planning=task == "planning", escalating=task != "planning")
    assert (await read_first(conversation), conversation.seen_by) == (None, ())
    assert (first.waits, second.waits) == ([False], [False])


async def test_escalation_goes_to_marked_backends_alone_and_planning_to_the_others() -> None:
    able = FakeBackend("able", [["{}"]], plans=True)
    marked = FakeBackend("marked", [["{1}"]], plans=True, escalate=True)
    router = Router([marked, able])
    assert await ask(router, planning=True) == "{}"
    assert await read_first(router.ask(PROMPT, escalating=True)) == "{1}"
    assert (len(able.prompts), len(marked.prompts)) == (1, 1)


async def test_marked_backend_tells_at_its_place_like_any_other() -> None:
    assert await ask([FakeBackend("marked", [SPOKEN], escalate=True), FakeBackend("next", [["Ten."]])]) == "Nine roofs."


@pytest.mark.parametrize("hosted", [True, False], ids=["hosted", "in the house"])
@pytest.mark.parametrize("setting", [True, False], ids=["by setting", "by request"])
async def test_nothing_is_escalated_with_local_only(setting: bool, hosted: bool) -> None:
    marked = FakeBackend("marked", [SPOKEN], hosted=hosted, escalate=True)
    router = Router([marked], local_only=setting)
    conversation = router.ask(Prompt("Plan.", "Roofs?", local_only=not setting), escalating=True)
    assert (await read_first(conversation), marked.prompts, conversation.seen_by) == (None, [], ())
    assert router.context_tokens(local_only=not setting, escalating=True) == 0


async def test_nothing_is_escalated_where_no_backend_is_marked() -> None:
    assert await read_first(Router([FakeBackend("able", [SPOKEN], plans=True)]).ask(PROMPT, escalating=True)) is None


async def test_escalation_to_a_hosted_backend_counts_as_a_hosted_call() -> None:
    router = Router([FakeBackend("marked", [SPOKEN], hosted=True, escalate=True)], hosted_max_per_hour=1)
    assert [await read_first(router.ask(PROMPT, escalating=True)) for _ in range(2)] == ["Nine roofs.", None]


async def test_conversation_tells_that_it_waits_for_a_busy_box_in_vain() -> None:
    router = Router([FakeBackend("box", [SPOKEN], slots=1, queue=1, deadlines=Deadlines(queue_s=0.1))])
    first, second, third = (router.ask(PROMPT) for _ in range(3))
    async with aclosing(first.voices()) as voices:
        await anext(voices)
        await read_first(second)
    await read_first(third)
    assert [one.waits_in_vain for one in (first, second, third)] == [False, True, False]


async def test_model_that_must_load_is_waited_for_only_by_the_last_backend() -> None:
    first, second = FakeBackend("first", [LOADING]), FakeBackend("second", [SPOKEN])
    await ask([first, second])
    assert (first.waits, second.waits) == ([False], [True])


async def test_backend_is_the_last_where_the_others_may_not_be_asked() -> None:
    first, hosted = FakeBackend("first", [SPOKEN]), FakeBackend("hosted", [SPOKEN], hosted=True)
    await ask(Router([first, hosted], local_only=True))
    assert first.waits == [True]


async def test_box_that_must_load_is_waited_for_once_no_other_has_a_voice() -> None:
    box, second = FakeBackend("box", [SPOKEN]), FakeBackend("second", [DOWN])
    box.loads = 1
    conversation = Router([box, second]).ask(PROMPT)
    assert await read_first(conversation) == "Nine roofs."
    assert box.waits == [False, True]
    assert [seen.backend for seen in conversation.seen_by] == ["second", "box"]


async def test_busy_box_is_passed_over_for_the_next_that_is_not_hosted() -> None:
    box = FakeBackend("box", [SPOKEN], slots=1)
    hosted, second_box = FakeBackend("hosted", [["Hosted."]], hosted=True), FakeBackend("second", [["Second."]])
    router = Router([box, hosted, second_box])
    async with aclosing(router.ask(PROMPT).voices()) as voices:
        await anext(voices)
        assert await ask(router) == "Second."
    assert hosted.prompts == []
    assert await ask(router) == "Nine roofs."


async def test_question_to_a_busy_box_alone_gets_no_voice_from_a_hosted_one() -> None:
    box = FakeBackend("box", [SPOKEN], slots=1)
    router = Router([box, FakeBackend("hosted", [SPOKEN], hosted=True)])
    async with aclosing(router.ask(PROMPT).voices()) as voices:
        await anext(voices)
        assert await ask(router) is None


async def test_question_waits_for_the_slot_of_a_busy_box() -> None:
    box = FakeBackend("box", [["Nine ", 0.05, "roofs."]], slots=1, queue=1)
    router = Router([box])
    assert await ask_together(router, 2) == ["Nine roofs.", "Nine roofs."]


async def test_question_beyond_the_queue_is_told_at_once_that_there_is_no_voice() -> None:
    box = FakeBackend("box", [["Nine ", 60.0, "roofs."]], slots=1, queue=1)
    router = Router([box])
    async with aclosing(router.ask(PROMPT).voices()) as voices:
        await anext(voices)
        waiting = asyncio.create_task(ask(router))
        await asyncio.sleep(0)
        assert await asyncio.wait_for(ask(router), 0.05) is None
        assert [(state.speaking, state.waiting) for state in (await router.state()).backends] == [(1, 1)]
        waiting.cancel()
        await asyncio.wait([waiting])
    assert [(state.speaking, state.waiting) for state in (await router.state()).backends] == [(0, 0)]


async def test_questions_get_their_turn_in_the_order_in_which_they_came() -> None:
    box = FakeBackend("box", [["One."], ["Two."], ["Three."]], slots=1, queue=2)
    router = Router([box])
    assert await ask_together(router, 3) == ["One.", "Two.", "Three."]


async def test_slot_that_is_given_back_goes_to_one_who_waits_and_to_no_newcomer() -> None:
    box = FakeBackend("box", [["One."], ["Two."], ["Three."]], slots=1, queue=2)
    router = Router([box])
    voices = router.ask(PROMPT).voices()
    await anext(voices)
    waiting = asyncio.create_task(ask(router))
    await asyncio.sleep(0)
    await voices.aclose()
    assert (await ask(router), await waiting) == ("Three.", "Two.")


async def test_questions_that_wait_for_a_hosted_backend_get_their_turn_whoever_stands_behind_it() -> None:
    hosted = FakeBackend("hosted", [["Nine ", 0.05, "roofs."]], hosted=True, slots=1, queue=2)
    router = Router([hosted, FakeBackend("behind", [["Ten."]], hosted=True)])
    assert await asyncio.wait_for(ask_together(router, 3), 2) == ["Nine roofs."] * 3


async def test_wait_in_the_queue_has_a_deadline() -> None:
    box = FakeBackend("box", [[60.0]], slots=1, queue=1, deadlines=Deadlines(queue_s=0.05))
    router = Router([box])
    speaking = asyncio.create_task(ask(router))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(ask(router), 2) is None
    speaking.cancel()
    await asyncio.wait([speaking])
    assert len(box.prompts) == 1


async def test_question_that_waited_in_vain_goes_to_a_box_that_got_free_meanwhile() -> None:
    one = FakeBackend("one", [[60.0]], slots=1, queue=1, deadlines=Deadlines(queue_s=0.1))
    two = FakeBackend("two", [[60.0], SPOKEN], slots=1)
    router = Router([one, two])
    tasks = [asyncio.create_task(ask(router)) for _ in range(2)]
    await asyncio.sleep(0.01)
    late = asyncio.create_task(ask(router))
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    assert await asyncio.wait_for(late, 5) == "Nine roofs."
    tasks[0].cancel()
    await asyncio.wait(tasks)


async def test_free_box_is_asked_before_anyone_waits_and_then_the_one_with_the_shorter_queue() -> None:
    boxes = [FakeBackend(name, [[name, 60.0]], slots=1, queue=2) for name in ("one", "two")]
    router = Router(boxes)
    tasks = [asyncio.create_task(ask(router)) for _ in range(6)]
    await asyncio.sleep(0.01)
    assert [(state.speaking, state.waiting) for state in (await router.state()).backends] == [(1, 2), (1, 2)]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert [(state.speaking, state.waiting) for state in (await router.state()).backends] == [(0, 0), (0, 0)]


async def test_question_that_waited_goes_on_to_the_hosted_one_when_the_box_fails() -> None:
    box = FakeBackend("box", [["Nine ", 0.05, "roofs."], DOWN], slots=1, queue=1)
    router = Router([box, FakeBackend("hosted", [["Hosted."]], hosted=True)])
    assert await ask_together(router, 2) == ["Nine roofs.", "Hosted."]


async def test_box_that_answers_several_at_once_has_that_many_slots() -> None:
    box = FakeBackend("box", [["Nine ", 0.05, "roofs."]], slots=2)
    router = Router([box])
    assert await ask_together(router, 3) == ["Nine roofs.", "Nine roofs.", None]


async def test_slot_is_free_again_after_a_failure_and_after_a_caller_that_left() -> None:
    box = FakeBackend("box", [DOWN, [60.0], SPOKEN], slots=1)
    router = Router([box])
    assert await ask(router) is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(router), 0.05)
    assert await ask(router) == "Nine roofs."


async def test_box_that_must_load_hands_over_to_a_hosted_one() -> None:
    box = FakeBackend("box", [LOADING], slots=1)
    assert await ask([box, FakeBackend("hosted", [SPOKEN], hosted=True)]) == "Nine roofs."


async def test_hosted_calls_of_an_hour_have_a_ceiling_for_all_together() -> None:
    backends = [FakeBackend(name, [SPOKEN], hosted=True) for name in ("one", "two")]
    router = Router(backends, hosted_max_per_hour=2)
    assert [await ask(router) for _ in range(3)] == ["Nine roofs.", "Nine roofs.", None]


async def test_questions_that_wait_for_a_hosted_backend_stay_below_the_ceiling_too() -> None:
    hosted = FakeBackend("hosted", [["Nine ", 0.05, "roofs."]], hosted=True, slots=1, queue=2)
    router = Router([hosted], hosted_max_per_hour=2)
    assert await ask_together(router, 3) == ["Nine roofs.", "Nine roofs.", None]
    assert len(hosted.prompts) == 2


def test_hosted_calls_are_free_again_an_hour_later() -> None:
    clock = Clock()
    calls = HostedCalls(1, clock)
    calls.count()
    assert not calls.left
    clock.now += 3600
    assert calls.left


async def test_hosted_call_that_was_never_sent_is_not_counted() -> None:
    router = Router([FakeBackend("hosted", [NeverSent("refused"), SPOKEN], hosted=True)], hosted_max_per_hour=1)
    assert [await ask(router) for _ in range(3)] == [None, "Nine roofs.", None]


async def test_breaker_opens_after_two_failures_in_a_row() -> None:
    broken = FakeBackend("broken", [DOWN])
    router = Router([broken, FakeBackend("well", [SPOKEN])])
    for _ in range(5):
        assert await ask(router) == "Nine roofs."
    assert len(broken.prompts) == 2
    assert [state.breaker for state in (await router.state()).backends] == ["open", "closed"]


async def test_breaker_counts_voices_that_break_off() -> None:
    broken = FakeBackend("broken", [["Nine ", DOWN]])
    router = Router([broken])
    for _ in range(5):
        assert await ask(router) is None
    assert len(broken.prompts) == 2


async def test_failure_between_two_answers_opens_nothing() -> None:
    backend = FakeBackend("flaky", [DOWN, SPOKEN] * 3)
    router = Router([backend])
    assert [await ask(router) for _ in range(6)] == [None, "Nine roofs."] * 3


async def test_model_that_must_load_is_no_failure() -> None:
    backend = FakeBackend("box", [LOADING, LOADING, LOADING, SPOKEN])
    router = Router([backend])
    assert [await ask(router) for _ in range(4)] == [None, None, None, "Nine roofs."]


def test_open_breaker_lets_one_probe_through_when_it_has_cooled_down() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(2):
        breaker.end(DOWN, breaker.begin())
    assert (breaker.state, breaker.admits()) == ("open", False)
    clock.now += COOL_DOWN_S
    assert (breaker.state, breaker.admits()) == ("half_open", True)
    probe = breaker.begin()
    assert not breaker.admits()
    breaker.end(None, probe)
    breaker.release(probe)
    assert (breaker.state, breaker.admits()) == ("closed", True)


def test_breaker_opens_again_when_its_probe_fails() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(2):
        breaker.end(DOWN, breaker.begin())
    clock.now += COOL_DOWN_S
    probe = breaker.begin()
    breaker.end(DOWN, probe)
    breaker.release(probe)
    assert breaker.state == "open"
    clock.now += COOL_DOWN_S
    assert breaker.admits()


def test_probe_that_was_withdrawn_leaves_room_for_the_next() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.end(BackendUnavailable("busy", retry_after_s=5), breaker.begin())
    clock.now += 5
    breaker.release(breaker.begin())
    assert breaker.admits()


async def test_voice_that_had_begun_before_does_not_close_a_breaker_that_waits_as_it_was_told() -> None:
    busy = BackendUnavailable("busy", retry_after_s=60)
    router = Router([FakeBackend("hosted", [["Nine ", 0.05, "roofs."], busy], hosted=True)])
    assert await ask_together(router, 2) == ["Nine roofs.", None]
    assert [state.breaker for state in (await router.state()).backends] == ["open"]


def test_failure_of_a_question_that_had_begun_before_makes_no_cool_down_shorter() -> None:
    breaker = Breaker(Clock())
    first, second = breaker.begin(), breaker.begin()
    breaker.end(BackendUnavailable("gone", fatal=True), first)
    breaker.end(DOWN, second)
    assert (breaker.opens_in_s, breaker.note is None) == (FATAL_COOL_DOWN_S, False)


def test_question_that_had_begun_before_lets_no_second_probe_through() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    first, second = breaker.begin(), breaker.begin()
    breaker.end(BackendUnavailable("busy", retry_after_s=1), first)
    clock.now += 1
    probe = breaker.begin()
    breaker.release(second)
    assert not breaker.admits()
    breaker.release(probe)
    assert breaker.admits()


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(BackendUnavailable("busy", retry_after_s=7), 7), (BackendUnavailable("gone", fatal=True), FATAL_COOL_DOWN_S)],
    ids=["for as long as the server says", "for long where it is fatal"],
)
def test_breaker_opens_at_once(error: BackendUnavailable, seconds: float) -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.end(error, breaker.begin())
    clock.now += seconds - 1
    assert breaker.state == "open"
    clock.now += 1
    assert breaker.state == "half_open"


def test_breaker_counts_failures_of_a_server_that_says_to_come_again_at_once() -> None:
    breaker = Breaker(Clock())
    for expected in ("closed", "open"):
        breaker.end(BackendUnavailable("busy", retry_after_s=0), breaker.begin())
        assert breaker.state == expected


async def test_context_is_the_smallest_that_a_prompt_may_meet() -> None:
    backends = [
        FakeBackend("large", [SPOKEN], num_ctx=8192, plans=True),
        FakeBackend("hosted", [SPOKEN], num_ctx=2048, hosted=True, plans=True),
        FakeBackend("small", [SPOKEN], num_ctx=4096),
    ]
    router = Router(backends)
    assert router.context_tokens() == 2048
    assert router.context_tokens(local_only=True) == 4096
    assert router.context_tokens(local_only=True, planning=True) == 8192
    assert Router(backends, local_only=True).context_tokens() == 4096
    assert Router([]).context_tokens() == 0


async def test_state_says_that_questions_may_leave_the_house() -> None:
    hosted = FakeBackend("hosted", [SPOKEN], hosted=True)
    assert (await Router([hosted]).state()).hosted_on
    assert not (await Router([hosted], local_only=True).state()).hosted_on
    assert not (await Router([FakeBackend("local", [SPOKEN])]).state()).hosted_on


async def test_start_warms_what_is_in_the_house_and_returns_at_once() -> None:
    local, hosted = FakeBackend("local", [SPOKEN]), FakeBackend("hosted", [SPOKEN], hosted=True)
    router = Router([local, hosted])
    await router.start()
    assert local.warmed == 0
    await asyncio.sleep(0.01)
    await router.aclose()
    assert (local.warmed, hosted.warmed) == (1, 0)


async def test_box_that_hangs_while_it_is_warmed_keeps_no_other_cold() -> None:
    class Hanging(FakeBackend):
        async def warm(self) -> None:
            await asyncio.sleep(60)

    well = FakeBackend("well", [SPOKEN])
    router = Router([Hanging("hanging", [SPOKEN]), well])
    await router.start()
    await asyncio.sleep(0.01)
    await router.aclose()
    assert well.warmed == 1


async def test_backend_that_is_refused_for_good_says_so_until_it_answers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = BackendUnavailable("hosted answered with status 410", fatal=True, status=410)
    router = Router([FakeBackend("hosted", [gone, SPOKEN], hosted=True)])
    assert await ask(router) is None
    (state,) = (await router.state()).backends
    assert state.note is not None
    assert "status 410" in state.note
    assert state.asked_again_in_s is not None
    assert state.asked_again_in_s == pytest.approx(FATAL_COOL_DOWN_S, abs=5)
    assert "until its model or key is set right (status 410)" in caplog.text


async def test_log_names_backend_and_class_of_error_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = BackendUnavailable("no roofs on Canary Street")
    await ask([FakeBackend("first", [refusal]), FakeBackend("second", [["Canary ", refusal]])])
    assert [record.getMessage() for record in caplog.records if record.name.startswith("app")] == [
        "backend first gave no answer: BackendUnavailable",
        "backend second gave no answer: BackendUnavailable",
    ]
    assert "Canary" not in caplog.text


# --- with real clients and sockets -----------------------------------------------------------------------------------

QUICK = {"connect_s": 1, "first_token_s": 0.5, "load_s": 0.5, "gap_s": 0.5, "total_s": 5}
HOSTED_FAULTS = {
    "refuses": Reply([], 500),
    "hangs": Reply(status=None, end="hang"),
    "breaks off": chat(part("Nine "), end="cut"),
}


def settings_for(*entries: Mapping[str, object], **more: object) -> Settings:
    backends = [{"deadlines": QUICK, **entry} for entry in entries]
    return Settings.model_validate({"backends": backends, **more})


@pytest.mark.parametrize("fault", HOSTED_FAULTS.values(), ids=HOSTED_FAULTS.keys())
async def test_with_local_only_the_hosted_server_receives_not_one_byte_in_any_fault(fault: Reply) -> None:
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(serving(ollama_routes(fault)))
        hosted = await stack.enter_async_context(serving(openai_routes()))
        router = build_router(
            settings_for(
                {"kind": "ollama", "url": box.url, "model": MODEL},
                {"kind": "openai", "url": f"{hosted.url}/v1", "model": "m"},
                local_only=True,
            )
        )
        stack.push_async_callback(router.aclose)
        await router.start()
        for _ in range(3):
            assert await ask(router) is None
        await router.state()
        assert hosted.connections == 0


async def test_box_that_breaks_off_is_followed_by_the_hosted_server() -> None:
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(serving(ollama_routes(chat(part("Ni"), end="cut"))))
        hosted = await stack.enter_async_context(serving(openai_routes()))
        router = build_router(
            settings_for(
                {"kind": "ollama", "url": box.url, "model": MODEL},
                {"kind": "openai", "url": f"{hosted.url}/v1", "model": "m"},
            )
        )
        stack.push_async_callback(router.aclose)
        conversation = router.ask(PROMPT)
        assert await read_first(conversation) == "Two pools."
        assert [(seen.backend, seen.hosted) for seen in conversation.seen_by] == [("ollama", False), ("hosted", True)]


async def test_first_question_to_an_ollama_that_is_found_to_hand_on_counts_as_a_hosted_call() -> None:
    show = shown(remote_host="https://somewhere.example:443", remote_model="large")
    async with serving(ollama_routes(ps=NOTHING_RUNS, show=show)) as server:
        router = build_router(
            settings_for({"kind": "ollama", "url": server.url, "model": "large:cloud"}, hosted_max_per_hour=1)
        )
        async with aclosing(router):
            assert [await ask(router) for _ in range(2)] == ["Nine roofs were permitted.", None]
    assert len(server.asked("/api/chat")) == 1


async def test_with_local_only_an_ollama_is_asked_again_once_its_model_is_in_the_house() -> None:
    show = [shown(remote_host="https://somewhere.example:443", remote_model="large"), shown()]
    ps = [NOTHING_RUNS, running("large:latest")]
    async with serving(ollama_routes(ps=ps, show=show)) as server:
        entry = {"kind": "ollama", "url": server.url, "model": "large"}
        router = build_router(settings_for(entry, local_only=True))
        async with aclosing(router):
            assert await ask(router) is None
            assert [state.hosted for state in (await router.state()).backends] == [False]
            assert await ask(router) == "Nine roofs were permitted."
    assert len(server.asked("/api/chat")) == 1


async def test_next_box_answers_while_the_first_one_loads_and_then_the_first_answers() -> None:
    async with AsyncExitStack() as stack:
        loading = ollama_routes(
            [chat(done("load")), chat(part("First."), done())], ps=[NOTHING_RUNS, NOTHING_RUNS, running()]
        )
        first = await stack.enter_async_context(serving(loading))
        second = await stack.enter_async_context(serving(openai_routes(COMPLETED)))
        router = build_router(
            settings_for(
                {"kind": "ollama", "url": first.url, "model": MODEL},
                {"kind": "openai", "url": f"{second.url}/v1", "model": "m", "hosted": False},
            )
        )
        stack.push_async_callback(router.aclose)
        assert await ask(router) == "Two pools."
        await first.wait_until_asked("/api/ps", times=3)
        assert await ask(router) == "First."


async def test_stalled_voice_is_followed_by_the_next_within_its_gap() -> None:
    async with AsyncExitStack() as stack:
        stalled = await stack.enter_async_context(serving(openai_routes(completion(delta("Tw"), end="hang"))))
        well = await stack.enter_async_context(serving(openai_routes()))
        entry = {"kind": "openai", "model": "m", "hosted": False}
        router = build_router(settings_for({**entry, "url": f"{stalled.url}/v1"}, {**entry, "url": f"{well.url}/v1"}))
        stack.push_async_callback(router.aclose)
        assert await asyncio.wait_for(ask(router), 2) == "Two pools."


# --- built from settings ---------------------------------------------------------------------------------------------


async def built_names(settings: Settings) -> list[str]:
    router = build_router(settings)
    await router.aclose()
    return [backend.name for backend in router.backends]


async def test_default_order_is_ollama_then_the_embedded_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    weights = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    weights.touch()
    monkeypatch.setattr("app.backends.embedded.find_weights", lambda _: weights)
    assert await built_names(Settings()) == ["ollama", "embedded"]
    with_key = read_settings({"UNDERVOLT_HOSTED_API_KEY": "k"})
    assert await built_names(with_key) == ["ollama", "hosted", "embedded"]


async def test_embedded_model_is_left_out_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.backends.embedded.find_weights", lambda _: None)
    assert await built_names(Settings()) == ["ollama"]


async def test_embedded_model_installed_while_the_service_runs_is_taken_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    weights = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    weights.touch()
    found: list[Path | None] = [None]
    monkeypatch.setattr("app.backends.embedded.find_weights", lambda _: found[0])
    router = build_router(settings_for({"kind": "embedded"}))
    assert (router.backends, router.context_tokens()) == ((), 0)
    found[0] = weights
    assert [backend.model for backend in router.backends] == ["tiny"]
    assert router.context_tokens() > 0
    await router.aclose()


async def test_backends_of_one_kind_have_names_of_their_own() -> None:
    box = {"kind": "ollama", "url": "http://127.0.0.1:9"}
    proxy = {"kind": "openai", "url": "http://127.0.0.1:9/v1", "model": "m"}
    assert await built_names(settings_for(box, box, proxy, {**proxy, "hosted": False})) == [
        "ollama",
        "ollama-2",
        "hosted",
        "openai",
    ]


async def test_key_named_in_the_settings_reaches_its_backend_alone() -> None:
    async with serving(openai_routes()) as server:
        entry = f'[{{"kind": "openai", "url": "{server.url}/v1", "model": "m", "api_key_env": "BOX_KEY"}}]'
        router = build_router(read_settings({"UNDERVOLT_BACKENDS": entry, "BOX_KEY": "nv-canary"}))
        async with aclosing(router):
            assert await ask(router) == "Two pools."
    assert server.requests[0].headers["authorization"] == "Bearer nv-canary"


def test_deadlines_of_the_settings_are_those_of_the_design() -> None:
    expected = Deadlines(connect_s=0.5, first_token_s=8, load_s=12, gap_s=2, total_s=20)
    assert BackendSettings(kind="ollama").deadlines == expected
