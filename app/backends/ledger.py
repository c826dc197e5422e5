"""How each backend did that was asked, told to the metrics, and which answers in the house spared a hosted call."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.backends.base import Backend, NeverSent, Usage, Voice
from app.errors import BackendUnavailable
from app.telemetry.models import LEFT, Attempt, ModelMetrics, Task, name_error

HOUR_S = 3600.0


class HostedCalls:
    """Counts the prompts given to hosted backends, all together, against the most that an hour may have."""

    def __init__(self, max_per_hour: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._max = max_per_hour
        self._clock = clock
        self._times: deque[float] = deque()

    @property
    def left(self) -> bool:
        """Whether one more may be made now."""
        self._forget()
        return self._max is None or len(self._times) < self._max

    def count(self) -> None:
        """Count one, before it is made."""
        self._forget()
        self._times.append(self._clock())

    def take_back(self) -> None:
        """Take back the last one counted: it was never sent."""
        self._times.pop()

    def _forget(self) -> None:
        """Forget those of more than an hour ago."""
        while self._times and self._times[0] <= self._clock() - HOUR_S:
            self._times.popleft()


class Measurement:
    """Measures a backend that is asked once: begun before its voice is opened, told when that is over."""

    def __init__(self, backend: Backend, task: Task) -> None:
        self._backend = backend
        self._task: Task = task
        self._began_s = time.monotonic()
        self._first_chunk_s: float | None = None
        self._voice: Voice | None = None
        self._error: BackendUnavailable | None = None

    def hear(self, voice: Voice) -> None:
        """Note that the voice is at its first chunk."""
        self._voice = voice
        self._first_chunk_s = time.monotonic() - self._began_s

    def fail(self, error: BackendUnavailable) -> None:
        """Note that there was no voice."""
        self._error = error

    def tell(self) -> Attempt:
        """Give what was measured up to now, which is all there will be."""
        voice, error = self._voice, self._error or (self._voice and self._voice.failure)
        usage = (voice and voice.usage) or Usage()
        has_ended = voice is not None and voice.finish_reason is not None
        return Attempt(
            backend=self._backend.name,
            provider=self._backend.settings.kind,
            model=self._backend.model,
            hosted=self._backend.hosted,
            task=self._task,
            sent=not isinstance(error, NeverSent),
            duration_s=time.monotonic() - self._began_s,
            first_chunk_s=self._first_chunk_s,
            error_type=name_error(error) if error else None if has_ended else LEFT,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
        )


class Ledger:
    """Keeps the count of hosted calls, and tells the metrics how each attempt went and which spared a hosted call."""

    def __init__(self, metrics: ModelMetrics, hosted_max_per_hour: int | None) -> None:
        self.metrics = metrics
        self.hosted_calls = HostedCalls(hosted_max_per_hour)
        self._calls_else = HostedCalls(hosted_max_per_hour)

    @contextmanager
    def measuring(self, backend: Backend, task: Task, *, hosted_stands_behind: bool) -> Iterator[Measurement]:
        """Measure what becomes of asking this backend, however it ends."""
        measurement = Measurement(backend, task)
        try:
            yield measurement
        finally:
            self._note(measurement.tell(), hosted_stands_behind=hosted_stands_behind)

    def _note(self, attempt: Attempt, *, hosted_stands_behind: bool) -> None:
        """Count an attempt; calls avoided count against the cap that would have held for them, had they been made."""
        self.metrics.note_attempt(attempt)
        if attempt.hosted and attempt.sent:
            self._calls_else.count()
        elif hosted_stands_behind and not attempt.hosted and attempt.error_type is None and self._calls_else.left:
            self._calls_else.count()
            self.metrics.note_avoided(attempt)
