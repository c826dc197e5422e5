"""What a question wants to leave out: read where a filter can say it, and otherwise the whole clause is left over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.ask.grammar.filters import KIND_FIELDS, Part, slot_of
from app.ask.grammar.lexicon import NEGATION
from app.ask.grammar.text import Found, State, Text, rule

MOST_READ = 4
"""With more such words than that none is read, which bounds the time that it takes."""
_ORDERS = frozenset(NEGATION["orders"])
_WORDS = "|".join(sorted(_ORDERS.union(NEGATION["words"]), key=len, reverse=True)).replace(
    "|non|", "|non(?! residential(?![^ ]))|"
)
_BUT_NOT_BEFORE = "|".join(NEGATION["but_not_before"])
_SIGN = rule(rf"(?:{_WORDS})(?! (?:{_BUT_NOT_BEFORE})(?![^ ]))")
_CLAUSE = rule(rf"(?:{_WORDS})(?! (?:{_BUT_NOT_BEFORE})(?![^ ]))(?: (?!,(?![^ ]))[^ ]+)*")
_ALTERNATIVE = rule(
    r"not (?:the |an? )?(?:mean|average|median|sum|total|list|number|count)(?= ,|$| but )"
    r"|not (?:mean|average|median)(?= )|not (?:per|by) (?:year|quarter|month)"
)
_FORMER = rule(r"(?:instead of|rather than)(?: (?!,(?![^ ]))[^ ]+){1,4}")
_READABLE = frozenset(NEGATION["readable"])
_BETWEEN = frozenset(NEGATION["between"])
_JOINTS = frozenset(NEGATION["joints"])
_ASKING = frozenset(NEGATION["asking"])
_POSTPOSED = frozenset(NEGATION["postposed"])


@dataclass(frozen=True)
class Sign:
    """A word that turns what follows into its opposite: the tokens ``at`` to ``end`` (exclusive)."""

    at: int
    end: int


def set_aside_negations(text: Text) -> str | None:
    """Put every clause that begins with "not", "except" or the like beyond the reach of the other rules.

    Gives the first such word, as written. An order to ignore something goes the same way, but leaves nothing out.
    """
    found = text.find_all(_CLAUSE)
    text.set_aside(*found)
    words = (text.tokens[span.first] for span in found)
    return next((token.raw for token in words if token.word not in _ORDERS), None)


def drop_alternatives(text: Text) -> None:
    """Take "not the mean" behind a median: it says again what is wanted."""
    text.take(*text.find_all(_ALTERNATIVE))


def drop_former(text: Text) -> None:
    """Take "instead of by ZIP" in a follow-up: what was asked before is replaced anyway."""
    text.take(*text.find_all(_FORMER))


def take_signs(text: Text) -> list[Sign] | None:
    """Take the words that leave something out, or give None where one of them, or their number, cannot be read."""
    found = text.find_all(_SIGN)
    has_neither = any(span.match.group() == "neither" for span in found)
    if has_neither:
        text.take(*(span for span in found if span.match.group() == "nor"))
        found = [span for span in found if span.match.group() != "nor"]
    if len(found) > MOST_READ or not all(_is_readable(text, span) for span in found):
        return None
    text.take(*found)
    return [Sign(span.first, span.end) for span in found]


def _is_readable(text: Text, found: Found) -> bool:
    before = text.words_before(found.first, 2)
    if found.match.group() == "no":
        return before[:1] == [","] or before[:1] == ["but"]
    if found.match.group() not in _READABLE:
        return False
    is_asking = found.match.group() == "not" and bool(before) and before[0] in _ASKING
    return not (is_asking and (len(before) == 1 or before[1] == ","))


def find_left_out(text: Text, signs: Sequence[Sign], parts: Sequence[Part]) -> list[list[Part]] | None:
    """Give what each sign leaves out, or None where one leaves out what no filter holds, or something also wanted."""
    row = sorted(parts, key=lambda part: part.at)
    found = [_find_before(text, sign, row) or _find_behind(text, sign, row) for sign in signs]
    left_out = [part for run in found if run for part in run]
    if not all(found) or len({(part.at, part.end) for part in left_out}) < len(left_out):
        return None
    wanted = {value for part in row if part not in left_out for value in _values(part)}
    if any(value in wanted for part in left_out for value in _values(part)):
        return None
    return [run for run in found if run]


def _find_before(text: Text, sign: Sign, row: Sequence[Part]) -> list[Part] | None:
    """Give the part before "excluded" where that ends its clause: "pools, commercial ones excluded"."""
    said = " ".join(token.word for token in text.tokens[sign.at : sign.end])
    if said not in _POSTPOSED or [token.word for token in text.tokens[sign.end : sign.end + 1]] not in ([], [","]):
        return None
    before = [part for part in row if part.end <= sign.at]
    if not before or not _BETWEEN.issuperset(_words(text, before[-1].end, sign.at)):
        return None
    run = before[-1:]
    for part in reversed(before[:-1]):
        gap = _words(text, part.end, run[0].at)
        if slot_of(part) != slot_of(run[0]) or not gap or not _JOINTS.issuperset(gap):
            break
        run.insert(0, part)
    opens = [word for word in text.words_before(run[0].at, 2) if word != "the"]
    return run if not opens or opens[0] in {",", "with", "and", "any", "all"} else None


def _find_behind(text: Text, sign: Sign, row: Sequence[Part]) -> list[Part] | None:
    """Give the parts right behind a sign: of one slot, joined by "and" or "or", or side by side in one permit."""
    behind = [part for part in row if part.at >= sign.end]
    if not behind or not _BETWEEN.issuperset(_words(text, sign.end, behind[0].at)):
        return None
    run = behind[:1]
    for part in behind[1:]:
        gap = _words(text, run[-1].end, part.at)
        joint = [word for word in gap if word not in _BETWEEN]
        slots = {slot_of(one) for one in run}
        is_same = slot_of(part) in slots
        if not gap:
            if text.tokens[sign.at].word == "non":
                return run
            if is_same or not {*slots, slot_of(part)} <= KIND_FIELDS:
                return None if is_same else run
        elif not joint or not _JOINTS.issuperset(joint):
            return run
        elif not is_same:
            # "Excluding residential and solar" leaves out either, which one filter cannot say.
            return None if slot_of(part) in KIND_FIELDS and joint != [","] else run
        elif len(slots) > 1:
            return None
        run.append(part)
    return run


def _words(text: Text, first: int, end: int) -> list[str]:
    return [token.word if token.state is not State.ASIDE else "|" for token in text.tokens[first:end]]


def _values(part: Part) -> Iterator[tuple[object, ...]]:
    """Give what a part says, so that the same thing can be told to be both wanted and left out."""
    values: tuple[object, ...] = getattr(part, "values", ())
    yield from ((slot_of(part), value) for value in values)
