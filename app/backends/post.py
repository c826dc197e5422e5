"""A backend at its place in the order: whether it may be asked now, and who waits for it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.backends.base import Backend, MustLoad
from app.errors import BackendUnavailable
from app.telemetry.models import BackendStanding

log = logging.getLogger(__name__)

FAILURES_MAX = 2
COOL_DOWN_S = 30.0
FATAL_COOL_DOWN_S = 900.0


class Breaker:
    """Keeps questions from a backend that failed: open after two failures in a row, or one that says how long.

    Once it has cooled down one question is let through; what becomes of that closes it or opens it again. A question
    that was under way when it opened changes nothing of that, unless what it brings is worse.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False
        self._openings = 0
        self._fatal: BackendUnavailable | None = None

    @property
    def state(self) -> str:
        """``closed``, ``open``, or ``half_open`` where the next question, or one under way, is the probe."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    @property
    def opens_in_s(self) -> float | None:
        """The seconds until the next question is let through, None where one would be now."""
        return self._open_until - self._clock() if self._open_until is not None and self.state == "open" else None

    @property
    def note(self) -> str | None:
        """What somebody has to change before this backend is of use again."""
        return f"{self._fatal}: a model that is not there or a key that is refused" if self._fatal else None

    def admits(self) -> bool:
        """Whether a question may be asked now."""
        return self.state == "closed" or (self.state == "half_open" and not self._probing)

    def begin(self) -> int:
        """Note that a question is under way, and give after how many openings it began."""
        self._probing = self.state == "half_open"
        return self._openings

    def end(self, error: BackendUnavailable | None, began: int) -> None:
        """Note how it ended; a model that must load first is no fault."""
        if error is None:
            if began == self._openings:
                self._failures, self._open_until, self._fatal = 0, None, None
        elif not isinstance(error, MustLoad):
            self._failures += 1
            self._open(error)

    def release(self, began: int) -> None:
        """Note that the question is over, also where it was withdrawn before it showed anything."""
        self._probing = self._probing and began != self._openings

    def _open(self, error: BackendUnavailable) -> None:
        if error.fatal:
            cool_down_s = FATAL_COOL_DOWN_S
        elif error.retry_after_s:
            cool_down_s = error.retry_after_s
        elif self._failures >= FAILURES_MAX:
            cool_down_s = COOL_DOWN_S
        else:
            return
        until = self._clock() + cool_down_s
        if self._open_until is None or until >= self._open_until:
            self._open_until, self._fatal = until, error if error.fatal else None
            self._openings += 1
            self._probing = False


class Post:
    """A backend at its place in the order: its breaker, its slots, and who waits for one."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.breaker = Breaker()
        self.speaking = 0
        self._turns: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many questions wait for a slot."""
        return len(self._turns)

    @property
    def has_slot(self) -> bool:
        """Whether one more question would be answered at once."""
        return self.backend.slots is None or self.speaking < self.backend.slots

    @property
    def has_room(self) -> bool:
        """Whether one more question may wait."""
        return self.waiting < self.backend.settings.queue

    def take_slot(self) -> None:
        """Take a slot that is free."""
        self.speaking += 1

    async def wait_for_slot(self) -> bool:
        """Wait behind those who came before, at most the deadline's ``queue_s``; whether a slot is now taken."""
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await asyncio.wait([turn], timeout=self.backend.settings.deadlines.queue_s)
        except asyncio.CancelledError:
            if turn.done():
                self.give_back()
            raise
        finally:
            if not turn.done():
                self._turns.remove(turn)
        return turn.done()

    def give_back(self) -> None:
        """Give a slot to the one who waits longest, or back."""
        if self._turns:
            self._turns.popleft().set_result(None)
        else:
            self.speaking -= 1

    @contextmanager
    def holding_slot(self) -> Iterator[int]:
        """Hold a slot that was taken, and the breaker's probe; gives what :meth:`note` wants to know of it."""
        began = self.breaker.begin()
        try:
            yield began
        finally:
            self.breaker.release(began)
            self.give_back()

    def stand(self) -> BackendStanding:
        """Tell how the backend stands, as the metrics have it."""
        return BackendStanding(
            backend=self.backend.name,
            provider=self.backend.settings.kind,
            model=self.backend.model,
            hosted=self.backend.hosted,
            breaker=self.breaker.state,
            slots=self.backend.slots,
            slots_in_use=self.speaking,
            waiting=self.waiting,
        )

    def note(self, error: BackendUnavailable | None, began: int) -> None:
        """Tell the breaker how a question ended, and the log where it did not end well."""
        self.breaker.end(error, began)
        if error is None:
            return
        log.warning("backend %s gave no answer: %s", self.backend.name, type(error).__name__)
        if error.fatal:
            status = f" (status {error.status})" if error.status else ""
            log.error("backend %s is of no use until its model or key is set right%s", self.backend.name, status)
