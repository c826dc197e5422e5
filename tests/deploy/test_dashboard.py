"""The dashboard and the alerts ask only for metrics that the service tells, and for all that are worth a look."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.errors import BackendUnavailable
from app.settings import Settings
from tests.backends.fakes import FakeBackend
from tests.conftest import ROOT, Store, serve

DASHBOARD = json.loads((ROOT / "deploy/grafana/undervolt.json").read_text())
ALERTS = ROOT / "deploy/prometheus/undervolt.yml"
OURS = re.compile(r"\b(?:undervolt|gen_ai_client)_\w+")
LABELS = re.compile(r"(?<=[{,])\s*(\w+)\s*(?:=~|!~|!=|=)|\bby \(([^)]*)\)")
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m", "$job": ".*", "$backend": ".*"}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_PROMETHEUS = {"job", "instance"}
EVERYTHING = {
    "hosted_max_per_hour": 1,
    "hosted_usd_per_million_input_tokens": 0.5,
    "hosted_usd_per_million_output_tokens": 2,
    "box_watts": 25,
    "usd_per_kwh": 0.3,
}
SUFFIXES = re.compile(r"_(?:bucket|sum|count)$")


def list_expressions() -> list[str]:
    """Give every query of the dashboard, those of its variables and annotations included."""
    queries = [target["expr"] for panel in PANELS for target in panel["targets"]]
    queries += [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    return queries


def fill_in(expression: str) -> str:
    """Put something in the place of Grafana's variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def names_of(*expressions: str) -> set[str]:
    return {name for expression in expressions for name in OURS.findall(expression)}


@pytest.fixture
async def told(settings: Settings, store: Store) -> Mapping[str, set[str]]:
    """What the service tells when it has seen all there is: the names of samples, each with its labels."""
    store.add_permit(lat=30.2672, lng=-97.7431, categories=["solar"], issued_date=date(2015, 3, 1))
    store.publish()
    said = "There is 1 solar permit issued in 2015. "
    local = FakeBackend("box", [[said, "Solar boomed. "], BackendUnavailable("away")], slots=1)
    hosted = FakeBackend("hosted", [[said]], hosted=True)
    whole = Settings.model_validate(settings.model_dump() | EVERYTHING)
    async with serve(whole, local, hosted) as client:
        for _ in range(4):
            reply = await client.post("/ask", json={"question": "How many solar permits were issued in 2015?"})
            assert reply.status_code == 200
        text = (await client.get("/metrics")).text
    told: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            told.setdefault(sample.name, set()).update(sample.labels)
    return told


async def test_every_metric_that_a_panel_asks_for_is_told(told: Mapping[str, set[str]]) -> None:
    asked = names_of(*list_expressions())
    assert len(asked) > 20
    assert asked - told.keys() == set()


async def test_every_metric_that_is_told_has_a_panel(told: Mapping[str, set[str]]) -> None:
    asked = {SUFFIXES.sub("", name) for name in names_of(*list_expressions())}
    assert {SUFFIXES.sub("", name) for name in told} - asked == set()


async def test_every_label_that_a_panel_or_an_alert_names_is_told(told: Mapping[str, set[str]]) -> None:
    for expression in [*list_expressions(), *list_alert_expressions()]:
        found = [name for match in LABELS.findall(expression) for name in ", ".join(match).split(",")]
        named = {name.strip() for name in found} - {""}
        known = {label for name in names_of(expression) for label in told[name]} | OF_PROMETHEUS
        assert named - known == set(), expression


async def test_every_metric_that_an_alert_asks_for_is_told(told: Mapping[str, set[str]]) -> None:
    asked = names_of(*list_alert_expressions())
    assert len(asked) > 3
    assert asked - told.keys() == set()


async def test_every_metric_that_the_manual_names_is_told(told: Mapping[str, set[str]]) -> None:
    named = names_of((ROOT / "deploy/README.md").read_text())
    assert len(named) > 10
    assert {SUFFIXES.sub("", name) for name in named} - {SUFFIXES.sub("", name) for name in told} == set()


def list_alert_expressions() -> list[str]:
    """Give the query of every alert, each on a line of its own in the file."""
    return re.findall(r"^ +expr: (.+)$", ALERTS.read_text(), re.MULTILINE)


def test_every_panel_says_what_it_shows_and_asks_the_chosen_prometheus() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["title"], panel["id"]
        assert panel["description"].endswith((".", ")")), panel["title"]
        assert panel["datasource"] == chosen, panel["title"]
        assert [target["datasource"] for target in panel["targets"]] == [chosen] * len(panel["targets"])
        refs = [target["refId"] for target in panel["targets"]]
        assert refs == sorted(set(refs))


def test_panels_have_their_own_number_and_place() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = set(list_cells(**place))
        assert not cells & taken, panel["title"]
        taken |= cells


def list_cells(*, x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    """Give the cells of Grafana's grid that a panel covers."""
    yield from ((column, line) for column in range(x, x + w) for line in range(y, y + h))


def test_the_dashboard_names_no_machine() -> None:
    """It belongs to no Grafana yet, and asks for its Prometheus when it is imported."""
    assert DASHBOARD["id"] is None
    kinds = [(one["name"], one["type"]) for one in DASHBOARD["templating"]["list"]]
    assert kinds[0] == ("datasource", "datasource")
    assert "http" not in json.dumps(DASHBOARD)


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


def test_prometheus_can_read_every_query(promtool: str, tmp_path: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"record": f"query:{number}", "expr": fill_in(expression)}
        for number, expression in enumerate(list_expressions())
    ]
    file = tmp_path / "queries.json"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert run(promtool, "check", "rules", file) == ""


def test_prometheus_can_read_the_alerts(promtool: str) -> None:
    assert run(promtool, "check", "rules", ALERTS) == ""
