"""What is wanted: the kind of answer, by what, in which order and how many, from the mentions of a question."""

from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from app.ask.grammar.filters import KIND_FIELDS
from app.ask.grammar.lexicon import GROUP_CUES, HOMES, MAKERS, RANKED, WAIT
from app.ask.grammar.mentions import Mention
from app.ask.grammar.text import Text
from app.ask.plan import FREE_MEASURE, MEASURES, GroupBy, Kind, Measure, Order, Period

_ORDERS: dict[str, Order] = {
    "nearest": "nearest",
    "newest": "newest",
    "largest": "largest",
    "priciest": "largest",
    "longest_open": "longest_open",
}
_GROUPS: dict[str, GroupBy] = {
    "category": "category",
    "permit_type": "permit_type",
    "permit_class": "permit_class",
    "work_class": "work_class",
    "status": "status",
    "zip": "zip",
    "district": "district",
    "region": "region",
    "company": "company",
}
PLACES_AND_FIRMS = frozenset({"zip", "district", "region", "company"})
_PERIODS: dict[str, Period] = {"month": "month", "quarter": "quarter"}
_MEASURED: dict[Measure, frozenset[str]] = {
    "days_to_issue": frozenset({"waiting", "wait", "slowest", "pace"}),
    "permits_per_km2": frozenset({"density", "densest"}),
}
"""What groups, years and two sides may be measured by besides number and cost, and the keys that say it."""
_AVERAGED: dict[Measure, frozenset[str]] = {
    "median_value_usd": frozenset({"median"}),
    "mean_value_usd": frozenset({"mean"}),
    "days_to_issue": frozenset({"median", "mean", "most", "largest"}),
}
_VALUED = frozenset({"value_usd", "priciest"})
_COUNTED = frozenset({"count", "wait", "waiting", "density", "share", "pace", "joined", "changed", "period", "series"})
"""Beside one of these an average is not one of costs."""
_NOT_RANKED_BY = frozenset({"pace"})
# Words that are understood only where they say something for the kind that was chosen; elsewhere they are left over.
_SAYING: dict[Kind, frozenset[str]] = {
    "compare": frozenset({"compare", "than", "more", "pace", "count", "value_usd", "priciest", "change"}),
    "series": frozenset({"series", "period", "change", "pace", "count", "most", "value_usd", "priciest", "largest"}),
    "share": frozenset({"share", "count"}),
    "density": frozenset({"density", "count"}),
    "waiting": frozenset({"waiting", "wait", "mean", "median", "count"}),
    "median": frozenset({"median", "value_usd"}),
    "mean": frozenset({"mean", "value_usd"}),
    "joined": frozenset({"joined", "count"}),
    "changed": frozenset({"changed", "newest"}),
    "top": frozenset({"ranking", "top", "group", "count", "most", "value_usd", "priciest", "largest"}),
    "count": frozenset({"count"}),
    "sum": frozenset({"value_usd"}),
    "list": frozenset({"top"}),
}
_CONDITIONAL = frozenset[str]().union(
    *_SAYING.values(), _ORDERS, *_MEASURED.values(), {"how_much", "when", "object", "premise"}
)
_DECLARED = frozenset({"declared", "valuation", "estimated", "stated", "construction", "project", "job"})
"""Words of a value that only permits have."""
_OF_WHAT = frozenset({"for", "of", "in", "among", "on"})
_SUBJECTS = KIND_FIELDS | {"subject"}


@dataclass(frozen=True)
class Wish:
    """What kind of answer a question wants."""

    kind: Kind | None
    measure: Measure = "permits"
    group_by: GroupBy | None = None
    period: Period | None = None
    order: Order | None = None


@dataclass(frozen=True)
class Signs:
    """What is known of a question besides its mentions, when its kind is chosen."""

    compares: bool
    changes: bool
    claims: Literal["permits", "percent", "USD", "days"] | None
    """The unit of a number that is claimed."""
    is_narrowed: bool
    """By a place or by days."""
    is_around_point: bool
    joins: bool = False
    """Whether permits of two kinds at one address are meant."""
    is_since: bool = False
    """Whether a day is said since when, up to now."""
    follows: bool = False
    """Whether the plan of a question before came with this one."""


def decide(mentions: Sequence[Mention], text: Text, signs: Signs) -> Wish:
    """Choose the kind of answer, and what belongs to it."""
    keys = {key_of(mention) for mention in mentions}
    if "wait" in keys and not waits_for_permit(mentions, text):
        keys.remove("wait")
    if not paces_permits(mentions, text):
        keys.discard("pace")
    if signs.claims == "USD" or _averages_costs(keys, follows=signs.follows):
        keys.add("value_usd")
    group_by = _find_group(mentions, text)
    kind = _choose_kind(keys, group_by, signs)
    return Wish(
        kind=kind,
        measure=_choose_measure(kind, keys),
        group_by=group_by if kind == "top" else None,
        period=_find_period(mentions) if kind == "series" else None,
        order=_choose_order(mentions, signs) if kind == "list" else None,
    )


