"""From a question to a plan, a question back, or a plain no. Rules decide; nothing is guessed.

What words mean that no rule knows may come from a model (:mod:`app.ask.interpreter`); then rules read anew, as if a
lexicon had them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts import find_rows
from app.ask.followups import find_changes, is_follow_up, try_follow
from app.ask.grammar import Address, Block, Context, Here, Intersection, Point, Reading, form_of, read
from app.ask.grammar.lexicon import STREETS
from app.ask.phrases import CATEGORY_PHRASES, describe_plan, join_or
from app.ask.plan import MEASURES, ROWS_DEFAULT, ROWS_MAX, Order, Plan, Where
from app.ask.refusals import (
    AMBIGUOUS_ADDRESS,
    AMBIGUOUS_PLACE,
    AREA_NOT_POINT,
    CONTESTED,
    DECLINES,
    NEGATED,
    PLACELESS,
    TOGETHER,
    TOO_WIDE,
    UNCLEAR,
    UNKNOWN_ADDRESS,
    UNKNOWN_PLACE,
    UNREAD,
    WHOLE_STREET,
)
from app.cities.city import find_city
from app.permits.filters import RADIUS_DEFAULT_M, RADIUS_MAX_M, Area, Latitude, Longitude, PermitFilter
from app.permits.places import Place, find_places, list_blocks
from app.permits.register import Register
from app.permits.words import DISTRICT_KIND, ZIP_KIND, Category

QUESTION_MAX = 2_000
PLACES_MAX = 2
"""Runs of leftovers that are looked up."""
STREET_SIGNS = frozenset(STREETS["suffixes"]).union(STREETS["directions"])
SUBJECTS_THEMSELVES = frozenset({"compare", "series", "top", "changed"})
"""Kinds that are of permits where nothing else is said: "compare 2014 and 2015"."""
AT_PLACE_RADIUS_M = 50.0
"""What "at" an address means: the lot, and the points that its own trades were given."""
KEPT = ("place", "radius_m", "limit", "premise", "without", "since", "sequence", "period", "group_by", "region_kind")
"""What else than filters a rule may have understood of a question that lacks a subject."""
WIDER_M = (2_000.0, float(RADIUS_MAX_M))
"""Where "the three nearest" are not within the default radius."""
Outcome = Literal["answer", "decline", "ask_back"]


class Question(BaseModel, frozen=True, extra="forbid"):
    """What a caller asks, and from where. ``lat`` and ``lng`` are WGS 84 degrees and come together."""

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=QUESTION_MAX)]
    lat: Latitude | None = None
    lng: Longitude | None = None
    radius_m: float | None = Field(default=None, gt=0, le=RADIUS_MAX_M, allow_inf_nan=False)
    city: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    local_only: bool = False
    narrate: bool = True
    previous_plan: Plan | None = None
    """The plan of the question before, which a follow-up ("and in 2022?") changes. It is kept nowhere."""

    @model_validator(mode="after")
    def _lat_and_lng_come_together(self) -> Self:
        if (self.lat is None) != (self.lng is None):
            raise ValueError("lat and lng come together")
        return self


@dataclass(frozen=True)
class Planned:
    """What became of a question. ``sentences`` say why where there is no plan, and what was adjusted where there is.

    ``is_open`` tells that words alone are missing which rules do not know, so that a model may be asked for them.
    ``meanings`` are those that a model gave; ``changed`` names what a follow-up changed of the plan before.
    """

    outcome: Outcome
    plan: Plan | None = None
    place: Mapping[str, Any] | None = None
    reading: Reading = field(default_factory=Reading)
    sentences: tuple[str, ...] = ()
    did_you_mean: tuple[str, ...] = ()
    is_open: bool = False
    meanings: Mapping[str, Category] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

    @property
    def place_label(self) -> str | None:
        """What the middle of the plan's area is called."""
        return str(self.place["label"]) if self.place else None

    def describe(self) -> str | None:
        """Say the plan in words, and what of the plan before it changes."""
        if self.plan is None:
            return None
        said = describe_plan(self.plan, self.place_label)
        return f"{said} (as before, but for {join_and(self.changed)})" if self.changed else said

    def render(self) -> dict[str, Any]:
        """Give what the ``plan`` event holds."""
        return {
            "plan": self.plan.model_dump(mode="json", exclude_defaults=True) if self.plan else None,
            "reading": self.describe(),
            "planner": "hybrid" if self.meanings else "rules",
            "ignored_words": list(self.reading.leftovers),
            "place": self.place,
        }


