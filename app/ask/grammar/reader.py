"""From a question to a reading: the rules in their order. Each takes its words, and no later one can have them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import cast

from app.ask.grammar.claims import fold_bounds, take_premise, take_tags
from app.ask.grammar.comparing import Sides, changes_over_years, find_comparison
from app.ask.grammar.counts import take_limit
from app.ask.grammar.dates import DateMention, Period, take_dates
from app.ask.grammar.doubts import find_together, find_unclear, quote
from app.ask.grammar.filters import FIELDS, KIND_FIELDS, Part, build_filter
from app.ask.grammar.joining import Pair, find_pair, opens_address, read_after, split_rebuilt
from app.ask.grammar.kinds import PLACES_AND_FIRMS, Signs, Wish, decide, find_said, find_unused, has_subject, key_of
from app.ask.grammar.lexicon import (
    CHANGED,
    COPULAS,
    GOING_UP,
    GROUP_SAYS,
    HERE_AT,
    HOMES,
    NOTES,
    STOP_WORDS,
    UNCLEAR,
    Slot,
)
from app.ask.grammar.mentions import Mention, take_mentions, take_own_words
from app.ask.grammar.money import Bounds, find_unheld_bound, take_value_bounds
from app.ask.grammar.negation import drop_alternatives, drop_former, find_left_out, set_aside_negations, take_signs
from app.ask.grammar.places import find_place_runs, take_districts, take_place, take_regions, take_zips
from app.ask.grammar.preamble import take_preamble
from app.ask.grammar.radii import find_least_distance, fold_distances, take_radius
from app.ask.grammar.reading import Bound, Context, Here, Place, Premise, Reading, Topic
from app.ask.grammar.shares import Share, find_share
from app.ask.grammar.spelling import correct_spelling
from app.ask.grammar.text import Found, State, Text
from app.ask.plan import Kind, Order
from app.permits.filters import PermitFilter

PRICIER = frozenset({"more expensive", "pricier", "costlier"})
PASSED_OVER = frozenset({"weather", "population"})
PASSED_WORDS = frozenset({"mayor", "president", "news", "traffic", "election", "bus"})
"""Topics, and words of others, that may stand in a question about permits."""
LONGEST_HOW_LONG = 3
"""Words of "how long do": what is longer, "how long does it take", asks for advice unless it is about a permit."""


@dataclass(frozen=True)
class _Heard:
    """What the rules took out of a question."""

    text: Text
    mentions: list[Mention]
    dates: list[DateMention]
    bounds: Bounds
    placed: Reading
    """The reading so far: where, how far, and what is negated."""
    today: date
    is_tagged: bool = False
    """Whether it ends in "correct?" or the like."""
    left_out: list[Part] = field(default_factory=list)

    @property
    def parts(self) -> list[Part]:
        """What narrows permits down."""
        return [*self.dates, *(mention for mention in self.mentions if mention.slot in FIELDS)]

    def says_area(self) -> bool:
        """Whether a ZIP, a district or another region was mentioned."""
        return self.says("zip") or self.says("district") or self.says("region")

    def says(self, slot: Slot) -> bool:
        """Whether something was mentioned for a slot."""
        return any(mention.slot == slot for mention in self.mentions)


def read(question: str, *, today: date, context: Context) -> Reading:
    """Read a question by rules alone, in a time that grows with its length and no faster.

    A question that names permits and no kind of answer wants rows: the nearest where there is a point, and otherwise
    the newest.
    """
    heard = _hear(question, today, context)
    if heard is None:
        heard = _hear_without_negated(question, today, context)
    return _interpret(heard, context)


def _hear(question: str, today: date, context: Context) -> _Heard | None:
    """Hear a question of which all that is negated can be left out by a filter; None where it cannot."""
    text = Text(question)
    take_preamble(text, question)
    is_tagged = take_tags(text)
    drop_alternatives(text)
    if context.follows:
        drop_former(text)
    signs = take_signs(text)
    if signs is None:
        return None
    heard = replace(_hear_rest(text, today, context), is_tagged=is_tagged)
    if not signs:
        return _settle(heard, context)
    runs = find_left_out(text, signs, heard.parts)
    if runs is None:
        return None
    left_out = [part for run in runs for part in run]
    kept = replace(
        heard,
        mentions=[mention for mention in heard.mentions if mention not in left_out],
        dates=[mention for mention in heard.dates if mention not in left_out],
        left_out=left_out,
    )
    return _settle(kept, context)


def _hear_without_negated(question: str, today: date, context: Context) -> _Heard:
    """Hear a question with every clause that is negated left over."""
    text = Text(question)
    take_preamble(text, question)
    is_tagged = take_tags(text)
    negation = set_aside_negations(text)
    heard = _settle(_hear_rest(text, today, context), context)
    return replace(heard, is_tagged=is_tagged, placed=replace(heard.placed, negation=negation))


def _hear_rest(text: Text, today: date, context: Context) -> _Heard:
    """Run the rules in their order: where, how much, when, how far, and then the phrases."""
    place, at_place = take_place(text, context)
    own = [*take_own_words(text, context), *take_regions(text, context)]
    correct_spelling(text)
    own += take_districts(text)
    bounds = take_value_bounds(text)
    unheld = _quote_found(text, find_unheld_bound(text))
    dates = take_dates(text, today, before=Period(*context.days_before) if context.days_before else None)
    fold_distances(text)
    unheld = unheld or _quote_found(text, find_least_distance(text))
    radius_m = take_radius(text)
    fold_bounds(text)
    mentions = sorted([*own, *take_zips(text), *take_mentions(text, context)], key=lambda mention: mention.at)
    placed = Reading(
        place=place, at_place=at_place and radius_m is None, radius_m=radius_m, unclear=unheld, notes=_find_notes(text)
    )
    return _Heard(text, split_rebuilt(mentions), dates, bounds, placed, today)


def _settle(heard: _Heard, context: Context) -> _Heard:
    """Settle what words mean beside each other, once it is known which of them are left out."""
    text = heard.text
    mentions = read_after(text, _read_makers(text, _read_compared_with(text, heard.mentions)))
    mentions = _drop_included(text, mentions)
    mentions = _pass_over_topics(text, _read_pricier(text, _drop_falling_in(text, mentions)))
    mentions = _read_new_since(heard, _read_going_up(text, _read_how_much_of(text, mentions)))
    is_joined = opens_address(text, mentions) or any(mention.slot == "joined" for mention in mentions)
    together = () if is_joined else find_together(text, mentions)
    mentions = _read_homes(text, mentions if is_joined else _drop_unmeant(text, mentions))
    if is_joined:
        text.mark(((at, at + 1) for at, token in enumerate(text.tokens) if token.word == "both"), State.TAKEN)
    placed = replace(heard.placed, together=together)
    if placed.place is None:
        place, at_place = _find_here(text, mentions)
        placed = replace(placed, place=place, at_place=at_place and placed.radius_m is None)
    return replace(heard, mentions=mentions, placed=placed)


def _read_new_since(heard: _Heard, mentions: list[Mention]) -> list[Mention]:
    """Read "what's new since March" and "permits that changed since March" as what changed since that day.

    Without such a day it is the newest, or a change of figures.
    """
    since = _find_since_mention(heard)
    if since is None:
        return mentions
    is_open = since.last is None
    return [
        replace(mention, slot="kind", values=("changed",))
        if (is_open and _says_new(mention, heard.text)) or _says_changed(mention, heard.text)
        else mention
        for mention in mentions
    ]


def _says_new(mention: Mention, text: Text) -> bool:
    words = [token.word for token in text.tokens[mention.at : mention.end]]
    return mention.values == ("newest",) and words[1:2] == ["new"]


def _says_changed(mention: Mention, text: Text) -> bool:
    """Tell "which permits changed" and "any changes near me" from "how have permits changed" and "changes in pools"."""
    words = [token.word for token in text.tokens]
    if mention.slot != "change" or words[mention.at] not in CHANGED["words"] or not CHANGED["how"].isdisjoint(words):
        return False
    if words[mention.at] != "changed":
        return words[mention.end : mention.end + 1] != ["in"]
    return not CHANGED["before"].isdisjoint(words[: mention.at])


def _read_pricier(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Read "the permit more expensive" as the most expensive, where nothing is compared."""
    compared = {"than", "more", "change", "series", "period"}
    words = {token.word for token in text.tokens}
    if "or" in words or any(mention.slot in compared or key_of(mention) in compared for mention in mentions):
        return mentions
    return [
        replace(mention, slot="order", values=("priciest",)) if _said(mention, text) in PRICIER else mention
        for mention in mentions
    ]


