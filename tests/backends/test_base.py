"""What every backend owes its callers: no thoughts, no orders in a prompt, no end that was not an end."""

import asyncio
import time
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backends.base import NeverSent, Prompt, Voice, read_retry_after
from app.backends.thoughts import ThoughtFilter, ThoughtsShown, strip_control_words
from app.errors import BackendUnavailable
from app.settings import Deadlines
from tests.backends.fakes import FakeBackend, Step

PROMPT = Prompt(system="Tell the facts.", user="How many roofs?")


async def read(voice: Voice) -> str:
    async with aclosing(voice):
        return "".join([chunk async for chunk in voice])


def show(*chunks: str, hold_back: bool = False) -> str:
    thoughts = ThoughtFilter(hold_back=hold_back)
    return "".join([thoughts.feed(chunk) for chunk in chunks]) + thoughts.finish()


@pytest.mark.parametrize(
    "order",
    [
        "/think",
        "/no_think",
        "/nothink",
        "/THINK",
        "<think>",
        "</think>",
        "</ think>",
        "detailed thinking on",
        "Detailed  Thinking OFF",
        "<|im_start|>",
        "<|start_header_id|>",
        "<｜end▁of▁sentence｜>",
        "<SPECIAL_12>",
        "<extra_id_0>",
        "[INST]",
        "<<SYS>>",
        "</s>",
    ],
)
def test_prompt_keeps_no_word_that_a_model_takes_for_an_order(order: str) -> None:
    stripped = strip_control_words(f"roofs{order} in 78704")
    assert stripped.split() == ["roofs", "in", "78704"]


@pytest.mark.parametrize(
    "text",
    ["</th</think>ink>", "/no_/thinkthink", "detailed <think>thinking on", "<|im_<|im_end|>start|>", "//thinkthink"],
)
def test_orders_do_not_grow_together_when_others_are_cut_out_of_them(text: str) -> None:
    stripped = strip_control_words(text)
    assert strip_control_words(stripped) == stripped
    assert not any(order in stripped for order in ("/think", "<think", "</think>", "thinking on", "<|"))


def test_prompt_without_orders_stays_byte_for_byte() -> None:
    text = "Roofs < 500 m | 3rd & Main,  I think / maybe <b>pools</b>?\n\tthinking on it"
    assert strip_control_words(text) == text


@given(st.lists(st.sampled_from(["roof ", "<think>", "</think>", "<", "think", ">", "/", " 9"]), max_size=9), st.data())
def test_where_a_reply_is_cut_into_chunks_changes_nothing_that_is_shown(parts: list[str], data: st.DataObject) -> None:
    whole = "".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    with suppress(ThoughtsShown):
        assert show(*chunks, hold_back=True) == show(whole, hold_back=True)


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        (["<think>nine? ten?</think>Nine roofs."], "Nine roofs."),
        (["<th", "ink>ni", "ne?</th", "ink", ">\n\nNine ", "roofs."], "Nine roofs."),
        (["Nine <think>or ten</think>roofs."], "Nine roofs."),
        (["<THINK>ten</THINK>Nine."], "Nine."),
        (["</think>Nine roofs."], "Nine roofs."),
        (["<think></think>", "Nine."], "Nine."),
        (["<think>never closed, never shown"], ""),
        (["Roofs below < 5 kW, a <b", "> tag and 3 <"], "Roofs below < 5 kW, a <b> tag and 3 <"),
    ],
)
def test_thoughts_between_tags_are_never_shown(chunks: list[str], shown: str) -> None:
    assert show(*chunks) == shown
    assert show(*chunks, hold_back=True) == shown


def test_text_is_shown_as_it_comes_where_nothing_is_held_back() -> None:
    thoughts = ThoughtFilter()
    assert [thoughts.feed(chunk) for chunk in ("Nine ", "roofs", ".")] == ["Nine ", "roofs", "."]


def test_thoughts_without_an_opening_tag_are_never_shown_where_text_is_held_back() -> None:
    assert show("nine? ", "ten?", "</think>Nine.", hold_back=True) == "Nine."


def test_held_back_text_comes_out_at_the_end_where_no_tag_came() -> None:
    assert show("Nine ", "roofs.", hold_back=True) == "Nine roofs."


def test_holding_back_ends_with_thoughts_that_were_opened_in_good_order() -> None:
    thoughts = ThoughtFilter(hold_back=True)
    assert [thoughts.feed(chunk) for chunk in ("<think>hm</think>", "Nine ", "roofs.")] == ["", "Nine ", "roofs."]


def test_closing_tag_out_of_nowhere_says_that_thoughts_were_shown() -> None:
    thoughts = ThoughtFilter()
    thoughts.feed("maybe nine")
    with pytest.raises(ThoughtsShown):
        thoughts.feed("</think>Nine.")


async def test_backend_that_once_told_unmarked_thoughts_is_held_back_from_then_on() -> None:
    backend = FakeBackend("fake", [["maybe nine", "</think>", "Nine."], ["maybe ten", "</think>", "Ten."]])
    with pytest.raises(ThoughtsShown):
        await read(await backend.open(PROMPT))
    assert await read(await backend.open(PROMPT)) == "Ten."


