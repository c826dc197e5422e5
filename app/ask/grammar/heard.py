"""What the rules took out of a question, before it is decided what that comes to together."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from app.ask.grammar.dates import DateMention
from app.ask.grammar.filters import FIELDS, Part
from app.ask.grammar.kinds import key_of
from app.ask.grammar.lexicon import Slot
from app.ask.grammar.mentions import Mention
from app.ask.grammar.money import Bounds
from app.ask.grammar.reading import Reading
from app.ask.grammar.text import State, Text


@dataclass(frozen=True)
class Heard:
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


def find_since(heard: Heard) -> date | None:
    """Give the one day since when changes are asked for, up to now."""
    mention = find_since_mention(heard)
    return mention.first if mention else None


def find_since_mention(heard: Heard) -> DateMention | None:
    """Give that day with its place: of several days the one behind what tells of a change."""
    open_ended = [
        mention
        for mention in heard.dates
        if mention.first is not None and (mention.last is None or mention.last >= heard.today)
    ]
    if len(heard.dates) > 1:
        open_ended = [mention for mention in open_ended if _follows_change(mention, heard)]
    return open_ended[0] if len(open_ended) == 1 else None


def _follows_change(mention: DateMention, heard: Heard) -> bool:
    """Whether a day stands behind what tells of a change, nothing else between that has days."""
    cues = [one for one in heard.mentions if key_of(one) in {"changed", "change"} and one.end <= mention.at]
    return bool(cues) and not any(cues[-1].end <= other.at < mention.at for other in heard.dates)


def set_aside(text: Text, parts: Iterable[Part]) -> None:
    """Leave the words of some parts over."""
    text.mark(((part.at, part.end) for part in parts), State.ASIDE)
