"""How a number may be written where it comes as text: plain or scientific decimals, and none of Python's other ways."""

import re

from pydantic import BeforeValidator

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


def is_plain(value: object) -> object:
    """Give back what is no text or a number as text. Raises :class:`ValueError` for other text, as ``1_0``."""
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError("must be a number, as 30.25 or 1e3")
    return value


PLAIN = BeforeValidator(is_plain)
"""For the type of a field, behind its bounds."""