def _choose_measure(kind: Kind | None, keys: Collection[str]) -> Measure:
    """Choose what is measured; an average that is of nothing declared is not used, and so left over."""
    if kind is None or kind not in FREE_MEASURE:
        return MEASURES.get(kind, "permits") if kind else "permits"
    for measure, cues in _MEASURED.items():
        if not cues.isdisjoint(keys) and not (kind == "top" and _NOT_RANKED_BY.issuperset(cues & set(keys))):
            return measure
    if _VALUED.isdisjoint(keys):
        return "permits"
    if "median" in keys:
        return "median_value_usd"
    return "mean_value_usd" if "mean" in keys else "value_usd"


def _averages_costs(keys: Set[str], *, follows: bool) -> bool:
    """Tell "the average remodel", which is of costs, from "the average number of remodels"."""
    is_average = not keys.isdisjoint({"mean", "median"})
    return is_average and keys.isdisjoint(_COUNTED) and (follows or not keys.isdisjoint(_SUBJECTS | {"group"}))


def _find_period(mentions: Sequence[Mention]) -> Period | None:
    """Take the period that is said; without one a series is by year."""
    return next((_PERIODS[mention.values[0]] for mention in mentions if mention.slot == "period"), None)


def waits_for_permit(mentions: Sequence[Mention], text: Text) -> bool:
    """Tell "how long does it take to get a pool permit" from how long it takes to build one."""
    at = next((mention.at for mention in mentions if mention.slot == "wait"), None)
    if at is None:
        return False
    words = {token.word for token in text.tokens[at:]}
    return all(not WAIT[name].isdisjoint(words) for name in ("verbs", "evidence")) and WAIT["against"].isdisjoint(words)


def paces_permits(mentions: Sequence[Mention], text: Text) -> bool:
    """Tell "were permits approved faster" from "did permits grow faster" and from what takes longer to build."""
    words = {token.word for token in text.tokens}
    evidence = WAIT["evidence"] | WAIT["verbs"] - {"from", "between", "until", "are", "is", "does", "were", "was"}
    grows = any(mention.slot == "change" for mention in mentions)
    return not grows and not evidence.isdisjoint(words) and WAIT["against"].isdisjoint(words)


def key_of(mention: Mention) -> str:
    """Name what a mention says: its slot, or its value where that decides the kind."""
    return mention.values[0] if mention.slot in {"kind", "order", "measure", "again"} else mention.slot


def has_subject(mentions: Sequence[Mention], text: Text) -> bool:
    """Whether permits are what a question is about; a place or a firm alone is not."""
    return any(
        mention.slot in _SUBJECTS
        or (key_of(mention) == "ranking" and "permits" in said_as(mention, text))
        or (key_of(mention) == "value_usd" and not _DECLARED.isdisjoint(said_as(mention, text).split(" ")))
        or (mention.slot == "group" and mention.values[0] not in PLACES_AND_FIRMS)
        or mention.values == ("rebuilt",)
        for mention in mentions
    )


def _choose_kind(keys: Set[str], group_by: GroupBy | None, signs: Signs) -> Kind | None:
    wanted: tuple[tuple[Kind, bool], ...] = (
        ("compare", signs.compares),
        ("changed", signs.is_since and "changed" in keys),
        ("joined", signs.joins),
        ("share", "share" in keys and "change" not in keys),
        ("series", "series" in keys or "period" in keys or signs.changes),
        ("top", group_by is not None),
        ("waiting", not {"waiting", "wait"}.isdisjoint(keys) or signs.claims == "days"),
        ("density", "density" in keys),
        ("median", "median" in keys and "value_usd" in keys),
        ("mean", "mean" in keys and "value_usd" in keys),
        ("count", "count" in keys or signs.claims == "permits"),
        ("list", "top" in keys or not _ORDERS.keys().isdisjoint(keys)),
        ("sum", "value_usd" in keys),
        ("count", "total" in keys),
        ("list", not (_SUBJECTS | {"group"}).isdisjoint(keys) or signs.is_narrowed),
    )
    return next((kind for kind, is_wanted in wanted if is_wanted), None)


def _find_group(mentions: Sequence[Mention], text: Text) -> GroupBy | None:
    """Find what a ranking is made of; "most common permits" without more are ranked by category."""
    for mention in mentions:
        if mention.slot == "group" and _is_ranked(mention, mentions, text):
            return _GROUPS[mention.values[0]]
    keys = {key_of(mention) for mention in mentions}
    if "most" in keys and [token.word for token in text.tokens[:2]] == ["which", "of"]:
        slots = [mention.slot for mention in mentions]
        return next((_GROUPS[slot] for slot in ("zip", "district", "region") if slots.count(slot) > 1), None)
    return "category" if "ranking" in keys and "category" not in keys else None


