"""Which backend answers: the order, and who may be told a question.

The router gives one voice after another and never joins two: what to do with a voice that fails is the caller's.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from app.backends.base import Backend, BackendState, MustLoad, NeverSent, Prompt, Voice
from app.backends.embedded import EmbeddedBackend
from app.backends.ledger import Ledger
from app.backends.ollama import OllamaBackend
from app.backends.openai import OpenAIBackend
from app.backends.post import Post
from app.errors import BackendUnavailable
from app.settings import BackendSettings, Settings
from app.telemetry.models import BackendStanding, ModelMetrics, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeenBy:
    """A backend that was given a prompt; ``final_known`` is false where it may have handed it on."""

    backend: str
    hosted: bool
    final_known: bool


@dataclass(frozen=True)
class RouterState:
    """What readiness tells: whether questions may leave the house, and each backend in order."""

    hosted_on: bool
    local_only: bool
    backends: tuple[BackendState, ...]


class Conversation:
    """One prompt on its way: its voices, and afterwards who saw it."""

    def __init__(self, posts: Sequence[Post], prompt: Prompt, ledger: Ledger, *, task: Task) -> None:
        self._posts = posts
        self._prompt = prompt
        self._ledger = ledger
        self._hosted_calls = ledger.hosted_calls
        self._task: Task = task
        self._waits_for_load = task == "text"
        self._was_refused = False
        self._given: list[Backend] = []
        self._stays = False
        self.waits_in_vain = False
        """Whether it waits for a busy box, or has done so and got no turn."""

    @property
    def seen_by(self) -> tuple[SeenBy, ...]:
        """The backends that were given the prompt, in order, those included that failed or have not answered yet."""
        return tuple(SeenBy(backend.name, backend.hosted, backend.final_known) for backend in self._given)

    async def voices(self) -> AsyncGenerator[Voice]:
        """Give one voice after another, in order of preference, each begun and at its first chunk.

        A backend that must load first comes again behind the others, and is then waited for; not so where a plan is
        wanted. The caller takes the next only while nothing of the last was used, and holds this in ``aclosing``, which
        closes the voice and so stops its model.
        """
        left, cold = list(self._posts), list[Post]()
        while (post := await self._take_slot(left)) is not None:
            left.remove(post)
            is_last = not any(self._admits(other) and other.has_slot for other in left if other not in cold)
            behind = any(self._may_leave_for(other) for other in left)
            measuring = self._ledger.measuring(post.backend, self._task, hosted_stands_behind=behind)
            with post.holding_slot() as began, measuring as measurement:
                try:
                    voice = await self._open(post, wait_for_load=is_last and self._waits_for_load)
                except BackendUnavailable as error:
                    post.note(error, began)
                    measurement.fail(error)
                    if isinstance(error, MustLoad) and not is_last and self._waits_for_load:
                        cold.append(post)
                        left.append(post)
                    continue
                measurement.hear(voice)
                try:
                    async with aclosing(voice):
                        yield voice
                finally:
                    post.note(voice.failure, began)

    async def _take_slot(self, left: Sequence[Post]) -> Post | None:
        """Take a slot of the first backend that has one, or wait at the busy box where the fewest wait.

        None where nobody is left, every queue is full, or the wait was in vain and nobody else is free by then. Hosted
        is for a box that fails or must load, never for a busy one: behind a busy box no hosted backend is asked.
        """
        is_late = False
        while True:
            busy = list[Post]()
            for post in left:
                self._stays = bool(busy) or not self._hosted_calls.left
                if self._admits(post) and post.has_slot:
                    post.take_slot()
                    return post
                busy += [post] if self._admits(post) else []
                if not busy and self._may_leave_for(post) and not self._hosted_calls.left:
                    self._note_refusal()
            self.waits_in_vain = bool(busy)
            shortest = min((post for post in busy if post.has_room), key=lambda post: post.waiting, default=None)
            if is_late or shortest is None:
                for post in () if is_late else busy:
                    self._ledger.metrics.note_turned_away(post.backend.name, "full")
                return None
            if is_late := not await shortest.wait_for_slot():
                self._ledger.metrics.note_turned_away(shortest.backend.name, "late")
                continue
            self.waits_in_vain = False
            # What held for those looked at after it does not hold for this one, and the cap may be reached by now.
            self._stays = shortest is not busy[0] or not self._hosted_calls.left
            if self._admits(shortest):
                return shortest
            shortest.give_back()

    def _admits(self, post: Post) -> bool:
        """Whether the prompt may be given to this backend now."""
        stays = self._prompt.local_only or self._stays
        return post.breaker.admits() and not (stays and post.backend.hosted)

    def _may_leave_for(self, post: Post) -> bool:
        """Whether this backend is hosted and might be given the prompt, were no box busy and the cap not reached."""
        return post.backend.hosted and post.breaker.admits() and not self._prompt.local_only

    def _note_refusal(self) -> None:
        """Count, once a prompt, that only the hour's cap keeps it in the house."""
        if not self._was_refused:
            self._ledger.metrics.note_refused()
        self._was_refused = True

    async def _open(self, post: Post, *, wait_for_load: bool) -> Voice:
        """Ask one backend, and note that it was given the prompt unless it never was."""
        backend = post.backend
        prompt = replace(self._prompt, local_only=self._prompt.local_only or self._stays)
        self._given.append(backend)
        is_sent, is_counted = True, backend.hosted
        if is_counted:
            self._hosted_calls.count()
        try:
            return await backend.open(prompt, wait_for_load=wait_for_load)
        except NeverSent:
            is_sent = False
            self._given.remove(backend)
            if is_counted:
                self._hosted_calls.take_back()
            raise
        finally:
            if is_sent and backend.hosted and not is_counted:  # an Ollama that was found to hand on
                self._hosted_calls.count()


