"""A voice that tells the facts as they are given and then lies, in place of a model."""

from collections.abc import AsyncGenerator
from itertools import islice

from app.backends.base import Backend, BackendState, Piece, Prompt, Usage
from app.settings import BackendSettings
from scripts.evaluation.lies import WAYS, tell_lies

SAID_MAX = 3_500
"""Characters. A voice that says far more than it was asked for is cut off."""
SETTINGS = BackendSettings(kind="openai", url="http://scripted.invalid/v1", model="scripted", hosted=False)


class Scripted(Backend):
    """Repeats every fact of its prompt, and then tells lies of them, other ones with each prompt.

    ``truths`` and ``lies`` are what it said last; a lie stands with the way it was made.
    """

    def __init__(self) -> None:
        super().__init__("scripted", SETTINGS)
        self.truths: list[str] = []
        self.lies: dict[str, str] = {}
        self.asked = 0

    async def get_ready(self, *, wait_for_load: bool) -> float:
        """Be ready at once."""
        return self.settings.deadlines.first_token_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """Say the truths, then lies, each a sentence."""
        self.prepare(prompt)
        for sentence in (*self.truths, *self.lies):
            yield Piece(f"{sentence}\n")
        yield Piece(finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1))

    def prepare(self, prompt: Prompt) -> None:
        """Choose what to say: all facts that were given, and as many lies as there is room for."""
        lines = prompt.user.partition("\nFacts:\n")[2].split("\n")
        self.truths = [line.partition(". ")[2] for line in lines if line[:1].isdigit() and "listed here" not in line]
        told = list(tell_lies(self.truths))
        self.asked += 1
        first = self.asked * 7 % len(WAYS) * max(len(told) // len(WAYS), 1)
        room = SAID_MAX - sum(map(len, self.truths))
        self.lies = {}
        for way, lie in islice([*told[first:], *told[:first]], len(told)):
            room -= len(lie) + 1
            if room < 0:
                break
            self.lies[lie] = way

    async def warm(self) -> None:
        """Have nothing to warm."""

    async def look(self) -> BackendState:
        """Tell that it is there."""
        return self.tell_state(reachable=True, resident=True)
