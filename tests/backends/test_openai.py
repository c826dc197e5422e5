"""Any OpenAI-compatible server, through the real client against a scripted one."""

import asyncio
import logging
import time
from contextlib import aclosing

import pytest
from pydantic import SecretStr

from app.backends.base import NeverSent, Prompt, Usage, Voice
from app.backends.openai import OpenAIBackend
from app.errors import BackendUnavailable
from app.settings import HOSTED_MODEL, HOSTED_URL, BackendSettings, Deadlines
from tests.backends.conftest import PATIENT, Connect
from tests.backends.faults import OPENAI_FAULTS, SILENT, drip
from tests.backends.servers import (
    COMPLETED,
    COUNTED,
    DONE,
    Reply,
    Request,
    ScriptedServer,
    completion,
    delta,
    openai_routes,
    serving,
    whole,
)

PROMPT = Prompt(system="Tell the facts.", user="How many pools?")
PATH = "/v1/chat/completions"
DRIPPING = Reply(drip(b" "), end="hang")
QUICK = Deadlines(connect_s=1, first_token_s=0.25, load_s=0.6, gap_s=0.2, total_s=2)


async def read(voice: Voice) -> str:
    async with aclosing(voice):
        return "".join([chunk async for chunk in voice])


async def test_answer_streams_and_ends_with_the_servers_counts(connect_openai: Connect) -> None:
    async with serving(openai_routes()) as server:
        voice = await connect_openai(server.url, model="tiny").open(PROMPT)
        assert [chunk async for chunk in voice] == ["Two ", "pools."]
    assert (voice.model, voice.hosted, voice.finish_reason) == ("tiny", False, "stop")
    assert voice.usage == Usage(input_tokens=40, output_tokens=5, cached_tokens=32)


async def test_question_is_asked_at_temperature_zero_and_streamed(connect_openai: Connect) -> None:
    async with serving(openai_routes()) as server:
        await read(await connect_openai(server.url, model="tiny").open(PROMPT))
    assert server.asked(PATH)[0].body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Tell the facts."},
            {"role": "user", "content": "How many pools?"},
        ],
        "temperature": 0,
        "max_tokens": 160,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_wanted_shape_is_sent_as_a_json_schema(connect_openai: Connect) -> None:
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}}
    async with serving(openai_routes()) as server:
        await read(await connect_openai(server.url).open(Prompt("Plan.", "pools", schema=schema)))
    wanted = server.asked(PATH)[0].body["response_format"]
    assert wanted == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


async def test_nemotron_3_has_its_thinking_switched_off_by_its_template(connect_openai: Connect) -> None:
    async with serving(openai_routes()) as server:
        await read(await connect_openai(server.url, model=HOSTED_MODEL).open(PROMPT))
    body = server.asked(PATH)[0].body
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["messages"][0]["content"] == "Tell the facts."


@pytest.mark.parametrize(
    ("model", "switch"),
    [
        ("nvidia/llama-3.1-nemotron-nano-8b-v1", "detailed thinking off"),
        ("nvidia/llama-3.1-nemotron-nano-4b-v1.1", "detailed thinking off"),
        ("nvidia/llama-3.1-nemotron-ultra-253b-v1", "detailed thinking off"),
        ("nvidia/llama-3.3-nemotron-super-49b-v1", "detailed thinking off"),
        ("nvidia/llama-3.3-nemotron-super-49b-v1.5", "/no_think"),
        ("nvidia/nvidia-nemotron-nano-9b-v2", "/no_think"),
    ],
)
async def test_older_nemotron_has_its_thinking_switched_off_by_its_system_prompt(
    connect_openai: Connect, model: str, switch: str
) -> None:
    async with serving(openai_routes()) as server:
        await read(await connect_openai(server.url, model=model).open(PROMPT))
    body = server.asked(PATH)[0].body
    assert body["messages"][0]["content"] == f"{switch}\nTell the facts."
    assert "chat_template_kwargs" not in body