class Router:
    """All backends in order, and what is known of each."""

    def __init__(
        self, backends: Sequence[Backend], *, local_only: bool = False, hosted_max_per_hour: int | None = None
    ) -> None:
        self._posts = tuple(Post(backend) for backend in backends)
        self._local_only = local_only
        self._ledger = Ledger(ModelMetrics(), hosted_max_per_hour)
        self._warming: asyncio.Task[None] | None = None

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The backends that are there, in order of preference."""
        return tuple(post.backend for post in self._there)

    @property
    def _there(self) -> list[Post]:
        return [post for post in self._posts if post.backend.is_there]

    @property
    def metrics(self) -> ModelMetrics:
        """Where it is counted what models were asked and how it went."""
        return self._ledger.metrics

    def count_in(self, metrics: ModelMetrics) -> None:
        """Count in these metrics from now on."""
        self._ledger.metrics = metrics

    def ask(self, prompt: Prompt, *, planning: bool = False, escalating: bool = False) -> Conversation:
        """Begin a conversation with the backends that this prompt may go to; nothing is sent before its first voice.

        ``planning`` is for those that plan, save those marked for what no other could: ``escalating`` is for these.
        Neither waits for a model to load, which takes longer than a plan may: the load goes on in the background.
        """
        prompt = replace(prompt, local_only=prompt.local_only or self._local_only)
        posts = self._allowed(local_only=prompt.local_only, planning=planning, escalating=escalating)
        task: Task = "escalate" if escalating else "plan" if planning else "text"
        return Conversation(posts, prompt, self._ledger, task=task)

    def context_tokens(self, *, local_only: bool = False, planning: bool = False, escalating: bool = False) -> int:
        """Give the smallest context of the backends that a prompt may go to, 0 where there is none."""
        posts = self._allowed(local_only=local_only or self._local_only, planning=planning, escalating=escalating)
        return min((post.backend.num_ctx for post in posts), default=0)

    async def state(self) -> RouterState:
        """Look at every backend that may be looked at, all at once, without asking a model anything."""
        states = await asyncio.gather(*(self._look(post) for post in self._there))
        hosted_on = not self._local_only and any(state.hosted for state in states)
        return RouterState(hosted_on=hosted_on, local_only=self._local_only, backends=tuple(states))

    def standings(self) -> tuple[BackendStanding, ...]:
        """Tell how every backend stands, as far as that is known without looking."""
        return tuple(post.stand() for post in self._there)

    async def start(self) -> None:
        """Begin to warm the models in the house, and return at once."""
        self._warming = asyncio.create_task(self._warm())

    async def aclose(self) -> None:
        """Stop what was begun and give back what the backends hold."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        for post in self._posts:
            await post.backend.aclose()

    def _allowed(self, *, local_only: bool, planning: bool, escalating: bool) -> list[Post]:
        if escalating:
            # What stays in the house is not escalated at all, to a box there neither: that is what local_only promises.
            return [] if local_only else [post for post in self._there if post.backend.escalates]
        return [
            post
            for post in self._there
            if not (local_only and post.backend.hosted)
            and (not planning or (post.backend.plans and not post.backend.escalates))
        ]

    async def _look(self, post: Post) -> BackendState:
        backend = post.backend
        # An Ollama in the house is looked at also where its model is not: another one may have its name by now.
        may_look = not (self._local_only and backend.settings.is_hosted)
        state = await backend.look() if may_look else backend.tell_state()
        stays = "not used: questions stay in the house" if self._local_only and backend.hosted else None
        return replace(
            state,
            note=post.breaker.note or stays or state.note,
            breaker=post.breaker.state,
            asked_again_in_s=post.breaker.opens_in_s,
            speaking=post.speaking,
            waiting=post.waiting,
        )

    async def _warm(self) -> None:
        """Warm the boxes in the house, all at once; the embedded model only where none of them is there."""
        ours = [backend for backend in self.backends if not backend.hosted]
        embedded = [backend for backend in ours if isinstance(backend, EmbeddedBackend)]
        are_warm = await asyncio.gather(*(warm(backend) for backend in ours if backend not in embedded))
        if not any(are_warm):
            await asyncio.gather(*map(warm, embedded))


async def warm(backend: Backend) -> bool:
    """Warm a backend, and tell the log how that went; whether it now speaks in the house, for an Ollama may hand on."""
    try:
        await backend.warm()
    except BackendUnavailable as error:
        log.warning("backend %s is not warm: %s", backend.name, type(error).__name__)
        return False
    log.info("backend %s is warm", backend.name)
    return not backend.hosted


def build_router(settings: Settings) -> Router:
    """Build the backends that the settings name, in their order."""
    names = _Names()
    return Router(
        [_build_backend(entry, settings, names) for entry in settings.effective_backends],
        local_only=settings.local_only,
        hosted_max_per_hour=settings.hosted_max_per_hour,
    )


def _build_backend(entry: BackendSettings, settings: Settings, names: "_Names") -> Backend:
    key = settings.backend_keys[entry.api_key_env] if entry.api_key_env else None
    match entry.kind:
        case "ollama":
            return OllamaBackend(names.give("ollama"), entry, key=key)
        case "openai":
            return OpenAIBackend(names.give("hosted" if entry.is_hosted else "openai"), entry, key=key)
        case "embedded":
            return EmbeddedBackend(names.give("embedded"), entry, weights=settings.embedded_model_path)


class _Names:
    """Gives each backend a name that tells no address: its kind, numbered from the second on."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def give(self, kind: str) -> str:
        self._given[kind] += 1
        return kind if self._given[kind] == 1 else f"{kind}-{self._given[kind]}"
