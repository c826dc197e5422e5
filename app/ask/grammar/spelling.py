"""Misspelt words: read as the word of a lexicon that differs by one letter, or by two in a long word.

Short words are never corrected ("roots" is not "roofs"): their misspellings stand in the lexicons.
"""

from itertools import groupby
from operator import itemgetter

from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from app.ask.grammar.lexicon import MONTHS, SPELLING, STOP_WORDS, STREETS, VOCABULARY
from app.ask.grammar.text import State, Text, Token

SHORTEST = 5
"""Letters of the shortest word that is corrected."""
LONG = 10
"""Letters from which on two may be wrong."""
MOST_WORDS = 40
"""So many words of a question are looked at, which bounds the time it takes."""

# By first letter, which nobody gets wrong.
_RIGHT = {letter: list(words) for letter, words in groupby(sorted(SPELLING["right"]), key=itemgetter(0))}
_KNOWN = VOCABULARY.union(STOP_WORDS, MONTHS, SPELLING["right"], SPELLING["never"], *STREETS.values())


def correct_spelling(text: Text) -> None:
    """Correct the free words that no lexicon knows, and keep what was corrected."""
    unknown = [token for token in text.tokens if token.state is State.FREE and _is_unknown(token)]
    for token in unknown[:MOST_WORDS]:
        right = _nearest(token.word)
        if right is not None:
            text.correct(token, right)


def _is_unknown(token: Token) -> bool:
    return len(token.word) >= SHORTEST and token.word.isalpha() and token.word not in _KNOWN


def _nearest(word: str) -> str | None:
    found = extractOne(word, _RIGHT.get(word[0], ()), scorer=OSA.distance, score_cutoff=2 if len(word) >= LONG else 1)
    return found[0] if found else None
