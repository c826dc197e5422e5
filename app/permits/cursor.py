"""Cursors: where a page ended, as an opaque word that is bound to its query and checked like any input."""

import base64
import binascii
import hashlib
import math
from datetime import date
from decimal import Decimal, InvalidOperation

from pydantic import BaseModel, Field

from app.errors import MalformedCursor

CURSOR_MAX_LENGTH = 600
NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
"""PostgreSQL's text has no zero byte, and a city's ids no control characters."""
MONEY_DIGITS_MAX = 1_000
SEEN_MAX = 2**31
Key = float | Decimal | date | None


def fingerprint(query: BaseModel) -> str:
    """Name a query without its cursor and its form, so that one cannot be used with another."""
    text = query.model_dump_json(exclude={"cursor", "f"})
    return hashlib.blake2b(text.encode(), digest_size=9).hexdigest()


class Position(BaseModel, frozen=True, extra="forbid", strict=True):
    """Where a page ended: its last permit's sort key as text, the permit, and how many were given so far."""

    of: str
    data_version: int = Field(ge=0, le=2**62)
    key: str | None = Field(max_length=100, pattern=NO_CONTROLS)
    city: str = Field(pattern=NO_CONTROLS)
    source_id: str = Field(pattern=NO_CONTROLS)
    seen: int = Field(ge=0, le=2**53)

    def encode(self) -> str:
        """Give the cursor."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).rstrip(b"=").decode()

    def distance_m(self) -> float:
        """Read the key of a near page. Raises :class:`MalformedCursor`."""
        try:
            distance = float(self.key or "")
        except ValueError:
            raise MalformedCursor("the cursor is damaged") from None
        if not (math.isfinite(distance) and distance >= 0):
            raise MalformedCursor("the cursor is damaged")
        return distance

    def day(self) -> date | None:
        """Read the key of a page ordered by issue date. Raises :class:`MalformedCursor`."""
        try:
            return date.fromisoformat(self.key) if self.key is not None else None
        except ValueError:
            raise MalformedCursor("the cursor is damaged") from None

    def money(self) -> Decimal | None:
        """Read the key of a page ordered by cost. Raises :class:`MalformedCursor`."""
        try:
            value = Decimal(self.key) if self.key is not None else None
        except InvalidOperation:
            raise MalformedCursor("the cursor is damaged") from None
        if value is not None and not (value.is_finite() and abs(value.adjusted()) < MONEY_DIGITS_MAX):
            raise MalformedCursor("the cursor is damaged")
        return value


def decode(cursor: str | None, query: BaseModel) -> Position | None:
    """Read a cursor given out for ``query``. Raises :class:`MalformedCursor` for any other text."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = Position.model_validate_json(text)
    except (binascii.Error, ValueError):
        raise MalformedCursor("the cursor is damaged") from None
    if position.seen > SEEN_MAX:
        raise MalformedCursor("the cursor is damaged")
    if position.of != fingerprint(query):
        raise MalformedCursor("the cursor belongs to another query; keep every other parameter as it was")
    return position
