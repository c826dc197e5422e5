"""Numbers that are left once places, dates, money and distances are read: how many rows, and what is claimed."""

import re
from collections.abc import Sequence
from decimal import Decimal

from app.ask.grammar.kinds import Wish
from app.ask.grammar.lexicon import FALLING
from app.ask.grammar.mentions import Mention
from app.ask.grammar.numbers import COUNT, parse_count
from app.ask.grammar.reading import Premise
from app.ask.grammar.text import State, Text

LIMIT_MAX = 1_000
"""A larger number is no number of rows."""

_COUNT = re.compile(COUNT)
_FIGURE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?")
_PERCENT = frozenset({"%", "percent", "pct"})
_NOUNS = frozenset({"category", "permit_type", "permit_class", "status", "subject", "group", "object", "order"})
_COUNTED = _NOUNS - {"object", "order"}
_ASKING_ROWS = frozenset(
    "first show list give find me us get see name display want need the which what only just".split()
)
_ONE = frozenset({"is", "was", "what", "which", "where", "when"})


def take_premise(text: Text, mentions: Sequence[Mention]) -> Premise | None:
    """Take a number that the question claims: a percentage of change, or how many permits there were."""
    for index, token in enumerate(text.tokens):
        if token.state is State.FREE and _FIGURE.fullmatch(token.word):
            premise = _read_percentage(text, index, mentions) or _read_claim(text, index, mentions)
            if premise is not None:
                return premise
    return None


def _read_percentage(text: Text, index: int, mentions: Sequence[Mention]) -> Premise | None:
    words = [token.word for token in text.tokens[index + 1 : index + 4]]
    if not words or words[0] not in _PERCENT:
        return None
    near = [
        mention for mention in mentions if mention.slot in {"more", "change"} and index - 4 <= mention.at <= index + 3
    ]
    if not near:
        return _read_shared(text, index, mentions)
    text.mark([(index, index + 2)], State.TAKEN)
    value = Decimal(text.tokens[index].word)
    falls = any(text.tokens[mention.at].word in FALLING for mention in near)
    return Premise(-value if falls else value, "percent")


def _read_shared(text: Text, index: int, mentions: Sequence[Mention]) -> Premise | None:
    """Read "40 % of permits are solar" as a share that is claimed."""
    if not any(mention.values == ("share",) and mention.at == index + 1 for mention in mentions):
        return None
    text.mark([(index, index + 1)], State.TAKEN)
    return Premise(Decimal(text.tokens[index].word), "percent")


def _read_claim(text: Text, index: int, mentions: Sequence[Mention]) -> Premise | None:
    """Read "is it true that there were 300 pools": a number right before the thing it counts."""
    is_claim = any(mention.slot == "premise" for mention in mentions)
    if not (is_claim and text.tokens[index].word.isdecimal() and _slot_at(mentions, index + 1) in _NOUNS):
        return None
    text.mark([(index, index + 1)], State.TAKEN)
    return Premise(Decimal(text.tokens[index].word), "permits")


def take_limit(text: Text, mentions: Sequence[Mention], wish: Wish) -> int | None:
    """Take the number of rows that is asked for; "what is the newest permit" asks for one."""
    if wish.kind not in {"list", "top"}:
        return None
    for index, token in enumerate(text.tokens):
        if token.state is State.FREE and _COUNT.fullmatch(token.word) and _asks_rows(text, index, mentions):
            limit = parse_count(token.word)
            if 1 <= limit <= LIMIT_MAX:
                first = index - (text.words_before(index, 1) == ["first"])
                text.mark([(first, index + 1)], State.TAKEN)
                return limit
    return 1 if wish.kind == "list" and _asks_one(text, mentions) else None


def _asks_rows(text: Text, index: int, mentions: Sequence[Mention]) -> bool:
    """Whether a number stands behind "top" or an order, or where rows are asked for ("show me 5 pools", "5 pools")."""
    if _slot_at(mentions, index - 1) in {"top", "order"} or _slot_at(mentions, index + 1) == "order":
        return True
    is_asking = index == 0 or not _ASKING_ROWS.isdisjoint(text.words_before(index, 1))
    return is_asking and _slot_at(mentions, index + 1) in _COUNTED


def _asks_one(text: Text, mentions: Sequence[Mention]) -> bool:
    """Whether one row is meant: "is", "the", an order and a noun in the singular."""
    for mention in mentions:
        words = text.words_before(mention.at, 2)
        if mention.slot == "order" and words[:1] == ["the"] and not _ONE.isdisjoint(words[1:]):
            noun = next((other for other in mentions if other.at >= mention.end and other.slot in _NOUNS), None)
            return noun is not None and not text.tokens[noun.end - 1].word.endswith("s")
    return False


def _slot_at(mentions: Sequence[Mention], index: int) -> str | None:
    return next((mention.slot for mention in mentions if mention.at <= index < mention.end), None)
