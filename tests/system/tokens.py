"""Words and numbers that stand nowhere else, and every form in which they could be written down."""

import base64
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

LETTERS = "bdfghjkmpqvwxz"
PREFIX_LENGTH = 8
DIGITS = 7
"""Of a number so many digits are searched for; no 9 follows, so that rounding to six decimals leaves them alone."""


def make_word() -> str:
    """Make a word that no register, library or other program has."""
    return "".join(secrets.choice(LETTERS) for _ in range(14))


def make_number(begin: str) -> float:
    """Make a number that begins so and goes on for eight digits more."""
    return float(begin + "".join(secrets.choice("12345678") for _ in range(8)))


@dataclass(frozen=True)
class Canary:
    """What a caller tells the service: a word of a question, an address, a place and a radius, each told apart."""

    word: str = field(default_factory=make_word)
    street: str = field(default_factory=make_word)
    lat: float = field(default_factory=lambda: make_number("30.265"))
    lng: float = field(default_factory=lambda: make_number("-97.745"))
    radius_m: float = field(default_factory=lambda: make_number("731.5"))

    @property
    def address(self) -> str:
        """A street that no city has."""
        return f"4711 {self.street.title()} Lane"

    @property
    def question(self) -> str:
        """A question that is answered though it holds a word that no rule knows."""
        return f"How many solar permits were issued in 2015, {self.word}?"

    @property
    def needles(self) -> dict[bytes, str]:
        """Every form of every token, in lower case, and which token it is."""
        forms: dict[bytes, str] = {}
        for name in ("word", "street"):
            forms |= dict.fromkeys(_spell(getattr(self, name)), name)
        for name in ("lat", "lng", "radius_m"):
            forms |= dict.fromkeys(_write(abs(getattr(self, name)), getattr(self, name)), name)
        return forms

    def find_in(self, data: bytes) -> set[str]:
        """Name the tokens that stand in ``data`` in any form."""
        lowered = data.lower()
        return {name for form, name in self.needles.items() if form in lowered}

    def find_in_text(self, text: object) -> set[str]:
        """Name the tokens that stand in a text, or in what an object is written as."""
        return self.find_in(str(text).encode(errors="surrogatepass"))


def _spell(word: str) -> Iterator[bytes]:
    """Give a word's beginning as letters, in hexadecimal, in UTF-16 and at each of base64's three places."""
    start = word[:PREFIX_LENGTH]
    for text in (start, start.title(), start.upper()):
        raw = text.encode()
        yield from (raw.lower(), raw.hex().encode(), text.lower().encode("utf-16-le"))
        for shift in range(3):
            # Of the characters that the padding shares, none counts.
            begin, end = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
            yield base64.b64encode(b"\0" * shift + raw)[begin:end].lower()


def _write(size: float, number: float) -> Iterator[bytes]:
    """Give a number as its first digits, escaped, and its eight bytes as PostGIS has them, in three spellings."""
    digits = repr(size)[: DIGITS + 1]
    yield digits.encode()
    yield quote(digits.replace(".", ","), safe="").lower().encode()
    for order in "<>":
        raw = struct.pack(f"{order}d", number)
        yield from (raw.lower(), raw.hex().encode(), " ".join(map(str, struct.unpack("8b", raw))).encode())
    yield base64.b64encode(digits.encode())[:8].lower()


def read_below(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    """Read every file below these folders."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()
