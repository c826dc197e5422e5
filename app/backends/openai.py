"""Any OpenAI-compatible server through the ``openai`` client: hosted Nemotron, LiteLLM, vLLM, llama.cpp."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk
from pydantic import SecretStr

from app.backends.base import (
    FATAL_STATUSES,
    LOAD_MAX_S,
    REPLY_BYTES_MAX,
    UNREADABLE,
    Backend,
    BackendState,
    NeverSent,
    Piece,
    Prompt,
    Usage,
    choose_trust,
    read_retry_after,
)
from app.errors import BackendUnavailable
from app.settings import BackendSettings

# The client insists on a key; servers in the house look at none.
NO_KEY = SecretStr("none")
LOOK_S = 2.0
SENT_HEADERS = frozenset(
    {"host", "accept", "accept-encoding", "authorization", "connection", "content-type", "content-length", "user-agent"}
)
# What a LiteLLM proxy without a database says of a key that is not its own, under status 400.
LITELLM_REFUSED_KEY = "no_db_connection"
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
# Names of models that think aloud unless their server is told not to, and of whom it is unknown whether it listens.
THINKING_MODELS = re.compile(r"nemotron|think|reason|deepseek-r|[-/]r1|qwq|qwen-?3|gpt-oss|magistral", re.IGNORECASE)
# Of the Nemotrons before the third, these obey a slash command (their model cards); the others a sentence.
NO_THINK_MODELS = re.compile(r"nemotron-nano-\d+b-v2|nemotron-super-\d+b-v1[._]5")


class OpenAIBackend(Backend):
    """One model behind one OpenAI-compatible address."""

    def __init__(self, name: str, settings: BackendSettings, *, key: SecretStr | None = None) -> None:
        super().__init__(name, settings)
        self.holds_back = bool(THINKING_MODELS.search(settings.model or ""))
        self._counts_tokens = True
        self._http = _make_http_client(settings)
        self._client = openai.AsyncOpenAI(
            base_url=settings.url,
            api_key=(key or NO_KEY).get_secret_value(),
            max_retries=0,
            http_client=self._http,
        )

    @property
    def final_known(self) -> bool:
        """False for an address in the house that was not declared local: a proxy, which may hand the prompt on."""
        return not (self.hosted and _is_in_the_house(self.settings.url or ""))

    async def get_ready(self, *, wait_for_load: bool) -> float:
        return self.settings.deadlines.load_s if wait_for_load else self.settings.deadlines.first_token_s

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        with self._own_errors():
            async with await self._send(self._compose(prompt)) as chunks:
                self._check_type(chunks.response)
                async for chunk in chunks:
                    yield _read_piece(chunk)

    async def warm(self) -> None:
        """Have a server in the house say one token: its protocol knows no other way to load. Hosted ones are warm."""
        if self.hosted:
            return
        with self._own_errors():
            async with asyncio.timeout(LOAD_MAX_S):
                async for _ in self.stream(Prompt("Say yes.", "Yes?", max_tokens=1)):
                    pass

    async def look(self) -> BackendState:
        """Look for a server in the house by its list of models; a hosted one is sent nothing."""
        if self.hosted:
            return self.tell_state()
        try:
            with self._own_errors():
                async with asyncio.timeout(LOOK_S):
                    await self._client.models.list()
        except BackendUnavailable as error:
            return self.tell_state(reachable=False, note=str(error))
        return self.tell_state(reachable=True)

    async def aclose(self) -> None:
        await super().aclose()
        await self._client.close()

    async def _send(self, body: dict[str, Any]) -> openai.AsyncStream[ChatCompletionChunk]:
        """Send a chat, and again without asking for a count of tokens to a server that knows no such wish."""
        if self._counts_tokens:
            try:
                return await self._create(body | {"stream_options": {"include_usage": True}})
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if "stream_options" not in str(error):
                    raise
                self._counts_tokens = False
                return await self._send_again(body)
        return await self._create(body)

    async def _send_again(self, body: dict[str, Any]) -> openai.AsyncStream[ChatCompletionChunk]:
        """Send a chat that the server was given before: also where it cannot be reached any more, it has seen it."""
        try:
            return await self._create(body)
        except openai.APIConnectionError:
            raise BackendUnavailable(f"{self.name} closed the connection or did not answer in time") from None

    async def _create(self, body: dict[str, Any]) -> openai.AsyncStream[ChatCompletionChunk]:
        stream = await self._client.chat.completions.create(**body, stream=True)
        return cast(openai.AsyncStream[ChatCompletionChunk], stream)

    def _compose(self, prompt: Prompt) -> dict[str, Any]:
        switch = _thinking_switch(self.model or "")
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": switch.get("system", "") + prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "temperature": 0,
            "max_tokens": prompt.max_tokens,
        }
        if "extra_body" in switch:
            body["extra_body"] = switch["extra_body"]
        if prompt.schema is not None:
            shape = {"name": "answer", "schema": dict(prompt.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        return body

    def _check_type(self, response: httpx2.Response) -> None:
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            raise BackendUnavailable(f"{self.name} sent no stream of events")

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Make of whatever the client raises a :class:`BackendUnavailable`; no text of the server's goes into it."""
        try:
            yield
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except openai.APIConnectionError as error:
            raise self._broken(error.__cause__) from None
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
            raise self._broken(error) from None
        except openai.OpenAIError:
            raise BackendUnavailable(f"{self.name} reported an error in its answer") from None
        except UNREADABLE:
            raise BackendUnavailable(f"{self.name} sent what is no chat completion") from None

    def _refused(self, error: openai.APIStatusError) -> BackendUnavailable:
        response = error.response
        return BackendUnavailable(
            f"{self.name} answered with status {response.status_code}",
            fatal=response.status_code in FATAL_STATUSES or error.type == LITELLM_REFUSED_KEY,
            retry_after_s=read_retry_after(response.headers.get("retry-after")),
            status=response.status_code,
        )

    def _broken(self, cause: BaseException | None) -> BackendUnavailable:
        if isinstance(cause, UNSENT):
            return NeverSent(f"{self.name} cannot be reached")
        if isinstance(cause, BackendUnavailable):
            return cause
        return BackendUnavailable(f"{self.name} closed the connection or did not answer in time")


