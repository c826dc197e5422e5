"""How permit data are sent: the tag of a reply, "not modified", and the headers that go with every representation.

A tag names the data, the release, the question in its normal form and the representation; it is no hash of bytes, so it
is known before a permit is read.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import open_session
from app.errors import DatabaseUnavailable, NoSuchCity, UnknownWord
from app.permits.cursor import fingerprint
from app.permits.register import Moved, Register, RegisterCache, find_mark

T = TypeVar("T")
GEOJSON = "application/geo+json"
VARY = "Accept, Accept-Encoding"
MOVES_MAX = 5


@dataclass(frozen=True)
class Content:
    """A representation, ready to be sent, and the address of the page that follows it."""

    body: bytes
    media_type: str
    following: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


Produce = Callable[[Register], Awaitable[Content]]


async def reply(
    request: Request, query: BaseModel, produce: Produce, *, media_type: str, depends_on: str = ""
) -> Response:
    """Answer a question about permits, with "not modified" where the caller has the reply already.

    ``produce`` is called with a register that was the newest a second ago at most, and again with a newer one where it
    says :class:`Moved` or does not know a word or a city. ``depends_on`` is what the reply depends on besides the data
    and the query: today's date in the city.
    """
    known = await find_recent(request)
    tag = make_tag(request, known, query, media_type, depends_on)
    if holds(request, tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=make_headers(request, tag))
    register, content = await produce_settled(request, produce)
    if register is not known:
        tag = make_tag(request, register, query, media_type, depends_on)
    if request.headers.get("if-none-match", "").strip() == "*":  # any reply will do, once there is one
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=make_headers(request, tag))
    headers = make_headers(request, tag) | content.headers
    if content.following:
        headers["Link"] = f'<{content.following}>; rel="next"'
    return Response(content.body, media_type=content.media_type, headers=headers)


async def produce_settled(request: Request, produce: Callable[[Register], Awaitable[T]]) -> tuple[Register, T]:
    """Produce from a register and from rows of the same data version.

    Raises :class:`DatabaseUnavailable` where the data never stand still.
    """
    register = await find_recent(request)
    try:
        return register, await produce(register)
    except (Moved, UnknownWord, NoSuchCity):
        pass
    for _ in range(MOVES_MAX):
        register = await find_recent(request, within_s=0)
        try:
            return register, await produce(register)
        except Moved:
            continue
    raise DatabaseUnavailable("the register changed too often to be read")


def on_snapshot(
    request: Request, produce: Callable[[AsyncSession, Register], Awaitable[T]]
) -> Callable[[Register], Awaitable[T]]:
    """Make of what needs a session a producer: the session's snapshot is the register's, or it says :class:`Moved`."""

    async def run(register: Register) -> T:
        async with open_session(request.app.state.engine) as session:
            if await find_mark(session) != register.mark:
                raise Moved
            return await produce(session, register)

    return run


async def find_recent(request: Request, *, within_s: float = 1.0) -> Register:
    """Give the register as it was at most ``within_s`` seconds ago."""
    state = request.app.state
    registers: RegisterCache = state.registers
    return await registers.find_recent(state.reader, state.engine, within_s=within_s)


def make_tag(request: Request, register: Register, query: BaseModel, media_type: str, depends_on: str) -> str:
    """Make the weak entity tag of a reply."""
    asked = (getattr(query, "cursor", None) or "", getattr(query, "f", None) or "")  # links repeat both
    parts = (
        request.app.version,
        register.mark,
        base_url(request),
        request.url.path,
        media_type,
        fingerprint(query),
        *asked,
        depends_on,
    )
    digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
    return f'W/"{register.data_version}-{digest}"'


def holds(request: Request, tag: str) -> bool:
    """Tell whether the caller holds the reply of this tag (RFC 9110, section 13.1.2, by weak comparison)."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    opaque = tag.removeprefix("W/")
    return any(one.strip().removeprefix("W/") == opaque for one in given.split(","))


def make_headers(request: Request, tag: str) -> dict[str, str]:
    """Give the headers of a reply and of "not modified" alike."""
    return {"ETag": tag, "Vary": VARY, "Cache-Control": request.app.state.settings.cache_control}


def base_url(request: Request) -> str:
    """Give the address of this service as callers see it, without a slash at its end."""
    return (request.app.state.settings.public_url or str(request.base_url)).rstrip("/")
