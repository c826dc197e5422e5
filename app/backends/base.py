"""What a model is asked, what it answers with, and what every place that runs one must do.

No protocol is known here. A backend turns its own into :class:`Piece` objects; deadlines and the rule for when an
answer is complete are the same for all and stand here.
"""

import asyncio
import logging
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from app.backends.thoughts import ThoughtFilter, ThoughtsShown, strip_control_words
from app.errors import BackendUnavailable, MisconfiguredError
from app.settings import BackendSettings, Deadlines
from app.telemetry.logs import describe

log = logging.getLogger(__name__)

# A token is 4 characters of prose (measured: 4.3 to 4.8); eight times that is no answer that was asked for.
CHARACTERS_PER_TOKEN_MAX = 32
# A streamed token takes about 300 bytes on either protocol: this is some 14,000 tokens, and bounds an endless line.
REPLY_BYTES_MAX = 4 * 1024 * 1024
# After the last word only a count of tokens can follow; a server that keeps the line open does not hold the caller up.
LAST_COUNT_S = 0.25
CLOSE_S = 1.0
LOAD_MAX_S = 600.0
LOAD_INTERVAL_S = 30.0
RETRY_AFTER_MAX_S = 3600.0
# What the clients let through when a server sends what is no answer of its protocol.
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)
# A refused key, an unknown model, a model at the end of its life: the same tomorrow, unless somebody changes something.
FATAL_STATUSES = frozenset({401, 403, 404, 410})
NO_ANSWER_REASONS = frozenset({"error", "abort", "content_filter", "load", "unload"})


@dataclass(frozen=True)
class Prompt:
    """What a model is asked: one system prompt, one user turn.

    ``schema`` is a JSON schema for an answer that must have a shape. ``local_only`` keeps the prompt in the house.
    """

    system: str
    user: str
    schema: Mapping[str, Any] | None = None
    local_only: bool = False
    max_tokens: int = 160


@dataclass(frozen=True)
class Usage:
    """Tokens as the server counted them; ``cached_tokens`` is the part of the input that its prefix cache had."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True)
class Piece:
    """One step of a reply, whatever its protocol: text (thoughts in fields of their own already left out) or an end."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True)
class BackendState:
    """What readiness tells of a backend, found without asking its model anything.

    ``reachable`` and ``resident`` are None where they were not looked at. ``note`` is a sentence for the operator.
    ``asked_again_in_s`` is how long an open breaker stays so; ``speaking`` and ``waiting`` count questions.
    """

    name: str
    kind: str
    model: str | None
    hosted: bool
    plans: bool
    escalates: bool
    reachable: bool | None = None
    resident: bool | None = None
    note: str | None = None
    breaker: str = "closed"
    asked_again_in_s: float | None = None
    speaking: int = 0
    waiting: int = 0


class NeverSent(BackendUnavailable):
    """The backend was of no use before the prompt left: nobody has seen it."""


class MustLoad(NeverSent):
    """The model is not in memory and is being loaded; no fault, ask again later."""


def read_retry_after(value: str | None) -> float | None:
    """Read a ``Retry-After`` header, seconds or a date, as seconds from now; None where it says nothing usable."""
    if not value:
        return None
    with suppress(ValueError):
        return min(max(0.0, float(value)), RETRY_AFTER_MAX_S)
    with suppress(ValueError, TypeError, OverflowError):
        wait = parsedate_to_datetime(value).replace(tzinfo=UTC) - datetime.now(UTC)
        return min(max(wait.total_seconds(), 0.0), RETRY_AFTER_MAX_S)
    return None


def choose_trust(url: str) -> ssl.SSLContext:
    """Choose whom a client of ``url`` trusts: the public authorities, or those that ``SSL_CERT_FILE`` holds.

    A plain address spares its client 30 ms of certificates. Raises :class:`MisconfiguredError` for a file that is none.
    """
    if not url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except OSError:
        raise MisconfiguredError("SSL_CERT_FILE or SSL_CERT_DIR names no certificates") from None


