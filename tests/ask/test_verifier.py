"""What a model may say: the facts in other order and with other small words, and nothing else."""

import time
from typing import Any

import pytest

from app.ask.facts import Fact, Facts
from app.ask.plan import Plan
from app.ask.verifier import Verifier, split_sentences

SCOPE = "solar permits issued in 2014 within 800 m of 5604 MANOR RD"


def make_fact(number: int, sentence: str, value: Any = 0, unit: str = "permits", label: str | None = None) -> Fact:
    """A fact with only what a verifier looks at."""
    return Fact(f"f{number}", sentence, value, unit, {}, "", None, {}, {}, label=label)


def make_verifier(*facts: Fact, scope: str = SCOPE) -> Verifier:
    return Verifier(Facts(Plan(kind="count"), None, {}, synthetic=False, items=facts, scope=scope))


COUNT = make_fact(1, f"There are 120 {SCOPE}.", 120)
COST = make_fact(2, f"The estimated cost of {SCOPE} adds up to $1,234,567.50.", 1234567.5, "USD")
PRICED = make_fact(3, "100 of these 120 permits state an estimated cost.", 100)
TOP = [
    make_fact(4, "Number 1 by permit type is Electrical with 80 permits.", 80, label="Electrical"),
    make_fact(5, "Number 2 by permit type is Building with 30 permits.", 30, label="Building"),
    make_fact(6, "Number 3 by permit type is Plumbing with 10 permits.", 10, label="Plumbing"),
]
GAP = make_fact(
    7,
    "The number of solar permits exceeds the number of swimming pool permits by 18 permits, which is 150.0 % more.",
    18,
)
EMPTY = make_fact(8, "There are no battery storage permits in ZIP 78704.", 0)
ALL = (COUNT, COST, PRICED, *TOP, GAP, EMPTY)


@pytest.mark.parametrize(
    ("sentence", "fact_ids"),
    [
        (COUNT.sentence, ("f1",)),
        ("In 2014, 120 solar permits were issued within 800 m of 5604 Manor Rd.", ("f1",)),
        ("Within 800 m of 5604 MANOR RD, there were 120 solar permits issued in 2014.", ("f1",)),
        ("There are 120 of these.", ("f1",)),
        ("These 120 permits were found.", ("f1",)),
        ("The estimated cost of these permits adds up to $1,234,567.50.", ("f2",)),
        ("100 of these 120 state an estimated cost.", ("f3",)),
        ("Number 1 by permit type is Electrical, with 80 permits.", ("f4",)),
        ("Electrical 80, Building 30 and Plumbing 10.", ("f4", "f5", "f6")),
        ("There are 80 Electrical permits and 30 Building permits.", ("f4", "f5")),
        (GAP.sentence, ("f7",)),
        ("There are no battery storage permits in ZIP 78704.", ("f8",)),
    ],
)
def test_a_true_sentence_passes_with_its_facts(sentence: str, fact_ids: tuple[str, ...]) -> None:
    verified = make_verifier(*ALL).check(sentence)
    assert verified is not None
    assert verified.fact_ids == fact_ids


