"""What is counted of models, by OpenTelemetry's names.

A label is a name that the operator chose or a word that stands in this file: nothing that a caller, a model or a server
said is one, whatever it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.settings import Settings

# Without it every counter and histogram gets a second series that tells when it began; nobody asks for that.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Names, attributes and buckets are those of OpenTelemetry's semantic conventions for generative AI, client metrics
# (status: development). They have left the core conventions for open-telemetry/semantic-conventions-genai, which has no
# release yet; this is its docs/gen-ai/gen-ai-metrics.md at 004902b, spelt as the exporter for Prometheus does.
# Left out: gen_ai.response.model and server.address, which are a server's words and the house's addresses.
DURATION_BUCKETS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS = tuple(4**power for power in range(14))
OPERATION = "chat"
OPERATION_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "backend", "task")

LEFT = "CancelledError"
"""The error of an attempt that had none: its caller left, or the answer's time was up."""
ERROR_TYPES = frozenset(
    {"BackendUnavailable", "NeverSent", "MustLoad", "MemoryTaken", "ModelMissing", "ThoughtsShown", LEFT}
)
OTHER_ERROR = "_OTHER"
# More than any context here holds; a server that counts higher, or less than nothing, is not believed.
TOKENS_MAX = 10_000_000
MILLION = 1_000_000

Outcome = Literal["answer", "decline", "ask_back"]
Task = Literal["text", "plan", "escalate"]
"""What a prompt is for, as ``seen_by`` has it."""
TurnedAway = Literal["full", "late"]
Teller = Literal["local", "hosted", "nobody", "unasked"]
TELLERS: tuple[Teller, ...] = ("local", "hosted", "nobody", "unasked")
TURNED_AWAY: tuple[TurnedAway, ...] = ("full", "late")
VERDICTS = ("passed", "dropped")
TOKEN_TYPES = ("input", "output")
BREAKER_STATES = ("closed", "half_open", "open")


@dataclass(frozen=True)
class Attempt:
    """One backend asked once. Times are seconds since it was asked, which is after any wait for its slot.

    ``sent`` says whether the prompt left; ``first_chunk_s`` is None where no visible text came; ``error_type`` is None
    where the model came to its end. Tokens are as the server counted them.
    """

    backend: str
    provider: str
    model: str | None
    hosted: bool
    task: Task
    sent: bool
    duration_s: float
    first_chunk_s: float | None = None
    error_type: str | None = None
    input_tokens: object = None
    output_tokens: object = None


@dataclass(frozen=True)
class BackendStanding:
    """How a backend stands now; ``slots`` is None where as many questions as come are asked at once."""

    backend: str
    provider: str
    model: str | None
    hosted: bool
    breaker: str
    slots: int | None
    slots_in_use: int
    waiting: int


def name_error(error: BaseException) -> str:
    """Give the class of an error as one of :data:`ERROR_TYPES`, that of its nearest known ancestor, or ``_OTHER``."""
    known = (kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERROR_TYPES)
    return next(known, OTHER_ERROR)


