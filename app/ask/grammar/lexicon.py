"""The lexicons of the grammar: what words and phrases mean, loaded once from the data files beside this one."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, Literal

from app.permits.words import Category, PermitClassMapped, PermitTypeMapped, StatusMapped

Slot = Literal[
    "category",
    "permit_type",
    "permit_class",
    "status",
    "work_class",
    "zip",
    "district",
    "region",
    "subject",
    "object",
    "filler",
    "here",
    "everywhere",
    "both",
    "refused",
    "kind",
    "top",
    "than",
    "more",
    "change",
    "order",
    "measure",
    "total",
    "most",
    "how_much",
    "group",
    "premise",
    "when",
    "wait",
    "period",
    "joined",
    "again",
    "declined",
    "other_city",
    "city",
]

_SIBILANTS = ("s", "x", "z", "ch", "sh")


@dataclass(frozen=True)
class Meaning:
    """What a phrase stands for: a slot and, where it has some, the values it gives the slot."""

    slot: Slot
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something that people date permits by; both days are inclusive."""

    first: date
    last: date


def load(name: str) -> dict[str, Any]:
    """Read one data file of the grammar."""
    return tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))


def forms(phrase: str) -> tuple[str, ...]:
    """Give a phrase and its plural, of "kind of work" both that it may have."""
    head, of, rest = phrase.partition(" of ")
    if of:
        return phrase, _plural(phrase), f"{_plural(head)} of {rest}", f"{_plural(head)} of {_plural(rest)}"
    return phrase, _plural(phrase)


def _plural(phrase: str) -> str:
    if phrase.endswith("y") and phrase[-2:-1] not in "aeiou":
        return f"{phrase[:-1]}ies"
    return f"{phrase}es" if phrase.endswith(_SIBILANTS) else f"{phrase}s"


class Phrases:
    """A dictionary of phrases that finds the longest one that begins at a word."""

    def __init__(self) -> None:
        self._meanings: dict[str, Meaning] = {}
        self._longest: dict[str, int] = {}

    def add(self, phrase: str, meaning: Meaning) -> None:
        """Add a phrase; a second meaning in the same slot adds its values. It cannot have meanings in two slots."""
        known = self._meanings.get(phrase, meaning)
        if known.slot != meaning.slot:
            raise ValueError(f"{phrase!r} would mean {known.slot} and {meaning.slot}")
        self._meanings[phrase] = Meaning(known.slot, tuple(dict.fromkeys(known.values + meaning.values)))
        words = phrase.split(" ")
        self._longest[words[0]] = max(self._longest.get(words[0], 0), len(words))

    def longest(self, words: list[str], start: int) -> tuple[Meaning, int] | None:
        """Give the meaning of the longest phrase at ``start`` and the number of its words."""
        for count in range(min(self._longest.get(words[start], 0), len(words) - start), 0, -1):
            meaning = self._meanings.get(" ".join(words[start : start + count]))
            if meaning is not None:
                return meaning, count
        return None

    def items(self) -> Iterable[tuple[str, Meaning]]:
        """Give each phrase with its meaning."""
        return self._meanings.items()


def _category_phrases(entry: Mapping[str, Any]) -> Iterator[str]:
    for phrase in entry["phrases"]:
        for form in forms(phrase):
            yield form
            if entry.get("new_adds_nothing"):
                yield f"new {form}"
    for phrase in entry.get("misspelled", ()):
        yield from forms(phrase)


def _entries() -> Iterator[tuple[str, Meaning]]:
    """Give every phrase of the lexicons with its meaning."""
    yield from ((form, Meaning("refused")) for phrase in _WORDS["refused"]["phrases"] for form in forms(phrase))
    for category, entry in load("categories").items():
        yield from ((phrase, Meaning("category", (Category(category),))) for phrase in _category_phrases(entry))
    yield from _valued("permit_type", _WORDS["permit_type"], PermitTypeMapped)
    yield from _valued("permit_class", _WORDS["permit_class"], PermitClassMapped)
    yield from _valued("status", _WORDS["status"], StatusMapped)
    yield from _valued("group", _KINDS["group"], str)
    yield from _valued("order", _KINDS["order"], str, plurals=False)
    yield from _valued("kind", _KINDS["kind"], str, plurals=False)
    yield from ((phrase, Meaning("kind", ("waiting",))) for phrase in _waits())
    yield from ((phrase, Meaning("order", ("priciest",))) for phrase in _superlatives())
    yield from _valued("measure", _KINDS["measure"], str)
    yield from _valued("period", _KINDS["period"], str, plurals=False)
    yield from _valued("joined", _KINDS["joined"], str, plurals=False)
    yield from _valued("again", _WORDS["again"], str, plurals=False)
    yield from ((words, Meaning("group", ("company",))) for words in _KINDS["makers"]["words"])
    yield from _valued("declined", load("declines"), str)
    yield from _plain(
        _WORDS, ("filler", "here", "everywhere", "both", "subject", "object"), plurals=("filler", "subject", "object")
    )
    yield from _plain(
        _KINDS, ("top", "than", "more", "change", "total", "most", "how_much", "when", "wait"), plurals=("change",)
    )
    yield from ((cue, Meaning("premise")) for cue in _KINDS["premise"]["cues"])
    yield from ((name, Meaning("other_city", (name,))) for name in load("cities")["names"])