class AskBack(Exception):  # noqa: N818 - an answer, not a fault
    """The question cannot be planned as it stands; says what is missing, and what may have been meant."""

    def __init__(self, sentence: str, did_you_mean: tuple[str, ...] = ()) -> None:
        self.sentence = sentence
        self.did_you_mean = did_you_mean
        super().__init__(sentence)


async def plan_question(
    session: AsyncSession, register: Register, asked: Question, *, today: date, city: str | None
) -> Planned:
    """Plan what to look up, by rules; an address is looked up in the register itself.

    Raises :class:`NoSuchCity` for a city that is not loaded.
    """
    named = name_city(asked, city)
    cities = register.choose_cities(named)
    reading = read(asked.question, today=today, context=make_context(register, cities, asked))
    if reading.declined:
        titles = join_or([find_city(name).title for name in cities])
        return Planned(
            "decline", reading=reading, sentences=(DECLINES[reading.declined].format(cities=titles or "none"),)
        )
    try:
        reading = await settle_places(session, register, reading, cities)
    except AskBack as back:
        return Planned("ask_back", reading=reading, sentences=(back.sentence,), did_you_mean=back.did_you_mean)
    try:
        if follows(asked, reading):
            refuse_empty(reading)
        else:
            refuse_unclear(reading)
    except AskBack as back:
        is_open = lacks_words_alone(reading) and await knows_place(session, register, reading, asked, cities)
        return Planned("ask_back", reading=reading, sentences=(back.sentence,), is_open=is_open)
    return await plan_reading(session, register, asked, reading, city=city, meanings={})


async def plan_reading(
    session: AsyncSession,
    register: Register,
    asked: Question,
    reading: Reading,
    *,
    city: str | None,
    meanings: Mapping[str, Category],
) -> Planned:
    """Plan what a clear reading asks for, once its place is found; ``meanings`` are what of it a model gave."""
    named = name_city(asked, city)
    if asked.previous_plan is not None and follows(asked, reading):
        return await plan_follow_up(
            session,
            register,
            asked,
            asked.previous_plan,
            reading,
            cities=register.choose_cities(named),
            meanings=meanings,
        )
    try:
        place, area = await find_area(session, register, reading, asked, register.choose_cities(named))
        plan = make_plan(reading, area, named)
        if area and plan.order == "nearest" and not (reading.radius_m or asked.radius_m or reading.at_place):
            plan = await widen(session, register, plan, area)
    except AskBack as back:
        return Planned("ask_back", reading=reading, sentences=(back.sentence,), did_you_mean=back.did_you_mean)
    if place and plan.where.area:
        place |= {"radius_m": plan.where.area.radius_m}
    told = (*tell_meanings(meanings), *tell_place(place), *tell_adjustments(reading))
    return Planned("answer", plan=plan, place=place, reading=reading, sentences=told, meanings=meanings)


async def plan_follow_up(
    session: AsyncSession,
    register: Register,
    asked: Question,
    previous: Plan,
    reading: Reading,
    *,
    cities: tuple[str, ...],
    meanings: Mapping[str, Category],
) -> Planned:
    """Plan what a follow-up makes of the plan before; its place stays unless another is named."""
    try:
        place, area = await find_new_area(session, register, reading, asked, previous, cities)
        plan = try_follow(previous, asked.question, reading, area)
        if plan is None:
            raise AskBack(CONTESTED)
        if plan == previous and reading.leftovers:
            raise AskBack(UNREAD.format(words=" ".join(reading.leftovers)))
    except AskBack as back:
        return Planned("ask_back", reading=reading, sentences=(back.sentence,), did_you_mean=back.did_you_mean)
    if plan.where.area is not None:
        place = (place or name_place_before(plan.where.area, asked)) | {"radius_m": plan.where.area.radius_m}
    told = (*tell_meanings(meanings), *tell_adjustments(reading))
    changed = tuple(find_changes(previous, plan))
    return Planned(
        "answer", plan=plan, place=place, reading=reading, sentences=told, meanings=meanings, changed=changed
    )


