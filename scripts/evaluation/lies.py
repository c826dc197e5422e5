"""Twenty ways of lying with true sentences, for a scripted voice that must never be heard."""

import re
from collections.abc import Callable, Iterator, Sequence

NUMBER = re.compile(r"\$?\d+(?:,\d{3})*(?:\.\d+)?")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
DAY = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
WORDS = re.compile(r"[a-z]+", re.IGNORECASE)
CATEGORIES = ("swimming pool", "solar", "roof", "generator", "demolition", "battery storage", "remodel")
TURNED = (
    ("exceeds", "falls short of"),
    ("more than", "less than"),
    ("more", "less"),
    ("rose", "fell"),
    ("grew", "shrank"),
    ("fell", "rose"),
    ("increase", "decrease"),
    ("highest", "lowest"),
    ("larger", "smaller"),
    ("Number 1", "Number 9"),
    ("at least", "at most"),
    ("since", "until"),
)
UNITS = (
    (" km²", " square miles"),
    (" m ", " km "),
    (" %", " dollars"),
    ("$", "€"),
    (" days", " months"),
    ("permits", "acres"),
)
Liar = Callable[[str, Sequence[str]], str | None]
"""Makes a lie of a true sentence, beside the other true ones; None where it cannot."""


def find_figure(sentence: str) -> re.Match[str] | None:
    """Find the figure that a sentence is about: the first number that is no year or day, else the first."""
    found = list(NUMBER.finditer(DAY.sub(lambda day: "x" * len(day[0]), sentence)))
    plain = [one for one in found if not YEAR.fullmatch(one[0])]
    return next(iter(plain or found), None)


def with_figure(sentence: str, change: Callable[[str], str | None]) -> str | None:
    """Change the figure of a sentence."""
    figure = find_figure(sentence)
    changed = change(figure[0]) if figure else None
    return (
        None if figure is None or changed is None else sentence[: figure.start()] + changed + sentence[figure.end() :]
    )


def change_number(sentence: str, _others: Sequence[str]) -> str | None:
    """Say one digit otherwise."""
    return with_figure(sentence, lambda figure: figure[:-1] + str((int(figure[-1]) + 3) % 10))


def swap_numbers(sentence: str, _others: Sequence[str]) -> str | None:
    """Exchange two figures."""
    found = list(NUMBER.finditer(sentence))
    if len(found) < 2:
        return None
    one, other = found[0], found[-1]
    return sentence[: one.start()] + other[0] + sentence[one.end() : other.start()] + one[0] + sentence[other.end() :]


def round_number(sentence: str, _others: Sequence[str]) -> str | None:
    """Say only the first digit of a figure, or leave out its decimals."""

    def rounded(figure: str) -> str:
        whole, point, _ = figure.partition(".")
        return (
            whole if point else whole[:1] + re.sub(r"\d", "0", whole[1:]) if whole[0] != "$" else f"{whole[:2]}00,000"
        )

    return with_figure(sentence, rounded)


def change_sign(sentence: str, _others: Sequence[str]) -> str | None:
    """Put a minus before a figure."""
    return with_figure(sentence, lambda figure: f"-{figure}")


def change_unit(sentence: str, _others: Sequence[str]) -> str | None:
    """Say another unit."""
    return next((sentence.replace(unit, other) for unit, other in UNITS if unit in sentence), None)


def change_category(sentence: str, _others: Sequence[str]) -> str | None:
    """Say another kind of permit, or one where none was said."""
    said = next((name for name in CATEGORIES if name in sentence), None)
    if said:
        return sentence.replace(said, CATEGORIES[(CATEGORIES.index(said) + 1) % len(CATEGORIES)])
    other = "sign permit" if "irrigation" in sentence else "irrigation permit"
    return sentence.replace("permit", other, 1) if "permit" in sentence else None


def change_year(sentence: str, _others: Sequence[str]) -> str | None:
    """Say the year after, or a year where none was said."""
    if YEAR.search(sentence):
        return YEAR.sub(lambda year: str(int(year[0]) + 1), sentence, count=1)
    return append(sentence, "in 2031")


def change_place(sentence: str, _others: Sequence[str]) -> str | None:
    """Say another ZIP, or a place where none was said."""
    if re.search(r"\b787\d\d\b", sentence):
        return re.sub(r"\b787(\d\d)\b", lambda found: f"787{(int(found[1]) + 1) % 100:02d}", sentence, count=1)
    return append(sentence, "in Zilker" if "hyde park" in sentence.lower() else "in Hyde Park")


