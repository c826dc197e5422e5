"""A backend whose voices are scripted: what tests of other rooms speak with instead of a model."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from app.backends.base import Backend, BackendState, MustLoad, Piece, Prompt, Usage
from app.errors import BackendUnavailable
from app.settings import BackendSettings, Deadlines

Step = str | float | BackendUnavailable
Script = Sequence[Step] | BackendUnavailable


class FakeBackend(Backend):
    """Gives the scripted voices in order, the last one again and again.

    A voice is a list of steps: text, a pause in seconds, or an error raised there; an error instead of a list refuses
    to begin. It goes through the very :class:`Voice` that real backends have, deadlines and thought filter included.
    For its first ``loads`` questions it must load, unless they wait for that.
    ``prompts`` keeps what it was asked, ``closed`` counts the voices that were stopped or came to their end.
    """

    def __init__(
        self,
        name: str,
        script: Sequence[Script],
        *,
        hosted: bool = False,
        plans: bool = False,
        escalate: bool = False,
        num_ctx: int = 4096,
        slots: int | None = None,
        queue: int = 0,
        deadlines: Deadlines | None = None,
    ) -> None:
        settings = BackendSettings(
            kind="openai",
            url="http://fake.invalid/v1",
            model=f"{name}-model",
            hosted=hosted,
            plans=plans,
            escalate=escalate,
            num_ctx=num_ctx,
            slots=slots,
            queue=queue,
            deadlines=deadlines or Deadlines(),
        )
        super().__init__(name, settings)
        self.script = list(script)
        self.prompts: list[Prompt] = []
        self.waits: list[bool] = []
        self.closed = 0
        self.warmed = 0
        self.loads = 0

    async def get_ready(self, *, wait_for_load: bool) -> float:
        self.waits.append(wait_for_load)
        if self.loads and not wait_for_load:
            self.loads -= 1
            raise MustLoad(f"{self.name} is loading")
        return self.settings.deadlines.first_token_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        voice = self.script[min(len(self.prompts), len(self.script) - 1)]
        self.prompts.append(prompt)
        try:
            if isinstance(voice, BackendUnavailable):
                raise voice
            for step in voice:
                if isinstance(step, BackendUnavailable):
                    raise step
                if isinstance(step, str):
                    yield Piece(step)
                else:
                    await asyncio.sleep(step)
            yield Piece(finish_reason="stop", usage=Usage(input_tokens=7, output_tokens=len(voice)))
        finally:
            self.closed += 1

    async def warm(self) -> None:
        self.warmed += 1

    async def look(self) -> BackendState:
        return self.tell_state(reachable=True, resident=True)
