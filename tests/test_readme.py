"""What the README shows is what the service says, on the sample register that `make run` loads."""

import json
import re
from typing import Any

import httpx

from app.cities.city import find_city
from app.ingest.order import Order
from app.ingest.run import ingest
from app.ingest.sources.files import find_sources
from tests.conftest import ROOT, Store

README = (ROOT / "README.md").read_text()
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
EXAMPLE = re.compile(r"```sh\ncurl ((?:(?!```).)*)```\n```json\n(.*?)```", re.DOTALL)


def assert_part(shown: Any, real: Any) -> None:
    """Every member that is shown is the real one, an instant in its form; members may be left out."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert_part(value, real[name])
    elif isinstance(shown, list) and any(isinstance(item, dict) for item in shown):
        for value, real_value in zip(shown, real, strict=False):
            assert_part(value, real_value)
    elif isinstance(shown, str) and INSTANT.fullmatch(shown):
        assert INSTANT.fullmatch(real)
    else:
        assert shown == real


QUESTIONS = (ROOT / "docs/questions.md").read_text()


async def test_the_replies_in_the_readme_are_real(store: Store, database_url: str, client: httpx.AsyncClient) -> None:
    store.connection.execute("UPDATE data_versions SET version = 0")
    ingest(database_url, Order(find_city("sample"), find_sources([ROOT / "data/sample/permits.csv.gz"])))
    assert len(EXAMPLE.findall(README)) == 3
    for command, shown in EXAMPLE.findall(README + QUESTIONS):
        path = re.search(r"http://127\.0\.0\.1:8000([^' ]*)", command)
        body = re.search(r"-d '(.*)'", command, re.DOTALL)
        assert path is not None
        reply = await client.request("POST" if body else "GET", path[1], json=json.loads(body[1]) if body else None)
        assert_part(json.loads(shown), reply.json())
