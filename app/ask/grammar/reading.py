"""Reading: what the words of a question say, before any place is looked up and before anything is decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from app.ask.plan import GroupBy, Kind, Measure, Order, Period, Sequence
from app.permits.filters import PermitFilter
from app.permits.words import Category

Topic = Literal[
    "price",
    "income",
    "cause",
    "forecast",
    "advice",
    "person",
    "crime",
    "school",
    "population",
    "weather",
    "other_city",
    "off_topic",
]


@dataclass(frozen=True)
class Here:
    """The point that came with the question: "here", "near me"."""


@dataclass(frozen=True)
class Point:
    """A pair of coordinates written in the question, WGS 84 degrees."""

    lat: float
    lng: float


@dataclass(frozen=True)
class Address:
    """A house number and a street, as written, with the ZIP that stood right behind it."""

    text: str
    zip: str | None = None


@dataclass(frozen=True)
class Block:
    """The hundred block or the range of house numbers of a street, as written."""

    text: str


@dataclass(frozen=True)
class Intersection:
    """Two streets where they meet, as written."""

    text: str


Place = Here | Point | Address | Block | Intersection


Bound = Literal["exactly", "more", "at_least", "less", "at_most"]


@dataclass(frozen=True)
class Premise:
    """A number that the question takes for granted; a percentage of change is negative where less is claimed."""

    value: Decimal
    unit: Literal["permits", "percent", "USD", "days"]
    bound: Bound = "exactly"


@dataclass(frozen=True)
class Context:
    """What the caller knows when a question is read.

    ``city_titles`` maps each register that may answer to its title ("Austin, Texas"); ``own_words`` maps
    ``permit_type``, ``work_class`` and ``status`` to the words that a city itself uses there.
    """

    city_titles: Mapping[str, str] = field(default_factory=dict)
    laid_over: Mapping[str, str] = field(default_factory=dict)
    """The titles of cities that are not loaded and over which the permits of one that is were made up."""
    own_words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    has_point: bool = False
    """Whether a latitude and a longitude came with the question."""
    region_kinds: frozenset[str] = frozenset()
    """The kinds of areas that are loaded, as their source calls them."""
    follows: bool = False
    """Whether the plan of a question before came with this one."""
    days_before: tuple[date, date] | None = None
    """The first and the last day that the plan before was about."""
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of the regions that are loaded, as rules see them, each with the ids that it may stand for."""
    meanings: Mapping[str, Category] = field(default_factory=dict)
    """What words of this very question mean besides; no rule's word is among them, see :attr:`Reading.open_runs`."""


@dataclass(frozen=True)
class Reading:
    """What a question says. What it does not say is empty.

    ``kind`` is None where nothing was understood that permits could answer. ``where`` and ``versus`` are the two
    sides of a comparison, or the part and the whole of a share, ``where`` and ``beside`` the two permits at one
    address, each complete. ``without`` are the permits left out of ``where``, and of the other side unless
    ``is_part_without``: then what is left is the part of a share. ``at_place`` tells "at 1417 Juniper Street" from
    "near" it. ``limit`` and ``radius_m`` (metres) are as said, however large. ``negation`` is the first word, as
    written, that turns a clause into its opposite and could not be read; the clause is among the leftovers.
    ``together`` are the categories that one permit would have to be at once, and ``unclear`` the words, as written,
    that no single plan can hold. ``leftovers`` are the words no rule understood, in order, and ``corrections`` the
    misspelt words with what they were read as. ``open_runs`` are those leftovers, figures apart, that no rule laid
    hands on: what stands side by side joined, as rules see it.
    ``place_runs`` are the leftovers, as written, that stand where a place does: whether they are one is for whoever
    knows the register to say. A region's name that has several ids stands among the filters as it was written.
    """

    kind: Kind | None = None
    where: PermitFilter = field(default_factory=PermitFilter)
    versus: PermitFilter | None = None
    beside: PermitFilter | None = None
    sequence: Sequence | None = None
    without: PermitFilter | None = None
    is_part_without: bool = False
    since: date | None = None
    measure: Measure = "permits"
    group_by: GroupBy | None = None
    region_kind: str | None = None
    period: Period | None = None
    order: Order | None = None
    limit: int | None = None
    place: Place | None = None
    at_place: bool = False
    radius_m: float | None = None
    has_subject: bool = False
    declined: Topic | None = None
    premise: Premise | None = None
    negation: str | None = None
    together: tuple[str, ...] = ()
    unclear: str | None = None
    leftovers: tuple[str, ...] = ()
    corrections: tuple[tuple[str, str], ...] = ()
    open_runs: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    """Sentences on what words were taken to mean where others might take them otherwise."""
    said: frozenset[str] = field(default=frozenset(), compare=False)
    """What was asked for in so many words, as :func:`app.ask.grammar.kinds.key_of` names it."""
    place_runs: tuple[str, ...] = field(default=(), compare=False)
