"""A question in plain English to a reading, by rules and lexicons alone: no database, no model."""

from app.ask.grammar.lexicon import STOP_WORDS
from app.ask.grammar.mentions import form_of
from app.ask.grammar.reader import read
from app.ask.grammar.reading import Address, Block, Context, Here, Intersection, Place, Point, Premise, Reading, Topic

__all__ = [
    "STOP_WORDS",
    "Address",
    "Block",
    "Context",
    "Here",
    "Intersection",
    "Place",
    "Point",
    "Premise",
    "Reading",
    "Topic",
    "form_of",
    "read",
]
