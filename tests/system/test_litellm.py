"""The real LiteLLM proxy with the shipped configuration, before a scripted Ollama and a scripted hosted server.

It takes the place of our router for one entry, and forges, loses and hides what the router would know. Whatever it
does, a caller reads the complete answer and no false word, and nothing of a question stays behind.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from app.backends.base import Prompt, Voice
from app.backends.ollama import OllamaBackend
from app.backends.router import Router, build_router
from app.errors import BackendUnavailable
from app.settings import BackendSettings, Settings, read_settings
from tests.backends.servers import (
    COUNTED,
    DONE,
    MODEL,
    NDJSON,
    Reply,
    chat,
    completion,
    delta,
    done,
    error_line,
    event,
    part,
    whole,
)
from tests.conftest import ROOT, Store, serve
from tests.system.litellm_proxy import (
    BROKEN,
    CHAT,
    COMPLETIONS,
    CONFIGURATION,
    HOSTED_KEY,
    MASTER_KEY,
    Proxy,
    Scene,
    find_litellm,
    read_shipped,
    relaying,
    staging,
)

pytestmark = pytest.mark.system

MANUAL = (ROOT / "deploy/litellm.md").read_text()
SOLAR_2015 = "How many solar permits were issued in 2015?"
SAID = "There are 124 solar permits issued in 2015."
THOUGHT = "There are 12 solar permits issued in 2015."
PROMPT = Prompt("Tell the facts.", "How many?", max_tokens=120)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
BOX_TELLS = chat(part(SAID[:20]), part(SAID[20:]), done())
HOSTED_TELLS = completion(delta(SAID[:20]), delta(SAID[20:]), delta(finish_reason="stop"), COUNTED, DONE)


@pytest.fixture(scope="module")
async def staged(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Scene]:
    """One proxy for all tests; it takes seconds to start."""
    async with staging(tmp_path_factory.mktemp("litellm") / "proxy") as scene:
        yield scene


@pytest.fixture
async def scene(staged: Scene) -> Scene:
    """The proxy and its servers as if nothing had been asked yet."""
    await staged.rest()
    return staged


@pytest.fixture(autouse=True)
def register(store: Store) -> Store:
    """124 solar permits in 2015: a number that is another when it is cut."""
    for number in range(124):
        store.add_permit(source_id=f"s{number}", categories=["solar"], issued_date=date(2015, 3, 1))
    store.publish()
    return store


def through(proxy: Proxy, settings: Settings, *, key: str = MASTER_KEY, url: str | None = None) -> Settings:
    """Give settings with the backend that the manual shows, at the proxy's address."""
    shown = re.search(r"UNDERVOLT_BACKENDS='(.*?)'", MANUAL, re.DOTALL)
    assert shown is not None
    there = shown[1].replace("http://127.0.0.1:4000/v1", url or proxy.url)
    assert there != shown[1]
    read = read_settings({"UNDERVOLT_BACKENDS": there, "LITELLM_MASTER_KEY": key})
    return settings.model_copy(update={"backends": read.backends, "backend_keys": read.backend_keys})


async def ask(settings: Settings, *questions: str, **more: Any) -> dict[str, Any]:
    """Ask one question after another and give the last reply, whose answer must be complete whatever was told."""
    async with serve(settings) as client:
        for question in questions or (SOLAR_2015,):
            reply = await client.post("/ask", json={"question": question, **more})
    assert reply.status_code == httpx.codes.OK
    document: dict[str, Any] = reply.json()
    assert document["answer"]["sentences"][0]["text"] == SAID
    return document


def told(document: dict[str, Any]) -> list[str]:
    """The sentences of the model that reached the caller."""
    return [one["text"] for one in document["text"]]


async def listen(router: Router, prompt: Prompt = PROMPT) -> list[tuple[float, str]]:
    """Read the first voice, and when each of its chunks came, in seconds."""
    began = monotonic()
    async with aclosing(router.ask(prompt).voices()) as voices:
        async for voice in voices:
            return [(monotonic() - began, chunk) async for chunk in voice]
    return []


