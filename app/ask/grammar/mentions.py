"""Mentions: the phrases of the lexicons as a question has them, in order, and a city's own words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from app.ask.grammar.lexicon import PHRASES, STATES, STREETS, Meaning, Phrases, Slot
from app.ask.grammar.reading import Context
from app.ask.grammar.text import State, Text, rule, tokenize

_SUFFIXES = frozenset(STREETS["suffixes"])
_FIELDS: dict[str, Slot] = {
    "work class": "work_class",
    "work type": "work_class",
    "permit type": "permit_type",
    "type": "permit_type",
    "status": "status",
}
_WORDS = r"[^ \"|]+(?: [^ \"|]+){0,5}"
_BEHIND_FIELD = rule(
    rf"(?P<before>(?P<field>{'|'.join(_FIELDS)}) (?:(?:is|of|named|called) )?(?:\" )?)(?P<said>{_WORDS})"
)
_IN_QUOTES = rule(rf"(?P<before>\" )(?P<said>{_WORDS}) \"")


@dataclass(frozen=True, slots=True)
class Mention:
    """What the tokens ``at`` to ``end`` (exclusive) stand for."""

    slot: Slot
    values: tuple[str, ...]
    at: int
    end: int


def take_mentions(text: Text, context: Context) -> list[Mention]:
    """Take every phrase that the lexicons know, the longest first where several begin at one word.

    Words with a meaning in this question alone come last: what a lexicon knows is never theirs.
    """
    known = _taken(text, list(_read_phrases(_free_words(text), city_phrases(_list_titles(context)))))
    if not context.meanings:
        return known
    meant = Phrases()
    for words, category in context.meanings.items():
        meant.add(words, Meaning("category", (category,)))
    return known + _taken(text, list(_read_phrases(_free_words(text), meant)))


def _list_titles(context: Context) -> tuple[tuple[str, str], ...]:
    return (*sorted(context.city_titles.items()), *sorted(context.laid_over.items()))


def _free_words(text: Text) -> list[str]:
    """Give each word that may be part of a phrase; a span that stands for a value is none."""
    return [
        token.word if token.state is State.FREE and token.value is None and not token.is_folded else "|"
        for token in text.tokens
    ]


def take_own_words(text: Text, context: Context) -> list[Mention]:
    """Take a city's own word where the question says that it is one: behind the name of its field, or in quotes."""
    if not context.own_words:
        return []
    named = _taken(text, list(_read_own_words(text, _BEHIND_FIELD, context)))
    return named + _taken(text, list(_read_own_words(text, _IN_QUOTES, context)))


def _taken(text: Text, mentions: list[Mention]) -> list[Mention]:
    text.mark(((mention.at, mention.end) for mention in mentions), State.TAKEN)
    return mentions


def _read_own_words(text: Text, pattern: re.Pattern[str], context: Context) -> Iterator[Mention]:
    """Give the longest own word that stands behind each match's beginning; in quotes it has to be all of them."""
    found = text.find_all(pattern)
    own = {field: _by_form(context, field) for field in dict.fromkeys(_FIELDS.values())} if found else {}
    for span in found:
        start = span.first + span.match["before"].count(" ")
        said = span.match["said"].split(" ")
        named = span.match.groupdict().get("field")
        fields = (_FIELDS[named],) if named else tuple(own)
        counts = range(len(said), 0, -1) if named else (len(said),)
        forms = ((field, count, " ".join(said[:count])) for field in fields for count in counts)
        known = next(((field, count, form) for field, count, form in forms if form in own[field]), None)
        if known:
            field, count, form = known
            yield Mention(field, (own[field][form],), span.first, start + count)


def _by_form(context: Context, field: Slot) -> dict[str, str]:
    return {_form(own): own for own in sorted(context.own_words.get(field, ()))}


@lru_cache(maxsize=4096)
def _form(own: str) -> str:
    return form_of(own)


def form_of(words: str) -> str:
    """Give words as those of a text look to rules."""
    return " ".join(token.word for token in tokenize(words))


def _read_phrases(words: list[str], cities: Phrases) -> Iterator[Mention]:
    index = 0
    while index < len(words):
        meaning, count = cities.longest(words, index) or PHRASES.longest(words, index) or (None, 1)
        if meaning is not None and not _is_street(meaning, words, index + count):
            yield Mention(meaning.slot, meaning.values, index, index + count)
        index += count


def _is_street(meaning: Meaning, words: list[str], end: int) -> bool:
    """Whether a city's name is that of a street ("San Antonio Street")."""
    return meaning.slot in {"city", "other_city"} and end < len(words) and words[end] in _SUFFIXES


@lru_cache(maxsize=64)
def city_phrases(titles: tuple[tuple[str, str], ...]) -> Phrases:
    """Give the ways to name the loaded cities: by the title's first part, with or without the state behind it."""
    phrases = Phrases()
    for city, title in titles:
        name, _, state = (part.strip() for part in title.partition("(")[0].lower().partition(","))
        behind = [form for form in (state, STATES.get(state)) if form]
        forms = [name, *(f"{name} {form}" for form in behind), *(f"{name} , {form}" for form in behind)]
        for form in forms if name else ():
            phrases.add(form, Meaning("city", (city,)))
            phrases.add(f"city of {form}", Meaning("city", (city,)))
    return phrases
