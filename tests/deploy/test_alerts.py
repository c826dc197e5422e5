"""Each alert fires where somebody should look, and is silent where nobody need."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

ALERTS = ROOT / "deploy/prometheus/undervolt.yml"
ON = 'job="undervolt", instance="box:8000"'
THERE = (f'undervolt_backend_info{{{ON}, backend="ollama"}}', "1+0x120")
STILL, RISING, FLOOD = "7+0x120", "0+1x120", "0+9x120"
Series = tuple[str, str]


def answers(told_by: str) -> str:
    return f'undervolt_answers_total{{{ON}, outcome="answer", told_by="{told_by}"}}'


def sentences(verdict: str) -> str:
    return f'undervolt_verifier_sentences_total{{{ON}, backend="ollama", verdict="{verdict}"}}'


def evaluate(promtool: str, folder: Path, alert: str, series: list[Series], expected: list[dict[str, Any]]) -> str:
    """Have Prometheus evaluate an alert after two hours of series, a sample a minute; give what differs."""
    rule_test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "alert_rule_test": [{"eval_time": "2h", "alertname": alert, "exp_alerts": expected}],
    }
    file = folder / "test.json"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [rule_test]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


FIRING: list[tuple[str, list[Series], str]] = [
    ("UndervoltDown", [(f"up{{{ON}}}", "0+0x120")], "box:8000 does not answer"),
    ("UndervoltStoreDown", [(f"undervolt_store_up{{{ON}}}", "0+0x120")], "PostGIS does not answer"),
    (
        "UndervoltStale",
        [(f'undervolt_ingest_last_success_timestamp_seconds{{{ON}, city="austin"}}', "-130000+0x120")],
        "no run of austin has succeeded for 1d 14h 6m 40s",
    ),
    (
        "UndervoltBackendDown",
        [
            (f'undervolt_backend_breaker{{{ON}, backend="ollama", state="open"}}', "1x110 0x10"),
            (f'undervolt_backend_breaker{{{ON}, backend="ollama", state="half_open"}}', "0x110 1x10"),
        ],
        "ollama failed and has not answered since; /health/ready says more",
    ),
    (
        "UndervoltHostedCapReached",
        [(f"undervolt_hosted_calls_refused_total{{{ON}}}", "0x110 1x10")],
        "prompts stay in the house because UNDERVOLT_HOSTED_MAX_PER_HOUR is reached",
    ),
    (
        "UndervoltToldByNobody",
        [
            THERE,
            (answers("nobody"), RISING),
            (answers("local"), STILL),
            (answers("hosted"), STILL),
        ],
        "no model has told an answer for half an hour; the answers stand without one",
    ),
    (
        "UndervoltPromptsTurnedAway",
        [
            (f'undervolt_prompts_turned_away_total{{{ON}, backend="ollama", reason="full"}}', RISING),
            (f'undervolt_prompts_turned_away_total{{{ON}, backend="ollama", reason="late"}}', "0x120"),
        ],
        "ollama was too busy for 30 prompts in half an hour",
    ),
    (
        "UndervoltSentencesDropped",
        [(sentences("dropped"), "0+3x120"), (sentences("passed"), RISING)],
        "the verifier drops 75% of what ollama says",
    ),
]
SILENT: list[tuple[str, list[Series]]] = [
    ("UndervoltDown", [(f"up{{{ON}}}", "1x120")]),
    ("UndervoltDown", [('up{job="another", instance="box:9"}', "0x120")]),
    ("UndervoltStoreDown", [(f"undervolt_store_up{{{ON}}}", "0x116 1x4")]),
    ("UndervoltStale", [(f'undervolt_ingest_last_success_timestamp_seconds{{{ON}, city="austin"}}', "-100000+0x120")]),
    ("UndervoltStale", [(f'undervolt_ingest_last_success_timestamp_seconds{{{ON}, city="sample"}}', "-200000+0x120")]),
    ("UndervoltBackendDown", [(f'undervolt_backend_breaker{{{ON}, backend="ollama", state="open"}}', "0x110 1x5 0x5")]),
    ("UndervoltHostedCapReached", [(f"undervolt_hosted_calls_refused_total{{{ON}}}", STILL)]),
    ("UndervoltToldByNobody", [THERE, (answers("nobody"), RISING), (answers("local"), RISING)]),
    ("UndervoltToldByNobody", [THERE, (answers("nobody"), "0x117 1x3"), (answers("local"), STILL)]),
    ("UndervoltToldByNobody", [(answers("nobody"), RISING), (answers("local"), STILL)]),
    ("UndervoltToldByNobody", [THERE, (answers("unasked"), FLOOD), (answers("local"), STILL)]),
    ("UndervoltPromptsTurnedAway", [(f'undervolt_prompts_turned_away_total{{{ON}, backend="ollama"}}', "0x117 2x3")]),
    ("UndervoltSentencesDropped", [(sentences("dropped"), RISING), (sentences("passed"), FLOOD)]),
    ("UndervoltSentencesDropped", [(sentences("dropped"), "0x117 1x3"), (sentences("passed"), STILL)]),
]


@pytest.mark.parametrize(("alert", "series", "summary"), FIRING, ids=[case[0] for case in FIRING])
def test_an_alert_fires(promtool: str, tmp_path: Path, alert: str, series: list[Series], summary: str) -> None:
    labels = {"job": "undervolt", "instance": "box:8000"}
    labels |= {"backend": "ollama"} if "ollama" in summary else {}
    labels |= {"city": "austin"} if "austin" in summary else {}
    expected = [{"exp_labels": labels, "exp_annotations": {"summary": summary}}]
    assert evaluate(promtool, tmp_path, alert, series, expected) == ""


@pytest.mark.parametrize(("alert", "series"), SILENT, ids=[case[0] for case in SILENT])
def test_an_alert_is_silent(promtool: str, tmp_path: Path, alert: str, series: list[Series]) -> None:
    assert evaluate(promtool, tmp_path, alert, series, []) == ""


def test_every_alert_is_tried_both_ways() -> None:
    named = {line.split("alert: ")[1] for line in ALERTS.read_text().splitlines() if "- alert: " in line}
    assert named == {case[0] for case in FIRING} == {case[0] for case in SILENT}