class Voice:
    """One answer that a backend has begun: visible text chunk by chunk, then ``usage`` and ``finish_reason``.

    Iterating raises :class:`BackendUnavailable` where the model falls silent, an error comes in the stream, or it ends
    without saying that it was done; ``failure`` keeps that error. Closing a voice closes its connection, which stops
    the model.
    """

    def __init__(self, backend: "Backend", prompt: Prompt, *, began_at: float) -> None:
        self.backend = backend.name
        self.model = backend.model or ""
        self.hosted = backend.hosted
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.failure: BackendUnavailable | None = None
        self._pieces = backend.stream(prompt)
        self._filter = ThoughtFilter(hold_back=backend.holds_back)
        self._learn: Callable[[bool], None] = backend.learn
        self._note_failure: Callable[[BackendUnavailable], None] = backend.note_failure
        self._deadlines: Deadlines = backend.settings.deadlines
        self._began_at = began_at
        self._first_s = self._deadlines.first_token_s
        self._left = prompt.max_tokens * CHARACTERS_PER_TOKEN_MAX
        self._first = ""
        self._speaks = False

    async def begin(self, first_token_s: float) -> None:
        """Wait for the first visible text, whose first token must come within ``first_token_s`` of the beginning."""
        self._first_s = first_token_s
        self._first = await self._next_text()
        if not self._first:
            error = BackendUnavailable(f"{self.backend} gave an empty answer")
            await self._fail(error)
            raise error

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        text, self._first = self._first or await self._next_text(), ""
        if not text:
            raise StopAsyncIteration
        return text

    async def aclose(self) -> None:
        """Close the connection, finished or not."""
        with suppress(BackendUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._pieces.aclose()

    async def _next_text(self) -> str:
        """Give the next visible text, or nothing at the end."""
        if self.failure is not None:
            raise self.failure
        try:
            text = await self._read_text()
        except BackendUnavailable as error:
            await self._fail(error)
            raise
        if not text:
            await self._read_count()
        return text

    async def _read_text(self) -> str:
        while self.finish_reason is None:
            piece = await self._next_piece()
            text = self._filter.feed(piece.text)
            self._speaks = self._speaks or bool(text) or (self._filter.holding and bool(piece.text))
            if piece.finish_reason is not None:
                text += self._end(piece)
            if text:
                return self._checked(text)
        return ""

    async def _next_piece(self) -> Piece:
        try:
            async with asyncio.timeout_at(self._next_deadline()):
                return await anext(self._pieces)
        except StopAsyncIteration:
            raise BackendUnavailable(f"{self.backend} broke off without saying that it was done") from None
        except TimeoutError:
            what = "fell silent" if self._speaks else "did not begin in time"
            raise BackendUnavailable(f"{self.backend} {what}") from None

    def _next_deadline(self) -> float:
        end_at = self._began_at + self._deadlines.total_s
        if not self._speaks:
            return min(end_at, self._began_at + self._first_s)
        return min(end_at, asyncio.get_running_loop().time() + self._deadlines.gap_s)

    def _end(self, piece: Piece) -> str:
        if piece.finish_reason in NO_ANSWER_REASONS:
            raise BackendUnavailable(f"{self.backend} ended with {piece.finish_reason}")
        if self._filter.holding and piece.finish_reason == "length":
            raise BackendUnavailable(f"{self.backend} was cut off where its thoughts cannot be told from its answer")
        self.usage = piece.usage or self.usage
        self.finish_reason = piece.finish_reason
        self._learn(self._filter.met_unopened)
        return self._filter.finish()

    def _checked(self, text: str) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise BackendUnavailable(f"{self.backend} talks without end")
        if "\N{REPLACEMENT CHARACTER}" in text:
            raise BackendUnavailable(f"{self.backend} sent text that is not UTF-8")
        return text

    async def _read_count(self) -> None:
        """Read what follows the last word: a count of tokens or nothing, and no fault in it matters any more."""
        with suppress(BackendUnavailable, TimeoutError):
            async with asyncio.timeout(LAST_COUNT_S):
                async for piece in self._pieces:
                    self.usage = piece.usage or self.usage

    async def _fail(self, error: BackendUnavailable) -> None:
        self.failure = error
        if isinstance(error, ThoughtsShown):
            self._learn(True)
        elif self.finish_reason is None:
            self._note_failure(error)
        self.finish_reason = None
        await self.aclose()


class Backend(ABC):
    """A place where a language model runs.

    ``slots_unless_set`` is how many questions it answers at once, one where a second would only wait behind the first;
    ``load_interval_s`` is the least time between the beginnings of two loads.
    """

    slots_unless_set: int | None = None
    load_interval_s: float = LOAD_INTERVAL_S

    def __init__(self, name: str, settings: BackendSettings) -> None:
        self.name = name
        self.settings = settings
        self.holds_back = False
        self._loading: asyncio.Task[None] | None = None
        self._load_again_at = 0.0
        self._load_failure: BackendUnavailable | None = None

    @property
    def model(self) -> str | None:
        """The model's name, None where it is not chosen yet."""
        return self.settings.model

    @property
    def is_there(self) -> bool:
        """Whether it can be asked at all; false for one that is not installed."""
        return True

    @property
    def hosted(self) -> bool:
        """Whether a prompt given to this backend leaves the house."""
        return self.settings.is_hosted

    @property
    def final_known(self) -> bool:
        """Whether this is surely the last that a prompt comes to; false for a proxy that may hand it on."""
        return True

    @property
    def plans(self) -> bool:
        """Whether the model is able enough to plan."""
        return self.settings.plans

    @property
    def escalates(self) -> bool:
        """Whether it is asked to plan only what no other could."""
        return self.settings.escalate

    @property
    def slots(self) -> int | None:
        """How many questions are answered at once, None for as many as come."""
        return self.settings.slots or self.slots_unless_set

    @property
    def num_ctx(self) -> int:
        """The context in tokens that character budgets count with."""
        return self.settings.num_ctx

    async def open(self, prompt: Prompt, *, wait_for_load: bool = False) -> Voice:
        """Begin an answer and wait for its first visible text.

        A model that is not in memory is loaded in the background and refused with :class:`MustLoad`, unless
        ``wait_for_load``. Raises :class:`BackendUnavailable`, as :class:`NeverSent` where the prompt did not leave.
        """
        began_at = asyncio.get_running_loop().time()
        self._keep_in_the_house(prompt)
        try:
            async with asyncio.timeout_at(began_at + self.settings.deadlines.total_s):
                first_token_s = await self.get_ready(wait_for_load=wait_for_load)
        except NeverSent:
            raise
        except TimeoutError:
            raise NeverSent(f"{self.name} did not tell in time whether it can answer") from None
        except BackendUnavailable as error:
            raise NeverSent(
                str(error), fatal=error.fatal, retry_after_s=error.retry_after_s, status=error.status
            ) from None
        self._keep_in_the_house(prompt)
        voice = Voice(self, replace(prompt, user=strip_control_words(prompt.user)), began_at=began_at)
        try:
            await voice.begin(first_token_s)
        except BaseException:
            await voice.aclose()
            raise
        return voice

    @abstractmethod
    async def get_ready(self, *, wait_for_load: bool) -> float:
        """Find out whether the model can answer now, and give the seconds that its first token may take."""

    @abstractmethod
    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """Send the prompt and give the reply's pieces; every fault is a :class:`BackendUnavailable`."""

    @abstractmethod
    async def warm(self) -> None:
        """Bring the model into memory with the options of a real request; however long it takes, within reason."""

    @abstractmethod
    async def look(self) -> BackendState:
        """Look whether the backend is there and its model in memory, without asking the model anything."""

    async def aclose(self) -> None:
        """Give back what the backend holds."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])

    def learn(self, holds_back: bool) -> None:
        """Remember whether the model tells its thoughts unmarked, as its last answer has shown."""
        self.holds_back = holds_back

    def note_failure(self, error: BackendUnavailable) -> None:  # noqa: B027 - most have nothing to conclude from it
        """Take note of what broke a voice off, or kept it from beginning."""

    def load_in_background(self) -> None:
        """Begin to warm the model unless that is under way, at most once in an interval."""
        now = asyncio.get_running_loop().time()
        if self._loading is None or (self._loading.done() and now >= self._load_again_at):
            self._load_again_at = now + self.load_interval_s
            self._load_failure = None
            self._loading = asyncio.create_task(self._load())

    def tell_state(
        self, *, reachable: bool | None = None, resident: bool | None = None, note: str | None = None
    ) -> BackendState:
        """Describe the backend for readiness, with what was seen of it just now."""
        return BackendState(
            name=self.name,
            kind=self.settings.kind,
            model=self.model,
            hosted=self.hosted,
            plans=self.plans,
            escalates=self.escalates,
            reachable=reachable,
            resident=resident,
            note=note,
        )

    async def _load(self) -> None:
        try:
            await self.warm()
        except BackendUnavailable as error:
            self._load_failure = error
            log.warning("backend %s could not load: %s", self.name, describe(error))

    def _keep_in_the_house(self, prompt: Prompt) -> None:
        if prompt.local_only and self.hosted:
            raise NeverSent(f"{self.name} is hosted, and the question stays in the house")