async def find_new_area(
    session: AsyncSession,
    register: Register,
    reading: Reading,
    asked: Question,
    previous: Plan,
    cities: tuple[str, ...],
) -> tuple[dict[str, Any] | None, Area | None]:
    """Find the circle that a follow-up names, with the radius before where it says none; None where that stays."""
    before = previous.where.area
    is_named = reading.place is not None and (not isinstance(reading.place, Here) or "here" in reading.said)
    if (reading.radius_m or 0) > RADIUS_MAX_M:
        raise AskBack(TOO_WIDE.format(radius_m=RADIUS_MAX_M))
    if not is_named and (before is not None or (reading.radius_m is None and reading.place is None)):
        return None, None
    place, area = await find_area(session, register, reading, asked, cities)
    if area and before and reading.radius_m is None and not reading.at_place:
        area = area.model_copy(update={"radius_m": before.radius_m})
    return place, area


def name_place_before(area: Area, asked: Question) -> dict[str, Any]:
    """Name the middle of a circle that came with the plan before: its own name did not."""
    is_sent = (asked.lat, asked.lng) == (area.lat, area.lng)
    label = "the point sent" if is_sent else f"{area.lat:.10g}, {area.lng:.10g}"
    kind = "point" if is_sent else "coordinates"
    return {"label": label, "kind": kind, "lat": area.lat, "lng": area.lng, "quality": "given"}


def follows(asked: Question, reading: Reading) -> bool:
    """Whether a question is to be read as a change of the plan that came with it."""
    return asked.previous_plan is not None and is_follow_up(asked.question, reading)


def name_city(asked: Question, city: str | None) -> tuple[str, ...]:
    """Give the register that is asked, as a filter takes it: the question's own or ``city``, if any."""
    named = (asked.city or city or "").lower()
    return (named,) if named else ()


def lacks_words_alone(reading: Reading) -> bool:
    """Whether all that keeps a reading from a plan is that nothing of what rules know says which permits are meant.

    That it says "permits" is not enough: in "how many juice box permits" the words that were left over are the subject.
    """
    is_refused = reading.negation is not None or reading.unclear is not None or bool(reading.together)
    names_none = not reading.has_subject or reading.where == PermitFilter()
    return bool(reading.open_runs) and names_none and not is_refused


async def knows_place(
    session: AsyncSession, register: Register, reading: Reading, asked: Question, cities: tuple[str, ...]
) -> bool:
    """Whether the place that is meant, if one is, can be used as it stands."""
    try:
        await find_area(session, register, reading, asked, cities)
    except AskBack:
        return False
    return True


def read_again(
    register: Register,
    asked: Question,
    reading: Reading,
    meanings: Mapping[str, Category],
    *,
    today: date,
    city: str | None,
) -> Reading | None:
    """Read a question again with what words of it mean; None where that is no clear reading or another question's."""
    cities = register.choose_cities(name_city(asked, city))
    context = replace(make_context(register, cities, asked), meanings=meanings)
    again = adopt_places(read(asked.question, today=today, context=context), reading)
    try:
        refuse_unclear(again)
    except AskBack:
        return None
    return again if keeps(reading, again) else None


def keeps(reading: Reading, again: Reading) -> bool:
    """Whether all that rules understood at first still stands, and nothing but categories came in."""
    were = reading.where, reading.versus or reading.beside or reading.where
    are = again.where, again.versus or again.beside or again.where
    return (
        all(new.model_copy(update={"category": old.category}) == old for old, new in zip(were, are, strict=True))
        and all(getattr(reading, part) in (None, getattr(again, part)) for part in KEPT)
        and again.declined is None
        and Counter(again.leftovers) <= Counter(reading.leftovers)
    )


