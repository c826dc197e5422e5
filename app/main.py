"""create_app(): joins settings, engine, routes and problems."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.database import make_engine
from app.permits.register import RegisterCache
from app.problems import install_problems
from app.routes import operations, permits
from app.settings import Settings, read_settings
from app.telemetry import set_up_logs


def create_app(settings: Settings) -> FastAPI:
    """Make the application; what it holds open is opened in its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        app.state.engine = make_engine(settings)
        yield
        await app.state.engine.dispose()

    app = FastAPI(title="Undervolt", version="0.1.0", lifespan=lifespan, description=__doc__)
    app.state.settings = settings
    app.state.registers = RegisterCache()
    install_problems(app)
    app.add_middleware(CrossOriginMiddleware, asking_origins=settings.cors_origins)
    for routes in (permits, operations):
        app.include_router(routes.router)
    return app


class CrossOriginMiddleware:
    """Lets pages of any origin read the register, and only those listed ask: asking may spend hosted calls."""

    def __init__(self, app: ASGIApp, asking_origins: Sequence[str]) -> None:
        self.reading = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Link", "ETag"],
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
