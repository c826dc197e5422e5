"""From a question to a reading: the rules in their order. Each takes its words, and no later one can have them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import cast

from app.ask.grammar.comparing import Sides, changes_over_years, find_comparison
from app.ask.grammar.counts import take_limit, take_premise
from app.ask.grammar.dates import DateMention, take_dates
from app.ask.grammar.doubts import find_together, find_unclear
from app.ask.grammar.filters import FIELDS, Part, build_filter
from app.ask.grammar.kinds import Signs, decide, find_unused, has_subject
from app.ask.grammar.lexicon import HERE_AT, HOMES, Slot
from app.ask.grammar.mentions import Mention, take_mentions, take_own_words
from app.ask.grammar.money import Bounds, find_unheld_bound, take_value_bounds
from app.ask.grammar.negation import set_aside_negations
from app.ask.grammar.places import find_place_runs, take_districts, take_place, take_regions, take_zips
from app.ask.grammar.radii import take_radius
from app.ask.grammar.reading import Context, Here, Place, Premise, Reading, Topic
from app.ask.grammar.spelling import correct_spelling
from app.ask.grammar.text import State, Text
from app.ask.plan import Order
from app.permits.filters import PermitFilter


@dataclass(frozen=True)
class _Heard:
    """What the rules took out of a question."""

    text: Text
    mentions: list[Mention]
    dates: list[DateMention]
    bounds: Bounds
    placed: Reading
    """The reading so far: where, how far, and what is negated."""

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
    return _interpret(_hear(question, today, context), context)


def _hear(question: str, today: date, context: Context) -> _Heard:
    """Run the rules in their order: what cannot be meant, where, how much, when, how far, and then the phrases."""
    text = Text(question)
    negation = set_aside_negations(text)
    place, at_place = take_place(text, context)
    own = [*take_own_words(text, context), *take_regions(text, context), *take_districts(text)]
    correct_spelling(text)
    bounds = take_value_bounds(text)
    unheld = _quote_bound(text)
    dates = take_dates(text, today)
    radius_m = take_radius(text)
    mentions = sorted([*own, *take_zips(text), *take_mentions(text, context)], key=lambda mention: mention.at)
    mentions = _read_compared_with(text, mentions)
    together = find_together(text, mentions)
    mentions = _read_homes(text, _drop_unmeant(text, mentions))
    if place is None:
        place, at_place = _find_here(text, mentions)
    placed = Reading(
        place=place,
        at_place=at_place and radius_m is None,
        radius_m=radius_m,
        negation=negation,
        together=together,
        unclear=unheld,
    )
    return _Heard(text, mentions, dates, bounds, placed)


def _quote_bound(text: Text) -> str | None:
    found = find_unheld_bound(text)
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
    premise = take_premise(text, mentions)
    sides = find_comparison(mentions, heard.parts, premise, text)
    wish = decide(mentions, text, _read_signs(heard, context, sides, premise))
    limit = take_limit(text, mentions, wish)
    where, versus, unread = _build_filters(heard, sides)
    _set_aside(text, find_unused(mentions, wish, text, has_premise=premise is not None))
    leftovers = text.leftovers()
    return replace(
        placed,
        kind=wish.kind,
        where=where,
        versus=versus,
        measure=wish.measure,
        group_by=wish.group_by,
        order=wish.order,
        limit=limit,
        place=placed.place or _implied_place(heard, wish.order, leftovers),
        has_subject=has_subject(mentions),
        declined=_find_topic(mentions),
        premise=premise,
        unclear=placed.unclear or find_unclear(text, heard.parts, unread, compares=sides is not None),
        leftovers=leftovers,
        open_runs=text.open_runs(),
        place_runs=find_place_runs(text),
        corrections=tuple(text.corrections),
    )


def _read_signs(heard: _Heard, context: Context, sides: Sides | None, premise: Premise | None) -> Signs:
    is_placed, has_zip = heard.placed.place is not None, heard.says_area()
    return Signs(
        compares=sides is not None,
        changes=changes_over_years(heard.mentions, heard.dates, heard.text),
        claims_number=premise is not None and premise.unit == "permits",
        is_narrowed=is_placed or has_zip or bool(heard.dates),
        is_around_point=is_placed or (context.has_point and not has_zip),
    )


def _build_filters(heard: _Heard, sides: Sides | None) -> tuple[PermitFilter, PermitFilter | None, Sequence[Part]]:
    """Build the filter, or those of both sides; what they cannot hold is left over, and given too."""
    cities = [city for mention in heard.mentions if mention.slot == "city" for city in mention.values]
    where, unread = build_filter(sides.left if sides else heard.parts, cities=cities, bounds=heard.bounds)
    versus = None
    if sides is not None:
        versus, loose = build_filter(sides.right, cities=cities, bounds=heard.bounds)
        unread = [*unread, *loose, *sides.unused]
    _set_aside(heard.text, unread)
    return where, versus, unread


def _implied_place(heard: _Heard, order: Order | None, leftovers: tuple[str, ...]) -> Place | None:
    """ "The nearest pools" are the nearest to here, unless a word that was not understood may be a place."""
    return Here() if order == "nearest" and heard.says("order") and not leftovers else None


def _find_topic(mentions: Sequence[Mention]) -> Topic | None:
    for mention in mentions:
        if mention.slot == "other_city":
            return "other_city"
        if mention.slot == "declined":
            return cast(Topic, mention.values[0])
    return None


def _set_aside(text: Text, parts: Iterable[Part]) -> None:
    text.mark(((part.at, part.end) for part in parts), State.ASIDE)