def _superlatives() -> Iterator[str]:
    """Give the ways to say which is worth the most: "greatest declared value"."""
    parts = _KINDS["superlatives"]
    yield from (f"{most} {of}" for most, of in product(parts["most"], parts["of"]))


def _waits() -> Iterator[str]:
    """Give the ways to tell a wait by its two ends: "from filing to approval"."""
    parts = _KINDS["waited"]
    for head, begin, link, end in product(parts["heads"], parts["begins"], parts["links"], parts["ends"]):
        if head or link != "and":
            yield f"{head}{begin} {link} {end}"


def _valued(
    slot: Slot, table: Mapping[str, list[str]], closed: type[str], *, plurals: bool = True
) -> Iterator[tuple[str, Meaning]]:
    for value, phrases in table.items():
        meaning = Meaning(slot, (closed(value),))
        for phrase in phrases:
            yield from ((form, meaning) for form in (forms(phrase) if plurals else (phrase,)))


def _plain(
    table: Mapping[str, Any], slots: tuple[Slot, ...], *, plurals: tuple[Slot, ...]
) -> Iterator[tuple[str, Meaning]]:
    for slot in slots:
        for phrase in table[slot]["words"]:
            yield from ((form, Meaning(slot)) for form in (forms(phrase) if slot in plurals else (phrase,)))


def _build() -> Phrases:
    phrases = Phrases()
    for phrase, meaning in _entries():
        phrases.add(phrase, meaning)
    return phrases


def _vocabulary() -> frozenset[str]:
    return frozenset(word for phrase, _ in PHRASES.items() for word in phrase.split(" "))


_STOP = load("stop")
_WORDS = load("words")
_KINDS = load("kinds")
_DATES = load("dates")
_STREETS = load("streets")

STOP_WORDS = frozenset(_STOP["words"])
SHORT: dict[str, str] = _STOP["short"]
ABBREVIATIONS = frozenset(_STOP["abbreviations"])
MONTHS: dict[str, int] = _DATES["months"]
SEASONS: dict[str, int] = _DATES["seasons"]
WEEKDAYS: list[str] = _DATES["weekdays"]["names"]
DOUBTFUL: dict[str, list[str]] = _DATES["doubtful"]
NUMBERS: dict[str, int] = _DATES["numbers"]
ORDINALS: dict[str, int] = _DATES["ordinals"]
DECADES: dict[str, int] = _DATES["decades"]
STREETS: dict[str, list[str]] = _STREETS
UNITS: dict[str, dict[str, float]] = load("units")
NOTES: dict[str, str] = load("notes")["notes"]
STATES: dict[str, str] = load("cities")["states"]
NEGATION: dict[str, list[str]] = _WORDS["negation"]
HERE_AT = frozenset(_WORDS["here"]["at"])
DATED_ELSEWHERE = frozenset(_WORDS["dated_elsewhere"]["words"])
COLUMNS: dict[str, frozenset[str]] = {name: frozenset(words) for name, words in _WORDS["columns"].items()}
HOMES: dict[str, Any] = _WORDS["homes"]
UNCLEAR: dict[str, list[str]] = _WORDS["unclear"]
MAKING_UP: list[str] = _KINDS["making_up"]["words"]
PRICIER = frozenset(_KINDS["pricier"]["words"])
PASSED_OVER: dict[str, frozenset[str]] = {name: frozenset(words) for name, words in _WORDS["passed_over"].items()}
COPULAS = frozenset(_KINDS["copulas"]["words"])
CHANGED: dict[str, frozenset[str]] = {name: frozenset(words) for name, words in _KINDS["changed_since"].items()}
GOING_UP: dict[str, frozenset[str]] = {name: frozenset(words) for name, words in _KINDS["going_up"].items()}
GROUP_CUES = frozenset(_KINDS["group_cues"]["words"])
GROUP_SAYS: dict[str, str] = {
    form: category for phrase, category in _KINDS["group_says"].items() for form in forms(phrase)
}
MAKERS = frozenset(_KINDS["makers"]["words"])
RANKED: dict[str, frozenset[str]] = {name: frozenset(words) for name, words in _KINDS["ranked"].items()}
WAIT: dict[str, frozenset[str]] = {name: frozenset(words) for name, words in _KINDS["wait"].items()}
BETWEEN_PAIR: list[str] = _KINDS["pair"]["between"]
UNCOUNTED = frozenset(_KINDS["uncounted"]["words"])
TAGS: list[str] = _KINDS["premise"]["tags"]
FALLING = frozenset(_KINDS["falling"]["words"])
SPELLING: dict[str, list[str]] = load("spelling")
EVENTS: dict[str, Event] = {
    name: Event(event["first"], event["last"]) for event in load("events")["event"] for name in event["names"]
}
PHRASES = _build()
VOCABULARY = _vocabulary()