async def test_backend_is_held_back_no_longer_once_an_answer_came_without_thoughts() -> None:
    backend = FakeBackend("fake", [["Nine ", "roofs."]])
    backend.holds_back = True
    async with aclosing(await backend.open(PROMPT)) as voice:
        assert [chunk async for chunk in voice] == ["Nine roofs."]
    async with aclosing(await backend.open(PROMPT)) as voice:
        assert [chunk async for chunk in voice] == ["Nine ", "roofs."]


async def test_voice_ends_with_finish_reason_and_usage() -> None:
    voice = await FakeBackend("fake", [["Nine ", "roofs."]], hosted=True).open(PROMPT)
    assert voice.finish_reason is None
    assert await read(voice) == "Nine roofs."
    assert voice.finish_reason == "stop"
    assert voice.usage is not None
    assert voice.usage.input_tokens == 7
    assert (voice.backend, voice.model, voice.hosted) == ("fake", "fake-model", True)


async def test_backend_strips_orders_from_the_user_turn_and_leaves_the_system_prompt_alone() -> None:
    backend = FakeBackend("fake", [["Nine."]])
    await read(await backend.open(Prompt(system="Tell. /think", user="roofs /think <|im_end|>")))
    assert backend.prompts[0].system == "Tell. /think"
    assert backend.prompts[0].user.split() == ["roofs"]


SHORT = Deadlines(first_token_s=0.05, gap_s=0.05, total_s=0.3)


@pytest.mark.parametrize(
    "steps",
    [[0.2, "Nine."], ["<think>", "hm", 0.02, "hm", 0.02, "hm", 0.02, "hm</think>Nine."], [" ", 0.2, "Nine."]],
    ids=["nothing comes", "only thoughts come", "a long time after a blank"],
)
async def test_no_voice_begins_where_the_first_visible_word_is_late(steps: list[Step]) -> None:
    with pytest.raises(BackendUnavailable, match="did not begin in time"):
        await FakeBackend("fake", [steps], deadlines=SHORT).open(PROMPT)


async def test_voice_that_falls_silent_fails() -> None:
    voice = await FakeBackend("fake", [["Nine ", 0.2, "roofs."]], deadlines=SHORT).open(PROMPT)
    with pytest.raises(BackendUnavailable, match="fell silent") as caught:
        await read(voice)
    assert voice.failure is caught.value


async def test_voice_that_talks_on_is_stopped_when_its_whole_time_is_over() -> None:
    drip: list[Step] = ["roof ", 0.02] * 100
    patient_between = Deadlines(first_token_s=5, gap_s=5, total_s=0.3)
    began_at = time.monotonic()
    with pytest.raises(BackendUnavailable):
        await read(await FakeBackend("fake", [drip], deadlines=patient_between).open(PROMPT))
    assert 0.25 < time.monotonic() - began_at < 1


async def test_voice_that_says_far_more_than_was_asked_for_fails() -> None:
    backend = FakeBackend("fake", [["roof " * 100] * 100])
    with pytest.raises(BackendUnavailable, match="without end"):
        await read(await backend.open(Prompt("", "", max_tokens=10)))


async def test_voice_with_broken_characters_fails() -> None:
    with pytest.raises(BackendUnavailable, match="UTF-8"):
        await FakeBackend("fake", [["Nine \ufffd roofs."]]).open(PROMPT)


@pytest.mark.parametrize("steps", [[], [" \n"], ["<think>hm</think>"]], ids=["nothing", "blanks", "thoughts"])
async def test_empty_answer_is_no_voice(steps: list[Step]) -> None:
    with pytest.raises(BackendUnavailable, match="empty"):
        await FakeBackend("fake", [steps]).open(PROMPT)


async def test_failed_voice_stays_failed() -> None:
    voice = await FakeBackend("fake", [["Nine ", BackendUnavailable("gone")]]).open(PROMPT)
    assert await anext(voice) == "Nine "
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="gone"):
            await anext(voice)


async def test_closing_a_voice_stops_its_model() -> None:
    backend = FakeBackend("fake", [["Nine ", 60.0, "roofs."]])
    async with aclosing(await backend.open(PROMPT)) as voice:
        await anext(voice)
    assert backend.closed == 1


async def test_caller_that_leaves_before_the_first_word_stops_the_model() -> None:
    backend = FakeBackend("fake", [[60.0, "Nine."]])
    opening = asyncio.create_task(backend.open(PROMPT))
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert backend.closed == 1


async def test_hosted_backend_is_sent_nothing_that_must_stay_in_the_house() -> None:
    backend = FakeBackend("fake", [["Nine."]], hosted=True)
    with pytest.raises(NeverSent):
        await backend.open(Prompt("", "", local_only=True))
    assert backend.prompts == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("1e9", 3600), ("nan", 0), (None, None), ("", None), ("soon", None)],
)
def test_retry_after_in_seconds_is_read_within_reason(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value) == seconds


def test_retry_after_as_a_date_is_read_as_seconds_from_now() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert read_retry_after(in_a_minute) == pytest.approx(60, abs=2)
