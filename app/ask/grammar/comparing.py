"""Two sides: what a comparison sets beside each other, and what changed over the years."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby

from app.ask.grammar.dates import DateMention, Period
from app.ask.grammar.filters import COLUMNS, FIELDS, Part, slot_of
from app.ask.grammar.kinds import key_of
from app.ask.grammar.mentions import Mention
from app.ask.grammar.reading import Premise
from app.ask.grammar.text import State, Text

MOST_CROSSED = 12
"""With more parts than that no word tells two sides apart, which bounds the time that looking for it takes."""
_KINDS = frozenset({"category", "permit_type"})
_AREAS = frozenset({"zip", "district", "region"})
_DIVIDING = frozenset({"with", "to", "and", "or", ","})
_ASKING = frozenset({"how", "has", "have", "are", "is", "did", "do", "does"})


@dataclass(frozen=True)
class Sides:
    """What each side of a comparison is narrowed down by, and what stands in neither."""

    left: list[Part]
    right: list[Part]
    unused: list[Part]


def find_comparison(
    mentions: Sequence[Mention], parts: Sequence[Part], premise: Premise | None, text: Text
) -> Sides | None:
    """Find the sides where a word says that there are two: "compare", "than", or a change between two periods."""
    keys = {key_of(mention) for mention in mentions}
    if not keys.isdisjoint({"compare", "than"}):
        thans = [mention.at for mention in mentions if mention.slot == "than"]
        around = _find_around(parts, thans[0]) if len(thans) == 1 else None
        around = around or _find_whole(mentions, parts, thans)
        return around or _find_divided(parts, text) or _find_pair(parts) or _find_ends(parts)
    if _asks_which_is_more(mentions, text):
        return _find_divided(parts, text) or _find_pair(parts)
    claims_change = premise is not None and premise.unit == "percent"
    if not claims_change and "change" not in keys:
        return None
    ends = _find_ends(parts) if claims_change or not any(map(_is_run_of_years, parts)) else None
    return _find_pair(parts, COLUMNS) or ends


def _find_whole(mentions: Sequence[Mention], parts: Sequence[Part], thans: Sequence[int]) -> Sides | None:
    """Set a place beside the whole city: "remodels in 78703 compared with the city as a whole"."""
    everywhere = [mention.at for mention in mentions if mention.slot == "everywhere"]
    placed = [part for part in parts if slot_of(part) in _AREAS]
    if len(thans) != 1 or len(everywhere) != 1 or not placed:
        return None
    rest = [part for part in parts if part not in placed]
    is_second = everywhere[0] > thans[0] > placed[0].at
    return Sides(list(parts), rest, []) if is_second else Sides(rest, list(parts), [])


def changes_over_years(mentions: Sequence[Mention], dates: Sequence[DateMention], text: Text) -> bool:
    """Whether a change is asked for that only figures year by year can show: "how have pools changed since 2010"."""
    keys = {key_of(mention) for mention in mentions}
    if "change" not in keys:
        return False
    if dates:
        return any(map(_spans_years, dates))
    return "count" not in keys and any(token.word in _ASKING for token in text.tokens)


def is_crossed(parts: Sequence[Part]) -> bool:
    """Whether two kinds of things take turns: in "solar in 2014 and pools in 2015" a filter would lose the pairs."""
    manifold = _find_manifold(parts)
    kept = [part for part in parts if slot_of(part) in manifold]
    row = [slot for slot, _ in groupby(sorted(kept, key=lambda part: part.at), key=slot_of)]
    return any(row.count(slot) > 1 for slot in row)


def is_turned(part: Part) -> bool:
    """Whether a range ends before it begins ("between June 2014 and May 2014"), which whole years may."""
    if not isinstance(part, DateMention) or part.halves is None or all(map(_is_year, part.halves)):
        return False
    return part.halves[0].first > part.halves[1].first


def _find_manifold(parts: Sequence[Part]) -> set[str]:
    """Give what is narrowed down in more than one way, where there are two such things."""
    slots = {slot for slot in {slot_of(part) for part in parts} if len(_said(parts, slot)) > 1}
    return slots if len(slots) > 1 else set()


def _find_divided(parts: Sequence[Part], text: Text) -> Sides | None:
    """Part crossed sides at the one word that leaves each of them a single thing of every kind."""
    manifold = _find_manifold(parts)
    if not manifold or not is_crossed(parts):
        return None
    inside = {at for part in parts for at in range(part.at, part.end)}
    if len(parts) > MOST_CROSSED:
        return None
    for at, token in enumerate(text.tokens):
        if token.word not in _DIVIDING or at in inside:
            continue
        sides = [part for part in parts if part.at < at], [part for part in parts if part.at > at]
        if all(len(_said(side, slot)) == 1 for side in sides for slot in manifold):
            text.mark([(at, at + 1)], State.TAKEN)
            return _find_around(parts, at)
    return None


def _asks_which_is_more(mentions: Sequence[Mention], text: Text) -> bool:
    """Whether "more", "higher" or the like asks to choose: "were there more in 2014 or 2015?"."""
    words = [token.word for token in text.tokens]
    mores = [
        mention.at
        for mention in mentions
        if (mention.slot == "more" and words[mention.at] != "between") or key_of(mention) == "pace"
    ]
    if not mores:
        return False
    if "or" in words:
        return True
    return "which" in words[: mores[0]] and "and" in words[: words.index("which")]


def _spans_years(mention: DateMention) -> bool:
    return mention.first is None or mention.last is None or mention.first.year < mention.last.year


def _is_run_of_years(part: Part) -> bool:
    """Whether a range has years between its ends, which a comparison of the ends would pass over."""
    if not isinstance(part, DateMention) or part.halves is None:
        return False
    first, last = part.halves
    return last.first.year - first.last.year > 1 and all(map(_is_year, part.halves))


def _is_year(period: Period) -> bool:
    return period == Period(date(period.first.year, 1, 1), date(period.first.year, 12, 31))


def _find_around(parts: Sequence[Part], than: int) -> Sides | None:
    """Part the sides at the token ``than``: what both say is compared, what one says holds for both."""
    before = [part for part in parts if part.at < than]
    after = [part for part in parts if part.at > than]
    contested = {slot_of(part) for part in before} & {slot_of(part) for part in after}
    contested = {slot for slot in contested if _said(before, slot) != _said(after, slot)}
    if not contested:
        # "Fire permits outnumber sprinklers": two kinds of things, each told by another field.
        kinds = [[slot_of(part) for part in side if slot_of(part) in _KINDS] for side in (before, after)]
        if list(map(len, kinds)) != [1, 1] or kinds[0] == kinds[1]:
            return None
        contested = {*kinds[0], *kinds[1]}
    shared = [part for part in parts if slot_of(part) not in contested]
    left, right = ([part for part in side if slot_of(part) in contested] for side in (before, after))
    return Sides(shared + left, shared + right, [])


def _find_pair(parts: Sequence[Part], slots: Sequence[str] = (*COLUMNS, *FIELDS)) -> Sides | None:
    """Set the first two different things of one kind beside each other; a third one is not used."""
    for slot in slots:
        said = {_value(part): part for part in reversed(parts) if slot_of(part) == slot}
        if len(said) >= 2:
            first, second, *unused = sorted(said.values(), key=lambda part: part.at)
            shared = [part for part in parts if slot_of(part) != slot]
            return Sides([*shared, first], [*shared, second], unused)
    return None


def _find_ends(parts: Sequence[Part]) -> Sides | None:
    """Set the two ends of a range of days beside each other."""
    ranges = [part for part in parts if isinstance(part, DateMention) and part.halves]
    if len(ranges) != 1 or ranges[0].halves is None:
        return None
    shared = [part for part in parts if part is not ranges[0]]
    left, right = (replace(ranges[0], first=half.first, last=half.last) for half in ranges[0].halves)
    return Sides([*shared, left], [*shared, right], [])


def _value(part: Part) -> tuple[object, ...]:
    return part.values if isinstance(part, Mention) else (part.first, part.last)


def _said(parts: Sequence[Part], slot: str) -> set[tuple[object, ...]]:
    return {_value(part) for part in parts if slot_of(part) == slot}
