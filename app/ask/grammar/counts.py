"""How many rows: a number that is left once places, dates, money and distances are read."""

import re
from collections.abc import Sequence

from app.ask.grammar.kinds import Wish
from app.ask.grammar.lexicon import UNCOUNTED
from app.ask.grammar.mentions import Mention
from app.ask.grammar.numbers import COUNT, parse_count
from app.ask.grammar.text import State, Text

LIMIT_MAX = 1_000
"""A larger number is no number of rows."""

_COUNT = re.compile(COUNT)
_NOUNS = frozenset({"category", "permit_type", "permit_class", "status", "subject", "group", "object", "order"})
_COUNTED = _NOUNS - {"object", "order"}
_ASKING_ROWS = frozenset(
    "first show list give find me us get see name display want need the which what only just".split()
)
_ONE = frozenset({"is", "was", "what", "which", "where", "when"})


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
    behind = [token.word for token in text.tokens[index + 1 : index + 3]]
    if behind == ["of", "them"] or (behind[:1] in ([], [","], ["only"]) and text.words_before(index, 1) == ["first"]):
        return True
    if behind[:1] in ([], [","]) and text.words_before(index, 1)[:1] in (["show"], ["list"], ["give"]):
        return True
    has_order = any(mention.slot == "order" for mention in mentions)
    if has_order and text.words_before(index, 1) == ["the"] and _slot_at(mentions, index + 1) in _COUNTED:
        return True
    is_asking = index == 0 or not _ASKING_ROWS.isdisjoint(text.words_before(index, 1))
    return is_asking and _slot_at(mentions, index + 1) in _COUNTED


def _asks_one(text: Text, mentions: Sequence[Mention]) -> bool:
    """Whether one row is meant: an order and a noun in the singular, "the" before it, or the day when it was."""
    if text.tokens and text.tokens[0].word == "which" and _slot_at(mentions, 1) in _COUNTED:
        asked = next(mention for mention in mentions if mention.at <= 1 < mention.end)
        return not text.tokens[asked.end - 1].word.endswith("s")
    for mention in mentions:
        if mention.slot != "order":
            continue
        words = text.words_before(mention.at, 2)
        noun = _find_noun(mention, mentions)
        word = text.tokens[noun.end - 1].word if noun else "s"
        is_said = text.tokens[mention.at].word == "single" or (words[:1] == ["the"] and not _ONE.isdisjoint(words[1:]))
        if is_said or any(other.slot == "when" for other in mentions):
            return not word.endswith("s")
        is_as_written = noun is not None and text.tokens[noun.end - 1].raw.lower() == word
        is_next = _slot_at(mentions, mention.end) in _NOUNS
        return is_next and is_as_written and not word.endswith("s") and word not in UNCOUNTED
    return False


def _find_noun(order: Mention, mentions: Sequence[Mention]) -> Mention | None:
    """Give the noun behind an order, the last of words that stand side by side: "nearest commercial demolition"."""
    behind = [other for other in mentions if other.at >= order.end and other.slot in _NOUNS]
    noun = behind[0] if behind else None
    for other in behind[1:]:
        if noun is not None and other.at == noun.end:
            noun = other
    return noun


def _slot_at(mentions: Sequence[Mention], index: int) -> str | None:
    return next((mention.slot for mention in mentions if mention.at <= index < mention.end), None)