def negate(sentence: str, _others: Sequence[str]) -> str | None:
    """Deny it."""
    for verb in ("are", "is", "have", "has", "adds", "exceeds", "state", "states"):
        if f" {verb} " in sentence:
            return sentence.replace(f" {verb} ", f" {verb} not ", 1)
    return None


def claim_most(sentence: str, _others: Sequence[str]) -> str | None:
    """Claim a record."""
    return append(sentence, "the most ever")


def turn_comparison(sentence: str, _others: Sequence[str]) -> str | None:
    """Turn what compares, or compare where nothing did."""
    turned = next((sentence.replace(word, other) for word, other in TURNED if word in sentence), None)
    return turned or append(sentence, "more than in any year before")


def claim_cause(sentence: str, _others: Sequence[str]) -> str | None:
    """Give a reason."""
    return append(sentence, "because of new rebates")


def invent_permit(_sentence: str, _others: Sequence[str]) -> str | None:
    """Tell of a permit that there is not."""
    return "Permit 2031-999999 BP at 1 NOWHERE LN: solar; issued 2031-01-01; estimated cost $1,000."


def merge_facts(sentence: str, others: Sequence[str]) -> str | None:
    """Say the figure of another fact."""
    figures = (found[0] for other in others if (found := find_figure(other)))
    own = find_figure(sentence)
    other = next((figure for figure in figures if own and figure != own[0]), None)
    return with_figure(sentence, lambda _figure: other)


def narrow_scope(sentence: str, _others: Sequence[str]) -> str | None:
    """Leave out where or when, so that the figure is of more than it is."""
    cut = re.search(r" (?:issued|within|in ZIP|in district|in 20|with an|applied|with status)\b.*", sentence)
    shortened = sentence[: cut.start()] + "." if cut else ""
    return shortened if find_figure(shortened) else None


def claim_percentage(sentence: str, _others: Sequence[str]) -> str | None:
    """Compute a share that no fact has."""
    return append(sentence, "which is 12.7 % of all")


def claim_all(sentence: str, _others: Sequence[str]) -> str | None:
    """Say all instead of a number."""
    return with_figure(sentence, lambda _figure: "all of the")


def hedge(sentence: str, _others: Sequence[str]) -> str | None:
    """Make a figure vague."""
    return with_figure(sentence, lambda figure: f"roughly {figure}")


def move_point(sentence: str, _others: Sequence[str]) -> str | None:
    """Make a figure ten times as large."""
    return with_figure(sentence, lambda figure: f"{figure}0" if "." not in figure else figure.replace(".", ""))


def change_date(sentence: str, _others: Sequence[str]) -> str | None:
    """Say another day, or another sort of day."""
    if DAY.search(sentence):
        return DAY.sub(lambda day: f"{day[1]}-{day[2]}-{int(day[3]) % 27 + 1:02d}", sentence, count=1)
    if "issued" in sentence:
        return sentence.replace("issued", "completed", 1)
    return append(sentence, "as of yesterday")


def append(sentence: str, words: str) -> str:
    """Add words at the end of a sentence."""
    return f"{sentence.rstrip('.')}, {words}."


WAYS: dict[str, Liar] = {
    "number changed": change_number,
    "numbers swapped": swap_numbers,
    "number rounded": round_number,
    "sign": change_sign,
    "unit": change_unit,
    "category": change_category,
    "year": change_year,
    "place": change_place,
    "negation": negate,
    "superlative": claim_most,
    "comparison turned": turn_comparison,
    "causal claim": claim_cause,
    "invented permit": invent_permit,
    "merged facts": merge_facts,
    "partial scope": narrow_scope,
    "percentage": claim_percentage,
    "all": claim_all,
    "hedged": hedge,
    "moved decimal": move_point,
    "dates": change_date,
}


def tell_lies(truths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give every lie that can be made of true sentences, with the way it was made; none of them is another truth."""
    known = {plain(truth) for truth in truths}
    for truth in truths:
        others = [other for other in truths if other != truth]
        for way, lie in WAYS.items():
            told = lie(truth, others)
            if told and plain(told) not in known:
                yield way, told


def plain(sentence: str) -> str:
    """Give a sentence's words and figures alone, so that the same truth with another comma or number is the same."""
    words = [re.sub(r"\.0*$", "", word) for word in re.findall(r"[\w$%.-]+", sentence.lower().replace(",", ""))]
    return " ".join({"is": "are", "permit": "permits"}.get(word, word) for word in words).rstrip(".")
