"""Ollama over its native API, through the ``ollama`` client.

The native API and not its OpenAI route: only here can ``num_ctx``, ``keep_alive`` and ``truncate`` be set, and does a
runner that dies say so.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from math import inf
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import ollama
from pydantic import Field, SecretStr

from app.backends.base import (
    FATAL_STATUSES,
    LOAD_MAX_S,
    REPLY_BYTES_MAX,
    UNREADABLE,
    Backend,
    BackendState,
    MustLoad,
    NeverSent,
    Piece,
    Prompt,
    Usage,
    choose_trust,
    read_retry_after,
)
from app.backends.residency import UNTOLD, InMemory, Residency
from app.errors import BackendUnavailable
from app.settings import OLLAMA_URL, BackendSettings

PREFERRED_MODELS = ("nemotron-3-nano", "nemotron-3-nano:30b", "nemotron-3-nano:4b")
# The 30b weights take 24 GB and want a machine sold as 32 GB, of which its kernel shows a little less.
LARGE_MEMORY_BYTES = 30_000_000_000
# What /api/ps, /api/tags and /api/show may take: each answers in a millisecond, also while the model speaks.
LOOK_S = 2.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Of a box's memory, the part that models may have where the box is this machine: the rest is the system's, the permit
# store's and this service's.
MODELS_SHARE = 0.75
# What a model takes beside its weights (context, buffers), as a factor, until it has been seen in memory. Nemotron 3
# Nano keeps a context for a few of its layers only.
LOADED_FACTOR = 1.25
SENT_HEADERS = frozenset({"host", "accept", "accept-encoding", "connection", "content-type", "content-length"})


class MemoryTaken(MustLoad):
    """The model is not in memory, and loading it would push out what others have there."""


class ModelMissing(NeverSent):
    """This Ollama answers and does not have the model."""


class ShownModel(ollama.ShowResponse):
    """``/api/show`` with what the client's own type leaves out: the host that really runs the model, if another."""

    remote_host: str | None = None
    remote_model: str | None = None
    modelinfo: Mapping[str, Any] | None = Field(default=None, alias="model_info")

    @property
    def is_remote(self) -> bool:
        """Whether this Ollama only hands the prompt on."""
        return bool(self.remote_host or self.remote_model)


class _Client(ollama.AsyncClient):
    """The client with ``truncate: false`` on what it streams and the remote host in what it shows.

    It goes as soon as ``ollama.AsyncClient.chat`` takes ``truncate`` and ``ShowResponse`` has ``remote_host``.
    """

    async def _request(self, cls: Any, *args: Any, stream: bool = False, **kwargs: Any) -> Any:  # noqa: ANN401
        if stream:
            kwargs["json"]["truncate"] = False
            return await super()._request(cls, *args, stream=True, **kwargs)
        async with asyncio.timeout(LOOK_S):  # a client's own limit begins anew at every byte
            return await super()._request(ShownModel if cls is ollama.ShowResponse else cls, *args, **kwargs)