def _drop_included(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Drop "including commercial ones": it says that nothing is left out."""
    dropped = [
        mention
        for mention in mentions
        if mention.slot == "permit_class" and not {"including", "included"}.isdisjoint(text.words_before(mention.at, 2))
    ]
    text.mark(((at, at + 1) for mention in dropped for at in range(max(0, mention.at - 2), mention.at)), State.TAKEN)
    ends = [mention.at for mention in dropped]
    return [
        mention
        for mention in mentions
        if mention not in dropped and not (mention.slot == "both" and any(0 < at - mention.at <= 2 for at in ends))
    ]


def _pass_over_topics(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Leave over a word of another topic in a question that names a kind of permits: "the mayor says that remodels"."""
    if not any(mention.slot in KIND_FIELDS for mention in mentions):
        return mentions
    passed = [
        one
        for one in mentions
        if one.slot == "declined" and (one.values[0] in PASSED_OVER or _said(one, text) in PASSED_WORDS)
    ]
    _set_aside(text, passed)
    return [mention for mention in mentions if mention not in passed]


def _drop_falling_in(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Drop the change in "permits that fall in district 3", or in "what share falls": it says where they lie."""
    has_share = any(key_of(mention) == "share" for mention in mentions)
    lying = [
        mention
        for mention in mentions
        if mention.slot == "change"
        and text.tokens[mention.at].word in COPULAS
        and (has_share or not {"that", "which"}.isdisjoint(text.words_before(mention.at, 1)))
    ]
    return [mention for mention in mentions if mention not in lying]


def _read_how_much_of(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Read "how much of 2014's demolitions was" as a share: what stands between was a date's already."""
    return [
        replace(mention, slot="kind", values=("share",))
        if mention.slot == "how_much" and [token.word for token in text.tokens[mention.end : mention.end + 1]] == ["of"]
        else mention
        for mention in mentions
    ]


def _read_going_up(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Tell "have pools gone up" from "how many signs have gone up", where they were built."""
    rising = [mention for mention in mentions if mention.slot == "change" and _said(mention, text) in GOING_UP["words"]]
    asked = [token.word for token in text.tokens[:2]]
    is_asked = bool(asked) and asked[0] in GOING_UP["asking"] and asked[-1] not in GOING_UP["things"]
    if not rising or is_asked or any(token.word in {"%", "percent", "pct"} for token in text.tokens):
        return mentions
    return [replace(mention, slot="subject") if mention in rising else mention for mention in mentions]


def _said(mention: Mention, text: Text) -> str:
    return " ".join(token.word for token in text.tokens[mention.at : mention.end])


def _find_notes(text: Text) -> tuple[str, ...]:
    """Give what is to be said of words that were taken in one of several ways."""
    taken = {token.raw.lower() for token in text.tokens if token.state is State.TAKEN or token.is_folded}
    return tuple(dict.fromkeys(note for word, note in NOTES.items() if word in taken and word != "average"))


def _read_makers(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Hear the category in "solar installers" too."""
    said = [
        Mention("category", (GROUP_SAYS[name],), mention.at, mention.at + 1)
        for mention in mentions
        if mention.slot == "group"
        and (name := " ".join(token.word for token in text.tokens[mention.at : mention.end])) in GROUP_SAYS
    ]
    return sorted([*mentions, *said], key=lambda mention: mention.at)


def _quote_found(text: Text, found: Found | None) -> str | None:
    return " ".join(token.raw for token in text.tokens[found.first : found.end]) if found else None


def _drop_unmeant(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Drop what cannot be meant as it stands: it is left over."""
    dropped = [mention for mention in mentions if mention.slot in {"refused", "both"}]
    for before, joint, after in zip(mentions, mentions[1:], mentions[2:], strict=False):
        # "Solar with battery": one permit that is both.
        if joint.slot == "both" and before.slot == after.slot == "category" and after.at <= joint.end + 1:
            dropped.append(after)
    _set_aside(text, dropped)
    return [mention for mention in mentions if mention not in dropped]


def _read_compared_with(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Read "with" as what parts the sides in "compare pools with decks"."""
    compares = [mention.at for mention in mentions if mention.values == ("compare",)]
    joints = [mention for mention in mentions if mention.slot == "both" and text.tokens[mention.at].word == "with"]
    if not compares or len(joints) != 1 or any(mention.slot == "than" for mention in mentions):
        return mentions
    return [replace(mention, slot="than") if mention is joints[0] else mention for mention in mentions]


def _read_homes(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Read "new homes" as residential where nothing else is asked for; otherwise the word is left over."""
    said = [mention for mention in mentions if mention.slot == "category"]
    classes = [mention for mention in mentions if mention.slot == "permit_class"]
    added: list[Mention] = []
    for mention in said:
        if HOMES["categories"].count(mention.values[0]):
            for at in range(mention.at, mention.end):
                word = text.tokens[at].word
                permit_class = next((name for name, words in HOMES["classes"].items() if word in words), None)
                if permit_class and len(said) == 1 and not classes:
                    added.append(Mention("permit_class", (permit_class,), mention.at, mention.end))
                elif permit_class or word in HOMES["narrower"]:
                    text.mark([(at, at + 1)], State.ASIDE)
    return sorted([*mentions, *added[:1]], key=lambda mention: mention.at)


def _find_here(text: Text, mentions: Sequence[Mention]) -> tuple[Place | None, bool]:
    here = next((mention for mention in mentions if mention.slot == "here"), None)
    if here is None:
        return None, False
    return Here(), not HERE_AT.isdisjoint(text.words_before(here.at, 1))


def _interpret(heard: _Heard, context: Context) -> Reading:
    """Decide what it all comes to together, and leave over what does not fit."""
    text, mentions, placed = heard.text, heard.mentions, heard.placed
    premise = take_premise(text, mentions, is_tagged=heard.is_tagged)
    heard, premise = _claim_bound(heard, premise)
    mentions = _drop_claimed(text, mentions, premise)
    pair = find_pair(text, mentions, heard.parts)
    sides = None if pair or _changed_since(heard) else find_comparison(mentions, heard.parts, premise, text)
    wish = decide(mentions, text, _read_signs(heard, context, sides, premise, pair))
    wish, region_kind = _find_region_kind(wish, context)
    share = _find_share(heard) if wish.kind == "share" else None
    since = _find_since(heard) if wish.kind == "changed" else None
    limit = take_limit(text, mentions, wish)
    sides = pair.sides if pair else share.sides if share else sides
    where, other, unread = _build_filters(heard, sides, is_since=since is not None)
    if wish.group_by == "permit_class" and len(where.permit_class) > 1:
        where = where.model_copy(update={"permit_class": ()})  # "by class, residential or commercial"
    without, is_part_without = _build_without(heard, share)
    other = _free_whole(heard, share, other)
    unused = [
        *find_unused(mentions, wish, text, has_premise=premise is not None),
        *(mention for mention in mentions if mention.slot == "again" and not context.follows),
    ]
    if premise is not None and premise.unit == "percent":
        unused = [mention for mention in unused if key_of(mention) != "share"]
    _set_aside(text, unused)
    leftovers = text.leftovers()
    unclear = placed.unclear or find_unclear(
        text,
        heard.parts,
        unread,
        compares=sides is not None,
        joins=pair is not None,
        unused=[] if context.follows else find_gaps(unused, wish.kind),
    )
    if wish.kind in {"mean", "median"} and not any(key_of(one) == "value_usd" for one in mentions):
        unclear = unclear or _quote_unmeasured(heard, wish.kind)
    if wish.kind == "series":
        unclear = unclear or _quote_applied(heard)
    if share and not _is_whole(share, where, other, is_part_without=is_part_without):
        unclear = unclear or _quote_key(heard, "share")
    return replace(
        placed,
        kind=wish.kind,
        where=where,
        versus=None if pair else other,
        beside=other if pair else None,
        sequence=pair.order if pair else None,
        without=without,
        is_part_without=is_part_without,
        since=since,
        measure=wish.measure,
        group_by=wish.group_by,
        region_kind=region_kind,
        period=wish.period,
        order=wish.order,
        limit=limit,
        place=placed.place or _implied_place(heard, wish.order, leftovers),
        has_subject=has_subject(mentions, text) or without is not None,
        declined=_find_topic(text, mentions, unused, wish),
        premise=premise,
        unclear=unclear,
        leftovers=leftovers,
        open_runs=text.open_runs(),
        place_runs=find_place_runs(text),
        corrections=tuple(text.corrections),
        notes=(*placed.notes, *_note_average(heard, wish)),
        said=find_said(mentions, unused),
    )


def _drop_claimed(text: Text, mentions: list[Mention], premise: Premise | None) -> list[Mention]:
    """Drop the "more than" of "more than 30 %", which the claim has."""
    if premise is None or premise.unit != "percent" or premise.bound == "exactly":
        return mentions
    return [
        mention
        for mention in mentions
        if mention.slot not in {"more", "than"}
        or not any(token.word[:1].isdigit() for token in text.tokens[mention.end : mention.end + 2])
    ]


def _claim_bound(heard: _Heard, premise: Premise | None) -> tuple[_Heard, Premise | None]:
    """Read a bound of an average that is claimed as the claim: "the median pool is over $60,000, right?"."""
    is_claim = heard.is_tagged or any(mention.slot == "premise" for mention in heard.mentions)
    is_average = any(key_of(mention) in {"mean", "median", "value_usd"} for mention in heard.mentions)
    low, high = heard.bounds
    if premise is not None or not (is_claim and is_average) or (low is None) == (high is None):
        return heard, premise
    amount = low if low is not None else high
    assert amount is not None
    is_strict = amount != amount.to_integral_value()
    bound: Bound = ("more" if is_strict else "at_least") if low is not None else ("less" if is_strict else "at_most")
    return replace(heard, bounds=(None, None)), Premise(amount.quantize(Decimal(1)), "USD", bound)


def _find_share(heard: _Heard) -> Share | None:
    is_narrowed = heard.bounds != (None, None) or bool(heard.left_out)
    return find_share(heard.mentions, heard.parts, heard.text, is_narrowed=is_narrowed)


def _find_region_kind(wish: Wish, context: Context) -> tuple[Wish, str | None]:
    """Give which areas a ranking by region is of; where none are loaded that ranking is not understood."""
    if wish.group_by != "region":
        return wish, None
    kind = next((kind for kind in sorted(context.region_kinds) if "neighbo" in kind), None)
    return (
        (wish, kind) if kind else (replace(wish, kind="list", group_by=None, order="newest", measure="permits"), None)
    )


def _changed_since(heard: _Heard) -> bool:
    """Whether it is asked what changed since a day, which is no comparison of days."""
    return _find_since(heard) is not None and any(key_of(mention) == "changed" for mention in heard.mentions)


def _find_since(heard: _Heard) -> date | None:
    """Give the one day since when changes are asked for, up to now."""
    mention = _find_since_mention(heard)
    return mention.first if mention else None


def _find_since_mention(heard: _Heard) -> DateMention | None:
    open_ended = [
        mention
        for mention in heard.dates
        if mention.first is not None and (mention.last is None or mention.last >= heard.today)
    ]
    if len(heard.dates) > 1:
        open_ended = [mention for mention in open_ended if _follows_change(mention, heard)]
    return open_ended[0] if len(open_ended) == 1 else None


def _follows_change(mention: DateMention, heard: _Heard) -> bool:
    """Whether a day stands behind what tells of a change, nothing else between that has days."""
    cues = [one for one in heard.mentions if key_of(one) in {"changed", "change"} and one.end <= mention.at]
    return bool(cues) and not any(cues[-1].end <= other.at < mention.at for other in heard.dates)


def _is_whole(share: Share, where: PermitFilter, whole: PermitFilter | None, *, is_part_without: bool) -> bool:
    """Whether a part was found that the whole has more than."""
    return whole is not None and (where != whole or is_part_without)


def _free_whole(heard: _Heard, share: Share | None, whole: PermitFilter | None) -> PermitFilter | None:
    """Let bounds of cost hold for the part alone, where nothing else says what it is."""
    if share is None or not share.is_bare or whole is None:
        return whole
    return whole.model_copy(update={"min_value_usd": None, "max_value_usd": None})


def _build_without(heard: _Heard, share: Share | None) -> tuple[PermitFilter | None, bool]:
    """Build the filter of what is left out, and say whether it is so of the part of a share alone."""
    if not heard.left_out:
        return None, False
    without, _ = build_filter(heard.left_out, cities=(), bounds=(None, None))
    is_part = share is not None and share.is_bare and all(part.at > share.at for part in heard.left_out)
    return without, is_part


def _quote_applied(heard: _Heard) -> str | None:
    """Quote days of application in a series, which is by days of issue."""
    applied = [mention for mention in heard.dates if mention.column == "applied"]
    return quote(heard.text, applied) if applied else None


def _quote_unmeasured(heard: _Heard, kind: Kind) -> str | None:
    """Quote an average of something that no rule understood: "the average size of pools"."""
    at = next(mention.end for mention in heard.mentions if key_of(mention) == kind)
    words = (token for token in heard.text.tokens[at:] if token.word[:1].isalnum() or token.value is not None)
    behind = [token for token in words if token.word not in STOP_WORDS][:1]
    return _quote_key(heard, kind) if any(token.state is not State.TAKEN for token in behind) else None


def _quote_key(heard: _Heard, key: str) -> str | None:
    found = [mention for mention in heard.mentions if key_of(mention) == key]
    return quote(heard.text, found[:1]) if found else None


def _note_average(heard: _Heard, wish: Wish) -> tuple[str, ...]:
    """Say that a waiting time is told as a median, where an average was asked for."""
    is_mean = any(key_of(mention) == "mean" for mention in heard.mentions)
    return (NOTES["average"],) if is_mean and wish.measure == "days_to_issue" else ()


def find_gaps(unused: Sequence[Mention], kind: Kind | None) -> list[Mention]:
    """Give what of the unused would make another question of it, were it passed over."""
    keys = frozenset(UNCLEAR["unused"])
    return [
        mention
        for mention in unused
        if key_of(mention) in keys
        or (mention.slot == "group" and kind != "top" and mention.values[0] in PLACES_AND_FIRMS)
    ]


def _read_signs(
    heard: _Heard, context: Context, sides: Sides | None, premise: Premise | None, pair: Pair | None
) -> Signs:
    is_placed, has_zip = heard.placed.place is not None, heard.says_area()
    return Signs(
        compares=sides is not None,
        changes=pair is None and changes_over_years(heard.mentions, heard.dates, heard.text),
        claims=premise.unit if premise else None,
        is_narrowed=is_placed or has_zip or bool(heard.dates),
        is_around_point=is_placed or (context.has_point and not has_zip),
        joins=pair is not None,
        is_since=_find_since(heard) is not None,
        follows=context.follows,
    )


def _build_filters(
    heard: _Heard, sides: Sides | None, *, is_since: bool = False
) -> tuple[PermitFilter, PermitFilter | None, Sequence[Part]]:
    """Build the filter, or those of both sides; what they cannot hold is left over, and given too."""
    cities = [city for mention in heard.mentions if mention.slot == "city" for city in mention.values]
    since = _find_since_mention(heard) if is_since else None
    parts = [part for part in heard.parts if part is not since]
    where, unread = build_filter(sides.left if sides else parts, cities=cities, bounds=heard.bounds)
    versus = None
    if sides is not None:
        versus, loose = build_filter(sides.right, cities=cities, bounds=heard.bounds)
        unread = [*unread, *loose, *sides.unused]
    _set_aside(heard.text, unread)
    return where, versus, unread


def _implied_place(heard: _Heard, order: Order | None, leftovers: tuple[str, ...]) -> Place | None:
    """ "The nearest pools" are the nearest to here, unless a word that was not understood may be a place."""
    return Here() if order == "nearest" and heard.says("order") and not leftovers else None


def _find_topic(text: Text, mentions: Sequence[Mention], unused: Sequence[Mention], wish: Wish) -> Topic | None:
    """Find what permits say nothing of."""
    for mention in mentions:
        if mention.slot == "wait" and mention in unused and mention.end - mention.at > LONGEST_HOW_LONG:
            return "advice"
        if mention.slot == "other_city":
            return "other_city"
        if mention.slot == "declined" and not _is_besides(mention, text, wish):
            return cast(Topic, mention.values[0])
    return None


def _is_besides(mention: Mention, text: Text, wish: Wish) -> bool:
    """Whether a word is no topic: by how much one side exceeds the other, how long it takes who applies, who builds."""
    first = text.tokens[mention.at].word
    by_group = wish.group_by == "company" and first == "who"
    return by_group or (wish.kind == "compare" and first == "how") or (wish.kind == "waiting" and first == "apply")


def _set_aside(text: Text, parts: Iterable[Part]) -> None:
    text.mark(((part.at, part.end) for part in parts), State.ASIDE)