def _is_ranked(group: Mention, mentions: Sequence[Mention], text: Text) -> bool:
    """Tell "by permit type" from the mere noun, and from "how many permit types", which nothing here counts."""
    if group.values[0] in PLACES_AND_FIRMS:
        return _is_asked_for(group, mentions, text)
    if not GROUP_CUES.isdisjoint(text.words_before(group.at, 2)):
        return True
    behind = [token.word for token in text.tokens[group.end : group.end + 1]]
    if text.tokens[group.end - 1].word.endswith("s") and behind and behind[0] in _OF_WHAT and group.at == 0:
        return True
    is_counted = any(key_of(mention) == "count" and mention.end == group.at for mention in mentions)
    return not is_counted and not _is_noun(group, mentions)


def _is_asked_for(group: Mention, mentions: Sequence[Mention], text: Text) -> bool:
    """Tell "by ZIP" and "ZIPs with the most pools" from "in my ZIP"."""
    if said_as(group, text) in MAKERS:
        return True
    before = text.words_before(group.at, 2)
    if not RANKED["own"].isdisjoint(before[:1]):
        return False
    if not RANKED["by"].isdisjoint(before) and "in" not in before:
        return True
    behind = [token.word for token in text.tokens[group.end : group.end + 1]]
    if behind and behind[0] in {"by", "ranked", "ordered", "sorted"}:
        return True
    ranking = {"most", "ranking", "top", "largest", "priciest", "densest", "slowest"}
    return any(key_of(mention) in ranking for mention in mentions)


def said_as(mention: Mention, text: Text) -> str:
    """Give the words of a mention as rules see them."""
    return " ".join(token.word for token in text.tokens[mention.at : mention.end])


def _is_noun(group: Mention, mentions: Sequence[Mention]) -> bool:
    """Whether the word only names what stands beside it: "permits of the type electrical"."""
    return any(
        mention.slot in KIND_FIELDS and (0 <= group.at - mention.end <= 1 or 0 <= mention.at - group.end <= 1)
        for mention in mentions
    )


def _choose_order(mentions: Sequence[Mention], signs: Signs) -> Order:
    """Take the order that is said first; otherwise nearest where there is a point, and newest where there is none."""
    said = next((_ORDERS[key] for mention in mentions if (key := key_of(mention)) in _ORDERS), None)
    if said is None and any(mention.slot == "top" for mention in mentions):
        return "largest"
    return said or ("nearest" if signs.is_around_point else "newest")


def find_unused(mentions: Sequence[Mention], wish: Wish, text: Text, *, has_premise: bool) -> Iterator[Mention]:
    """Give the mentions that say nothing for the kind that was chosen."""
    used = set(_SAYING[wish.kind]) if wish.kind else set()
    used |= _MEASURED.get(wish.measure, frozenset()) | _AVERAGED.get(wish.measure, frozenset())
    keys = {key_of(mention) for mention in mentions}
    if "wait" in used and "waiting" not in keys and not waits_for_permit(mentions, text):
        used.remove("wait")
    if not paces_permits(mentions, text) and "waiting" not in keys:
        used.discard("pace")
    if wish.order:
        used |= {key for key, order in _ORDERS.items() if order == wish.order}
    if wish.order == "largest":
        used.add("value_usd")
    if wish.order == "newest":
        used.add("when")
    if not used.isdisjoint(keys & {"value_usd", "change"}):
        used.add("how_much")
    if has_subject(mentions, text):
        used.add("object")
    if has_premise:
        used.add("premise")
    for mention in mentions:
        if mention.slot == "joined" and wish.kind != "joined":
            yield mention
            continue
        if mention.slot == "group" and _is_understood(mention, mentions, text, wish):
            continue
        narrows = wish.kind != "joined" and _narrows(mention, mentions, text)
        if mention.slot == "group" or key_of(mention) in _CONDITIONAL - used or narrows:
            yield mention
    if "largest" in keys and wish.order == "largest":
        yield from _sized(mentions, text)


def find_said(mentions: Sequence[Mention], unused: Sequence[Mention]) -> frozenset[str]:
    """Give what was asked for in so many words."""
    return frozenset(key_of(mention) for mention in mentions if mention not in unused)


def _narrows(mention: Mention, mentions: Sequence[Mention], text: Text) -> bool:
    """Whether a thing is not just any that has permits, or is counted itself: "how many houses have solar"."""
    is_counted = any(key_of(other) == "count" and other.end == mention.at for other in mentions)
    is_people = text.tokens[mention.at].word == "people"
    return mention.slot == "object" and (
        text.tokens[mention.at].word in HOMES["objects"] or (is_counted and not is_people)
    )


def _sized(mentions: Sequence[Mention], text: Text) -> Iterator[Mention]:
    """Give the words for things whose size is not kept: "the biggest solar system"."""
    for mention in mentions:
        if mention.slot == "category" and text.tokens[mention.end - 1].word in HOMES["sized"]:
            yield replace(mention, at=mention.end - 1)


def _is_understood(group: Mention, mentions: Sequence[Mention], text: Text, wish: Wish) -> bool:
    if _is_ranked(group, mentions, text):
        return wish.group_by == group.values[0]
    return group.values[0] not in PLACES_AND_FIRMS and _is_noun(group, mentions)