class ModelMetrics(Collector):
    """What models were asked and how it went; counted since the service started.

    One process is the supported way to run the service: each would count for itself, and a scrape meets only one.
    """

    def __init__(self, settings: Settings | None = None, registry: CollectorRegistry | None = None) -> None:
        settings, registry = settings or Settings(), registry or CollectorRegistry()
        self._prices = _read_prices(settings)
        self._cap = settings.hosted_max_per_hour
        self._standings: Sequence[BackendStanding] = ()
        self._count_operations(registry)
        self._count_answers(registry)
        self._count_hosted(registry)
        registry.register(self)

    def _count_operations(self, registry: CollectorRegistry) -> None:
        self._duration = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "From asking a backend, after any wait for its slot, to the end of its voice; error_type where it failed.",
            (*OPERATION_LABELS, "error_type"),
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._first_chunk = Histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "From asking a backend, after any wait for its slot, to its first visible text.",
            OPERATION_LABELS,
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a voice that came to its end, as its server counted them.",
            (*OPERATION_LABELS, "gen_ai_token_type"),
            buckets=TOKEN_BUCKETS,
            registry=registry,
        )
        self._turned_away = Counter(
            "undervolt_prompts_turned_away",
            "Prompts that a busy backend did not take: its queue was full, or no slot came in time (late).",
            ("backend", "reason"),
            registry=registry,
        )

    def _count_answers(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "undervolt_answers",
            "Replies that came to their end, by kind and by whose sentence passed the verifier: a local model's, a "
            "hosted one's, nobody's though a model was wanted, or unasked because none was.",
            ("outcome", "told_by"),
            registry=registry,
        )
        for told_by in TELLERS:
            self._answers.labels("answer", told_by)
        self._answers.labels("decline", "unasked")
        self._answers.labels("ask_back", "unasked")
        self._sentences = Counter(
            "undervolt_verifier_sentences",
            "Sentences of models, by what the verifier decided; one told twice is counted once.",
            ("backend", "verdict"),
            registry=registry,
        )

    def _count_hosted(self, registry: CollectorRegistry) -> None:
        self._made = Counter(
            "undervolt_hosted_calls_made", "Prompts that left for a hosted backend.", registry=registry
        )
        self._refused = Counter(
            "undervolt_hosted_calls_refused",
            "Prompts that would have left for a hosted backend but for HOSTED_MAX_PER_HOUR.",
            registry=registry,
        )
        self._avoided = Counter(
            "undervolt_hosted_calls_avoided",
            "Prompts that a backend in the house answered to the end and that would else have left for a hosted one: "
            "one stood behind it, ready, the prompt was allowed to leave, and HOSTED_MAX_PER_HOUR would have let out "
            "this one too, had all that were avoided been made.",
            registry=registry,
        )
        self._avoided_tokens = Counter(
            "undervolt_hosted_avoided_tokens",
            "Tokens of the hosted calls avoided, as the local server counted them with its own tokenizer.",
            ("gen_ai_token_type",),
            registry=registry,
        )
        self._cost: Counter | None = None
        self._avoided_cost: Counter | None = None
        if self._prices is not None:
            self._cost = Counter(
                "undervolt_hosted_cost_usd",
                "Hosted calls that came to their end at the prices that were set, in US dollars.",
                registry=registry,
            )
            self._avoided_cost = Counter(
                "undervolt_hosted_avoided_cost_usd",
                "What the hosted calls avoided would have cost at the prices that were set, in US dollars: their "
                "tokens as the local server counted them, all input at the full price.",
                registry=registry,
            )

    def note_attempt(self, attempt: Attempt) -> None:
        """Take how a backend did that was asked once."""
        labels = (OPERATION, attempt.provider, attempt.model or "", attempt.backend, attempt.task)
        error_type = attempt.error_type or ""
        if error_type and error_type not in ERROR_TYPES:
            error_type = OTHER_ERROR
        self._duration.labels(*labels, error_type).observe(attempt.duration_s)
        if attempt.first_chunk_s is not None:
            self._first_chunk.labels(*labels).observe(attempt.first_chunk_s)
        for kind, tokens in _read_tokens(attempt).items():
            self._tokens.labels(*labels, kind).observe(tokens)
        if attempt.hosted and attempt.sent:
            self._made.inc()
            if self._cost is not None:
                self._cost.inc(self._price(attempt))

    def note_avoided(self, attempt: Attempt) -> None:
        """Take that this attempt of a backend in the house spared a hosted call."""
        self._avoided.inc()
        for kind, tokens in _read_tokens(attempt).items():
            self._avoided_tokens.labels(kind).inc(tokens)
        if self._avoided_cost is not None:
            self._avoided_cost.inc(self._price(attempt))

    def note_refused(self) -> None:
        """Take that a prompt stayed in the house because the hour's hosted calls were spent."""
        self._refused.inc()

    def note_turned_away(self, backend: str, reason: TurnedAway) -> None:
        """Take that a busy backend did not take a prompt: its queue was full, or no slot came in time."""
        self._turned_away.labels(backend, reason).inc()

    def note_sentence(self, backend: str, *, passed: bool) -> None:
        """Take what the verifier decided about a model's sentence."""
        self._sentences.labels(backend, "passed" if passed else "dropped").inc()

    def note_answer(self, outcome: Outcome, told_by: Teller) -> None:
        """Take that a reply came to its end."""
        self._answers.labels(outcome, told_by).inc()

    def tell(self, standings: Sequence[BackendStanding]) -> None:
        """Take how the backends stand, and begin what is counted of each at nothing.

        Prometheus sees no increase in a series that begins with its first count.
        """
        self._standings = standings
        for standing in standings:
            for reason in TURNED_AWAY:
                self._turned_away.labels(standing.backend, reason)
            for verdict in VERDICTS:
                self._sentences.labels(standing.backend, verdict)
            if standing.model is not None:
                labels = (OPERATION, standing.provider, standing.model, standing.backend, "text")
                self._duration.labels(*labels, "")
                self._first_chunk.labels(*labels)
                for kind in TOKEN_TYPES:
                    self._tokens.labels(*labels, kind)

    def collect(self) -> Iterator[Metric]:
        """Give how the backends stand, as a registry asks for it."""
        about = GaugeMetricFamily(
            "undervolt_backend_info",
            "1 for each backend there is.",
            labels=("backend", "gen_ai_provider_name", "gen_ai_request_model", "hosted"),
        )
        breaker = GaugeMetricFamily(
            "undervolt_backend_breaker",
            "1 for the state that a backend's breaker is in: open keeps prompts away, half_open lets one try.",
            labels=("backend", "state"),
        )
        slots = _by_backend("undervolt_backend_slots", "Prompts that a backend is given at once.")
        in_use = _by_backend("undervolt_backend_slots_in_use", "Prompts that a backend is answering.")
        waiting = _by_backend("undervolt_backend_prompts_waiting", "Prompts that wait for a backend's slot.")
        for standing in self._standings:
            name = standing.backend
            about.add_metric([name, standing.provider, standing.model or "", str(standing.hosted).lower()], 1)
            for state in BREAKER_STATES:
                breaker.add_metric([name, state], float(standing.breaker == state))
            if standing.slots is not None:
                slots.add_metric([name], standing.slots)
            in_use.add_metric([name], standing.slots_in_use)
            waiting.add_metric([name], standing.waiting)
        yield from (about, breaker, slots, in_use, waiting)
        if self._cap is not None:
            cap = "Prompts an hour that may leave for hosted backends, as set."
            yield GaugeMetricFamily("undervolt_hosted_calls_max_per_hour", cap, value=self._cap)

    def _price(self, attempt: Attempt) -> float:
        prices, tokens = self._prices or {}, _read_tokens(attempt)
        return sum(count * prices[kind] / MILLION for kind, count in tokens.items())


def _by_backend(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["backend"])


def _read_prices(settings: Settings) -> Mapping[str, float] | None:
    """Give what a million tokens of each type cost, None where one price is missing: half a sum would mislead."""
    given, made = settings.hosted_usd_per_million_input_tokens, settings.hosted_usd_per_million_output_tokens
    return None if given is None or made is None else {"input": given, "output": made}


def _read_tokens(attempt: Attempt) -> Mapping[str, int]:
    """Give the counts of tokens that can be believed, by type; clients pass on whatever a server wrote there."""
    counts = {"input": attempt.input_tokens, "output": attempt.output_tokens}
    return {kind: count for kind, count in counts.items() if type(count) is int and 0 <= count <= TOKENS_MAX}