async def begin(router: Router) -> Voice:
    """Begin the first voice, whose learning is done."""
    await listen(router)
    return await router.backends[0].open(PROMPT)


async def test_the_box_tells_and_the_reply_says_that_it_may_have_been_another(scene: Scene, settings: Settings) -> None:
    scene.play(BOX_TELLS)
    document = await ask(through(scene.proxy, settings))
    assert told(document) == [SAID]
    reply = document["done"]
    assert (reply["backend"], reply["model"], reply["hosted"], reply["dropped"]) == ("hosted", "nemotron", True, 0)
    assert reply["seen_by"] == [{"backend": "hosted", "hosted": True, "final_known": False, "for": "text"}]
    assert (len(scene.box.asked(CHAT)), scene.hosted.bytes_received) == (1, 0)


async def test_an_answer_streams_once_the_first_has_shown_no_thoughts(scene: Scene, settings: Settings) -> None:
    router = build_router(through(scene.proxy, settings))
    scene.play(chat(part("There "), 1.0, part("are 124."), done()))
    try:
        await listen(router)
        first, *_, last = await listen(router)
    finally:
        await router.aclose()
    assert (first[1], last[1]) == ("There ", "are 124.")
    assert last[0] - first[0] > 0.5


@pytest.mark.parametrize("schema", [None, SCHEMA])
async def test_the_box_is_sent_what_our_own_router_sends_it(
    scene: Scene, settings: Settings, schema: dict[str, Any] | None
) -> None:
    """Above all the same runner options, for others would load the model anew."""
    prompt = Prompt("Tell.", "How many?", schema=schema, max_tokens=77)
    direct = OllamaBackend("ollama", BackendSettings(kind="ollama", url=scene.box.url, model=MODEL))
    router = build_router(through(scene.proxy, settings))
    try:
        for way in (Router([direct]), router):
            assert await listen(way, prompt)
    finally:
        await direct.aclose()
        await router.aclose()
    ours, proxys = (dict(request.body) for request in scene.box.asked(CHAT))
    assert ours.pop("tools") == []
    assert proxys == ours | {"messages": [message | {"images": []} for message in ours["messages"]]}
    assert (ours["think"], ours["truncate"], ours["keep_alive"]) == (False, False, "20m")
    assert ours["options"] == {"num_ctx": 4096, "temperature": 0, "num_predict": 77}


