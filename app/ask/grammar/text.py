"""Text: a question as a row of words, of which rules take spans; no word can be taken twice."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate, groupby

from app.ask.grammar.lexicon import ABBREVIATIONS, MONTHS, SHORT, STOP_WORDS

LONGEST = 2_000
"""Characters that are read; a single one may be written out to many, so this is counted afterwards."""
REST = "…"
"""Stands for what is longer than that, and is left over."""

# Compatibility forms would join a digit and a fraction ("1½" to "11/2"), so these are written out before.
_BEFORE_NFKC = str.maketrans({"½": " 1/2 ", "¼": " 1/4 ", "¾": " 3/4 ", "⅓": " 1/3 ", "⅔": " 2/3 ", "º": "°", "˚": "°"})
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPOKEN = rf"(?:{'|'.join(_DIGITS)}|oh)"
_TEEN_WORDS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TEENS = rf"(?P<teen>{'|'.join(_TEEN_WORDS)})"


def _read_digits(match: re.Match[str]) -> str:
    """Read a ZIP that is spelt out digit by digit, as voice assistants write it."""
    words = re.split("[ -]", match.group().lower())
    return "".join(str(_DIGITS.index(word)) if word in _DIGITS else "0" for word in words)


def _read_year(match: re.Match[str]) -> str:
    """Read "twenty fifteen"."""
    return str(2010 + _TEEN_WORDS.index(match["teen"].lower()))


_UNITS = "one two three four five six seven eight nine".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_BELOW_TWENTY = "|".join(_UNITS + _TEEN_WORDS)
_BELOW_HUNDRED = rf"(?:(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<ones>{'|'.join(_UNITS)}))?|(?P<small>{_BELOW_TWENTY}))"
_HUNDREDS = rf"(?P<hundreds>an?|{'|'.join(_UNITS + _TEEN_WORDS)}) hundred"


def _read_number(match: re.Match[str]) -> str:
    """Read a number of two or three figures in words; up to twenty they stand in a lexicon."""
    groups = match.groupdict()
    small = [*_UNITS, *_TEEN_WORDS]
    value = _TENS.index(groups["tens"].lower()) * 10 + 20 if groups.get("tens") else 0
    value += _UNITS.index(groups["ones"].lower()) + 1 if groups.get("ones") else 0
    value += small.index(groups["small"].lower()) + 1 if groups.get("small") else 0
    if hundreds := groups.get("hundreds"):
        value += 100 * (1 if hundreds.lower() in {"a", "an"} else small.index(hundreds.lower()) + 1)
    return match.group() if value <= 20 else str(value)


_WRITTEN_OUT: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"≥|>=|=>", " at least "),
        (r"≤|<=|=<", " at most "),
        (r"\bw/ ?in\b", "within"),
        (r"\bw/ ?o\b", "without"),
        (r"\bb/w\b", "between"),
        (r"\bw/", "with "),
        (r"(?:\bno\.|#) ?of\b", "number of"),
        (r"\bas well as\b", "and"),
        (r"\be v\b", "ev"),
        (r"\ba d u\b", "adu"),
        (rf"\b{_SPOKEN}(?:[ -]{_SPOKEN}){{4}}\b", _read_digits),
        (rf"\b(?:twenty|two thousand(?: and)?)[ -]{_TEENS}\b", _read_year),
        (r"\bhalf a dozen\b", "six"),
        (rf"\b{_HUNDREDS}(?:(?: and)? {_BELOW_HUNDRED})?\b", _read_number),
        (rf"\b(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<ones>{'|'.join(_UNITS)}))?\b", _read_number),
    )
)
_AFTER_NFKC = str.maketrans(
    dict.fromkeys("‐‑‒–—―−", "-")
    | dict.fromkeys("‘’ʼ`´", "'")
    | dict.fromkeys("“”„«»", '"')
    | {"⁄": "/"}
    | dict.fromkeys(map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]), None)
)
_QUOTED = re.compile(r"(?<!\w)'([^']{1,60})'(?!\w)")
_PIECE = re.compile(
    r"""(?<![\w.])-?[0-9]+\.[0-9]+|(?<![\w.])[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|(?<![0-9])\.[0-9]+|(?<!\w)'[0-9]{2}(?!\w)
    |[0-9]+(?:st|nd|rd|th|'?s)(?![^\W_])|[0-9]+[acdfgijloprtuvxyz](?![^\W_])|[0-9]+
    |[^\W0-9_]+(?:'[^\W0-9_]+)*|[$%°#"<>+,/&@?!;.)-]""",
    re.IGNORECASE | re.VERBOSE,
)
_SYNONYMS = {"&": "and", "@": "at"} | SHORT | dict.fromkeys("?!;.)", ",")
_IN_FIGURES = str.maketrans("", "", ",'")
_SUFFIXES = frozenset({"s", "re", "ve", "ll", "d", "m"})
_DASH_BEFORE = frozenset({"k", "m", "million", "thousand"}) | MONTHS.keys()
_DASH_AFTER = frozenset({"$", "q"}) | MONTHS.keys()


class State(Enum):
    """What became of a word."""

    FREE = auto()
    TAKEN = auto()
    ASIDE = auto()
    """Nobody may take it any more, and it is left over."""


@dataclass(slots=True)
class Token:
    """One word: as rules see it, as it was written, and the value of the span it stands for, if any."""

    word: str
    raw: str
    value: object = None
    state: State = State.FREE
    is_folded: bool = False
    """Part of a span that the word before it stands for."""


@dataclass(frozen=True, slots=True)
class Found:
    """A match of a rule, and the tokens ``first`` to ``end`` (exclusive) it covers."""

    match: re.Match[str]
    first: int
    end: int


def rule(pattern: str) -> re.Pattern[str]:
    """Compile a pattern over whole words, one space between two of them."""
    return re.compile(rf"(?<![^ ])(?:{pattern})(?![^ ])")


def tokenize(question: str) -> list[Token]:
    """Cut a question into words in lower case; a sentence's end becomes a comma."""
    whole = unicodedata.normalize("NFKC", question.translate(_BEFORE_NFKC)).translate(_AFTER_NFKC)
    plain = _QUOTED.sub(r'"\1"', whole[:LONGEST])
    for pattern, words in _WRITTEN_OUT:
        plain = pattern.sub(words, plain)
    tokens = [token for match in _PIECE.finditer(plain) for token in _cut(match.group())]
    kept = [token for before, token, after in _neighbours(tokens) if _stays(before, token, after)]
    return kept if len(whole) <= LONGEST else [*kept, Token(REST, REST)]


def _cut(piece: str) -> Iterator[Token]:
    """Give the tokens of one piece: apostrophes fall away, "don't" becomes "do not" and "'14" becomes 2014."""
    word = piece.lower()
    stem, apostrophe, suffix = word.rpartition("'")
    if suffix == "t" and stem.endswith("n"):
        yield Token(stem[:-1].replace("'", ""), piece)
        yield Token("not", "not")
    elif apostrophe and not stem and suffix.isdecimal():
        yield Token(("19" if suffix >= "50" else "20") + suffix, piece)
    elif word[0].isdigit():
        yield Token(word.translate(_IN_FIGURES), piece)
    else:
        whole = stem if apostrophe and suffix in _SUFFIXES else word
        yield Token(_SYNONYMS.get(whole, whole).replace("'", ""), piece)


def _neighbours(tokens: list[Token]) -> Iterator[tuple[Token, Token, Token]]:
    edge = Token(",", ",")
    return zip([edge, *tokens], tokens, [*tokens[1:], edge], strict=False)


def _stays(before: Token, token: Token, after: Token) -> bool:
    """Whether a mark means something where it stands: a dash between figures does, one inside a word does not."""
    if token.raw == ".":
        return before.word not in ABBREVIATIONS
    if token.word == "/":
        return _is_figure(before) and _is_figure(after)
    if token.word == "-":
        opens = _is_figure(before) or before.word in _DASH_BEFORE
        return opens and (_is_figure(after) or after.word in _DASH_AFTER)
    return True


def _is_figure(token: Token) -> bool:
    return token.word[:1].isdigit()


class Text:
    """The words of a question and what rules have made of them. Positions of tokens never change."""

    def __init__(self, question: str) -> None:
        self.tokens = tokenize(question)
        self.corrections: list[tuple[str, str]] = []
        self._line: str | None = None
        self._shown: list[int] = []
        self._starts: list[int] = []

    @property
    def line(self) -> str:
        """What rules match: the free words, one space between two.

        A bar stands for each word that is gone, and a symbol ("§date") for each span that was folded into a value.
        """
        if self._line is None:
            self._shown = [index for index, token in enumerate(self.tokens) if not token.is_folded]
            shown = map(self.tokens.__getitem__, self._shown)
            words = [token.word if token.state is State.FREE else "|" for token in shown]
            self._starts = list(accumulate((len(word) + 1 for word in words), initial=0))
            self._line = " ".join(words)
        return self._line

    def find(self, pattern: re.Pattern[str]) -> Found | None:
        """Find the first match of a rule."""
        match = pattern.search(self.line)
        return self._place(match) if match else None

    def find_all(self, pattern: re.Pattern[str]) -> list[Found]:
        """Find all matches of a rule, none of which overlap."""
        return [self._place(match) for match in pattern.finditer(self.line)]

    def _place(self, match: re.Match[str]) -> Found:
        first = bisect_right(self._starts, match.start()) - 1
        last = bisect_right(self._starts, match.end() - 1) - 1
        end = self._shown[last + 1] if last + 1 < len(self._shown) else len(self.tokens)
        return Found(match, self._shown[first], end)

    def take(self, *spans: Found) -> None:
        """Mark spans as understood."""
        self.mark(((span.first, span.end) for span in spans), State.TAKEN)

    def set_aside(self, *spans: Found) -> None:
        """Mark spans as not to be understood by any rule: they are left over."""
        self.mark(((span.first, span.end) for span in spans), State.ASIDE)

    def mark(self, ranges: Iterable[tuple[int, int]], state: State) -> None:
        """Give the tokens of several ranges a state."""
        for first, end in ranges:
            self._line = None
            for token in self.tokens[first:end]:
                token.state = state

    def fold(self, pattern: re.Pattern[str], symbol: str, parse: Callable[[re.Match[str]], object | None]) -> None:
        """Let each match that ``parse`` gives a value for stand as one symbol with that value."""
        for found in self.find_all(pattern):
            value = parse(found.match)
            if value is not None:
                self._line = None
                self.tokens[found.first].word, self.tokens[found.first].value = symbol, value
                for token in self.tokens[found.first + 1 : found.end]:
                    token.is_folded = True

    def stand_for(self, index: int, symbol: str, value: object) -> None:
        """Let a token stand for another value."""
        self._line = None
        self.tokens[index].word, self.tokens[index].value = symbol, value

    def fold_into(self, index: int, other: int) -> None:
        """Make a later token a part of the span that one stands for."""
        self._line = None
        self.tokens[other].is_folded = True

    def correct(self, token: Token, word: str) -> None:
        """Read a word as another one, and keep that it was."""
        self._line = None
        self.corrections.append((token.raw, word))
        token.word = word

    def values(self, found: Found) -> list[object]:
        """Give the values of the symbols in a match, in order."""
        tokens = self.tokens[found.first : found.end]
        return [token.value for token in tokens if token.value is not None and not token.is_folded]

    def words_before(self, index: int, count: int) -> list[str]:
        """Give up to ``count`` words before a token, whatever became of them, the nearest first."""
        return [token.word for token in reversed(self.tokens[max(0, index - count) : index])]

    def leftovers(self) -> tuple[str, ...]:
        """List the words that mean something and that no rule took, as written."""
        return tuple(token.raw for token in self.tokens if token.state is not State.TAKEN and _means_something(token))

    def open_runs(self) -> tuple[str, ...]:
        """List the runs of leftovers that are still free, as rules see them; all that is no such word parts two runs.

        A stop word parts them too: behind "in" a place may begin. A figure is never part of one.
        """
        runs = groupby(self.tokens, key=_is_open)
        return tuple(" ".join(token.word for token in tokens) for is_open, tokens in runs if is_open)


def _is_open(token: Token) -> bool:
    return token.state is State.FREE and token.word.isalpha() and _means_something(token)


def _means_something(token: Token) -> bool:
    """Whether a word could change an answer: it has a figure or two letters, and is no stop word."""
    word = token.raw.lower() if token.value is not None or token.is_folded else token.word
    letters = [character for character in word if character.isalnum()]
    has_content = len(letters) > 1 or any(map(str.isdigit, letters)) or word == REST
    return has_content and word not in STOP_WORDS
