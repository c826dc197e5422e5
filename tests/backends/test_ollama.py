"""Ollama's native API, through the real client against a scripted server."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace

import pytest

from app.backends import base
from app.backends.base import BackendState, MustLoad, NeverSent, Prompt, Usage
from app.backends.ollama import MemoryTaken, recommend_pull
from app.backends.residency import SPARES_S
from app.errors import BackendUnavailable
from app.settings import Deadlines
from tests.backends.conftest import Connect
from tests.backends.faults import HTML, OLLAMA_FAULTS, SILENT, drip
from tests.backends.servers import (
    MODEL,
    NOTHING_RUNS,
    SPOKEN,
    Reply,
    SmallBox,
    chat,
    done,
    error_line,
    installed,
    listening,
    ollama_routes,
    part,
    running,
    serving,
    shown,
    whole,
)

PROMPT = Prompt(system="Tell the facts.", user="How many roofs?")
QUICK = Deadlines(connect_s=1, first_token_s=0.3, load_s=2, gap_s=0.2, total_s=4)
LOADED = chat(done("load"))


async def read(voice: base.Voice) -> str:
    async with aclosing(voice):
        return "".join([chunk async for chunk in voice])


async def test_answer_streams_and_ends_with_ollamas_own_counts(connect_ollama: Connect) -> None:
    async with serving(ollama_routes()) as server:
        voice = await connect_ollama(server.url, model=MODEL).open(PROMPT)
        assert [chunk async for chunk in voice] == ["Nine ", "roofs ", "were permitted."]
    assert (voice.model, voice.hosted, voice.finish_reason) == (MODEL, False, "stop")
    assert voice.usage == Usage(input_tokens=131, output_tokens=9)


async def test_question_carries_every_option_that_ollama_needs(connect_ollama: Connect) -> None:
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}}
    async with serving(ollama_routes()) as server:
        backend = connect_ollama(server.url, model=MODEL, num_ctx=4096, keep_alive="35m")
        await read(await backend.open(Prompt("Tell.", "How many?", schema=schema, max_tokens=77)))
    assert server.asked("/api/chat")[0].body == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Tell."}, {"role": "user", "content": "How many?"}],
        "tools": [],
        "stream": True,
        "think": False,
        "truncate": False,
        "format": schema,
        "options": {"num_ctx": 4096, "temperature": 0, "num_predict": 77},
        "keep_alive": "35m",
    }


@pytest.mark.parametrize(("keep_alive", "sent"), [("-1", -1), ("0", 0), ("300", 300), ("20m", "20m")])
async def test_keep_alive_without_a_unit_is_sent_as_seconds(
    connect_ollama: Connect, keep_alive: str, sent: object
) -> None:
    async with serving(ollama_routes()) as server:
        await read(await connect_ollama(server.url, model=MODEL, keep_alive=keep_alive).open(PROMPT))
    assert server.asked("/api/chat")[0].body["keep_alive"] == sent


async def test_warm_up_sends_no_message_and_else_the_same_as_a_question(connect_ollama: Connect) -> None:
    async with serving(ollama_routes([LOADED, SPOKEN])) as server:
        backend = connect_ollama(server.url, model=MODEL)
        await backend.warm()
        await read(await backend.open(PROMPT))
    load, question = (request.body for request in server.asked("/api/chat"))
    assert load.pop("messages") == []
    question.pop("messages")
    assert load == question


async def test_no_key_of_another_program_is_sent(connect_ollama: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "another-programs-key")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(ollama_routes()) as server:
        await read(await connect_ollama(server.url, model=MODEL).open(PROMPT))
    assert all("another-programs-key" not in str(request.headers) for request in server.requests)


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        (["llama3:8b", "nemotron-3-nano:4b", "nemotron-3-nano:30b"], "nemotron-3-nano:30b"),
        (["nemotron-3-nano:4b", "nemotron-3-nano:latest"], "nemotron-3-nano"),
        (["nemotron-3-nano:4b"], "nemotron-3-nano:4b"),
    ],
)
async def test_first_preferred_model_that_ollama_has_is_chosen(
    connect_ollama: Connect, present: list[str], chosen: str
) -> None:
    tagged = chosen if ":" in chosen else f"{chosen}:latest"
    async with serving(ollama_routes(tags=installed(*present), ps=running(tagged))) as server:
        voice = await connect_ollama(server.url).open(PROMPT)
        await read(voice)
    assert voice.model == chosen
    assert server.asked("/api/chat")[0].body["model"] == chosen


async def test_ollama_without_a_preferred_model_is_passed_over_with_the_command_that_gets_one(
    connect_ollama: Connect,
) -> None:
    async with serving(ollama_routes(tags=installed("llama3:8b"))) as server:
        backend = connect_ollama(server.url)
        with pytest.raises(NeverSent, match="ollama pull nemotron-3-nano:") as caught:
            await backend.open(PROMPT)
        state = await backend.look()
    assert not caught.value.fatal
    assert (state.reachable, state.resident, state.note) == (True, False, str(caught.value))
    assert server.asked("/api/chat") == []


async def test_model_pulled_later_is_found(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(tags=[installed(), installed(MODEL)])) as server:
        backend = connect_ollama(server.url)
        with pytest.raises(NeverSent):
            await backend.open(PROMPT)
        assert await read(await backend.open(PROMPT)) == "Nine roofs were permitted."


async def test_chosen_model_that_went_away_is_chosen_anew(connect_ollama: Connect) -> None:
    gone = whole({"error": "model not found"}, 404)
    tags = [installed("nemotron-3-nano:30b"), installed(MODEL)]
    routes = ollama_routes(tags=tags, ps=[NOTHING_RUNS, running()], show=[gone, shown()])
    async with serving(routes) as server:
        backend = connect_ollama(server.url)
        with pytest.raises(NeverSent) as caught:
            await backend.open(PROMPT)
        assert not caught.value.fatal
        assert (await backend.open(PROMPT)).model == MODEL


async def test_chosen_model_that_was_deleted_while_it_is_still_listed_is_chosen_anew(connect_ollama: Connect) -> None:
    other = "nemotron-3-nano:30b"
    routes = ollama_routes(
        [whole({"error": "model not found"}, 404), SPOKEN],
        tags=[installed(MODEL), installed(other)],
        ps=[running(), running(other)],
    )
    async with serving(routes) as server:
        backend = connect_ollama(server.url)
        with pytest.raises(BackendUnavailable) as caught:
            await backend.open(PROMPT)
        assert not caught.value.fatal
        assert (await backend.open(PROMPT)).model == other


@pytest.mark.parametrize(
    ("gigabytes", "size"), [(0, "4b"), (8, "4b"), (16, "4b"), (24, "4b"), (31.3, "30b"), (33, "30b"), (64, "30b")]
)
def test_pull_command_fits_the_memory(gigabytes: float, size: str) -> None:
    assert recommend_pull(int(gigabytes * 1e9)) == f"ollama pull nemotron-3-nano:{size}"


async def test_unknown_model_that_was_set_is_fatal_and_never_sent(connect_ollama: Connect) -> None:
    routes = ollama_routes(ps=NOTHING_RUNS, show=whole({"error": "model 'x' not found"}, 404))
    async with serving(routes) as server:
        with pytest.raises(NeverSent) as caught:
            await connect_ollama(server.url, model="x").open(PROMPT)
    assert caught.value.fatal


async def test_model_out_of_memory_is_loaded_in_the_background_and_passed_over(connect_ollama: Connect) -> None:
    async with serving(ollama_routes([LOADED, SPOKEN], ps=[NOTHING_RUNS, NOTHING_RUNS, running()])) as server:
        backend = connect_ollama(server.url, model=MODEL)
        with pytest.raises(MustLoad):
            await backend.open(PROMPT)
        await server.wait_until_asked("/api/ps", times=3)
        assert await read(await backend.open(PROMPT)) == "Nine roofs were permitted."
    assert [bool(request.body["messages"]) for request in server.asked("/api/chat")] == [False, True]


async def test_load_is_begun_once_however_many_questions_come(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(chat(end="hang"), ps=NOTHING_RUNS)) as server:
        backend = connect_ollama(server.url, model=MODEL)
        for _ in range(5):
            with pytest.raises(MustLoad):
                await backend.open(PROMPT)
        await server.wait_until_asked("/api/chat", times=1)
    assert len(server.asked("/api/chat")) == 1


async def test_load_that_failed_is_not_begun_again_at_once(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(whole({"error": "out of memory"}, 500), ps=NOTHING_RUNS)) as server:
        backend = connect_ollama(server.url, model=MODEL)
        for _ in range(5):
            with pytest.raises(MustLoad):
                await backend.open(PROMPT)
            await asyncio.sleep(0.02)
    assert len(server.asked("/api/chat")) == 1


async def test_model_resident_with_another_context_counts_as_one_that_must_load(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(LOADED, ps=running(context_length=2048))) as server:
        with pytest.raises(MustLoad):
            await connect_ollama(server.url, model=MODEL, num_ctx=4096).open(PROMPT)


async def test_weights_that_are_in_memory_under_another_name_are_ours(connect_ollama: Connect) -> None:
    same = shown(modelfile="# made by hand\nFROM /models/blobs/sha256-1\nSYSTEM no")
    async with serving(ollama_routes(ps=running("made-from-ours:4b"), show=same)) as server:
        backend = connect_ollama(server.url, model=MODEL)
        assert (await backend.look()).resident
        assert await read(await backend.open(PROMPT)) == "Nine roofs were permitted."
    assert [bool(request.body["messages"]) for request in server.asked("/api/chat")] == [True]


async def test_other_weights_in_memory_are_not_ours(connect_ollama: Connect) -> None:
    show = [shown(modelfile="FROM /models/blobs/sha256-1"), shown(modelfile="FROM /models/blobs/sha256-2")]
    async with serving(ollama_routes(ps=running("another-programs:8b"), show=show)) as server:
        assert not (await connect_ollama(server.url, model=MODEL).look()).resident


async def test_model_that_is_listed_while_it_loads_must_load(connect_ollama: Connect) -> None:
    ps = [NOTHING_RUNS, NOTHING_RUNS, running()]
    async with serving(ollama_routes(chat(end="hang"), ps=ps)) as server:
        backend = connect_ollama(server.url, model=MODEL)
        with pytest.raises(MustLoad):
            await backend.open(PROMPT)
        await server.wait_until_asked("/api/chat", times=1)
        with pytest.raises(MustLoad):
            await backend.open(PROMPT)
        assert not (await backend.look()).resident


@pytest.mark.parametrize("broken", [chat(part("Nine "), error_line("gone")), chat(end="hang")], ids=["error", "hang"])
async def test_model_that_is_listed_after_its_runner_was_killed_is_loaded_before_the_next_question(
    connect_ollama: Connect, broken: Reply
) -> None:
    async with serving(ollama_routes([LOADED, broken, LOADED, SPOKEN])) as server:
        backend = connect_ollama(server.url, model=MODEL, deadlines=QUICK)
        await backend.warm()
        with pytest.raises(BackendUnavailable):
            await read(await backend.open(PROMPT))
        with pytest.raises(MustLoad):
            await backend.open(PROMPT)
        await backend.warm()
        assert await read(await backend.open(PROMPT)) == "Nine roofs were permitted."


async def test_refused_prompt_tells_nothing_of_the_model(connect_ollama: Connect) -> None:
    async with serving(ollama_routes([whole({"error": "prompt is too long"}, 400), SPOKEN])) as server:
        backend = connect_ollama(server.url, model=MODEL)
        with pytest.raises(BackendUnavailable):
            await backend.open(PROMPT)
        assert await read(await backend.open(PROMPT)) == "Nine roofs were permitted."


async def test_model_that_is_not_to_be_kept_is_never_called_warm(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(chat(done("unload")), ps=NOTHING_RUNS)) as server:
        with pytest.raises(BackendUnavailable, match="keeps no model in memory"):
            await connect_ollama(server.url, model=MODEL, keep_alive="0").warm()


async def test_larger_context_that_others_use_is_taken_as_it_is(connect_ollama: Connect) -> None:
    box = SmallBox(8_000_000_000, {MODEL: 2_800_000_000})
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL)
        box.use(MODEL, 16_384)
        await read(await backend.open(PROMPT))
        await backend.warm()
    assert [request.body["options"]["num_ctx"] for request in box.asked("/api/chat")] == [16_384, 16_384]
    assert box.loads == [MODEL]


async def test_context_that_ollama_lowered_counts_as_ours_once_it_was_loaded(connect_ollama: Connect) -> None:
    async with serving(ollama_routes([LOADED, SPOKEN], ps=running(context_length=8192))) as server:
        backend = connect_ollama(server.url, model=MODEL, num_ctx=16384)
        await backend.warm()
        assert await read(await backend.open(PROMPT)) == "Nine roofs were permitted."


async def test_context_that_an_older_ollama_does_not_tell_counts_as_ours(connect_ollama: Connect) -> None:
    ps = whole({"models": [{"name": MODEL, "model": MODEL}]})
    async with serving(ollama_routes(ps=ps)) as server:
        assert await read(await connect_ollama(server.url, model=MODEL).open(PROMPT)) == "Nine roofs were permitted."


async def test_last_backend_waits_for_a_load_as_long_as_one_may_take(connect_ollama: Connect) -> None:
    slow = chat(0.45, part("Nine."), done())
    async with serving(ollama_routes(slow, ps=NOTHING_RUNS)) as server:
        backend = connect_ollama(server.url, model=MODEL, deadlines=QUICK)
        assert await read(await backend.open(PROMPT, wait_for_load=True)) == "Nine."


async def test_load_goes_on_when_the_question_that_waited_for_it_gives_up(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(chat(end="hang"), ps=NOTHING_RUNS)) as server:
        backend = connect_ollama(server.url, model=MODEL, deadlines=QUICK.model_copy(update={"load_s": 0.3}))
        with pytest.raises(BackendUnavailable, match="did not begin in time"):
            await backend.open(PROMPT, wait_for_load=True)
        assert sorted(len(request.body["messages"]) for request in server.asked("/api/chat")) == [0, 2]
        assert backend._loading is not None
        assert not backend._loading.done()


async def test_resident_model_may_not_take_as_long_as_a_load(connect_ollama: Connect) -> None:
    slow = chat(0.45, part("Nine."), done())
    async with serving(ollama_routes(slow)) as server:
        with pytest.raises(BackendUnavailable, match="did not begin in time"):
            await connect_ollama(server.url, model=MODEL, deadlines=QUICK).open(PROMPT, wait_for_load=True)


async def test_model_that_runs_on_another_host_is_hosted_whatever_the_settings_say(connect_ollama: Connect) -> None:
    show = shown(remote_host="https://somewhere.example:443", remote_model="large")
    async with serving(ollama_routes(ps=NOTHING_RUNS, show=show)) as server:
        backend = connect_ollama(server.url, model="large:cloud", hosted=False)
        with pytest.raises(NeverSent):
            await backend.open(Prompt("Tell.", "How many roofs?", local_only=True))
        assert server.asked("/api/chat") == []
        voice = await backend.open(PROMPT)
        await read(voice)
    assert voice.hosted
    assert backend.hosted


async def test_model_that_runs_on_another_host_is_known_as_hosted_from_the_warm_up_on_which_sends_it_nothing(
    connect_ollama: Connect,
) -> None:
    show = shown(remote_host="https://somewhere.example:443", remote_model="large")
    async with serving(ollama_routes(ps=NOTHING_RUNS, show=show)) as server:
        backend = connect_ollama(server.url, model="large:cloud")
        await backend.warm()
        state = await backend.look()
    assert backend.hosted
    assert (state.hosted, state.reachable, state.resident) == (True, True, None)
    assert server.asked("/api/chat") == []


async def test_thoughts_in_their_own_field_are_never_shown(connect_ollama: Connect) -> None:
    thinking = chat(part(thinking="nine? "), part(thinking="or ten?"), part("Nine."), done())
    async with serving(ollama_routes(thinking)) as server:
        assert await read(await connect_ollama(server.url, model=MODEL).open(PROMPT)) == "Nine."


async def test_thoughts_in_the_text_are_never_shown(connect_ollama: Connect) -> None:
    thinking = chat(part("<thi"), part("nk>nine?</"), part("think>"), part("\nNine."), done())
    async with serving(ollama_routes(thinking)) as server:
        assert await read(await connect_ollama(server.url, model=MODEL).open(PROMPT)) == "Nine."


async def test_answer_cut_at_its_length_says_so(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(chat(part("Nine roofs and"), done("length")))) as server:
        voice = await connect_ollama(server.url, model=MODEL).open(PROMPT)
        await read(voice)
    assert voice.finish_reason == "length"


async def test_client_that_leaves_closes_the_connection(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(chat(part("Nine "), end="hang"))) as server:
        async with aclosing(await connect_ollama(server.url, model=MODEL).open(PROMPT)) as voice:
            await anext(voice)
        await asyncio.wait_for(server.client_left.wait(), 2)


async def test_connection_is_used_again_for_the_next_question(connect_ollama: Connect) -> None:
    async with serving(ollama_routes()) as server:
        backend = connect_ollama(server.url, model=MODEL)
        for _ in range(3):
            await read(await backend.open(PROMPT))
    assert server.connections == 1


@pytest.mark.parametrize("reply", OLLAMA_FAULTS.values(), ids=OLLAMA_FAULTS.keys())
async def test_every_fault_ends_as_backend_unavailable_in_time(connect_ollama: Connect, reply: Reply) -> None:
    async with serving(ollama_routes(reply)) as server:
        backend = connect_ollama(server.url, model=MODEL, deadlines=QUICK)
        began_at = time.monotonic()
        with pytest.raises(BackendUnavailable):
            await read(await backend.open(PROMPT))
    assert time.monotonic() - began_at < QUICK.total_s
    assert len(server.asked("/api/chat")) == 1


@pytest.mark.parametrize("look", ["ps", "show"])
@pytest.mark.parametrize("reply", [HTML, whole({"error": "boom"}, 500), chat(b"7\n")])
async def test_ollama_that_does_not_tell_what_it_runs_is_not_asked(
    connect_ollama: Connect, look: str, reply: Reply
) -> None:
    async with serving(ollama_routes(**{"ps": NOTHING_RUNS, look: reply})) as server:
        with pytest.raises(BackendUnavailable):
            await connect_ollama(server.url, model=MODEL).open(PROMPT)
    assert server.asked("/api/chat") == []


async def test_ollama_that_hangs_when_looked_at_is_given_up_soon(
    connect_ollama: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.backends.ollama.LOOK_S", 0.2)
    async with serving(ollama_routes(ps=SILENT)) as server:
        with pytest.raises(BackendUnavailable, match="did not answer in time"):
            await connect_ollama(server.url, model=MODEL).open(PROMPT)


async def test_ollama_that_refuses_to_be_looked_at_is_told_with_its_status(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(ps=whole({"error": "no"}, 401))) as server:
        with pytest.raises(NeverSent) as caught:
            await connect_ollama(server.url, model=MODEL).open(PROMPT)
    assert (caught.value.fatal, caught.value.status) == (True, 401)


async def test_ollama_that_drips_when_looked_at_is_given_up_soon_and_was_sent_nothing(
    connect_ollama: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.backends.ollama.LOOK_S", 0.2)
    async with serving(ollama_routes(ps=Reply(drip(b" "), end="hang"))) as server, asyncio.timeout(3):
        backend = connect_ollama(server.url, model=MODEL)
        with pytest.raises(NeverSent, match="did not answer in time"):
            await backend.open(PROMPT)
        assert not (await backend.look()).reachable


async def test_looking_at_a_slow_ollama_takes_no_longer_than_an_answer_may(connect_ollama: Connect) -> None:
    """Each look has its own limit, and there is one for every model of others."""
    others = whole({"models": [{"model": f"m{number}"} for number in range(20)]})
    slow = shown(modelfile="FROM /models/blobs/sha256-1")
    show = Reply([0.1, *slow.pieces], content_type=slow.content_type)
    async with serving(ollama_routes(ps=others, show=show)) as server, asyncio.timeout(1.5):
        deadlines = QUICK.model_copy(update={"total_s": 0.5})
        with pytest.raises(NeverSent, match="did not tell in time"):
            await connect_ollama(server.url, model=MODEL, deadlines=deadlines).open(PROMPT)


async def test_load_that_drips_ends(connect_ollama: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ollama_routes(chat(*drip(part()), end="hang"), ps=NOTHING_RUNS)) as server, asyncio.timeout(3):
        backend = connect_ollama(server.url, model=MODEL)
        monkeypatch.setattr("app.backends.ollama.LOAD_MAX_S", 0.3)
        with pytest.raises(BackendUnavailable, match="did not answer in time"):
            await backend.warm()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:{port}"], ids=["refused", "no TLS"])
async def test_ollama_that_cannot_be_reached_was_sent_nothing(connect_ollama: Connect, url: str) -> None:
    async with serving(ollama_routes()) as server:
        with pytest.raises(NeverSent):
            await connect_ollama(url.format(port=server.port), model=MODEL, deadlines=QUICK).open(PROMPT)
    assert server.requests == []


@pytest.mark.parametrize(("status", "fatal"), [(401, True), (403, True), (404, True), (410, True), (500, False)])
async def test_status_that_tomorrow_will_be_the_same_is_fatal(
    connect_ollama: Connect, status: int, fatal: bool
) -> None:
    async with serving(ollama_routes(whole({"error": "no"}, status))) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await connect_ollama(server.url, model=MODEL).open(PROMPT)
    assert caught.value.fatal is fatal


async def test_busy_ollama_says_when_to_come_again(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(whole({"error": "server busy"}, 503, retry_after="4"))) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await connect_ollama(server.url, model=MODEL).open(PROMPT)
    assert caught.value.retry_after_s == 4


async def test_error_of_the_server_is_not_repeated_to_callers(connect_ollama: Connect) -> None:
    secret = "prompt was: How many roofs at 12 Elm St?"
    async with serving(
        ollama_routes([whole({"error": secret}, 500), chat(part("Nine "), error_line(secret))])
    ) as server:
        backend = connect_ollama(server.url, model=MODEL)
        for _ in range(2):
            with pytest.raises(BackendUnavailable) as caught:
                await read(await backend.open(PROMPT))
            assert "Elm" not in str(caught.value)
            assert caught.value.__cause__ is None


@pytest.mark.parametrize(("ps", "resident"), [(running(), True), (NOTHING_RUNS, False), (running("other:1b"), False)])
async def test_readiness_shows_whether_the_model_is_in_memory(
    connect_ollama: Connect, ps: Reply, resident: bool
) -> None:
    async with serving(ollama_routes(ps=ps)) as server:
        state = await connect_ollama(server.url, model=MODEL, plans=True).look()
    expected = BackendState(
        "ollama", "ollama", MODEL, hosted=False, plans=True, escalates=False, reachable=True, resident=resident
    )
    assert state == expected
    assert server.asked("/api/chat") == []


async def test_readiness_shows_an_ollama_that_is_not_there(connect_ollama: Connect) -> None:
    state = await connect_ollama("http://127.0.0.1:9", model=MODEL).look()
    assert (state.reachable, state.resident) == (False, None)


# --- a box that others use too ---------------------------------------------------------------------------------------

OTHER = "another-programs:8b"


async def test_two_models_that_alternate_do_not_push_each_other_out(connect_ollama: Connect) -> None:
    box = SmallBox(8_000_000_000, {MODEL: 2_800_000_000, OTHER: 5_600_000_000})
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL, memory_gb=8)
        backend.load_interval_s = 0
        for _ in range(5):
            box.use(OTHER)
            with pytest.raises(MemoryTaken):
                await backend.open(PROMPT)
            with pytest.raises(MemoryTaken):
                await backend.open(PROMPT, wait_for_load=True)
            with pytest.raises(MemoryTaken):
                await backend.warm()
        assert box.loads == [OTHER]
        box.resident.clear()
        await backend.warm()
        for _ in range(5):
            await read(await backend.open(PROMPT))
    assert box.loads == [OTHER, MODEL]


async def test_two_models_that_fit_beside_each_other_are_both_kept(connect_ollama: Connect) -> None:
    box = SmallBox(16_000_000_000, {MODEL: 2_800_000_000, OTHER: 5_600_000_000})
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL, memory_gb=16)
        for _ in range(5):
            box.use(OTHER)
            await read(await backend.open(PROMPT, wait_for_load=True))
    assert box.loads == [OTHER, MODEL]


async def test_box_that_keeps_one_model_only_is_found_out_by_one_load(connect_ollama: Connect) -> None:
    box = SmallBox(16_000_000_000, {MODEL: 2_800_000_000, OTHER: 5_600_000_000}, models_max=1)
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL, memory_gb=16)
        box.use(OTHER)
        await backend.warm()
        for _ in range(3):
            box.use(OTHER)
            with pytest.raises(MemoryTaken):
                await backend.warm()
    assert box.loads == [OTHER, MODEL, OTHER]


async def test_others_models_are_spared_for_hours_and_not_for_good(
    connect_ollama: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("app.backends.residency.monotonic", lambda: now)
    box = SmallBox(16_000_000_000, {MODEL: 2_800_000_000, OTHER: 5_600_000_000}, models_max=1)
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL, memory_gb=16)
        box.use(OTHER)
        await backend.warm()
        box.use(OTHER)
        box.models_max = 2
        with pytest.raises(MemoryTaken):
            await backend.warm()
        now += SPARES_S
        await backend.warm()
    assert set(box.resident) == {MODEL, OTHER}


async def test_model_in_memory_whose_name_is_by_now_that_of_one_elsewhere_is_hosted(connect_ollama: Connect) -> None:
    async with serving(ollama_routes(show=shown(remote_host="https://ollama.example:443"))) as server:
        backend = connect_ollama(server.url, model=MODEL)
        with pytest.raises(NeverSent, match="hosted"):
            await backend.open(replace(PROMPT, local_only=True))
    assert server.asked("/api/chat") == []


async def test_what_the_model_took_before_tells_whether_it_fits(connect_ollama: Connect) -> None:
    box = SmallBox(9_300_000_000, {MODEL: 2_800_000_000, OTHER: 5_600_000_000})
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL, memory_gb=9.3)
        box.use(OTHER)
        with pytest.raises(MemoryTaken):
            await backend.warm()
        box.resident.clear()
        await backend.warm()
        await read(await backend.open(PROMPT))
        box.resident.clear()
        box.use(OTHER)
        await backend.warm()
    assert set(box.resident) == {MODEL, OTHER}


async def test_memory_of_a_box_that_is_not_known_is_left_to_others(
    connect_ollama: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.backends.ollama.LOOPBACK", frozenset())
    box = SmallBox(800_000_000_000, {MODEL: 2_800_000_000, OTHER: 5_600_000_000})
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL)
        box.use(OTHER)
        state = await backend.look()
        with pytest.raises(MemoryTaken):
            await backend.open(PROMPT)
        box.resident.clear()
        await backend.warm()
    assert (state.reachable, state.resident) == (True, False)
    assert state.note is not None
    assert "other models in memory" in state.note
    assert box.loads == [OTHER, MODEL]


async def test_memory_of_this_machine_is_read_where_the_box_is_this_machine(
    connect_ollama: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.backends.ollama.read_memory_bytes", lambda: 16_000_000_000)
    box = SmallBox(16_000_000_000, {MODEL: 2_800_000_000, OTHER: 5_600_000_000, "large": 8_000_000_000})
    async with listening(box):
        backend = connect_ollama(box.url, model=MODEL)
        box.use("large")
        with pytest.raises(MemoryTaken):
            await backend.warm()
        box.resident.clear()
        box.use(OTHER)
        await backend.warm()
    assert set(box.resident) == {MODEL, OTHER}


def in_memory(*models: str, context_length: int = 4096) -> Reply:
    sizes = {MODEL: 2_900_000_000, OTHER: 5_600_000_000}
    return whole({"models": [{"model": m, "size": sizes[m], "context_length": context_length} for m in models]})


async def test_size_that_was_seen_with_a_smaller_context_does_not_tell_that_the_model_fits(
    connect_ollama: Connect,
) -> None:
    async with serving(ollama_routes(LOADED, ps=in_memory(OTHER, MODEL, context_length=2048))) as server:
        with pytest.raises(MemoryTaken):
            await connect_ollama(server.url, model=MODEL, memory_gb=8.8).warm()
    assert server.asked("/api/chat") == []


async def test_size_of_a_model_that_went_away_does_not_tell_that_another_fits(connect_ollama: Connect) -> None:
    large = whole({"models": [{"model": "nemotron-3-nano:30b", "size": 24_000_000_000}]})
    show = [shown(), whole({"error": "model not found"}, 404), shown()]
    ps = [in_memory(MODEL), in_memory(OTHER)]
    async with serving(ollama_routes(tags=[installed(MODEL), large], ps=ps, show=show)) as server:
        backend = connect_ollama(server.url, memory_gb=20)
        assert await read(await backend.open(PROMPT)) == "Nine roofs were permitted."
        with pytest.raises(NeverSent):
            await backend.open(PROMPT)
        with pytest.raises(MemoryTaken):
            await backend.open(PROMPT)
    assert len(server.asked("/api/chat")) == 1


@pytest.mark.parametrize("tags", [installed(MODEL), whole({"models": [{"model": f"own/{MODEL}"}]})])
async def test_model_whose_size_is_not_told_is_not_loaded_beside_others(connect_ollama: Connect, tags: Reply) -> None:
    async with serving(ollama_routes(LOADED, tags=tags, ps=in_memory(OTHER))) as server:
        with pytest.raises(MemoryTaken):
            await connect_ollama(server.url, model=f"own/{MODEL}", memory_gb=64).warm()
    assert server.asked("/api/chat") == []


@pytest.mark.parametrize("status", [404, 500])
async def test_model_of_others_that_cannot_be_looked_at_keeps_nobody_from_ours(
    connect_ollama: Connect, status: int
) -> None:
    show = [shown(modelfile="FROM /models/blobs/sha256-1"), whole({"error": "no"}, status), shown()]
    async with serving(ollama_routes(LOADED, ps=in_memory(OTHER), show=show)) as server:
        await connect_ollama(server.url, model=MODEL, memory_gb=64).warm()
    assert len(server.asked("/api/chat")) == 1
