"""What a question wants to leave out: no filter can say it, so all of the clause is left over."""

from app.ask.grammar.lexicon import NEGATION
from app.ask.grammar.text import Text, rule

_ORDERS = frozenset(NEGATION["orders"])
_WORDS = "|".join(sorted(_ORDERS.union(NEGATION["words"]), key=len, reverse=True))
_BUT_NOT_BEFORE = "|".join(NEGATION["but_not_before"])
_CLAUSE = rule(rf"(?:{_WORDS})(?! (?:{_BUT_NOT_BEFORE})(?![^ ]))(?: (?!,(?![^ ]))[^ ]+)*")


def set_aside_negations(text: Text) -> str | None:
    """Put every clause that begins with "not", "except" or the like beyond the reach of the other rules.

    Gives the first such word, as written. An order to ignore something goes the same way, but leaves nothing out.
    """
    found = text.find_all(_CLAUSE)
    text.set_aside(*found)
    words = (text.tokens[span.first] for span in found)
    return next((token.raw for token in words if token.word not in _ORDERS), None)
