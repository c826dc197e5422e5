"""``/health``: whether the process lives, and whether it can answer."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from app.database import open_session

router = APIRouter(prefix="/health", tags=["operations"])


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready")
async def ready(request: Request) -> dict[str, Any]:
    """The store answers; what is loaded, and how the backends stand. No model is asked anything."""
    async with open_session(request.app.state.engine) as session:
        register = await request.app.state.registers.find(session)
    backends = asdict(await request.app.state.router.state())
    return {"status": "ready", "as_of": register.as_of(tuple(sorted(register.cities))), "backends": backends}