def make_context(register: Register, cities: tuple[str, ...], asked: Question) -> Context:
    """Give the grammar what is known here."""
    own = {
        "permit_type": register.own_words("permit_type", cities),
        "work_class": register.own_words("work_class", cities),
        "status": register.own_words("status_current", cities),
    }
    titles = {name: find_city(name).title for name in cities}
    over = {name: title for name in cities if (title := find_city(name).over) and title not in titles.values()}
    regions: dict[str, tuple[str, ...]] = {}
    for region in register.regions.values():
        if region.city in cities and region.kind not in {ZIP_KIND, DISTRICT_KIND}:
            regions[region_form(region.name)] = (*regions.get(region_form(region.name), ()), region.id)
    return Context(
        city_titles=titles,
        laid_over=over,
        own_words=own,
        has_point=asked.lat is not None,
        region_kinds=frozenset(register.region_kinds(cities)),
        regions=regions,
        follows=asked.previous_plan is not None,
        days_before=find_days(asked.previous_plan) if asked.previous_plan else None,
    )


def find_days(previous: Plan) -> tuple[date, date] | None:
    """Give the days of issue that a plan is about, where it says both ends."""
    first, last = previous.where.issued_from, previous.where.issued_to
    return (first, last) if first and last else None


@lru_cache(maxsize=4096)
def region_form(name: str) -> str:
    """Give a region's name as the words of a question look to rules."""
    return form_of(name)


async def settle_places(
    session: AsyncSession, register: Register, reading: Reading, cities: tuple[str, ...]
) -> Reading:
    """Look leftovers up that stand where a place does: a region becomes a filter, what is no place stays left over.

    Raises :class:`AskBack` for a name that several regions have, and for a street, which is no circle.
    """
    for name in reading.where.region:
        if name.casefold() not in register.region_words:
            found = await find_places(session, register, name, cities)
            raise AskBack(AMBIGUOUS_PLACE.format(text=name), found.candidates)
    for run in reading.place_runs[:PLACES_MAX]:
        found = await find_places(session, register, run, cities)
        if found.place is not None and found.place.kind == "region":
            reading = take_place_run(reading, run, region=found.place.filters["region"])
            reading = replace(reading, corrections=(*reading.corrections, (run, found.place.label)))
        elif found.places and all(place.kind == "region" for place in found.places):
            raise AskBack(AMBIGUOUS_PLACE.format(text=run), found.candidates)
        elif found.places and found.places[0].kind == "street" and names_street(run):
            streets = tuple(place.label for place in found.places)
            blocks = await list_blocks(session, streets, cities)
            raise AskBack(WHOLE_STREET.format(street=" or ".join(streets)), blocks)
        elif is_named(run) and says_no_place(reading):
            raise AskBack(UNKNOWN_PLACE.format(text=run), found.candidates)
    return reading


def is_named(run: str) -> bool:
    """Whether words are written as a name is: each with a capital letter, and not all in capitals."""
    return run.title() == run and len(run) > 3


def says_no_place(reading: Reading) -> bool:
    """Whether nothing that was understood says where."""
    where = reading.where
    return reading.place is None and not (where.zip or where.district or where.region or where.city)


def names_street(run: str) -> bool:
    """Whether words have one that only streets have: a name alone may be anything."""
    return not STREET_SIGNS.isdisjoint(form_of(run).split())


def take_place_run(reading: Reading, run: str, *, region: tuple[str, ...]) -> Reading:
    """Take a run of leftovers as a region."""
    left = Counter(run.split())
    leftovers = []
    for word in reading.leftovers:
        if left[word] > 0:
            left[word] -= 1
        else:
            leftovers.append(word)
    words = set(form_of(run).split())
    return replace(
        reading,
        where=reading.where.model_copy(update={"region": tuple(sorted({*reading.where.region, *region}))}),
        versus=reading.versus.model_copy(update={"region": region}) if reading.versus else None,
        leftovers=tuple(leftovers),
        open_runs=tuple(one for one in reading.open_runs if not words.issuperset(one.split())),
        place_runs=tuple(one for one in reading.place_runs if one != run),
    )


def adopt_places(again: Reading, reading: Reading) -> Reading:
    """Take the same runs for places in a second reading as were found to be some in the first."""
    for run in again.place_runs:
        if run not in reading.place_runs:
            again = take_place_run(again, run, region=reading.where.region)
    return replace(again, corrections=reading.corrections)