class OllamaBackend(Backend):
    """One Ollama and one model on it, or the first that it has of :data:`PREFERRED_MODELS`."""

    slots_unless_set = 1

    def __init__(self, name: str, settings: BackendSettings, *, key: SecretStr | None = None) -> None:
        super().__init__(name, settings)
        self._chosen: str | None = None
        self._remote = False
        self._residency = Residency(settings.num_ctx)
        self._weights: dict[str | None, str | None] = {}
        self._client = _make_client(settings, key)

    @property
    def model(self) -> str | None:
        return self.settings.model or self._chosen

    @property
    def hosted(self) -> bool:
        return self._remote or self.settings.is_hosted

    async def get_ready(self, *, wait_for_load: bool) -> float:
        model = await self._find_model()
        running = await self._list_running(model)
        # Also for one in memory: its name may by now be that of a model on another host.
        if await self._is_handed_on(model) or (self._residency.is_there(running) and not self._residency.is_doubted):
            return self.settings.deadlines.first_token_s
        await self._spare_others(model, running)
        # Also for a question that waits: should it give up first, the load goes on and the next one finds it done.
        self.load_in_background()
        if wait_for_load:
            return self.settings.deadlines.load_s
        raise MustLoad(f"{self.name} is loading {model}")

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        with self._own_errors():
            messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
            parts = await self._chat(messages, max_tokens=prompt.max_tokens, schema=prompt.schema)
            async with aclosing(cast(AsyncGenerator[ollama.ChatResponse], parts)) as replies:
                async for reply in replies:
                    self._residency.is_doubted = False
                    yield _read_piece(reply)

    async def warm(self) -> None:
        """Load the model by a chat without messages, which generates nothing; where it is loaded, this keeps it so.

        One that runs on another host is sent nothing: the chat would leave the house. Raises :class:`MemoryTaken` where
        others' models would have to go for it.
        """
        model = await self._find_model()
        running = await self._list_running(model)
        is_cold = not self._residency.is_there(running)
        if is_cold:
            if await self._is_handed_on(model):
                return
            await self._spare_others(model, running)
        with self._residency.loading(is_cold=is_cold):
            await self._load_model(model)
        self._residency.settle(before=running, after=await self._list_running(model))

    async def look(self) -> BackendState:
        try:
            model = await self._find_model()
            running = await self._list_running(model)
            resident = self._residency.is_there(running)
            if not resident and await self._is_handed_on(model):
                return self.tell_state(reachable=True)
            if not resident:
                await self._spare_others(model, running)
            self._remote = False
            return self.tell_state(reachable=True, resident=resident)
        except (ModelMissing, MemoryTaken) as error:
            return self.tell_state(reachable=True, resident=False, note=str(error))
        except BackendUnavailable as error:
            return self.tell_state(reachable=False, note=str(error))

    def note_failure(self, error: BackendUnavailable) -> None:
        """Have the model loaded before the next question: Ollama goes on listing one whose runner was killed.

        A question that came to load it within the time for a first token would, giving up, end the load as well. Where
        the runner lives such a load is over at once.
        """
        if error.status is None or error.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._residency.is_doubted = True
            self._load_again_at = 0.0

    async def aclose(self) -> None:
        await super().aclose()
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _is_handed_on(self, model: str) -> bool:
        """Find out whether this Ollama only hands on what it is asked, and remember it."""
        with self._own_errors():
            shown = cast(ShownModel, await self._client.show(model))
        self._remote = shown.is_remote
        return self._remote

    async def _load_model(self, model: str) -> None:
        """Have Ollama load the model and wait until it has."""
        with self._own_errors():
            async with asyncio.timeout(LOAD_MAX_S):  # a client's own limit begins anew at every byte
                parts = await self._chat([], max_tokens=Prompt("", "").max_tokens, schema=None)
                ended = [part.done_reason async for part in parts if part.done]
        if not ended:
            raise BackendUnavailable(f"{self.name} broke off while loading {model}")
        if ended[-1] == "unload":
            raise BackendUnavailable(f"{self.name} keeps no model in memory with keep_alive {self.settings.keep_alive}")

    async def _chat(
        self, messages: list[dict[str, str]], *, max_tokens: int, schema: Mapping[str, Any] | None
    ) -> AsyncIterator[ollama.ChatResponse]:
        """Send one chat; questions and warm-up differ in nothing that would make Ollama reload the model."""
        return await self._client.chat(
            self.model or "",
            messages,
            stream=True,
            think=False,
            format=dict(schema) if schema is not None else None,
            options={"num_ctx": self._residency.sent_ctx, "temperature": 0, "num_predict": max_tokens},
            keep_alive=_read_keep_alive(self.settings.keep_alive),
        )

    async def _find_model(self) -> str:
        """Give the model that was set, or else the first of the preferred ones that this Ollama has."""
        if self.model is not None:
            return self.model
        with self._own_errors():
            installed = {entry.model for entry in (await self._client.list()).models if entry.model}
        wanted = (model for model in PREFERRED_MODELS if _tagged(model) in {_tagged(name) for name in installed})
        self._chosen = next(wanted, None)
        self._residency.forget_size()
        if self._chosen is None:
            command = recommend_pull(read_memory_bytes())
            raise ModelMissing(f"{self.name} has no Nemotron 3 Nano; `{command}` gets it one")
        return self._chosen

    async def _list_running(self, model: str) -> Sequence[InMemory]:
        """List the models in memory, everybody's; one that has our weights is ours, whatever it is called.

        Ollama has weights in memory once, for all models made from them, and lists the one that was asked first.
        """
        with self._own_errors():
            running = (await self._client.ps()).models
            ours = {entry.model for entry in running if _tagged(entry.model) == _tagged(model)}
            if running and not ours and (weights := _read_weights(await self._client.show(model))):
                ours = {entry.model for entry in running if await self._find_weights(entry) == weights}
        return [_read_in_memory(entry, is_ours=entry.model in ours) for entry in running]

    async def _find_weights(self, entry: ollama.ProcessResponse.Model) -> str | None:
        """Find which weights a model in memory has, None where that is not told, as of one that others broke."""
        known_as = entry.digest or entry.model
        if known_as not in self._weights:
            try:
                self._weights[known_as] = _read_weights(await self._client.show(entry.model or ""))
            except BackendUnavailable:
                return None
        return self._weights[known_as]

    async def _spare_others(self, model: str, running: Sequence[InMemory]) -> None:
        """Raise :class:`MemoryTaken` where the memory holds others' models and has no room for ours beside them.

        Ollama itself would push them out.
        """
        if all(entry.is_ours for entry in running):
            return
        known = self._residency
        size_bytes = known.size_bytes or max(known.least_bytes, await self._estimate_bytes(model))
        if not self._residency.has_room(running, size_bytes=size_bytes, memory_bytes=self._memory_bytes):
            raise MemoryTaken(f"{self.name} has other models in memory and no room for {model} beside them")

    @property
    def _memory_bytes(self) -> float | None:
        """What the box has for all its models, None where it is not known."""
        if self.settings.memory_gb is not None:
            return self.settings.memory_gb * 1e9
        host = urlsplit(self.settings.url or OLLAMA_URL).hostname or ""
        return read_memory_bytes() * MODELS_SHARE if host in LOOPBACK else None

    async def _estimate_bytes(self, model: str) -> float:
        """Estimate what a model that was never seen in memory takes there: its weights, and something beside them.

        Without end where that is not told, as of a model that goes by a longer name than the list has.
        """
        with self._own_errors():
            installed = (await self._client.list()).models
        sizes = [entry.size or inf for entry in installed if _tagged(entry.model) == _tagged(model)]
        return max(sizes, default=inf) * LOADED_FACTOR

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Make of whatever the client raises a :class:`BackendUnavailable`; no text of the server's goes into it."""
        try:
            yield
        except ModelMissing as error:
            self._chosen = None
            raise ModelMissing(str(error), fatal=self.settings.model is not None) from None
        except BackendUnavailable as error:
            if error.status != httpx.codes.NOT_FOUND or self._chosen is None:
                raise
            # Deleted while it was in memory, where it goes on being listed: the next question chooses anew.
            self._chosen = None
            raise BackendUnavailable(str(error), status=error.status) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, ConnectionError):
            raise NeverSent(f"{self.name} cannot be reached") from None
        except (httpx.TimeoutException, TimeoutError):
            raise BackendUnavailable(f"{self.name} did not answer in time") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError):
            raise BackendUnavailable(f"{self.name} closed the connection") from None
        except ollama.ResponseError:
            raise BackendUnavailable(f"{self.name} reported an error in its answer") from None
        except UNREADABLE:
            raise BackendUnavailable(f"{self.name} sent what is no answer of Ollama's") from None