async def test_the_hosted_one_is_asked_without_thinking_and_with_its_own_key(scene: Scene, settings: Settings) -> None:
    scene.play(BROKEN, HOSTED_TELLS)
    router = build_router(through(scene.proxy, settings))
    try:
        assert await listen(router)
    finally:
        await router.aclose()
    (request,) = scene.hosted.asked(COMPLETIONS)
    assert {name: value for name, value in request.body.items() if name != "messages"} == {
        "model": "nvidia/nemotron-3-nano-30b-a3b",
        "temperature": 0,
        "max_tokens": 120,
        "stream": True,
        "stream_options": {"include_usage": True},
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert request.headers["authorization"] == f"Bearer {HOSTED_KEY}"
    assert MASTER_KEY not in str(request)


@pytest.mark.parametrize(
    "box",
    [
        None,
        whole({"error": "boom"}, 500),
        whole({"error": f"model '{MODEL}' not found"}, 404),
        whole({"error": "server busy, please try again.  maximum pending requests exceeded"}, 503),
        Reply(status=None, end="cut"),
        chat(part("There "), end="cut"),
        Reply(status=None, end="hang"),
        Reply([], content_type=NDJSON, end="hang"),
    ],
    ids=["refuses", "500", "404", "503", "closes", "dies at once", "hangs", "hangs before the first word"],
)
async def test_a_box_that_is_down_is_told_for_by_the_hosted_one(
    scene: Scene, settings: Settings, box: Reply | None
) -> None:
    scene.play(box, HOSTED_TELLS)
    if box is None:
        await scene.box.shut()
    document = await ask(through(scene.proxy, settings))
    assert (told(document), document["done"]["model"]) == ([SAID], "nemotron")
    assert len(scene.hosted.asked(COMPLETIONS)) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_with_both_down_the_answer_stands_and_the_hosted_one_was_asked_once(
    scene: Scene, settings: Settings, status: int
) -> None:
    scene.play(BROKEN, whole({"error": {"message": "no"}}, status))
    document = await ask(through(scene.proxy, settings))
    assert (told(document), document["done"]["model"]) == ([], None)
    assert document["done"]["seen_by"] == [{"backend": "hosted", "hosted": True, "final_known": False, "for": "text"}]
    assert len(scene.hosted.asked(COMPLETIONS)) == 1


async def test_a_box_that_failed_thrice_within_a_minute_is_passed_over(scene: Scene, settings: Settings) -> None:
    scene.play(BROKEN, HOSTED_TELLS)
    assert told(await ask(through(scene.proxy, settings), *[SOLAR_2015] * 5)) == [SAID]
    assert 1 <= len(scene.box.asked(CHAT)) <= 3
    assert len(scene.hosted.asked(COMPLETIONS)) == 5


async def test_a_proxy_that_passes_both_over_says_when_to_come_again(scene: Scene, settings: Settings) -> None:
    scene.play(BROKEN, BROKEN)
    router = build_router(through(scene.proxy, settings))
    waits = []
    try:
        for _ in range(4):
            with pytest.raises(BackendUnavailable) as caught:
                await router.backends[0].open(PROMPT)
            waits.append(caught.value.retry_after_s)
    finally:
        await router.aclose()
    assert waits[-1] is not None
    assert 0 < waits[-1] <= 5


@pytest.mark.parametrize("who", ["box", "hosted"])
async def test_the_proxy_ends_a_truncated_stream_as_if_it_were_whole(
    scene: Scene, settings: Settings, who: str
) -> None:
    """Why the next test is needed: our client cannot see it. Should this fail, LiteLLM has become better."""
    scene.play(chat(part("There are 12")) if who == "box" else BROKEN, completion(delta("There are 12")))
    router = build_router(through(scene.proxy, settings))
    try:
        voice = await begin(router)
        assert ["".join([chunk async for chunk in voice]), voice.finish_reason] == ["There are 12", "stop"]
    finally:
        await router.aclose()


@pytest.mark.parametrize("who", ["box", "hosted"])
async def test_nothing_false_is_told_wherever_a_stream_is_truncated(scene: Scene, settings: Settings, who: str) -> None:
    """124 cut to 12 or 1, a sentence without its year: each of these is grammatical, and none passes."""
    step = 1 if who == "box" else 7
    async with serve(through(scene.proxy, settings)) as client:
        for length in range(1, len(SAID), step):
            cut = SAID[:length]
            scene.play(chat(part(cut)) if who == "box" else BROKEN, completion(delta(cut)))
            document = (await client.post("/ask", json={"question": SOLAR_2015})).json()
            assert (told(document), document["done"]["dropped"]) == ([], 1), cut
            assert document["answer"]["sentences"][0]["text"] == SAID
    asked = scene.box.asked(CHAT) if who == "box" else scene.hosted.asked(COMPLETIONS)
    assert len(asked) == len(range(1, len(SAID), step))


@pytest.mark.parametrize("rest", [" There are 12", " There are 12 solar permits issued in 2015.", " No.", " 1."])
async def test_what_was_whole_before_the_truncation_is_told(scene: Scene, settings: Settings, rest: str) -> None:
    scene.play(chat(part(SAID), part(rest)))
    document = await ask(through(scene.proxy, settings))
    assert (told(document), document["done"]["dropped"]) == ([SAID], 1)


@pytest.mark.parametrize(
    "end",
    [
        chat(part(f"{SAID} "), 0.2, part("There are 12"), 0.2, end="cut"),
        chat(part(f"{SAID} "), 0.2, part("There are 12"), 0.2, end="hang"),
        chat(part(f"{SAID} "), 0.2, part("There are 12"), 0.2, error_line("model runner has unexpectedly stopped")),
    ],
    ids=["dies", "stalls", "reports an error"],
)
async def test_a_box_that_breaks_off_is_not_taken_up_by_the_hosted_one(
    scene: Scene, settings: Settings, end: Reply
) -> None:
    """No output of one model is continued by another: what was told stands, and there it ends."""
    scene.box.routes[CHAT] = [BOX_TELLS, end]
    document = await ask(through(scene.proxy, settings), SOLAR_2015, SOLAR_2015)
    assert told(document) == [SAID]
    assert (len(scene.box.asked(CHAT)), scene.hosted.bytes_received) == (2, 0)


async def test_a_hosted_stream_that_breaks_off_is_not_told(scene: Scene, settings: Settings) -> None:
    scene.play(BROKEN, completion(delta("There are 12"), 0.2, event({"error": {"message": "boom"}}), DONE))
    document = await ask(through(scene.proxy, settings))
    assert (told(document), document["done"]["model"]) == ([], None)


@pytest.mark.parametrize(
    ("box", "hosted"),
    [
        (chat(part(thinking=THOUGHT), part(SAID), done()), None),
        (chat(part(f"<think>{THOUGHT} "), part(SAID), done()), None),
        (chat(part(f"{THOUGHT} "), part("Hm.</think>"), part(SAID), done()), None),
        (BROKEN, completion(delta(reasoning_content=THOUGHT), delta(SAID), delta(finish_reason="stop"), DONE)),
        (BROKEN, completion(delta("<thi"), delta(f"nk>{THOUGHT} </think>{SAID}"), delta(finish_reason="stop"), DONE)),
        (BROKEN, completion(delta(f"{THOUGHT} Hm.</think>{SAID}"), delta(finish_reason="stop"), DONE)),
    ],
    ids=["field", "tag", "tag never opened", "hosted field", "hosted split tag", "hosted tag never opened"],
)
async def test_thoughts_are_no_part_of_a_voice(
    scene: Scene, settings: Settings, box: Reply, hosted: Reply | None
) -> None:
    scene.play(box, hosted)
    router = build_router(through(scene.proxy, settings))
    try:
        assert "".join(chunk for _, chunk in await listen(router)).strip() == SAID
    finally:
        await router.aclose()


async def test_thoughts_whose_tags_the_proxy_took_off_are_dropped_by_the_verifier(
    scene: Scene, settings: Settings
) -> None:
    """It takes the first piece alone for a thought, and its tags away from all: what remains looks like an answer."""
    scene.play(chat(part("<think>Hm. "), part(f"{THOUGHT} "), part("</think>"), part(SAID), done()))
    router = build_router(through(scene.proxy, settings))
    try:
        assert THOUGHT in "".join(chunk for _, chunk in await listen(router))
    finally:
        await router.aclose()
    document = await ask(through(scene.proxy, settings))
    assert (told(document), document["done"]["dropped"]) == ([SAID], 1)


async def test_local_only_sends_the_proxy_no_byte(scene: Scene, settings: Settings) -> None:
    async with relaying(scene.proxy.port) as relay:
        there = through(scene.proxy, settings, url=relay.url)
        document = await ask(there, local_only=True)
        assert (told(document), document["done"]["seen_by"], relay.bytes_received) == ([], [], 0)
        await ask(there.model_copy(update={"local_only": True}))
        assert relay.bytes_received == 0
        scene.play(BOX_TELLS)
        assert told(await ask(there)) == [SAID]
        assert relay.bytes_received > 0


@pytest.mark.parametrize("key", [MASTER_KEY + "0", "not-a-key"])
async def test_a_wrong_key_is_fatal_and_reaches_no_model(scene: Scene, settings: Settings, key: str) -> None:
    router = build_router(through(scene.proxy, settings, key=key))
    try:
        with pytest.raises(BackendUnavailable) as caught:
            await router.backends[0].open(PROMPT)
        assert caught.value.fatal
        assert await listen(router) == []
        assert (await router.state()).backends[0].breaker == "open"
    finally:
        await router.aclose()
    assert (scene.box.bytes_received, scene.hosted.bytes_received) == (0, 0)


async def test_a_client_that_leaves_stops_the_box(scene: Scene, settings: Settings) -> None:
    router = build_router(through(scene.proxy, settings))
    try:
        await listen(router)
        scene.play(chat(part("There "), end="hang"))
        async with aclosing(await router.backends[0].open(PROMPT)) as voice:
            await anext(voice)
        async with asyncio.timeout(5):
            await scene.box.client_left.wait()
    finally:
        await router.aclose()


async def test_nothing_of_a_question_stays_in_what_the_proxy_says_and_writes(scene: Scene, settings: Settings) -> None:
    """Not of one that was answered, and not of one that a server repeats in its error."""
    token = "canary7f3a"
    prompt = Prompt("Tell.", f"How many permits near {token}?")
    echo = f"cannot parse: {token}"
    plays = [
        (None, None),
        (chat(part(token), done()), None),
        (chat(part("There "), 0.1, error_line(echo)), None),
        (whole({"error": echo}, 400), HOSTED_TELLS),
        (whole({"error": echo}, 500), whole({"error": {"message": echo}}, 400)),
        (whole({"error": echo}, 500), completion(delta("There "), 0.1, event({"error": {"message": echo}}))),
        (Reply([token.encode()], content_type="text/html"), Reply([token.encode()], content_type="text/html")),
    ]
    for play in plays:
        scene.play(*play)
        for key in (MASTER_KEY, f"sk-{token}"):
            router = build_router(through(scene.proxy, settings, key=key))
            try:
                await listen(router, prompt)
            except BackendUnavailable:
                pass
            finally:
                await router.aclose()
    assert sum(token in str(request.body) for request in scene.box.asked(CHAT)) >= 3
    home = scene.proxy.home
    written = [path for path in home.rglob("*") if path.is_file()]
    assert {home / "output", home / "notes"} <= set(written)
    assert [path.name for path in written if token.encode() in path.read_bytes()] == []
    elsewhere = [path for path in scene.proxy.notes("writes") if not Path(path).is_relative_to(home)]
    assert set(elsewhere) <= {"/dev/null"}


async def test_the_proxy_calls_nobody_but_its_two_servers(scene: Scene, settings: Settings) -> None:
    scene.play(BROKEN, HOSTED_TELLS)
    await ask(through(scene.proxy, settings))
    calls = scene.proxy.notes("calls")
    assert {call.split(" ", 1)[0] for call in calls} == {"127.0.0.1"}
    for door in (scene.box, scene.hosted):
        assert any(str(door.port) in call for call in calls), "the watch must see what it is there for"
    assert set(scene.proxy.notes("starts")) <= {"['uname', '-p']"}


async def test_without_a_key_nothing_goes_to_the_hosted_one(tmp_path: Path, settings: Settings) -> None:
    async with staging(tmp_path / "proxy", HOSTED_API_KEY="") as scene:
        scene.play(BROKEN, HOSTED_TELLS)
        assert told(await ask(through(scene.proxy, settings))) == []
        assert (len(scene.box.asked(CHAT)), scene.hosted.connections) == (1, 0)


READ_KEYS = """
import json, sys
import litellm, yaml
from litellm.proxy import proxy_server
from litellm.proxy.hooks import proxy_track_cost_callback
source = "".join(open(module.__file__).read() for module in (proxy_server, proxy_track_cost_callback))
known = {
    "litellm_settings": lambda key: hasattr(litellm, key),
    "router_settings": litellm.Router.get_valid_args().__contains__,
    "general_settings": lambda key: f'general_settings.get("{key}"' in source,
}
files = [yaml.safe_load(open(name)) for name in sys.argv[1:]]
print(json.dumps([[key for part in known for key in file[part] if not known[part](key)] for file in files]))
"""


def test_this_litellm_knows_every_setting_that_is_shipped(tmp_path: Path) -> None:
    """It takes a name that it does not know without a word, in two of the three places at least."""
    wrong = tmp_path / "wrong.yaml"
    shipped = CONFIGURATION.read_text()
    wrong.write_text(shipped.replace("num_r", "numb_r").replace("allowed_f", "allow_f").replace("disable_s", "able_s"))
    done = subprocess.run(
        [str(word) for word in (find_litellm(), "-c", READ_KEYS, CONFIGURATION, wrong)],
        env={"HOME": str(tmp_path), **read_shipped()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[], ["numb_retries", "allow_fails", "able_spend_logs"]]