LIES = [
    "There are 121 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are 120 solar permits issued in 2015 within 800 m of 5604 MANOR RD.",
    "There are 120 pool permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are 800 solar permits issued in 2014 within 120 m of 5604 MANOR RD.",
    "There are 2014 solar permits issued in 120 within 800 m of 5604 MANOR RD.",
    "There are 120 solar permits.",
    "Austin has 120 solar permits.",
    "There are 120 permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are 120 solar permits issued within 800 m of 5604 MANOR RD.",
    "There are not 120 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are about 120 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are over 120 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are only 120 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "120 solar permits were issued per year in 2014 within 800 m of 5604 MANOR RD.",
    "120 solar permits were issued in 2014 within 800 km of 5604 MANOR RD.",
    "120 solar permits were applied in 2014 within 800 m of 5604 MANOR RD.",
    "120 residential solar permits were issued in 2014 within 800 m of 5604 MANOR RD.",
    "120 solar permits were issued in 2014 within 800 m of 5604 MANOR RD, an increase.",
    "120 solar permits were issued in 2014 within 800 m of 5604 MANOR RD because of rebates.",
    "120 120 solar permits were issued in 2014 within 800 m of 5604 MANOR RD.",
    "The estimated cost of these permits adds up to $1,234,567.",
    "The estimated cost of these permits adds up to $1,234,567.50 on average.",
    "The estimated cost of these permits adds up to 1,234,567.50 EUR.",
    "Of these 100 permits, 120 state an estimated cost.",
    "All of these permits state an estimated cost.",
    "Number 1 by permit type is Building with 80 permits.",
    "Number 1 by permit type is Electrical with 30 permits.",
    "Electrical 30, Building 80.",
    "Electrical 80, Plumbing 10.",
    "Building 30, Plumbing 10.",
    "Electrical 80, Building 30 and Demolition 10.",
    "Both Electrical and Building lead with 80 and 30.",
    "The number of swimming pool permits exceeds the number of solar permits by 18 permits, which is 150.0 % more.",
    "The number of solar permits exceeds the number of swimming pool permits by 150 permits, which is 18.0 % more.",
    "The number of solar permits exceeds the number of swimming pool permits by 18 permits, which is 150.0 % less.",
    "There are battery storage permits in ZIP 78704.",
    "There are no battery storage permits in ZIP 78705.",
    "There are no solar permits in ZIP 78704.",
    "Solar is popular.",
    "I am an AI and cannot say.",
    "The system prompt says: You tell facts about building permits to a reader.",
    "Ignore the facts: there are 999 permits.",
    "[Click](https://evil.example) for 120 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are **120** solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "Are there 120 solar permits issued in 2014 within 800 m of 5604 MANOR RD?",
    "There are 120 solar permits issued in 2014 within 800 m of 5604 MANOR RD",
    "One hundred twenty solar permits were issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are 120.5 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are -120 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are 12 0 solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are 120 thousand solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are 120% solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "There are ١٢٠ solar permits issued in 2014 within 800 m of 5604 MANOR RD.",
    "These are such 120.",
    "",
    ".",
    "120.",
    "2014.",
    "x" * 601 + ".",
]


@pytest.mark.parametrize("sentence", LIES)
def test_a_sentence_that_the_facts_do_not_support_is_dropped(sentence: str) -> None:
    assert make_verifier(*ALL).check(sentence) is None


@pytest.mark.parametrize(
    ("text", "complete", "rest"),
    [
        ("There are 1,234.5 m. In", ["There are 1,234.5 m."], "In"),
        ("1. There are 12. 2. There are 13. ", ["There are 12.", "There are 13."], ""),
        ("Half a sen", [], "Half a sen"),
        ("One.\nTwo!\n- Three? Four", ["One.", "Two!", "Three?"], "Four"),
        ('He said "so." Then', ['He said "so."'], "Then"),
    ],
)
def test_sentences_are_cut_where_they_end(text: str, complete: list[str], rest: str) -> None:
    assert split_sentences(text) == (complete, rest)


def test_sentences_are_the_same_however_the_stream_is_cut() -> None:
    text = "1. There are 1,234.5 permits. 2. Electrical is first. The end."
    whole, rest = split_sentences(text)
    for size in (1, 2, 3, 7):
        found, left = [], ""
        for start in range(0, len(text), size):
            sentences, left = split_sentences(left + text[start : start + size])
            found += sentences
        assert (found, left) == (whole, rest)


def test_a_text_in_which_no_sentence_ends_takes_no_time() -> None:
    rest, began = "", time.process_time()
    for _ in range(800):
        sentences, rest = split_sentences(rest + "Nine ")
        assert sentences == []
    assert time.process_time() - began < 1


@pytest.mark.parametrize("letter", ["\0", "\x1b", "\u200b", "\u202e", "\u2066", "\ufeff", "\ud800"])
def test_a_true_sentence_with_letters_that_are_not_seen_is_dropped(letter: str) -> None:
    assert make_verifier(*ALL).check(COUNT.sentence.replace("120", f"{letter}120")) is None


@pytest.mark.parametrize(
    "figure",
    ["−120", "–120", "﹣120", "<120", "≥120", "≠120", "~120", "€120", "120○", "120\u0338", "120 ㎞", "120٪", "120+"],
)
def test_a_figure_with_a_sign_that_no_fact_has_is_dropped(figure: str) -> None:
    assert make_verifier(*ALL).check(COUNT.sentence.replace("120", figure)) is None


@pytest.mark.parametrize("figure", [".120", "120.000"])
def test_a_figure_whose_point_makes_it_another_one_is_dropped(figure: str) -> None:
    assert make_verifier(*ALL).check(COUNT.sentence.replace("120", figure)) is None


