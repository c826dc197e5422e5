"""Numbers as they are written in a question: figures, words to twenty, fractions."""

from decimal import Decimal

from app.ask.grammar.lexicon import NUMBERS

WORD = "|".join(NUMBERS)
COUNT = rf"(?:[0-9]{{1,6}}|{WORD})"
"""A whole number."""
AMOUNT = rf"(?:[0-9]{{1,12}}(?:\.[0-9]{{1,6}})?|\.[0-9]{{1,6}}|{WORD})"
"""A number that may have decimals."""


def parse_count(text: str) -> int:
    """Read a whole number, in figures or as a word."""
    return NUMBERS[text] if text in NUMBERS else int(text)


def parse_amount(text: str) -> Decimal:
    """Read a number that may have decimals."""
    return Decimal(NUMBERS[text]) if text in NUMBERS else Decimal(text)