def refuse_empty(reading: Reading) -> None:
    """Raise :class:`AskBack` for a follow-up that says nothing which rules understand, or what no plan can hold."""
    refuse_unfit(reading)
    says_more = (reading.radius_m, reading.place, reading.without, reading.limit) != (None, None, None, None)
    if reading.said <= {"same", "filler"} and reading.where == PermitFilter() and not says_more:
        raise AskBack(UNREAD.format(words=" ".join(reading.leftovers)) if reading.leftovers else UNCLEAR)


def refuse_unclear(reading: Reading) -> None:
    """Raise :class:`AskBack` where answering would answer another question than was asked."""
    refuse_unfit(reading)
    says_enough = reading.has_subject or (reading.kind in SUBJECTS_THEMSELVES and not reading.leftovers)
    if reading.kind is None or not says_enough:
        raise AskBack(UNCLEAR)
    narrows = reading.where != PermitFilter() or reading.without is not None
    if reading.leftovers and not narrows and reading.place is None:
        raise AskBack(UNREAD.format(words=" ".join(reading.leftovers)))


def refuse_unfit(reading: Reading) -> None:
    """Raise :class:`AskBack` for words that no plan can hold."""
    if reading.negation is not None:
        raise AskBack(NEGATED.format(word=reading.negation))
    if reading.unclear is not None:
        raise AskBack(UNREAD.format(words=reading.unclear))
    if reading.together:
        kinds = [CATEGORY_PHRASES[Category(word)] for word in reading.together]
        raise AskBack(TOGETHER.format(kinds=join_or([f"{kind} permits" for kind in kinds])))


async def find_area(
    session: AsyncSession, register: Register, reading: Reading, asked: Question, cities: tuple[str, ...]
) -> tuple[dict[str, Any] | None, Area | None]:
    """Find the circle that is meant, and what its middle is called; the text's place goes before the caller's point.

    A region has a place and no circle: a filter says it. Raises :class:`AskBack` for a place that is missing, unknown
    or ambiguous, and for too wide a radius.
    """
    place = await find_origin(session, register, reading, asked, cities)
    if place is None:
        region = describe_region(register, reading.where.region)
        if reading.radius_m is not None or reading.order == "nearest":
            raise AskBack(AREA_NOT_POINT.format(region=region["label"]) if region else PLACELESS)
        return region, None
    default_m = max(AT_PLACE_RADIUS_M, place.get("within_m") or 0) if reading.at_place else None
    radius_m = reading.radius_m or default_m or asked.radius_m or RADIUS_DEFAULT_M
    if radius_m > RADIUS_MAX_M:
        raise AskBack(TOO_WIDE.format(radius_m=RADIUS_MAX_M))
    return place, Area(lat=place["lat"], lng=place["lng"], radius_m=radius_m)


def describe_region(register: Register, ids: tuple[str, ...]) -> dict[str, Any] | None:
    """Give the regions that filters name, as a place."""
    found = [region for one in ids for region in register.region_words.get(one.casefold(), ())]
    if not found:
        return None
    label = " or ".join(region.label for region in found)
    return {"label": label, "kind": "region", "quality": "region", "region": [region.id for region in found]}


async def widen(session: AsyncSession, register: Register, plan: Plan, area: Area) -> Plan:
    """Widen the circle of a list whose radius nobody said, until it holds as many permits as were asked for."""
    for radius_m in (RADIUS_DEFAULT_M, *WIDER_M):
        wider = area.model_copy(update={"radius_m": radius_m})
        where = plan.where.model_copy(update={"area": wider})
        plan = plan.model_copy(update={"where": where})
        if len(await find_rows(session, register, plan)) >= plan.limit:
            break
    return plan


async def find_origin(
    session: AsyncSession, register: Register, reading: Reading, asked: Question, cities: tuple[str, ...]
) -> dict[str, Any] | None:
    """Find the point that is meant. Raises :class:`AskBack` for one that is missing or unknown."""
    where = reading.where
    says_area = bool(where.zip or where.district or where.region)
    match reading.place:
        case Address():
            text = f"{reading.place.text} {reading.place.zip or ''}"
            return await find_address_origin(session, register, text.strip(), cities)
        case Block() | Intersection():
            return await find_address_origin(session, register, reading.place.text, cities)
        case Point():
            label = f"{reading.place.lat:.10g}, {reading.place.lng:.10g}"
            return {
                "label": label,
                "kind": "coordinates",
                "lat": reading.place.lat,
                "lng": reading.place.lng,
                "quality": "given",
            }
        case Here() if asked.lat is None and not (says_area and reading.radius_m is None):
            raise AskBack(PLACELESS)
    says_area_only = says_area and not isinstance(reading.place, Here)
    if asked.lat is None or (says_area_only and reading.radius_m is None and reading.order != "nearest"):
        return None
    return {"label": "the point sent", "kind": "point", "lat": asked.lat, "lng": asked.lng, "quality": "given"}


