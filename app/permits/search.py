"""Full text over descriptions and addresses: which words can be searched, and what is searched for unknown ones."""

import re

from app.database import Reader

TEXT_MAX = 200
WORD = re.compile(r"[^\W_]+")
STOP_WORDS = frozenset(
    """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it
    its itself they them their theirs themselves what which who whom this that these those am is are was were be been
    being have has had having do does did doing a an the and but if or because as until while of at by for with about
    against between into through during before after above below to from up down in out on off over under again further
    then once here there when where why how all any both each few more most other some such no nor not only own same so
    than too very s t can will just don should now
    """.split()
)
"""What PostgreSQL's text search for English leaves out (Snowball's list)."""
SELECT_WIDENED = "SELECT word, read_as FROM widened_words(%(q)s)"


def has_a_word(text: str) -> str:
    """Give a text back that has a word to search for. Raises :class:`ValueError`."""
    if all(word in STOP_WORDS for word in WORD.findall(text.lower())):
        raise ValueError("has no word to search for: give one beside signs and words such as 'the' and 'of'")
    return text


async def find_widened(reader: Reader, text: str) -> dict[str, list[str]]:
    """Find the words of a text that no permit has, each with the stems that are searched instead.

    A star stands for every ending. An empty list says that nothing is like the word, so that it is found nowhere.
    """
    return dict(await reader.find_all(SELECT_WIDENED, {"q": text}))
