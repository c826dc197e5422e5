"""create_app(): joins settings, engine, routes and problems."""

import gc
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware

from app.ask.limits import wait_until_tidy
from app.backends.router import Router, build_router
from app.database import Reader, make_engine
from app.permits.register import RegisterCache
from app.permits.tiles import TileMaker
from app.problems import install_problems
from app.routes import ask, exports, feeds, ogc, operations, pages, permits, places, regions, stats, tiles
from app.routes.heads import HeadMiddleware
from app.settings import Settings, read_settings
from app.telemetry.logs import set_up_logs
from app.telemetry.metrics import Metrics

VERSION = "0.1.0"
DESCRIPTION = (
    "A city's building permits: what is permitted near a point, and questions answered from facts. Distances are "
    "geodesic metres on WGS 84. Every figure of an answer names the request that computes it again."
)
BODY_MAX = 512 * 1024
"""Bytes. What a polygon of the most vertices takes; 60 MB of JSON kept everybody waiting for 13 s, and took 1.5 GB."""
COMPRESSED_FROM = 1_000
"""Bytes."""
# The framework's own spans hold the query string, and so coordinates; an SDK in the process is enough to send them.
UNTRACED = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}


def create_app(settings: Settings, *, router: Router | None = None) -> FastAPI:
    """Make the application; what it holds open is opened in its lifespan. ``router`` stands in for the settings'."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        app.state.engine = make_engine(settings)
        app.state.reader = Reader(settings)
        await app.state.reader.open()
        app.state.tiles = TileMaker(app.state.reader, keep_bytes=settings.tile_cache_mb * 1_000_000)
        app.state.router = router or build_router(settings)
        app.state.router.count_in(app.state.metrics.models)
        await app.state.router.start()
        gc.freeze()  # what is there for good would be looked through again and again: a twentieth of a near query
        try:
            yield
        finally:
            await wait_until_tidy()
            await app.state.router.aclose()
            await app.state.reader.aclose()
            await app.state.engine.dispose()

    app = FastAPIOffline(
        title="Undervolt",
        version=VERSION,
        lifespan=lifespan,
        description=DESCRIPTION,
        redoc_url=None,
        telemetry=UNTRACED,
    )
    app.state.settings = settings
    app.state.registers = RegisterCache()
    app.state.exports = exports.Exports()
    app.state.metrics = Metrics(settings)
    install_problems(app)
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(CompressMiddleware, minimum_size=COMPRESSED_FROM, zstd_level=3, brotli_quality=4, gzip_level=4)
    app.add_middleware(CrossOriginMiddleware, asking_origins=settings.cors_origins)
    app.add_middleware(VaryMiddleware)
    app.add_middleware(HeadMiddleware)
    for routes in (permits, exports, feeds, stats, tiles, regions, places, ogc, ask, operations, pages):
        app.include_router(routes.router)
    app.mount("/web", pages.files)
    return app


class BodyLimitMiddleware:
    """Reads no more of a body than :data:`BODY_MAX`, however its length is told."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes, and refuse it from there on."""
        taken = 0

        async def receive_within() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_MAX:
                raise HTTPException(413)
            return message

        await self.app(scope, receive_within, send)


class VaryMiddleware:
    """Has ``Vary`` say each name once, whichever of those within said it too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and bring the names of its answer together."""

        async def send_once(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = b",".join(value for name, value in message["headers"] if name == b"vary")
                if b"," in said:
                    names = {name.strip().lower(): name.strip() for name in said.split(b",")}
                    others = [header for header in message["headers"] if header[0] != b"vary"]
                    message = {**message, "headers": [*others, (b"vary", b", ".join(names.values()))]}
            await send(message)

        await self.app(scope, receive, send_once)


class CrossOriginMiddleware:
    """Lets pages of any origin read the register, and only those listed ask: asking may spend hosted calls."""

    def __init__(self, app: ASGIApp, asking_origins: Sequence[str]) -> None:
        self.reading = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=["Link", "ETag", "Retry-After", "Content-Disposition", "Export-Rows", "Export-Truncated"],
        )
        self.asking = CORSMiddleware(app, allow_origins=asking_origins, allow_methods=["POST"], allow_headers=["*"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by path."""
        chosen = self.asking if scope.get("path", "").startswith("/ask") else self.reading
        await chosen(scope, receive, send)


def create_app_from_environment() -> FastAPI:
    """Make the application as ``uvicorn --factory`` starts it."""
    settings = read_settings(os.environ)
    set_up_logs(settings.log_level)
    return create_app(settings)
