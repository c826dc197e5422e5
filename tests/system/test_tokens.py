"""The search for the canary finds it in whatever form it was written down, and nothing where it is not."""

import base64
import json
import struct
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.system.tokens import Canary, read_below

CANARY = Canary()
FORMS = {
    "as it is": (CANARY.question.encode(), {"word"}),
    "in capitals": (CANARY.question.upper().encode(), {"word"}),
    "cut off": (CANARY.question[:-6].encode(), {"word"}),
    "in a query string": (quote_plus(CANARY.address).encode(), {"street"}),
    "as JSON": (json.dumps({"lat": CANARY.lat, "address": CANARY.address}).encode(), {"lat", "street"}),
    "as a Python object": (repr({"radius_m": CANARY.radius_m}).encode(), {"radius_m"}),
    "rounded": (f"{CANARY.lat:.7f} {CANARY.lng:.6f}".encode(), {"lat", "lng"}),
    "in base64": (base64.b64encode(CANARY.question.encode()), {"word"}),
    "in base64, shifted once": (base64.b64encode(b"." + CANARY.question.encode()), {"word"}),
    "in base64, shifted twice": (base64.urlsafe_b64encode(b".." + CANARY.question.encode()), {"word"}),
    "in hexadecimal": (CANARY.question.encode().hex().upper().encode(), {"word"}),
    "in UTF-16": (CANARY.question.encode("utf-16-le"), {"word"}),
    "as a point of PostGIS": (struct.pack("<dd", CANARY.lng, CANARY.lat).hex().upper().encode(), {"lat", "lng"}),
    "as a constant in a plan": (
        " ".join(map(str, struct.unpack("8b", struct.pack("<d", CANARY.lat)))).encode(),
        {"lat"},
    ),
    "as a number of the protocol": (struct.pack(">d", CANARY.radius_m), {"radius_m"}),
}


@pytest.mark.parametrize(("data", "tokens"), FORMS.values(), ids=FORMS.keys())
def test_token_is_found(data: bytes, tokens: set[str]) -> None:
    assert CANARY.find_in(b"before\0" + data + b"\nafter") == tokens


def test_nothing_is_found_in_another_canary() -> None:
    other = Canary()
    assert CANARY.find_in_text((other, other.question, other.address)) == set()


def test_token_is_found_in_a_file_that_lies_deep(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "planted").write_text(CANARY.question)
    (tmp_path / "a" / "clean").write_text("nothing")
    assert [path.name for path, data in read_below(tmp_path) if CANARY.find_in(data)] == ["planted"]