def _thinking_switch(model: str) -> Mapping[str, Any]:
    """Give what turns a model's thinking off: words before the system prompt, or more of a body."""
    name = model.lower()
    if "nemotron-3" in name:
        return {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}
    if NO_THINK_MODELS.search(name):
        return {"system": "/no_think\n"}
    if "nemotron-" in name:
        return {"system": "detailed thinking off\n"}
    return {}


def _is_in_the_house(url: str) -> bool:
    """Whether the host of ``url`` is an address or a name that the public network does not know."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa", ".localhost"))


def _make_http_client(settings: BackendSettings) -> httpx2.AsyncClient:
    """Make a client that follows no redirect, and uses the environment's proxy only for what leaves the house."""
    connect_s = settings.deadlines.connect_s
    url = settings.url or ""
    return httpx2.AsyncClient(
        headers={"accept-encoding": "identity"},
        timeout=httpx2.Timeout(LOAD_MAX_S, connect=connect_s, pool=connect_s),
        follow_redirects=False,
        trust_env=settings.is_hosted and not _is_in_the_house(url),
        verify=choose_trust(url),
        event_hooks={"request": [_trim], "response": [_bound]},
    )


async def _trim(request: httpx2.Request) -> None:
    """Leave out what tells of this machine, and whatever the environment adds for other programs."""
    for name in set(request.headers) - SENT_HEADERS:
        del request.headers[name]


class _BoundedStream(httpx2.AsyncByteStream):
    """A reply's bytes, which end in an error where they grow beyond any answer."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
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


async def _bound(response: httpx2.Response) -> None:
    # Compressed though nobody asked, four megabytes may come to gigabytes: read as it is, it is no answer.
    response.headers.pop("content-encoding", None)
    response.stream = _BoundedStream(cast(httpx2.AsyncByteStream, response.stream))


def _read_piece(chunk: ChatCompletionChunk) -> Piece:
    """Read one event. Thoughts in ``reasoning`` and ``reasoning_content`` are never looked at."""
    usage = _read_usage(chunk)
    if not chunk.choices:
        return Piece(usage=usage)
    choice = chunk.choices[0]
    text: object = choice.delta.content or ""
    reason: object = choice.finish_reason
    if not isinstance(text, str) or not isinstance(reason, str | None):
        raise TypeError("the client does not check what it hands on")
    return Piece(text, reason, usage)


def _read_usage(chunk: ChatCompletionChunk) -> Usage | None:
    if chunk.usage is None:
        return None
    details = chunk.usage.prompt_tokens_details
    return Usage(
        input_tokens=chunk.usage.prompt_tokens,
        output_tokens=chunk.usage.completion_tokens,
        cached_tokens=details.cached_tokens if details else None,
    )
