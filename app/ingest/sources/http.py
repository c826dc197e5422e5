"""Asking other people's servers: patience with what may pass, bounds on what they send, nothing of it in a log.

A request's address may carry a token or a question in its query, so no message, log line or error here holds one.
"""

import json
import logging
import random
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import NoReturn, TypeVar

import httpx
import orjson

from app.errors import UndervoltError
from app.ingest.sources.base import SourceFailed

log = logging.getLogger(__name__)

T = TypeVar("T")

BODY_MAX = 256 * 1024 * 1024
REFUSAL_MAX = 64 * 1024
HOPS_MAX = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ANSWERS = frozenset({200, 206, 304})
# Accepted and not ready, too slow, too early, too often: the same request may be answered the next time.
PASSING = frozenset({202, 408, 425, 429})
# What a request still says when it is sent on to another host; a token or a password is not among it.
CARRIED = frozenset(
    {"accept", "accept-encoding", "if-modified-since", "if-none-match", "if-range", "range", "user-agent"}
)


class PassingFault(UndervoltError):  # noqa: N818 - it passes, or patience ends
    """A fault that may have passed when the same is asked again; ``retry_after_s`` is what the server asked for."""

    def __init__(self, reason: str, *, retry_after_s: float = 0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class Refusal(UndervoltError):  # noqa: N818 - an answer, and not the wanted one
    """An answer that asking again would not change: its status, if there is one, and the beginning of its body."""

    def __init__(self, reason: str, *, status: int | None = None, body: bytes = b"") -> None:
        self.status = status
        self.body = body
        super().__init__(reason)


@dataclass(frozen=True)
class Patience:
    """How often and how long the same is asked again, in seconds, and how long a silent server is waited for.

    The wait doubles from ``base_s`` to ``cap_s`` and is drawn evenly from nothing to that (full jitter), so that the
    many who were cut off at once do not come back at once.
    """

    attempts: int = 6
    base_s: float = 1
    cap_s: float = 60
    retry_after_max_s: float = 120
    total_s: float = 900
    connect_s: float = 10
    read_s: float = 120
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def draw_wait_s(self, failures: int, fault: PassingFault) -> float:
        """Say how long to wait after so many failures: what the server asked for at least, within reason."""
        longest = min(self.cap_s, self.base_s * 2.0 ** (failures - 1))
        jittered = random.uniform(0, longest)  # noqa: S311 - jitter is no secret
        return max(jittered, min(fault.retry_after_s, self.retry_after_max_s))


class Tries:
    """The attempts at one thing; the source called ``name`` fails when they are used up."""

    def __init__(self, patience: Patience, name: str) -> None:
        self._patience = patience
        self._name = name
        self._failures = 0
        self._began = patience.clock()

    def wait_after(self, fault: PassingFault) -> None:
        """Wait before the next attempt. Raises :class:`SourceFailed` where none is left."""
        self._failures += 1
        wait_s = self._patience.draw_wait_s(self._failures, fault)
        spent_s = self._patience.clock() - self._began
        if self._failures >= self._patience.attempts or spent_s + wait_s > self._patience.total_s:
            raise SourceFailed(f"{self._name}: {fault}; given up after {self._failures} attempts")
        log.warning("%s: %s; asked again in %.1f s", self._name, fault, wait_s)
        self._patience.sleep(wait_s)


def ask_patiently(patience: Patience, name: str, ask: Callable[[], T]) -> T:
    """Ask until there is an answer. Raises :class:`SourceFailed`, and whatever else ``ask`` raises."""
    tries = Tries(patience, name)
    while True:
        try:
            return ask()
        except PassingFault as fault:
            tries.wait_after(fault)


@cache
def _trust() -> ssl.SSLContext:
    """Read the authorities' certificates, which takes longer than a request, once."""
    return httpx.create_ssl_context()


def make_client(patience: Patience) -> httpx.Client:
    """Make a client that follows no redirect by itself: :func:`send` does, and leaves tokens behind."""
    timeout = httpx.Timeout(patience.read_s, connect=patience.connect_s)
    return httpx.Client(verify=_trust(), timeout=timeout, follow_redirects=False, headers={"user-agent": "undervolt"})


@contextmanager
def explained() -> Generator[None]:
    """Turn what a connection may do into a fault that may pass."""
    try:
        yield
    except httpx.TimeoutException:
        raise PassingFault("no answer in time") from None
    except (httpx.TransportError, httpx.DecodingError, httpx.StreamError) as error:
        raise PassingFault(f"the connection broke ({type(error).__name__})") from None


def send(client: httpx.Client, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
    """Ask for ``url`` and give the answer (200, 206 or 304) once its headers are there; the caller closes it.

    Raises :class:`PassingFault` or :class:`Refusal`.
    """
    with explained():
        response = _follow(client, client.build_request("GET", url, headers=dict(headers)))
        if response.status_code in ANSWERS:
            return response
        try:
            _refuse(response)
        finally:
            response.close()


def _follow(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    for _ in range(HOPS_MAX + 1):
        response = _send_one(client, request)
        if response.status_code not in REDIRECTS:
            return response
        response.close()
        request = _send_on(client, request, response.headers.get("location", ""))
    raise Refusal("it sends on from one place to the next without end")


def _send_one(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    try:
        return client.send(request, stream=True)
    except httpx.InvalidURL:
        # The client reads the place that it is sent on to, followed or not.
        raise Refusal("it sends on to an address that is none") from None


def _send_on(client: httpx.Client, request: httpx.Request, location: str) -> httpx.Request:
    try:
        url = request.url.join(location)
    except httpx.InvalidURL:
        raise Refusal("it sends on to an address that is none") from None
    if not url.host or url.scheme not in {"http", "https"} or (request.url.scheme, url.scheme) == ("https", "http"):
        raise Refusal("it sends on to a place that is not safe to follow to")
    is_same = (url.scheme, url.host, url.port) == (request.url.scheme, request.url.host, request.url.port)
    kept = {name: value for name, value in request.headers.items() if name in CARRIED or (is_same and name != "host")}
    return client.build_request("GET", url, headers=kept)


def _refuse(response: httpx.Response) -> NoReturn:
    status = response.status_code
    if status in PASSING or status >= 500:
        raise PassingFault(f"it answered {status}", retry_after_s=read_retry_after(response.headers))
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) >= REFUSAL_MAX:
            break
    raise Refusal(f"it answered {status}", status=status, body=body)


def read_retry_after(headers: Mapping[str, str]) -> float:
    """Give the seconds that ``Retry-After`` asks for, as a number or as a date; none where it says nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def ask_json(client: httpx.Client, url: httpx.URL, headers: Mapping[str, str], patience: Patience) -> object:
    """Ask once for a JSON document. Raises :class:`PassingFault` or :class:`Refusal`."""
    response = send(client, url, {"accept": "application/json", "accept-encoding": "gzip", **headers})
    try:
        if response.status_code != 200:
            raise Refusal(f"it answered {response.status_code}", status=response.status_code)
        if "json" not in response.headers.get("content-type", ""):
            raise PassingFault("it answered something else than JSON")
        return parse_json(_read_body(response, patience))
    finally:
        response.close()


def _read_body(response: httpx.Response, patience: Patience) -> bytearray:
    body = bytearray()
    latest = patience.clock() + patience.total_s
    with explained():
        for part in response.iter_bytes():
            body += part
            if len(body) > BODY_MAX:
                raise Refusal("its answer is longer than any page")
            if patience.clock() > latest:
                raise PassingFault("its answer does not come to an end")
    return body


def parse_json(body: bytes | bytearray) -> object:
    """Parse a document. Raises :class:`PassingFault` where it is none, or cut off."""
    with suppress(orjson.JSONDecodeError):
        document: object = orjson.loads(body)
        return document
    try:
        # Half of a surrogate pair, cut by a column's width, is no reason to lose a page.
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise PassingFault("its JSON is broken or cut off") from None
    return document
