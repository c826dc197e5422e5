"""Doubts: what was heard and yet cannot stand in one plan. Whoever plans asks back with it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from app.ask.grammar.comparing import is_crossed, is_turned
from app.ask.grammar.filters import Part, slot_of
from app.ask.grammar.lexicon import DATED_ELSEWHERE, STOP_WORDS, UNCLEAR
from app.ask.grammar.mentions import Mention
from app.ask.grammar.text import State, Text, rule

_JOINTS = frozenset(UNCLEAR["joints"])
_BETWEEN_JOINTS = frozenset(UNCLEAR["around_joints"])
_NOUNS = frozenset({"subject", "object"})
_OWNING = frozenset({"with", "have", "has", "having", "had"})
_WORDS = frozenset(UNCLEAR["words"])
_GROUPS = "|".join(UNCLEAR["groups"])
_BY_GROUP = rule(
    rf"(?:which|what|by|per|each|every|top(?: [0-9]+| [a-z]+)?) (?:{_GROUPS})"
    rf"|(?:{_GROUPS}) (?:by|with the|ordered|ranked|sorted)(?: most| highest| number| permits?)"
)
LONGEST = 8
"""Words that are quoted at most."""


def find_together(text: Text, mentions: Sequence[Mention]) -> tuple[str, ...]:
    """Find the categories that are meant to be one permit: side by side, joined by "with" or behind "both"."""
    thans = [mention.at for mention in mentions if mention.slot == "than"]
    chain: list[Mention] = []
    is_meant = False
    categories = [mention for mention in mentions if mention.slot == "category"]
    nouns = {text.tokens[at].word for mention in mentions if mention.slot in _NOUNS for at in _range(mention)}
    for before, after in pairwise(categories):
        gap = [token.word for token in text.tokens[before.end : after.at]]
        is_joint = _joins(gap, nouns) and not any(before.end <= at < after.at for at in thans[:LONGEST])
        if not is_joint and not (_is_list(gap) and (is_meant or _opens_both(text, before, mentions))):
            if is_meant:
                break
            continue
        chain += [after] if chain else [before, after]
        is_meant = True
    values = tuple(dict.fromkeys(value for mention in chain for value in mention.values))
    return values if len(values) > 1 else ()


def _joins(gap: list[str], nouns: set[str]) -> bool:
    if not gap:
        return True
    bare = [word for word in gap if word not in _BETWEEN_JOINTS and word not in nouns]
    return (bool(bare) and _JOINTS.issuperset(bare)) or (not bare and not nouns.intersection(gap))


def _range(mention: Mention) -> range:
    return range(mention.at, mention.end)


def _is_list(gap: list[str]) -> bool:
    return [word for word in gap if word not in _BETWEEN_JOINTS] == ["and"]


def _opens_both(text: Text, first: Mention, mentions: Sequence[Mention]) -> bool:
    """Whether "both" stands before the first category, or things that "have" it ("houses with solar and a pool")."""
    words = [word for word in text.words_before(first.at, 4) if word not in _BETWEEN_JOINTS]
    if words[:1] == ["both"]:
        return True
    owning = next(
        (at for at in range(first.at - 1, max(-1, first.at - 4), -1) if text.tokens[at].word in _OWNING), None
    )
    if not words or words[0] not in _OWNING or owning is None:
        return False
    return any(mention.slot in _NOUNS and mention.end == owning for mention in mentions)


def find_unclear(
    text: Text,
    parts: Sequence[Part],
    unread: Sequence[Part],
    *,
    compares: bool,
    joins: bool,
    unused: Sequence[Mention],
) -> str | None:
    """Give the words, as written, that no plan can hold: parts that do not fit, and measures that are not kept.

    ``unread`` are the parts that neither filter could take, ``unused`` what no kind of answer has a place for.
    """
    if unread:
        return quote(text, _around(parts, unread))
    if not compares and is_crossed(parts):
        return quote(text, parts)
    if not compares and (alternatives := find_alternatives(text, parts)):
        return quote(text, alternatives)
    turned = next(filter(is_turned, parts), None)
    if not compares and turned is not None:
        return quote(text, [turned])
    words = next(_unclear_words(text, joins=joins), None)
    return words or (quote(text, unused[:1]) if unused else None)


def find_alternatives(text: Text, parts: Sequence[Part]) -> list[Part]:
    """Find two things of different kinds joined by "or", which a filter would join by "and"."""
    ordered = sorted(parts, key=lambda part: part.at)
    for before, after in pairwise(ordered):
        gap = [token.word for token in text.tokens[before.end : after.at]]
        said = [word for word in gap if word == "or" or word not in STOP_WORDS]
        if said == ["or"] and slot_of(before) != slot_of(after):
            return [before, after]
    return []


def quote(text: Text, parts: Iterable[Part]) -> str:
    """Quote the question from the first of some parts to the last, or these alone where that is long."""
    ordered = sorted(parts, key=lambda part: part.at)
    first, end = ordered[0].at, max(part.end for part in ordered)
    if end - first <= LONGEST:
        return _raw(text, first, end)
    return ", ".join(dict.fromkeys(_raw(text, part.at, part.end) for part in ordered))


def _raw(text: Text, first: int, end: int) -> str:
    return " ".join(token.raw for token in text.tokens[first:end] if token.raw).replace("$ ", "$").replace(" ,", ",")


def _around(parts: Sequence[Part], unread: Sequence[Part]) -> list[Part]:
    """Give the parts of the same kind as those that do not fit."""
    kinds = {getattr(part, "slot", "date") for part in unread}
    return [*(part for part in parts if getattr(part, "slot", "date") in kinds), *unread]


def _unclear_words(text: Text, *, joins: bool) -> Iterator[str]:
    words = [token.word for token in text.tokens]
    for index, token in enumerate(text.tokens):
        if token.state is State.TAKEN or token.is_folded:
            continue
        before = words[index - 1] if index else ","
        behind = words[index + 1] if index + 1 < len(words) else ","
        if token.word == "least":
            if before != "at":
                yield f"{token.raw} {text.tokens[index + 1].raw}" if behind != "," else token.raw
        elif token.word == "first" and behind == ",":
            continue
        elif token.word in _WORDS or (token.state is State.ASIDE and token.word in DATED_ELSEWHERE):
            yield token.raw
    found = _BY_GROUP.search(" ".join(words))
    if found and not (joins and not set(UNCLEAR["joined"]).isdisjoint(found.group().split(" "))):
        yield found.group()
