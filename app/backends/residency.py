"""What is in a box's memory: whether our model is there to be asked, and whether it may be loaded beside others'."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

UNTOLD = 0  # the context of a model in memory, where an older server does not tell it
# A model whose time ends so soon went by itself.
EXPIRES_WITHIN = timedelta(seconds=2)
# For how long others' models are spared after a load of ours has pushed one out. Not for good: somebody else may have
# taken it out just then, or the box may be set otherwise since.
SPARES_S = 6 * 3600.0


@dataclass(frozen=True)
class InMemory:
    """A model in a box's memory, where it takes ``size_bytes``; ``is_ours`` whatever name it is listed under."""

    model: str
    is_ours: bool
    size_bytes: int
    context_length: int
    expires_at: datetime | None

    @property
    def has_expired(self) -> bool:
        """Whether its time in memory is over, or nearly."""
        return self.expires_at is not None and self.expires_at < datetime.now(UTC) + EXPIRES_WITHIN


class Residency:
    """What was learned of our model in one box's memory, and of what loading it there does.

    ``num_ctx`` is the context in tokens that we want, ``sent_ctx`` the one to ask for so that nothing is loaded anew.
    ``size_bytes`` is what the model took when it was last seen with that context, None before; ``least_bytes`` what it
    took with a smaller one. ``is_doubted`` says that a model which is listed may be gone: one whose runner was killed.
    """

    def __init__(self, num_ctx: int) -> None:
        self.num_ctx = num_ctx
        self.sent_ctx = num_ctx
        self.size_bytes: int | None = None
        self.least_bytes = 0
        self.is_doubted = False
        self._settled_ctx = UNTOLD
        self._cold_loads = 0
        self._spares_until = 0.0

    def is_there(self, running: Sequence[InMemory]) -> bool:
        """Whether our model is in memory with our context, or a larger one, which is then taken as it is.

        With another context than asked for a server would load the model anew, under the feet of who else uses it. It
        lists a model as soon as its load has begun: while a load of ours lasts, there is none in memory.
        """
        self.sent_ctx = self.num_ctx
        ours = next((entry for entry in running if entry.is_ours), None)
        if ours is None or self._cold_loads:
            return False
        if ours.context_length > self.num_ctx:
            self.sent_ctx = ours.context_length
        elif ours.context_length not in {self.num_ctx, self._settled_ctx, UNTOLD}:
            self.least_bytes = ours.size_bytes
            return False
        self.size_bytes = ours.size_bytes or self.size_bytes
        return True

    def forget_size(self) -> None:
        """Forget what the model took: another one is asked from now on."""
        self.size_bytes, self.least_bytes = None, 0

    def has_room(self, running: Sequence[InMemory], *, size_bytes: float, memory_bytes: float | None) -> bool:
        """Whether our model may be loaded without pushing others' out; where the memory is not known, it may not."""
        others = [entry.size_bytes for entry in running if not entry.is_ours]
        if not others:
            return True
        return (
            monotonic() >= self._spares_until and memory_bytes is not None and sum(others) + size_bytes <= memory_bytes
        )

    @contextmanager
    def loading(self, *, is_cold: bool) -> Iterator[None]:
        """Note that a load of ours is under way, where the model was not there before."""
        self._cold_loads += is_cold
        try:
            yield
        finally:
            self._cold_loads -= is_cold

    def settle(self, *, before: Sequence[InMemory], after: Sequence[InMemory]) -> None:
        """Remember what a load of ours did to the context, which a server lowers to what the model was made for.

        And whether others were pushed out though memory would hold both (``OLLAMA_MAX_LOADED_MODELS``, which no call
        tells): then they are spared for long.
        """
        self.is_doubted = False
        self._settled_ctx = next((entry.context_length for entry in after if entry.is_ours), UNTOLD)
        still_there = {entry.model for entry in after}
        gone = [entry for entry in before if not entry.is_ours and not entry.has_expired]
        if any(entry.model not in still_there for entry in gone):
            self._spares_until = monotonic() + SPARES_S
