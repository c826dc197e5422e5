"""Which of a model's sentences the facts support. A sentence passes whole, or is dropped.

A model may choose the words between, and nothing else. Per sentence: every number, sign and word that carries meaning
has to come from one fact, all that the fact says has to be there, each number has to keep a neighbour, and what is
bound together there has to stay so: a "no" and what it denies, a figure and its unit. Words of the scope that all facts
share may be left out by a sentence that points back to it ("these", "those"). Several ranked groups or years may be
told in one sentence, each name with its own figure.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.ask.facts import Facts
from app.ask.phrases import write_figure

NEUTRAL = frozenset(
    "a an the of in on at to for by from with within and which that there it its is are was were be been has have had "
    "this total number permit permits found recorded register registered according city they as".split()
)
"""Words that claim nothing by themselves. "no", "not", "than", "more" and all words of change are not among them."""
POINTERS = frozenset({"these", "those", "them", "they", "such"})
DENIALS = frozenset({"no", "not", "none", "cannot"})
BOUNDS = frozenset({"from", "to", "by", "since", "least", "most", "number", "zip"})
"""Words that say what a number behind them is: "by 2014" is not "in 2014", nor "at least 120" 120."""
UNITS = frozenset({"m", "%", "day", "square", "address"})
ORDERED = frozenset({"exceed", "these", "share", "grew", "fell", "other", "later", "first", "per", "address"})
"""Words of facts whose meaning hangs on the order: who exceeds whom, what is left out, what came first."""
# A date is one number. A sign that is no plain mark of a sentence says something: "≥", "−", "€", "㎞" or a "○" that
# looks like a zero.
TOKEN = re.compile(
    r"""\d{4}-\d\d-\d\d(?!\d)
    |\$?\.?\d+(?:,\d{3})*(?:\.\d+)?
    |[^\W\d_]+(?:'[^\W\d_]+)?
    |(?<!\d)[-‐-―](?=[$.\d])
    |[^\w\s.,;:!'"“”()‐-―-]""",
    re.VERBOSE,
)
SENTENCE = re.compile(r"\S.*?(?:(?<!\bSt)(?<!\bMt)(?<!\bDr)[.!?][\"')\]]*(?=\s)|(?=\n))", re.DOTALL)
"""Up to a mark that ends it, which the point of "St. John's" is not."""
LETTER = re.compile(r"\S")
SENTENCE_MAX = 600
LIST_MARK = re.compile(r"^(?:[-*•]|\(?\d{1,2}[.)])(?:\s+|$)")
MARKUP = re.compile(r"[*_`#>|\\]|https?:|<[^>]*>|\[[^\]]*\]\(")
SIGNS = frozenset("-‐‑‒–—―")
"""A longitude has one, so that a fact's words alone do not tell which of its numbers is below zero."""


@dataclass(frozen=True)
class Verified:
    """A sentence that passed, and the facts that it tells."""

    text: str
    fact_ids: tuple[str, ...]


class Verifier:
    """Checks sentences against the facts of one answer."""

    def __init__(self, facts: Facts) -> None:
        self.facts = [(fact, tokenize(fact.sentence)) for fact in facts.items]
        self.scope = frozenset(content(tokenize(facts.scope)))
        _, _, apart = facts.scope.partition(" other than ")
        self.apart = frozenset(content(tokenize(f"other than {apart}"))) if apart else frozenset[str]()
        self.labelled = [(fact, content(tokenize(fact.label or ""))) for fact in facts.items if fact.label]

    def check(self, sentence: str) -> Verified | None:
        """Give the sentence with the facts that support it, or None."""
        text = " ".join(sentence.split())
        if not text or len(text) > SENTENCE_MAX or MARKUP.search(text) or text[-1] not in ".!":
            return None
        if not text.isprintable():  # letters that are not seen, or turn the figures round for a reader
            return None
        tokens = tokenize(text)
        for fact, said in self.facts:
            if self._tells(tokens, said):
                return Verified(text, (fact.id,))
        ranked = self._match_ranking(tokens)
        return Verified(text, ranked) if ranked else None

    def _tells(self, tokens: list[str], said: list[str]) -> bool:
        """Tell whether a sentence says what a fact says, no more and no less."""
        claimed, supported = content(tokens), content(said)
        points_back = not POINTERS.isdisjoint(tokens)
        if not any(is_number(token) or token in {"no", "none", "equal"} for token in claimed):
            return False
        if set(claimed) - set(supported) - (POINTERS if points_back else set()):
            return False
        if Counter(word for word in claimed if word not in POINTERS) - Counter(supported):
            return False  # "Irrigation with 16 irrigation permits" says a second thing in words of the first
        left_out = set(supported) - set(claimed) - POINTERS
        if left_out and not (points_back and left_out <= self.scope):
            return False
        if not (self.apart.isdisjoint(left_out) or self.apart <= left_out):
            return False  # what is left out of the permits would be said of them
        kept = [token for token in said if token not in left_out]
        return (
            keeps_neighbours(tokens, said, kept)
            and keeps_bonds(tokens, said, left_out)
            and keeps_order(claimed, supported)
        )

    def _match_ranking(self, tokens: list[str]) -> tuple[str, ...]:
        """Give the facts of leading groups that a sentence lists in order, each name beside its own figure."""
        claimed = [token for token in content(tokens) if token not in POINTERS]
        figures = [tokenize(write_figure(fact.value, fact.unit)) for fact, _ in self.labelled]
        if set(bonds(tokens)) - {bond for figure in figures for bond in bonds(figure)}:
            return ()
        ids: list[str] = []
        for (fact, label), told in zip(self.labelled, figures, strict=True):
            figure = content(told)
            length = len(label) + len(figure)
            if claimed[:length] not in (label + figure, figure + label):
                break
            ids.append(fact.id)
            claimed = claimed[length:]
        return tuple(ids) if len(ids) > 1 and not claimed else ()


def tokenize(text: str) -> list[str]:
    """Cut a text into words and numbers, lower case, plurals as singulars, thousands without commas."""
    return [normalize(match.group()) for match in TOKEN.finditer(text.lower().replace("’", "'"))]


def normalize(token: str) -> str:
    """Give a number without its commas and needless zeros, and a word without its plural.

    Three zeros stay: half the world reads "120.000" as a hundred and twenty thousand.
    """
    if token[-1].isdigit():
        number = token.replace(",", "")
        return number.rstrip("0").rstrip(".") if "." in number and not number.endswith(".000") else number
    return token[:-1] if len(token) > 3 and token.endswith("s") and not token.endswith("ss") else token


def content(tokens: Sequence[str]) -> list[str]:
    """Give the tokens that carry meaning, in order."""
    return [token for token in tokens if token not in NEUTRAL]


def is_number(token: str) -> bool:
    """Tell whether a token is a number, an amount included."""
    return token.lstrip("$")[:1].isdigit()


def keeps_neighbours(tokens: list[str], said: list[str], kept: list[str]) -> bool:
    """Tell whether each number stands beside a word that only it stands beside in the fact, and as often as there.

    A number that shares all such words with others keeps both its sides: "in March 78724" takes the place of a year.
    ``kept`` is the fact without the words that the sentence leaves out.
    """
    pairs = {*neighbours(said), *neighbours(kept)}
    shared = Counter(neighbour for _, neighbour in pairs)
    telling = {pair for pair in pairs if shared[pair[1]] == 1}
    for place, token in enumerate(tokens):
        if not is_number(token):
            continue
        beside = {(token, neighbour) for neighbour in around(tokens, place)}
        if not (beside & telling or beside <= pairs):
            return False
    numbers = sorted(filter(is_number, tokens))
    return all(numbers.count(number) <= said.count(number) for number in numbers)


def keeps_bonds(tokens: list[str], said: list[str], left_out: set[str]) -> bool:
    """Tell whether a sentence binds together just what the fact does, what it leaves out apart."""
    return set(bonds(tokens)) == {bond for bond in bonds(said) if left_out.isdisjoint(bond)}


def bonds(tokens: list[str]) -> Iterator[tuple[str, str]]:
    """Give each denial with what it denies, each number with its sign, its unit, and a small word that bounds it."""
    for place, token in enumerate(tokens):
        if token in DENIALS:
            yield token, next((word for word in tokens[place + 1 :] if word == "permit" or word not in NEUTRAL), "")
        elif is_number(token):
            yield from (pair for pair in pairwise(tokens[max(place - 1, 0) : place + 2]) if is_bond(pair))


def is_bond(pair: tuple[str, str]) -> bool:
    """Tell whether a number stands with its unit, or behind a sign or a word that bounds it."""
    return (pair[0] in BOUNDS | SIGNS and is_number(pair[1])) or (is_number(pair[0]) and pair[1] in UNITS)


def neighbours(tokens: list[str]) -> Iterator[tuple[str, str]]:
    """Give each number with each token beside it."""
    for place, token in enumerate(tokens):
        if is_number(token):
            yield from ((token, neighbour) for neighbour in around(tokens, place))


def around(tokens: list[str], place: int) -> Iterator[str]:
    """Give the tokens before and after a place, marked by their side."""
    if place:
        yield f"{tokens[place - 1]} _"
    if place + 1 < len(tokens):
        yield f"_ {tokens[place + 1]}"


def keeps_order(claimed: list[str], supported: list[str]) -> bool:
    """Tell whether a sentence that compares, tells a part of a whole, or leaves something out keeps the fact's order.

    "A exceeds B" is not "B exceeds A".
    """
    if ORDERED.isdisjoint(supported):
        return True
    rest = iter(supported)
    return all(token in rest for token in claimed if token not in POINTERS)


def split_sentences(text: str) -> tuple[list[str], str]:
    """Cut off the sentences that are complete, for more may follow; give them without list marks, and the rest."""
    found = list(find_sentences(text))
    sentences = [LIST_MARK.sub("", match.group().strip()) for match in found]
    return [sentence for sentence in sentences if sentence], text[found[-1].end() if found else 0 :].lstrip()


def find_sentences(text: str) -> Iterator[re.Match[str]]:
    """Give the sentences that are complete, and look no further where none ends.

    Searched for at each place anew, one end that does not come cost seconds in a text of some thousand characters.
    """
    place = 0
    while (start := LETTER.search(text, place)) and (sentence := SENTENCE.match(text, start.start())):
        yield sentence
        place = sentence.end()
