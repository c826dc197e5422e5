"""Shares: which permits are the part and which the whole, in "what percentage of pools in 2015 are in 78704"."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.ask.grammar.comparing import Sides
from app.ask.grammar.filters import KIND_FIELDS, Part, slot_of
from app.ask.grammar.kinds import key_of
from app.ask.grammar.lexicon import COPULAS, MAKING_UP
from app.ask.grammar.mentions import Mention
from app.ask.grammar.text import State, Text

_RELATIVE = frozenset({"that", "which"})
_AMONG = frozenset({"among", "amongst", "out"})
_PLACES = frozenset({"zip", "district", "region"})


@dataclass(frozen=True)
class Share:
    """The sides of a share, the part first, or None; ``at`` is where the words for the part begin.

    ``is_bare`` tells that nothing but cost, or what is left out, can be the part.
    """

    sides: Sides | None
    at: int
    is_bare: bool = False


def find_share(mentions: Sequence[Mention], parts: Sequence[Part], text: Text, *, is_narrowed: bool) -> Share | None:
    """Find part and whole, where a question has a word for a share; the whole holds for the part too.

    ``is_narrowed`` tells whether cost, or what is left out, narrows permits down beside ``parts``.
    """
    share = next((mention for mention in mentions if key_of(mention) == "share"), None)
    if share is None:
        return None
    before = [part for part in parts if part.end <= share.at]
    behind = [part for part in parts if part.at >= share.end]
    if before and behind and _makes_up(text, share.at):
        return Share(_to_sides(before, behind), share.at)
    copula = _find_copula(text, share.end)
    parted = _part_at(copula, parts, behind) if copula is not None else None
    return parted or _part_by_kind(share, parts, text, is_narrowed=is_narrowed)


def _part_at(copula: int, parts: Sequence[Part], behind: Sequence[Part]) -> Share | None:
    """Take what stands behind the copula for the part; None where nothing there can be."""
    said = [part for part in behind if part.at > copula]
    part = _strongest(said)
    statuses = [one for one in part if slot_of(one) == "status"]
    if statuses and len(part) > len(statuses) and len(said) == len(behind):
        part = statuses  # "in what percentage of cases has a pool permit expired"
    if said and not part:
        return None
    return Share(_to_sides(part, [one for one in parts if one not in part]), copula, is_bare=not said)


def _part_by_kind(share: Mention, parts: Sequence[Part], text: Text, *, is_narrowed: bool) -> Share:
    """Take what says of which kind permits are for the part: "the share of solar permits in 78704"."""
    before = [part for part in parts if part.end <= share.at]
    behind = [part for part in parts if part.at >= share.end]
    among = next((at for at in range(share.end, len(text.tokens)) if text.tokens[at].word in _AMONG), None)
    if among is not None:
        text.mark([(among, among + 1)], State.TAKEN)
        said = [one for one in behind if one.at < among]
        if is_narrowed and not any(slot_of(one) in KIND_FIELDS for one in said):
            return Share(_to_sides([], list(parts)), share.at, is_bare=True)
    elif any(slot_of(one) in KIND_FIELDS for one in before):
        said = before
    else:
        said = [one for one in behind if slot_of(one) in KIND_FIELDS]
        if is_narrowed:
            # "What share of pool permits over $50,000": nothing else can be the part.
            return Share(_to_sides([], list(parts)), share.at, is_bare=True)
        last = max((one.at for one in said), default=None)
        if len({slot_of(one) for one in said}) > 1:
            # "What share of pool permits expired": a status behind its noun is a verb.
            said = [one for one in said if one.at == last and slot_of(one) == "status"]
            if not said:
                return Share(None, share.at)
    part = [one for one in said if slot_of(one) in KIND_FIELDS]
    return Share(_to_sides(part, [one for one in parts if one not in part]), share.at)


def _makes_up(text: Text, at: int) -> bool:
    """Whether right before a word for a share stands what has it: "Mueller makes up what share of permits"."""
    said = " ".join(reversed(text.words_before(at, 2)))
    found = next((words for words in MAKING_UP if f" {said}".endswith(f" {words}")), None)
    if found:
        text.mark([(at - found.count(" ") - 1, at)], State.TAKEN)
    return found is not None


def _find_copula(text: Text, start: int) -> int | None:
    """Find the word that parts the two: the first that begins no relative clause, or else the first that does."""
    found = [at for at in range(start, len(text.tokens)) if text.tokens[at].word in COPULAS]
    plain = (at for at in found if text.tokens[at - 1].word not in _RELATIVE)
    return next(plain, found[0] if found else None)


def _strongest(said: Sequence[Part]) -> list[Part]:
    """Give what is said of the part: what permits are, or else where, or else when; the rest holds for the whole."""
    for slots in (KIND_FIELDS, _PLACES):
        chosen = [part for part in said if slot_of(part) in slots]
        if chosen:
            return chosen
    return list(said)


def _to_sides(part: list[Part], whole: list[Part]) -> Sides | None:
    """Set the two beside each other; none where a thing is said of both, which one filter cannot hold."""
    if {slot_of(one) for one in part} & {slot_of(one) for one in whole}:
        return None
    return Sides([*whole, *part], whole, [])
