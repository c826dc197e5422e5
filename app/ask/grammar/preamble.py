"""What people say of themselves before they ask: "I'm writing about rents: how many houses were torn down?"."""

import re

from app.ask.grammar.lexicon import PHRASES
from app.ask.grammar.text import State, Text, tokenize

_GREETING = r"\s*(?:(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening))\b[\s,!.]*)?"
_OPENING = (
    r"(?:i['’]?m|i am|we['’]?re|we are|as an?|working on|writing|researching|doing research|for (?:my|our|a|the)"
    r"|my (?:client|boss|editor|neighbou?r|wife|husband)|our (?:firm|company|office))\b"
)
_MORE = r"\s+(?=\S+\s+\S+\s+\S)"
_PREAMBLE = re.compile(
    rf"{_GREETING}(?:{_OPENING}[^.:;!?]{{0,200}}?[.:;!]|[a-z' ]{{1,40}}\bhere\s?[,.:;!-]){_MORE}", re.IGNORECASE
)
_PLACED = re.compile(
    r"\d|\b(?:in|near|at|around|on|for)\s+(?!(?:my|our|an?|the|general|particular)\b)[a-z]", re.IGNORECASE
)

SAYING = frozenset({"category", "permit_type", "permit_class", "status", "work_class", "subject"})


def take_preamble(text: Text, question: str) -> None:
    """Take a first sentence in which somebody speaks of himself; one that may name permits, a place or a day stays."""
    found = _PREAMBLE.match(question)
    if found is None or _PLACED.search(found.group()):
        return
    words = [token.word for token in tokenize(found.group())]
    meanings = (PHRASES.longest(words, index) for index in range(len(words)))
    if not any(one.slot in SAYING or (one.slot == "here" and count > 1) for one, count in filter(None, meanings)):
        text.mark([(0, len(words))], State.TAKEN)
