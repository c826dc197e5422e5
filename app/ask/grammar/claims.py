"""Claims: a number that a question takes for granted, and the words that say it is claimed."""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from app.ask.grammar.lexicon import FALLING, NUMBERS, TAGS
from app.ask.grammar.mentions import Mention
from app.ask.grammar.numbers import WORD
from app.ask.grammar.reading import Bound, Premise
from app.ask.grammar.text import State, Text, rule

_FIGURE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?")
_PERCENT = frozenset({"%", "percent", "pct"})
_NOUNS = frozenset({"category", "permit_type", "permit_class", "status", "subject", "group", "object", "order"})
_ASKING = frozenset({"is", "are", "was", "were", "do", "does", "did", "has", "have", "had"})
_VERB = "(?:is|are|was|were|do|does|did|has|have|had)"
_TAG = rule(
    rf"(?:, )?{_VERB} not (?:it|they|there|that)(?= ,|$)"
    rf"|^{_VERB} not (?:it|that) (?:so|true|right|correct|the case)(?: that)?"
    rf"|(?:{'|'.join(TAGS)})(?=(?: ,)*$)"
)
_BOUNDS: dict[str, Bound] = {
    "more than": "more",
    "over": "more",
    "greater than": "more",
    "at least": "at_least",
    "no fewer than": "at_least",
    "no less than": "at_least",
    "fewer than": "less",
    "less than": "less",
    "under": "less",
    "at most": "at_most",
    "no more than": "at_most",
    "not more than": "at_most",
    "up to": "at_most",
}
_BOUNDED = rule(
    rf"(?P<bound>{'|'.join(sorted(_BOUNDS, key=len, reverse=True))}) (?P<figure>[0-9]{{1,9}}|(?:a )?(?:{WORD}))"
    r"(?! %| percent| pct)"
)
_CLAIM = "§claim"


def _read_figure(figure: str) -> Decimal:
    word = figure.removeprefix("a ")
    return Decimal(NUMBERS.get(word, word))


def _read_bound(match: re.Match[str]) -> Premise:
    return Premise(_read_figure(match["figure"]), "permits", _BOUNDS[match["bound"]])


def take_tags(text: Text) -> bool:
    """Take "didn't they?", "correct?" and the like; says whether there was one, which makes a claim of a number."""
    found = text.find_all(_TAG)
    text.take(*found)
    return bool(found)


def fold_bounds(text: Text) -> None:
    """Let "more than 20" stand as one symbol: whether it is a claim shows later."""
    text.fold(_BOUNDED, _CLAIM, _read_bound)


def take_premise(text: Text, mentions: Sequence[Mention], *, is_tagged: bool) -> Premise | None:
    """Take a number that the question claims: a share or a change in percent, an amount, days, or how many."""
    is_claim = is_tagged or any(mention.slot == "premise" for mention in mentions)
    for index, token in enumerate(text.tokens):
        if token.state is not State.FREE or token.is_folded:
            continue
        premise = None
        if _FIGURE.fullmatch(token.word):
            premise = _read_percentage(text, index, mentions)
            premise = premise or (_read_days(text, index) or _read_count(text, index, mentions) if is_claim else None)
        elif isinstance(token.value, Premise):
            premise = _read_bounded(text, index, mentions, is_claim=is_claim)
        elif isinstance(token.value, Decimal) and is_claim:
            text.mark([(index, _end_of(text, index))], State.TAKEN)
            premise = Premise(token.value, "USD")
        if premise is not None:
            return premise
    return None


def _end_of(text: Text, index: int) -> int:
    """Give where the span ends that a token stands for."""
    end = index + 1
    while end < len(text.tokens) and text.tokens[end].is_folded:
        end += 1
    return end


def _read_percentage(text: Text, index: int, mentions: Sequence[Mention]) -> Premise | None:
    words = [token.word for token in text.tokens[index + 1 : index + 4]]
    if not words or words[0] not in _PERCENT:
        return None
    shares = [mention for mention in mentions if mention.values == ("share",) and mention.at == index + 1]
    if any(share.end - share.at > 1 for share in shares):
        return _read_shared(text, index)
    near = [
        mention for mention in mentions if mention.slot in {"more", "change"} and index - 4 <= mention.at <= index + 3
    ]
    if not near:
        return _read_shared(text, index) if shares else None
    text.mark([(index, index + 2)], State.TAKEN)
    value = Decimal(text.tokens[index].word)
    falls = any(text.tokens[mention.at].word in FALLING for mention in near)
    return Premise(-value if falls else value, "percent")


def _read_shared(text: Text, index: int) -> Premise:
    """Read "40 % of permits are solar", or "more than 40 %", as a share that is claimed."""
    before = " ".join(reversed(text.words_before(index, 2)))
    longest = max((words for words in _BOUNDS if before.endswith(words)), key=len, default="")
    first = index - (longest.count(" ") + 1 if longest else 0)
    text.mark([(first, index + 1)], State.TAKEN)
    return Premise(Decimal(text.tokens[index].word), "percent", _BOUNDS.get(longest, "exactly"))


def _read_days(text: Text, index: int) -> Premise | None:
    if text.tokens[index + 1].word not in {"day", "days"} if index + 1 < len(text.tokens) else True:
        return None
    text.mark([(index, index + 2)], State.TAKEN)
    return Premise(Decimal(text.tokens[index].word), "days")


def _read_count(text: Text, index: int, mentions: Sequence[Mention]) -> Premise | None:
    """Read "is it true that there were 300 pools": a number right before the thing it counts."""
    if not (text.tokens[index].word.isdecimal() and _counts(mentions, index + 1)):
        return None
    text.mark([(index, index + 1)], State.TAKEN)
    return Premise(Decimal(text.tokens[index].word), "permits")


def _read_bounded(text: Text, index: int, mentions: Sequence[Mention], *, is_claim: bool) -> Premise | None:
    """Read "were there more than 20 pools" too: a question for yes or no is a claim by itself."""
    end = _end_of(text, index)
    premise = text.tokens[index].value
    behind = [token.word for token in text.tokens[end : end + 1]]
    if is_claim and isinstance(premise, Premise) and behind in (["days"], ["day"]):
        text.mark([(index, end + 1)], State.TAKEN)
        return replace(premise, unit="days")
    is_asked = is_claim or text.tokens[0].word in _ASKING
    if not (is_asked and _counts(mentions, end) and isinstance(premise, Premise)):
        return None
    text.mark([(index, end)], State.TAKEN)
    return premise


def _counts(mentions: Sequence[Mention], index: int) -> bool:
    return any(mention.slot in _NOUNS and mention.at <= index < mention.end for mention in mentions)
