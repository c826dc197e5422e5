"""From a question to a reading: the rules in their order. Each takes its words, and no later one can have them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import cast

from app.ask.grammar.claims import fold_bounds, take_premise, take_tags
from app.ask.grammar.comparing import Sides, changes_over_years, find_comparison
from app.ask.grammar.counts import take_limit
from app.ask.grammar.dates import Period, take_dates
from app.ask.grammar.doubts import find_unclear, quote
from app.ask.grammar.filters import Part, build_filter
from app.ask.grammar.heard import Heard, find_since, find_since_mention, set_aside
from app.ask.grammar.joining import Pair, find_pair, split_rebuilt
from app.ask.grammar.kinds import PLACES_AND_FIRMS, Signs, Wish, decide, find_said, find_unused, has_subject, key_of
from app.ask.grammar.lexicon import (
    NOTES,
    STOP_WORDS,
    UNCLEAR,
)
from app.ask.grammar.mentions import Mention, take_mentions, take_own_words
from app.ask.grammar.money import find_unheld_bound, take_value_bounds
from app.ask.grammar.negation import drop_alternatives, drop_former, find_left_out, set_aside_negations, take_signs
from app.ask.grammar.places import find_place_runs, take_districts, take_place, take_regions, take_zips
from app.ask.grammar.preamble import take_preamble
from app.ask.grammar.radii import find_least_distance, fold_distances, take_radius
from app.ask.grammar.reading import Bound, Context, Here, Place, Premise, Reading, Topic
from app.ask.grammar.settling import settle
from app.ask.grammar.shares import Share, find_share
from app.ask.grammar.spelling import correct_spelling
from app.ask.grammar.text import Found, State, Text
from app.ask.plan import Kind, Order
from app.permits.filters import PermitFilter

LONGEST_HOW_LONG = 3
"""Words of "how long do": what is longer, "how long does it take", asks for advice unless it is about a permit."""


def read(question: str, *, today: date, context: Context) -> Reading:
    """Read a question by rules alone, in a time that grows with its length and no faster.

    A question that names permits and no kind of answer wants rows: the nearest where there is a point, and otherwise
    the newest.
    """
    heard = _hear(question, today, context)
    if heard is None:
        heard = _hear_without_negated(question, today, context)
    return _interpret(heard, context)


def _hear(question: str, today: date, context: Context) -> Heard | None:
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
        return settle(heard)
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
    return settle(kept)


def _hear_without_negated(question: str, today: date, context: Context) -> Heard:
    """Hear a question with every clause that is negated left over."""
    text = Text(question)
    take_preamble(text, question)
    is_tagged = take_tags(text)
    negation = set_aside_negations(text)
    heard = settle(_hear_rest(text, today, context))
    return replace(heard, is_tagged=is_tagged, placed=replace(heard.placed, negation=negation))


def _hear_rest(text: Text, today: date, context: Context) -> Heard:
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
    return Heard(text, split_rebuilt(mentions), dates, bounds, placed, today)


def _find_notes(text: Text) -> tuple[str, ...]:
    """Give what is to be said of words that were taken in one of several ways."""
    taken = {token.raw.lower() for token in text.tokens if token.state is State.TAKEN or token.is_folded}
    return tuple(dict.fromkeys(note for word, note in NOTES.items() if word in taken and word != "average"))


def _quote_found(text: Text, found: Found | None) -> str | None:
    return " ".join(token.raw for token in text.tokens[found.first : found.end]) if found else None


def _interpret(heard: Heard, context: Context) -> Reading:
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
    since = find_since(heard) if wish.kind == "changed" else None
    limit = take_limit(text, mentions, wish)
    sides = pair.sides if pair else share.sides if share else sides
    where, other, unread = _build_filters(heard, sides, is_since=since is not None)
    if wish.group_by == "permit_class" and len(where.permit_class) > 1:
        where = where.model_copy(update={"permit_class": ()})  # "by class, residential or commercial"
    without, is_part_without = _build_without(heard, share)
    other = _free_whole(heard, share, other)
    unused = _find_unused(mentions, wish, text, premise, follows=context.follows)
    set_aside(text, unused)
    leftovers = text.leftovers()
    unclear = placed.unclear or find_unclear(
        text,
        heard.parts,
        unread,
        compares=sides is not None,
        joins=pair is not None,
        unused=[] if context.follows else find_gaps(unused, wish.kind),
    )
    unclear = unclear or _quote_unfit(heard, mentions, wish.kind)
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


def _find_unused(
    mentions: Sequence[Mention], wish: Wish, text: Text, premise: Premise | None, *, follows: bool
) -> list[Mention]:
    """Give the mentions that say nothing here: "the same" of no question before, and a share is no other percentage."""
    unused = list(find_unused(mentions, wish, text, has_premise=premise is not None))
    if not follows:
        unused += [mention for mention in mentions if mention.slot == "again"]
    is_percentage = premise is not None and premise.unit == "percent"
    return [mention for mention in unused if not (is_percentage and key_of(mention) == "share")]


def _quote_unfit(heard: Heard, mentions: Sequence[Mention], kind: Kind | None) -> str | None:
    """Quote what the kind of answer cannot be of: an average of no costs, a series of days of application."""
    if kind in {"mean", "median"} and not any(key_of(one) == "value_usd" for one in mentions):
        return _quote_unmeasured(heard, kind)
    return _quote_applied(heard) if kind == "series" else None


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


def _claim_bound(heard: Heard, premise: Premise | None) -> tuple[Heard, Premise | None]:
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


def _find_share(heard: Heard) -> Share | None:
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


def _changed_since(heard: Heard) -> bool:
    """Whether it is asked what changed since a day, which is no comparison of days."""
    return find_since(heard) is not None and any(key_of(mention) == "changed" for mention in heard.mentions)


def _is_whole(share: Share, where: PermitFilter, whole: PermitFilter | None, *, is_part_without: bool) -> bool:
    """Whether a part was found that the whole has more than."""
    return whole is not None and (where != whole or is_part_without)


def _free_whole(heard: Heard, share: Share | None, whole: PermitFilter | None) -> PermitFilter | None:
    """Let bounds of cost hold for the part alone, where nothing else says what it is."""
    if share is None or not share.is_bare or whole is None:
        return whole
    return whole.model_copy(update={"min_value_usd": None, "max_value_usd": None})


def _build_without(heard: Heard, share: Share | None) -> tuple[PermitFilter | None, bool]:
    """Build the filter of what is left out, and say whether it is so of the part of a share alone."""
    if not heard.left_out:
        return None, False
    without, _ = build_filter(heard.left_out, cities=(), bounds=(None, None))
    is_part = share is not None and share.is_bare and all(part.at > share.at for part in heard.left_out)
    return without, is_part


def _quote_applied(heard: Heard) -> str | None:
    """Quote days of application in a series, which is by days of issue."""
    applied = [mention for mention in heard.dates if mention.column == "applied"]
    return quote(heard.text, applied) if applied else None


def _quote_unmeasured(heard: Heard, kind: Kind) -> str | None:
    """Quote an average of something that no rule understood: "the average size of pools"."""
    at = next(mention.end for mention in heard.mentions if key_of(mention) == kind)
    words = (token for token in heard.text.tokens[at:] if token.word[:1].isalnum() or token.value is not None)
    behind = [token for token in words if token.word not in STOP_WORDS][:1]
    return _quote_key(heard, kind) if any(token.state is not State.TAKEN for token in behind) else None


def _quote_key(heard: Heard, key: str) -> str | None:
    found = [mention for mention in heard.mentions if key_of(mention) == key]
    return quote(heard.text, found[:1]) if found else None


def _note_average(heard: Heard, wish: Wish) -> tuple[str, ...]:
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
    heard: Heard, context: Context, sides: Sides | None, premise: Premise | None, pair: Pair | None
) -> Signs:
    is_placed, has_zip = heard.placed.place is not None, heard.says_area()
    return Signs(
        compares=sides is not None,
        changes=pair is None and changes_over_years(heard.mentions, heard.dates, heard.text),
        claims=premise.unit if premise else None,
        is_narrowed=is_placed or has_zip or bool(heard.dates),
        is_around_point=is_placed or (context.has_point and not has_zip),
        joins=pair is not None,
        is_since=find_since(heard) is not None,
        follows=context.follows,
    )


def _build_filters(
    heard: Heard, sides: Sides | None, *, is_since: bool = False
) -> tuple[PermitFilter, PermitFilter | None, Sequence[Part]]:
    """Build the filter, or those of both sides; what they cannot hold is left over, and given too."""
    cities = [city for mention in heard.mentions if mention.slot == "city" for city in mention.values]
    since = find_since_mention(heard) if is_since else None
    parts = [part for part in heard.parts if part is not since]
    where, unread = build_filter(sides.left if sides else parts, cities=cities, bounds=heard.bounds)
    versus = None
    if sides is not None:
        versus, loose = build_filter(sides.right, cities=cities, bounds=heard.bounds)
        unread = [*unread, *loose, *sides.unused]
    set_aside(heard.text, unread)
    return where, versus, unread


def _implied_place(heard: Heard, order: Order | None, leftovers: tuple[str, ...]) -> Place | None:
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
