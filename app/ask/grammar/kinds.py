"""What is wanted: the kind of answer, by what, in which order and how many, from the mentions of a question."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from app.ask.grammar.lexicon import GROUP_CUES, HOMES
from app.ask.grammar.mentions import Mention
from app.ask.grammar.text import Text
from app.ask.plan import GroupBy, Kind, Measure, Order

_ORDERS: dict[str, Order] = {"nearest": "nearest", "newest": "newest", "largest": "largest", "priciest": "largest"}
_GROUPS: dict[str, GroupBy] = {"category": "category", "permit_type": "permit_type", "work_class": "work_class"}
_VALUED = frozenset({"value_usd", "priciest"})
# Words that are understood only where they say something for the kind that was chosen; elsewhere they are left over.
_SAYING: dict[Kind, frozenset[str]] = {
    "compare": frozenset({"compare", "than", "more", "count", "value_usd", "priciest", "change"}),
    "series": frozenset({"series", "change", "count", "most", "value_usd", "priciest", "largest"}),
    "top": frozenset({"ranking", "top", "group", "count", "most", "value_usd", "priciest", "largest"}),
    "count": frozenset({"count"}),
    "sum": frozenset({"value_usd"}),
    "list": frozenset({"top"}),
}
_CONDITIONAL = frozenset[str]().union(*_SAYING.values(), _ORDERS, {"how_much", "when", "object", "premise"})
_FILTERS = frozenset({"category", "permit_type", "permit_class", "status", "work_class"})
_SUBJECTS = _FILTERS | {"subject", "group"}


@dataclass(frozen=True)
class Wish:
    """What kind of answer a question wants."""

    kind: Kind | None
    measure: Measure = "permits"
    group_by: GroupBy | None = None
    order: Order | None = None


@dataclass(frozen=True)
class Signs:
    """What is known of a question besides its mentions, when its kind is chosen."""

    compares: bool
    changes: bool
    claims_number: bool
    is_narrowed: bool
    """By a place or by days."""
    is_around_point: bool


def decide(mentions: Sequence[Mention], text: Text, signs: Signs) -> Wish:
    """Choose the kind of answer, and what belongs to it."""
    keys = {key_of(mention) for mention in mentions}
    group_by = _find_group(mentions, text)
    kind = _choose_kind(keys, group_by, signs)
    is_valued = kind != "count" and (
        "value_usd" in keys or (kind in {"top", "series", "compare"} and "priciest" in keys)
    )
    return Wish(
        kind=kind,
        measure="value_usd" if is_valued and kind != "list" else "permits",
        group_by=group_by if kind == "top" else None,
        order=_choose_order(mentions, signs) if kind == "list" else None,
    )


def key_of(mention: Mention) -> str:
    """Name what a mention says: its slot, or its value where that decides the kind."""
    return mention.values[0] if mention.slot in {"kind", "order", "measure"} else mention.slot


def has_subject(mentions: Sequence[Mention]) -> bool:
    """Whether permits are what a question is about."""
    return any(mention.slot in _SUBJECTS for mention in mentions)


def _choose_kind(keys: Collection[str], group_by: GroupBy | None, signs: Signs) -> Kind | None:
    wanted: tuple[tuple[Kind, bool], ...] = (
        ("compare", signs.compares),
        ("series", "series" in keys or signs.changes),
        ("top", group_by is not None),
        ("count", "count" in keys or signs.claims_number),
        ("list", "top" in keys or not _ORDERS.keys().isdisjoint(keys)),
        ("sum", "value_usd" in keys),
        ("count", "total" in keys),
        ("list", not _SUBJECTS.isdisjoint(keys) or signs.is_narrowed),
    )
    return next((kind for kind, is_wanted in wanted if is_wanted), None)


def _find_group(mentions: Sequence[Mention], text: Text) -> GroupBy | None:
    """Find what a ranking is made of; "most common permits" without more are ranked by category."""
    for mention in mentions:
        if mention.slot == "group" and _is_ranked(mention, mentions, text):
            return _GROUPS[mention.values[0]]
    keys = {key_of(mention) for mention in mentions}
    return "category" if "ranking" in keys and "category" not in keys else None


def _is_ranked(group: Mention, mentions: Sequence[Mention], text: Text) -> bool:
    """Tell "by permit type" from the mere noun, and from "how many permit types", which nothing here counts."""
    if not GROUP_CUES.isdisjoint(text.words_before(group.at, 2)):
        return True
    is_counted = any(key_of(mention) == "count" and mention.end == group.at for mention in mentions)
    return not is_counted and not _is_noun(group, mentions)


def _is_noun(group: Mention, mentions: Sequence[Mention]) -> bool:
    """Whether the word only names what stands beside it: "permits of the type electrical"."""
    return any(
        mention.slot in _FILTERS and (0 <= group.at - mention.end <= 1 or 0 <= mention.at - group.end <= 1)
        for mention in mentions
    )


def _choose_order(mentions: Sequence[Mention], signs: Signs) -> Order:
    """Take the order that is said first; otherwise nearest where there is a point, and newest where there is none."""
    said = next((_ORDERS[mention.values[0]] for mention in mentions if mention.slot == "order"), None)
    if said is None and any(mention.slot == "top" for mention in mentions):
        return "largest"
    return said or ("nearest" if signs.is_around_point else "newest")


def find_unused(mentions: Sequence[Mention], wish: Wish, text: Text, *, has_premise: bool) -> Iterator[Mention]:
    """Give the mentions that say nothing for the kind that was chosen."""
    used = set(_SAYING[wish.kind]) if wish.kind else set()
    if wish.order:
        used |= {key for key, order in _ORDERS.items() if order == wish.order}
    if wish.order == "largest":
        used.add("value_usd")
    if wish.order == "newest":
        used.add("when")
    keys = {key_of(mention) for mention in mentions}
    if not used.isdisjoint(keys & {"value_usd", "change"}):
        used.add("how_much")
    if has_subject(mentions):
        used.add("object")
    if has_premise:
        used.add("premise")
    for mention in mentions:
        if mention.slot == "group" and _is_understood(mention, mentions, text, wish):
            continue
        if mention.slot == "group" or key_of(mention) in _CONDITIONAL - used or _narrows(mention, text):
            yield mention
    if "largest" in keys and wish.order == "largest":
        yield from _sized(mentions, text)


def _narrows(mention: Mention, text: Text) -> bool:
    """Whether a thing is not just any that has permits: "how many houses have solar"."""
    return mention.slot == "object" and text.tokens[mention.at].word in HOMES["objects"]


def _sized(mentions: Sequence[Mention], text: Text) -> Iterator[Mention]:
    """Give the words for things whose size is not kept: "the biggest solar system"."""
    for mention in mentions:
        if mention.slot == "category" and text.tokens[mention.end - 1].word in HOMES["sized"]:
            yield replace(mention, at=mention.end - 1)


def _is_understood(group: Mention, mentions: Sequence[Mention], text: Text, wish: Wish) -> bool:
    if _is_ranked(group, mentions, text):
        return wish.group_by == group.values[0]
    return _is_noun(group, mentions)
