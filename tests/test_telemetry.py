"""What metrics tell of models, and what no label ever holds."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import BackendUnavailable
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.models import ERROR_TYPES, LEFT, OTHER_ERROR, Attempt, BackendStanding, name_error
from tests.figures import figures, names, total

HOSTILE = 'canary 1205 HARVEY ST 30.2672"\n} 1'
BOX: dict[str, Any] = {
    "backend": "ollama",
    "provider": "ollama",
    "model": "nemotron-3-nano",
    "hosted": False,
    "task": "text",
    "sent": True,
    "duration_s": 3.0,
    "first_chunk_s": 0.5,
    "input_tokens": 600,
    "output_tokens": 40,
}
HOSTED = BOX | {"backend": "hosted", "provider": "openai", "model": "nano-30b", "hosted": True}
PRICES = {"hosted_usd_per_million_input_tokens": 0.5, "hosted_usd_per_million_output_tokens": 2.0}


def make_metrics(**settings: Any) -> Metrics:
    return Metrics(Settings.model_validate(settings))


def test_a_voice_is_told_with_the_names_and_attributes_of_the_conventions() -> None:
    metrics = make_metrics()
    metrics.models.note_attempt(Attempt(**BOX))
    about = {
        ("gen_ai_operation_name", "chat"),
        ("gen_ai_provider_name", "ollama"),
        ("gen_ai_request_model", "nemotron-3-nano"),
        ("backend", "ollama"),
        ("task", "text"),
    }
    assert figures(metrics, "gen_ai_client_operation_duration_seconds_sum") == {frozenset(about): 3.0}
    assert figures(metrics, "gen_ai_client_operation_time_to_first_chunk_seconds_sum") == {frozenset(about): 0.5}
    assert figures(metrics, "gen_ai_client_token_usage_sum") == {
        frozenset(about | {("gen_ai_token_type", "input")}): 600,
        frozenset(about | {("gen_ai_token_type", "output")}): 40,
    }


def test_a_failed_voice_has_its_error_and_no_first_chunk() -> None:
    metrics = make_metrics()
    failed = BOX | {"first_chunk_s": None, "input_tokens": None, "output_tokens": None, "error_type": "NeverSent"}
    metrics.models.note_attempt(Attempt(**failed))
    assert total(metrics, "gen_ai_client_operation_duration_seconds_count", error_type="NeverSent") == 1
    assert total(metrics, "gen_ai_client_operation_duration_seconds_count") == 1
    assert total(metrics, "gen_ai_client_operation_time_to_first_chunk_seconds_count") == 0
    assert total(metrics, "gen_ai_client_token_usage_count") == 0


@pytest.mark.parametrize("tokens", [-1, 10**400, 1.5, float("nan"), "600", "1205 HARVEY ST", True, [1], {}])
def test_a_count_of_tokens_that_cannot_be_is_not_counted(tokens: object) -> None:
    """The clients give what the server wrote there, of whatever type."""
    metrics = make_metrics(**PRICES)
    attempt = Attempt(**HOSTED | {"input_tokens": tokens, "output_tokens": 40})
    metrics.models.note_attempt(attempt)
    metrics.models.note_avoided(attempt)
    assert total(metrics, "gen_ai_client_token_usage_sum") == 40
    assert total(metrics, "undervolt_hosted_avoided_tokens_total") == 40
    assert total(metrics, "undervolt_hosted_cost_usd_total") == pytest.approx(40 * 2.0 / 1e6)


def test_an_error_is_named_by_its_class_or_its_nearest_known_ancestor() -> None:
    class Novelty(BackendUnavailable):
        pass

    assert name_error(BackendUnavailable(HOSTILE)) == "BackendUnavailable"
    assert name_error(Novelty(HOSTILE)) == "BackendUnavailable"
    assert name_error(ValueError(HOSTILE)) == OTHER_ERROR


def test_every_class_of_error_that_backends_raise_has_its_name() -> None:
    import app.backends.ollama  # noqa: F401 - defines one

    def descend(kind: type[BaseException]) -> Iterator[str]:
        yield kind.__name__
        for child in kind.__subclasses__():
            if child.__module__.startswith("app."):
                yield from descend(child)

    assert set(descend(BackendUnavailable)) | {LEFT} == ERROR_TYPES


def test_a_hosted_call_costs_what_its_tokens_cost() -> None:
    metrics = make_metrics(**PRICES)
    metrics.models.note_attempt(Attempt(**HOSTED))
    metrics.models.note_attempt(Attempt(**BOX))
    assert total(metrics, "undervolt_hosted_calls_made_total") == 1
    assert total(metrics, "undervolt_hosted_cost_usd_total") == pytest.approx((600 * 0.5 + 40 * 2.0) / 1e6)


def test_a_hosted_prompt_that_never_left_is_no_call() -> None:
    metrics = make_metrics()
    metrics.models.note_attempt(Attempt(**HOSTED | {"sent": False, "error_type": "NeverSent"}))
    assert total(metrics, "undervolt_hosted_calls_made_total") == 0


def test_an_avoided_call_would_have_cost_what_its_tokens_cost() -> None:
    metrics = make_metrics(**PRICES)
    metrics.models.note_avoided(Attempt(**BOX))
    assert total(metrics, "undervolt_hosted_calls_avoided_total") == 1
    assert total(metrics, "undervolt_hosted_avoided_tokens_total", gen_ai_token_type="input") == 600
    assert total(metrics, "undervolt_hosted_avoided_cost_usd_total") == pytest.approx((600 * 0.5 + 40 * 2.0) / 1e6)
    assert total(metrics, "undervolt_hosted_cost_usd_total") == 0


@pytest.mark.parametrize("missing", [*PRICES])
def test_without_both_prices_no_cost_is_told(missing: str) -> None:
    metrics = make_metrics(**{name: price for name, price in PRICES.items() if name != missing})
    metrics.models.note_attempt(Attempt(**HOSTED))
    metrics.models.note_avoided(Attempt(**BOX))
    assert not {name for name in names(metrics) if "usd" in name}


def test_a_price_of_nothing_is_a_price() -> None:
    metrics = make_metrics(**dict.fromkeys(PRICES, 0))
    metrics.models.note_attempt(Attempt(**HOSTED))
    assert figures(metrics, "undervolt_hosted_cost_usd_total") == {frozenset(): 0}


def test_the_box_costs_its_watts_by_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("app.telemetry.metrics.monotonic", lambda: now)
    metrics = make_metrics(box_watts=25, usd_per_kwh=0.4)
    now += 7200
    assert total(metrics, "undervolt_box_power_watts") == 25
    assert total(metrics, "undervolt_box_usd_per_hour") == pytest.approx(0.01)
    assert total(metrics, "undervolt_box_energy_joules_total") == pytest.approx(25 * 7200)
    assert total(metrics, "undervolt_box_cost_usd_total") == pytest.approx(0.02)


def test_a_box_without_watts_tells_nothing_and_without_a_price_no_cost() -> None:
    assert not {name for name in names(make_metrics(usd_per_kwh=0.4)) if "box" in name}
    assert {name for name in names(make_metrics(box_watts=25)) if "box" in name} == {
        "undervolt_box_power_watts",
        "undervolt_box_energy_joules_total",
    }


def test_every_kind_of_answer_is_there_before_the_first() -> None:
    """A series that begins with its first count shows Prometheus no increase."""
    begun = figures(make_metrics(), "undervolt_answers_total")
    assert set(begun.values()) == {0}
    assert frozenset({("outcome", "answer"), ("told_by", "nobody")}) in begun


def test_a_backend_is_in_one_state_and_its_queue_is_told() -> None:
    metrics = make_metrics(hosted_max_per_hour=20)
    metrics.models.tell(
        [
            BackendStanding("ollama", "ollama", None, False, "half_open", slots=1, slots_in_use=1, waiting=3),
            BackendStanding("hosted", "openai", "nano-30b", True, "closed", slots=None, slots_in_use=2, waiting=0),
        ]
    )
    states = figures(metrics, "undervolt_backend_breaker")
    assert {labels for labels, value in states.items() if value} == {
        frozenset({("backend", "ollama"), ("state", "half_open")}),
        frozenset({("backend", "hosted"), ("state", "closed")}),
    }
    assert len(states) == 6
    assert total(metrics, "undervolt_backend_prompts_waiting", backend="ollama") == 3
    assert figures(metrics, "undervolt_backend_slots") == {frozenset({("backend", "ollama")}): 1}
    assert total(metrics, "undervolt_hosted_calls_max_per_hour") == 20


def test_an_error_that_is_no_class_of_ours_is_no_label() -> None:
    metrics = make_metrics()
    metrics.models.note_attempt(Attempt(**BOX | {"error_type": HOSTILE}))
    assert total(metrics, "gen_ai_client_operation_duration_seconds_count", error_type=OTHER_ERROR) == 1
    assert "HARVEY" not in metrics.render()