async def find_address_origin(
    session: AsyncSession, register: Register, text: str, cities: tuple[str, ...]
) -> dict[str, Any]:
    """Find an address, a block or a crossing. Raises :class:`AskBack` with candidates where it is not one place."""
    found = await find_places(session, register, text, cities)
    if found.place is None or found.place.lat is None or found.place.kind == "street":
        sentence = AMBIGUOUS_ADDRESS if found.places else UNKNOWN_ADDRESS
        raise AskBack(sentence.format(address=text), found.candidates)
    return describe_origin(found.place)


def describe_origin(place: Place) -> dict[str, Any]:
    """Give what a reply says of a place that has a point; exactly the point that the circle is drawn around."""
    told = ("label", "kind", "quality", "known_by", "location_quality", "is_corrected")
    rounded = {name: value for name, value in place.render().items() if name in told or name == "within_m"}
    return rounded | {"lat": place.lat, "lng": place.lng}


def tell_place(place: Mapping[str, Any] | None) -> Iterator[str]:
    """Say of a place what is not as it was written: read as another spelling, between known numbers, or an area."""
    quality = place["quality"] if place else None
    if place is None:
        return
    if place.get("is_corrected"):
        yield f"The place was read as {place['label']}."
    known_by = " and ".join(place.get("known_by", ()))
    if quality == "interpolated":
        yield f"No permit stands at {place['label']}: it was placed between {known_by}."
    elif quality == "nearest":
        yield f"No permit stands at {place['label']}: it was placed at {known_by}, the nearest known."
    elif quality == "region":
        yield f"{place['label']} is an area: what lies inside its border is meant."


def make_plan(reading: Reading, area: Area | None, city: tuple[str, ...]) -> Plan:
    """Put the parts of a reading together, bounded."""
    kind = reading.kind or "count"
    shared: dict[str, Any] = {"area": area, "city": reading.where.city or city, "without": reading.without}
    other = shared | {"without": None} if reading.is_part_without else shared
    order: Order | None = reading.order or ("nearest" if area else "newest")
    return Plan(
        kind=kind,
        where=complete(reading.where, shared),
        versus=complete(reading.versus, other) if reading.versus else None,
        beside=complete(reading.beside, shared) if reading.beside else None,
        sequence=reading.sequence,
        since=reading.since,
        measure=MEASURES.get(kind, reading.measure),
        group_by=reading.group_by if kind == "top" else None,
        region_kind=reading.region_kind if kind == "top" else None,
        period=reading.period if kind == "series" else None,
        order=order if kind == "list" else None,
        limit=min(reading.limit or ROWS_DEFAULT, ROWS_MAX),
    )


def complete(side: PermitFilter, shared: Mapping[str, Any]) -> Where:
    """Make a side of a plan of its own filter and what holds for all of it."""
    return Where(**{**side.model_dump(), **shared})


def join_and(words: Sequence[str]) -> str:
    """Join words by commas, and the last by "and"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def tell_meanings(meanings: Mapping[str, Category]) -> Iterator[str]:
    """Say what words were taken to mean, and that it was a model that said so."""
    for words, category in meanings.items():
        yield f'"{words}" was read as {CATEGORY_PHRASES[category]} permits (by a model).'


def tell_adjustments(reading: Reading) -> list[str]:
    """Say what of the question was left out, read as something else, or cut."""
    told = []
    if reading.leftovers:
        told.append(f"Not understood and left out: {', '.join(reading.leftovers)}.")
    told += [f'"{written}" was read as {meant}.' for written, meant in reading.corrections]
    told += reading.notes
    if (reading.limit or 0) > ROWS_MAX:
        told.append(f"A list here ends at {ROWS_MAX}; the link under the facts gives all.")
    return told
