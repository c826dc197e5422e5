"""Two permits at one address: "solar and battery at the same address", "demolition followed by new construction"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.ask.grammar.comparing import Sides
from app.ask.grammar.dates import DateMention
from app.ask.grammar.filters import Part, slot_of
from app.ask.grammar.lexicon import BETWEEN_PAIR
from app.ask.grammar.mentions import Mention
from app.ask.grammar.text import State, Text
from app.ask.plan import Sequence as Order

_OWNING = frozenset(
    "with have has having had got get received receive combine combines combining saw that which".split()
)
_GAP = frozenset(BETWEEN_PAIR)
LONGEST_BETWEEN = 16
"""Words between what has an address and the first kind: "homes in 78704 with both a pool"."""
_LATER = frozenset({"later", "after", "afterwards", "then", "second", "next"})
_PAIRED = frozenset({"category", "permit_type"})


@dataclass(frozen=True)
class Pair:
    """The two sides, in the order in which they follow each other where they do."""

    sides: Sides
    order: Order


def split_rebuilt(mentions: Sequence[Mention]) -> list[Mention]:
    """Read "torn down and rebuilt", and "rebuilt" behind a demolition, as a new building that follows it."""
    split: list[Mention] = []
    for mention in mentions:
        if mention.slot == "joined" and mention.values == ("again_built",):
            if any(one.values == ("demolition",) for one in split):
                has_then = any(one.values == ("then",) for one in split)
                split += [] if has_then else [replace(mention, values=("then",), end=mention.at)]
                split.append(Mention("category", ("new_construction",), mention.at, mention.end))
            else:
                split.append(replace(mention, slot="refused", values=()))
            continue
        if mention.slot == "joined" and mention.values == ("rebuilt",):
            last = mention.end - 1
            split += [
                Mention("category", ("demolition",), mention.at, mention.at + 1),
                Mention("joined", ("then",), mention.at + 1, last),
                Mention("category", ("new_construction",), last, mention.end),
            ]
        else:
            split.append(mention)
    return split


def read_after(text: Text, mentions: Sequence[Mention]) -> list[Mention]:
    """Read "new construction after demolition": the word between two categories turns their order round."""
    pair = [mention for mention in mentions if mention.slot in _PAIRED]
    if len(pair) != 2:
        return list(mentions)
    gap = range(pair[0].end, pair[1].at)
    firsts = [at for at in gap if text.tokens[at].word == "first"]
    behind = [token.word for token in text.tokens[pair[1].end : pair[1].end + 2]]
    if firsts and not _LATER.isdisjoint(behind):
        text.mark([(firsts[0], firsts[0] + 1)], State.TAKEN)
        ends = range(pair[1].end, pair[1].end + len(behind))
        text.mark(((at, at + 1) for at in ends if text.tokens[at].word in _LATER), State.TAKEN)
        then = Mention("joined", ("then",), firsts[0], firsts[0] + 1)
        return sorted([*mentions, then], key=lambda mention: mention.at)
    words = [(at, text.tokens[at].word) for at in gap if text.tokens[at].word not in _GAP]
    if len(words) != 1 or words[0][1] not in {"after", "before"}:
        return list(mentions)
    at, word = words[0]
    text.mark([(at, at + 1)], State.TAKEN)
    order = "then" if word == "before" else "after"
    return sorted([*mentions, Mention("joined", (order,), at, at + 1)], key=lambda mention: mention.at)


def opens_address(text: Text, mentions: Sequence[Mention]) -> bool:
    """Whether things that have an address are said to have two kinds: "homes with both solar and a battery"."""
    pair = [mention for mention in mentions if mention.slot in _PAIRED]
    gap = [text.tokens[at].word for at in range(pair[0].end, pair[1].at)] if len(pair) == 2 else []
    joints = {"and", "plus"} | ({"with"} if any(token.word.startswith("combin") for token in text.tokens) else set())
    if sum(word in joints for word in gap) != 1:
        return False
    objects = [mention for mention in mentions if mention.slot == "object" and mention.end <= pair[0].at]
    if not objects:
        return False
    between = [token.word for token in text.tokens[objects[-1].end : pair[0].at]]
    return not _OWNING.isdisjoint(between) and len(between) <= LONGEST_BETWEEN


def find_pair(text: Text, mentions: Sequence[Mention], parts: Sequence[Part]) -> Pair | None:
    """Find the two kinds of permits that stand at one address, where a question says that they do."""
    cues = [mention for mention in mentions if mention.slot == "joined"]
    if not cues and not opens_address(text, mentions):
        return None
    pair = [part for part in parts if slot_of(part) in _PAIRED]
    if len(pair) != 2 or _same(pair[0], pair[1]):
        return None
    cue = next((mention for mention in cues if mention.values[0] in {"then", "after"}), None)
    if cue is not None and not pair[0].at < cue.at < pair[1].at:
        return None
    first, second = pair if cue is None or cue.values[0] == "then" else (pair[1], pair[0])
    left, right = _share_out(parts, first, second, cue)
    return Pair(Sides(left, right, []), "then" if cue else "any")


def _same(one: Part, other: Part) -> bool:
    return isinstance(one, Mention) and isinstance(other, Mention) and one.values == other.values


def _share_out(parts: Sequence[Part], first: Part, second: Part, cue: Mention | None) -> tuple[list[Part], list[Part]]:
    """Give both sides what is said of both; days stand with the kind they follow, where each has its own."""
    kinds = (first, second)
    others = [part for part in parts if part not in kinds]
    days = [part for part in others if isinstance(part, DateMention)]
    low, high = sorted((first.at, second.at))
    inner = [day for day in days if low < day.at < high and (cue is None or day.at < cue.at)]
    if not inner:
        return [first, *others], [second, *others]
    shared = [part for part in others if part not in days or part.at < low]
    early, late = inner, [day for day in days if day not in inner and day not in shared]
    if first.at > second.at:
        early, late = late, early
    return [first, *shared, *early], [second, *shared, *late]