def recommend_pull(memory_bytes: int) -> str:
    """Give the command that gets the model which fits a machine with that much memory."""
    return f"ollama pull nemotron-3-nano:{'30b' if memory_bytes >= LARGE_MEMORY_BYTES else '4b'}"


def read_memory_bytes() -> int:
    """Give this machine's memory, 0 where it cannot be told."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def _make_client(settings: BackendSettings, key: SecretStr | None) -> _Client:
    """Make a client that follows no redirect, asks no proxy and sends no key but ours."""
    allowed = SENT_HEADERS | {"authorization"} if key is not None else SENT_HEADERS

    async def trim(request: httpx.Request) -> None:
        for name in set(request.headers) - allowed:
            del request.headers[name]

    return _Client(
        host=settings.url or OLLAMA_URL,
        headers={"authorization": f"Bearer {key.get_secret_value()}"} if key is not None else {},
        timeout=httpx.Timeout(LOAD_MAX_S, connect=settings.deadlines.connect_s, pool=settings.deadlines.connect_s),
        follow_redirects=False,
        trust_env=False,
        verify=choose_trust(settings.url or OLLAMA_URL),
        event_hooks={"request": [trim], "response": [_refuse_status, _bound]},
    )


async def _refuse_status(response: httpx.Response) -> None:
    """Refuse every status but success here, where the headers are still at hand."""
    status = response.status_code
    if response.is_success:
        return
    if status == httpx.codes.NOT_FOUND and response.request.url.path.endswith("/show"):
        raise ModelMissing("this Ollama does not have the model that is set")
    raise BackendUnavailable(
        f"this Ollama answered with status {status}",
        fatal=status in FATAL_STATUSES,
        status=status,
        retry_after_s=read_retry_after(response.headers.get("retry-after")),
    )


class _BoundedStream(httpx.AsyncByteStream):
    """A reply's bytes, which end in an error where they grow beyond any answer."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = REPLY_BYTES_MAX
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise BackendUnavailable("the reply is longer than any answer")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx.Response) -> None:
    # Compressed though nobody asked, four megabytes may come to gigabytes: read as it is, it is no answer.
    response.headers.pop("content-encoding", None)
    response.stream = _BoundedStream(cast(httpx.AsyncByteStream, response.stream))


def _read_piece(reply: ollama.ChatResponse) -> Piece:
    if not reply.done:
        return Piece(reply.message.content or "")
    usage = Usage(input_tokens=reply.prompt_eval_count, output_tokens=reply.eval_count)
    return Piece(reply.message.content or "", reply.done_reason or "stop", usage)


def _read_keep_alive(value: str) -> float | str:
    """Give a bare number as a number of seconds: as text, Ollama would miss its unit."""
    try:
        return float(value)
    except ValueError:
        return value


def _read_weights(shown: ollama.ShowResponse) -> str | None:
    """Give the lines of a model's recipe that name its files, None where it tells none."""
    lines = (shown.modelfile or "").splitlines()
    return "\n".join(line for line in lines if line.startswith(("FROM ", "ADAPTER "))) or None


def _read_in_memory(entry: ollama.ProcessResponse.Model, *, is_ours: bool) -> InMemory:
    context_length = entry.context_length or UNTOLD
    return InMemory(entry.model or "", is_ours, entry.size or 0, context_length, entry.expires_at)


def _tagged(model: str | None) -> str:
    """Give a model's name as Ollama lists it, with the tag that it takes where none is named."""
    name = (model or "").lower()
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