async def test_server_that_counts_no_tokens_is_asked_again_without_that_wish(connect_openai: Connect) -> None:
    refused = whole({"error": {"message": "unknown field: stream_options"}}, 400)
    async with serving(openai_routes([refused, COMPLETED])) as server:
        backend = connect_openai(server.url)
        assert await read(await backend.open(PROMPT)) == "Two pools."
        assert await read(await backend.open(PROMPT)) == "Two pools."
    assert ["stream_options" in request.body for request in server.asked(PATH)] == [True, False, False]


async def test_server_that_is_gone_once_it_refused_the_wish_for_a_count_has_seen_the_prompt(
    connect_openai: Connect,
) -> None:
    gone = asyncio.Event()

    class LeavingServer(ScriptedServer):
        def choose_reply(self, request: Request) -> Reply:
            gone.set()
            return super().choose_reply(request)

    refusal = whole({"error": {"message": "unknown field: stream_options"}}, 400, connection="close")
    scripted = LeavingServer(openai_routes(refusal))
    server = await asyncio.start_server(scripted.handle, "127.0.0.1", 0)
    backend = connect_openai(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    opening = asyncio.create_task(backend.open(PROMPT))
    await gone.wait()
    server.close()
    with pytest.raises(BackendUnavailable) as caught:
        await opening
    await scripted.stop()
    assert len(scripted.requests) == 1
    assert not isinstance(caught.value, NeverSent)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thoughts_in_their_own_field_are_never_shown(connect_openai: Connect, field: str) -> None:
    thinking = completion(
        delta(**{field: "two? "}), delta("", **{field: "three?"}), delta("Two."), delta(finish_reason="stop"), DONE
    )
    async with serving(openai_routes(thinking)) as server:
        assert await read(await connect_openai(server.url).open(PROMPT)) == "Two."


async def test_thoughts_in_the_text_are_never_shown(connect_openai: Connect) -> None:
    thinking = completion(delta("<think"), delta(">two?</thi"), delta("nk>\n\nTwo."), delta(finish_reason="stop"))
    async with serving(openai_routes(thinking)) as server:
        assert await read(await connect_openai(server.url).open(PROMPT)) == "Two."


async def test_model_known_to_think_shows_nothing_before_its_thoughts_are_over(connect_openai: Connect) -> None:
    unmarked = completion(delta("two? "), delta("three? "), delta("</think>Two."), delta(finish_reason="stop"))
    async with serving(openai_routes(unmarked)) as server:
        backend = connect_openai(server.url, model=HOSTED_MODEL)
        for _ in range(2):
            assert await read(await backend.open(PROMPT)) == "Two."


async def test_model_known_to_think_streams_once_it_answered_without_thoughts(connect_openai: Connect) -> None:
    async with serving(openai_routes()) as server:
        backend = connect_openai(server.url, model=HOSTED_MODEL)
        assert [chunk async for chunk in await backend.open(PROMPT)] == ["Two pools."]
        assert [chunk async for chunk in await backend.open(PROMPT)] == ["Two ", "pools."]


async def test_thoughts_cut_at_the_length_are_not_taken_for_an_answer(connect_openai: Connect) -> None:
    async with serving(openai_routes(completion(delta("two? three?"), delta(finish_reason="length")))) as server:
        with pytest.raises(BackendUnavailable, match="cannot be told"):
            await connect_openai(server.url, model=HOSTED_MODEL).open(PROMPT)


async def test_answer_is_complete_with_its_finish_reason_though_the_line_stays_open(connect_openai: Connect) -> None:
    lingering = completion(delta("Two."), delta(finish_reason="stop"), end="hang")
    async with serving(openai_routes(lingering)) as server:
        began_at = time.monotonic()
        assert await read(await connect_openai(server.url).open(PROMPT)) == "Two."
    assert time.monotonic() - began_at < 2


async def test_fault_after_the_finish_reason_spoils_nothing(connect_openai: Connect) -> None:
    async with serving(openai_routes(completion(delta("Two."), delta(finish_reason="stop"), end="cut"))) as server:
        voice = await connect_openai(server.url).open(PROMPT)
        assert await read(voice) == "Two."
    assert voice.failure is None


async def test_client_that_leaves_closes_the_connection(connect_openai: Connect) -> None:
    async with serving(openai_routes(completion(delta("Two "), end="hang"))) as server:
        async with aclosing(await connect_openai(server.url).open(PROMPT)) as voice:
            await anext(voice)
        await asyncio.wait_for(server.client_left.wait(), 2)


async def test_connection_is_used_again_for_the_next_question(connect_openai: Connect) -> None:
    async with serving(openai_routes()) as server:
        backend = connect_openai(server.url)
        for _ in range(3):
            await read(await backend.open(PROMPT))
    assert server.connections == 1


@pytest.mark.parametrize("reply", OPENAI_FAULTS.values(), ids=OPENAI_FAULTS.keys())
async def test_every_fault_ends_as_backend_unavailable_in_time(connect_openai: Connect, reply: Reply) -> None:
    async with serving(openai_routes(reply)) as server:
        backend = connect_openai(server.url, deadlines=QUICK)
        began_at = time.monotonic()
        with pytest.raises(BackendUnavailable):
            await read(await backend.open(PROMPT))
    assert time.monotonic() - began_at < QUICK.total_s
    assert len(server.asked(PATH)) == 1


async def test_invalid_utf8_is_no_answer(connect_openai: Connect) -> None:
    garbled = completion(delta("Two \N{SNOWMAN}").replace(b"\\u2603", b"\xff\xfe"), delta(finish_reason="stop"))
    async with serving(openai_routes(garbled)) as server:
        with pytest.raises(BackendUnavailable):
            await connect_openai(server.url).open(PROMPT)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:{port}"], ids=["refused", "no TLS"])
async def test_server_that_cannot_be_reached_was_sent_nothing(connect_openai: Connect, url: str) -> None:
    async with serving(openai_routes()) as server:
        with pytest.raises(NeverSent):
            await connect_openai(url.format(port=server.port), deadlines=QUICK).open(PROMPT)
    assert server.requests == []


@pytest.mark.parametrize(("status", "fatal"), [(401, True), (403, True), (404, True), (410, True), (400, False)])
async def test_status_that_tomorrow_will_be_the_same_is_fatal(
    connect_openai: Connect, status: int, fatal: bool
) -> None:
    async with serving(openai_routes(whole({"error": {"message": "no"}}, status))) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await connect_openai(server.url).open(PROMPT)
    assert caught.value.fatal is fatal


async def test_key_that_a_litellm_proxy_does_not_know_is_fatal(connect_openai: Connect) -> None:
    said = {"error": {"message": "No connected db.", "type": "no_db_connection", "param": None, "code": "400"}}
    async with serving(openai_routes(whole(said, 400))) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await connect_openai(server.url).open(PROMPT)
    assert caught.value.fatal


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_server_says_when_to_come_again(connect_openai: Connect, status: int) -> None:
    async with serving(openai_routes(whole({"error": {"message": "busy"}}, status, retry_after="12"))) as server:
        with pytest.raises(BackendUnavailable) as caught:
            await connect_openai(server.url).open(PROMPT)
    assert caught.value.retry_after_s == 12


async def test_prompt_that_must_stay_in_the_house_reaches_no_hosted_server(connect_openai: Connect) -> None:
    async with serving(openai_routes()) as server:
        backend = connect_openai(server.url, hosted=True)
        with pytest.raises(NeverSent):
            await backend.open(Prompt("Tell.", "How many pools?", local_only=True))
    assert server.connections == 0


async def test_key_is_sent_and_nowhere_told(connect_openai: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = whole({"error": {"message": "key nv-canary-7 is not valid"}}, 401)
    async with serving(openai_routes(refusal)) as server:
        backend = connect_openai(server.url, key=SecretStr("nv-canary-7"))
        with pytest.raises(BackendUnavailable) as caught:
            await backend.open(PROMPT)
    assert server.asked(PATH)[0].headers["authorization"] == "Bearer nv-canary-7"
    assert "nv-canary-7" not in f"{caught.value!r} {backend!r} {vars(backend)!r} {caplog.text}"


async def test_nothing_of_the_environment_is_sent(connect_openai: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "another-programs")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-another: another-programs")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(openai_routes()) as server:
        await read(await connect_openai(server.url).open(PROMPT))
    headers = server.asked(PATH)[0].headers
    assert "another-programs" not in str(headers)
    assert not any(name.startswith("x-") for name in headers)


async def test_a_proxy_in_the_house_is_not_asked_through_the_environments(
    connect_openai: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(openai_routes()) as house, serving({}) as elsewhere:
        monkeypatch.setenv("HTTP_PROXY", elsewhere.url)
        assert await read(await connect_openai(house.url, hosted=True).open(PROMPT)) == "Two pools."
    assert elsewhere.bytes_received == 0


@pytest.mark.parametrize(
    ("url", "hosted", "known"),
    [
        (HOSTED_URL, True, True),
        ("http://127.0.0.1:4000/v1", True, False),
        ("http://10.0.0.7:4000/v1", True, False),
        ("http://litellm:4000/v1", True, False),
        ("http://proxy.internal/v1", True, False),
        ("http://127.0.0.1:8080/v1", False, True),
    ],
)
async def test_proxy_in_the_house_that_may_hand_on_is_no_final_backend(url: str, hosted: bool, known: bool) -> None:
    async with aclosing(
        OpenAIBackend("hosted", BackendSettings(kind="openai", url=url, model="m", hosted=hosted))
    ) as it:
        assert it.final_known is known


async def test_warm_up_has_a_server_in_the_house_say_one_token(connect_openai: Connect) -> None:
    async with serving(openai_routes(completion(delta("Yes"), delta(finish_reason="length"), COUNTED, DONE))) as server:
        await connect_openai(server.url).warm()
    assert server.asked(PATH)[0].body["max_tokens"] == 1


async def test_hosted_server_is_sent_nothing_by_warm_up_and_readiness(connect_openai: Connect) -> None:
    async with serving(openai_routes()) as server:
        backend = connect_openai(server.url, hosted=True)
        await backend.warm()
        state = await backend.look()
    assert server.connections == 0
    assert (state.hosted, state.reachable) == (True, None)


@pytest.mark.parametrize(
    ("models", "reachable"),
    [(whole({"data": []}), True), (whole({"error": "no"}, 500), False), (SILENT, False), (DRIPPING, False)],
)
async def test_readiness_shows_whether_a_server_in_the_house_answers(
    connect_openai: Connect, models: Reply, reachable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.backends.openai.LOOK_S", 0.3)
    async with serving(openai_routes(models=models)) as server:
        assert (await connect_openai(server.url).look()).reachable is reachable


def test_openai_entry_that_leaves_hosted_out_is_hosted() -> None:
    assert BackendSettings(kind="openai", url="http://127.0.0.1:1/v1", model="m", deadlines=PATIENT).is_hosted


async def test_warm_up_that_drips_ends(connect_openai: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = completion(*drip(b": wait\n\n"), end="hang")
    async with serving(openai_routes(waiting)) as server, asyncio.timeout(3):
        backend = connect_openai(server.url)
        monkeypatch.setattr("app.backends.openai.LOAD_MAX_S", 0.3)
        with pytest.raises(BackendUnavailable, match="did not answer in time"):
            await backend.warm()