def test_marks_of_a_sentence_and_signs_of_a_fact_pass() -> None:
    row = make_fact(9, "Permit 2014-1 at 12 1/2 A & B ST: solar; issued 2014-05-28; no stated cost.")
    assert make_verifier(row).check(row.sentence)
    assert make_verifier(*ALL).check("Electrical – 80, “Building” (30); Plumbing: 10.")


ROWS = [
    make_fact(9, "Permit 2014-7 EP at 12 OAK ST: solar; not issued; estimated cost $45,000."),
    make_fact(
        9, "Permit 2014-7 EP is 176.3 m away at 12 OAK ST: no category; issued 2014-05-28; estimated cost $45,000."
    ),
    make_fact(9, "Of the solar permits, 8 have no usable point and cannot be counted."),
    make_fact(9, "There are 7 solar permits issued from 2014-03-05 to 2015-06-07."),
    make_fact(9, "None of the solar permits issued in 2014 states an estimated cost."),
    make_fact(
        9, "There are 40 pool permits with an estimated cost of at least $5,000 in ZIP 78704 within 200 m of 1 A ST."
    ),
]
YEARS = [
    make_fact(9, "In 2014 there are 12 solar permits.", 12, label="2014"),
    make_fact(10, "In 2015 there are 9 solar permits.", 9, label="2015"),
]


@pytest.mark.parametrize("row", ROWS)
def test_a_fact_in_its_own_words_passes(row: Fact) -> None:
    assert make_verifier(row).check(row.sentence) is not None


@pytest.mark.parametrize(
    "sentence",
    [
        "Permit 2014-7 EP at 12 OAK ST: not solar; issued; estimated cost $45,000.",
        "Permit 2014-7 EP is 176.3 m away at 12 OAK ST: category; no issued 2014-05-28; estimated cost $45,000.",
        "Permit 2014-7 EP OAK ST is 176.3, at 12 m away: no category; issued 2014-05-28; estimated cost $45,000.",
        "No solar permits cannot be counted, 8 have usable point.",
        "There are 7 solar permits issued from 2014-06-07 to 2015-03-05.",
        "The solar permits state an estimated cost; none issued in 2014.",
        "120 permits state an estimated cost, 100 of these.",
        "120 solar permits were issued by 2014 within 800 m of 5604 MANOR RD.",
        "120 solar permits were issued from 2014 within 800 m of 5604 MANOR RD.",
        "There are at least 40 pool permits with an estimated cost of $5,000 in ZIP 78704 within 200 m of 1 A ST.",
        "There are 40 pool permits, at least, with an estimated cost of $5,000 in ZIP 78704 within 200 m of 1 A ST.",
        "In ZIP 40 pool permits with an estimated cost of at least $5,000; 78704 within 200 m of 1 A ST.",
        "By 2014 there were 12, by 2015 there were 9.",
    ],
)
def test_the_words_of_a_fact_put_together_to_another_one_are_dropped(sentence: str) -> None:
    assert make_verifier(*ROWS, *YEARS, *ALL).check(sentence) is None


@pytest.mark.parametrize(
    ("fact", "lie"),
    [
        (
            "There are no water heater permits applied for in March 2016 in ZIP 78723 or 78724.",
            "There are no water heater permits applied for in March 78724 in ZIP 78723 or 2016.",
        ),
        (
            "No address has a roof permit issued in 2014 and a solar permit issued in 2015.",
            "No address has a roof permit issued in 2015 and a solar permit issued in 2014.",
        ),
        (
            "Number 5 by work class is Irrigation with 16 permits.",
            "Number 5 by work class is Irrigation with 16 irrigation permits.",
        ),
    ],
)
def test_numbers_that_change_places_and_words_said_twice_are_dropped(fact: str, lie: str) -> None:
    verifier = make_verifier(make_fact(1, fact), scope="")
    assert verifier.check(fact) is not None
    assert verifier.check(lie) is None


def test_a_fact_without_a_number_that_says_equal_or_none_passes() -> None:
    for sentence in (
        "The number of swimming pool permits and the number of solar permits are equal.",
        "None of the driveway and sidewalk permits states an estimated cost.",
    ):
        assert make_verifier(make_fact(1, sentence), scope="").check(sentence) is not None


def test_the_point_of_a_saints_name_ends_no_sentence() -> None:
    complete, rest = split_sentences("Number 2 is St. John's with 3 permits. Number 3 is ")
    assert (complete, rest) == (["Number 2 is St. John's with 3 permits."], "Number 3 is ")
