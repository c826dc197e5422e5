"""What words mean beside each other: a phrase of a lexicon may say another thing, or nothing, where it stands."""

from collections.abc import Sequence
from dataclasses import replace

from app.ask.grammar.doubts import find_together
from app.ask.grammar.filters import KIND_FIELDS
from app.ask.grammar.heard import Heard, find_since_mention, set_aside
from app.ask.grammar.joining import opens_address, read_after
from app.ask.grammar.kinds import key_of, said_as
from app.ask.grammar.lexicon import CHANGED, COPULAS, GOING_UP, GROUP_SAYS, HERE_AT, HOMES, PASSED_OVER, PRICIER
from app.ask.grammar.mentions import Mention
from app.ask.grammar.reading import Here, Place
from app.ask.grammar.text import State, Text


def settle(heard: Heard) -> Heard:
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


def _read_new_since(heard: Heard, mentions: list[Mention]) -> list[Mention]:
    """Read "what's new since March" and "permits that changed since March" as what changed since that day.

    Without such a day it is the newest, or a change of figures.
    """
    since = find_since_mention(heard)
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
        replace(mention, slot="order", values=("priciest",)) if said_as(mention, text) in PRICIER else mention
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
        if one.slot == "declined"
        and (one.values[0] in PASSED_OVER["topics"] or said_as(one, text) in PASSED_OVER["words"])
    ]
    set_aside(text, passed)
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
    rising = [
        mention for mention in mentions if mention.slot == "change" and said_as(mention, text) in GOING_UP["words"]
    ]
    asked = [token.word for token in text.tokens[:2]]
    is_asked = bool(asked) and asked[0] in GOING_UP["asking"] and asked[-1] not in GOING_UP["things"]
    if not rising or is_asked or any(token.word in {"%", "percent", "pct"} for token in text.tokens):
        return mentions
    return [replace(mention, slot="subject") if mention in rising else mention for mention in mentions]


def _read_makers(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Hear the category in "solar installers" too."""
    said = [
        Mention("category", (GROUP_SAYS[name],), mention.at, mention.at + 1)
        for mention in mentions
        if mention.slot == "group" and (name := said_as(mention, text)) in GROUP_SAYS
    ]
    return sorted([*mentions, *said], key=lambda mention: mention.at)


def _drop_unmeant(text: Text, mentions: list[Mention]) -> list[Mention]:
    """Drop what cannot be meant as it stands: it is left over."""
    dropped = [mention for mention in mentions if mention.slot in {"refused", "both"}]
    for before, joint, after in zip(mentions, mentions[1:], mentions[2:], strict=False):
        # "Solar with battery": one permit that is both.
        if joint.slot == "both" and before.slot == after.slot == "category" and after.at <= joint.end + 1:
            dropped.append(after)
    set_aside(text, dropped)
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
