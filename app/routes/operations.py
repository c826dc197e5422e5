"""``/health`` and ``/metrics``: whether the process lives, whether it can answer, and how its register stands."""

from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse

from app.database import open_session
from app.errors import DatabaseUnavailable, TooSlow
from app.permits.register import CityState, Register
from app.problems import problem_responses
from app.routes.queries import refuse_parameters
from app.telemetry.metrics import METRICS_TYPE, CityFigures, Metrics

router = APIRouter(
    tags=["operations"], dependencies=[Depends(refuse_parameters)], responses=problem_responses(422, 503)
)

HOUR = timedelta(hours=1)


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/health/ready")
async def ready(request: Request) -> dict[str, Any]:
    """The store answers; what is loaded, what is stale, and how the backends stand. No model is asked anything."""
    register = await find_register(request)
    backends = asdict(await request.app.state.router.state())
    return {
        "status": "ready",
        "warnings": list_warnings(register, stale_after=request.app.state.settings.stale_after_h * HOUR),
        "as_of": register.as_of(tuple(sorted(register.cities))),
        "backends": backends,
    }


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """The figures for Prometheus; of a store that does not answer, only that it does not."""
    kept: Metrics = request.app.state.metrics
    try:
        register = await find_register(request)
    except (DatabaseUnavailable, TooSlow):
        kept.store.forget()
    else:
        cities = {name: count_city(state) for name, state in register.cities.items()}
        kept.store.tell(data_version=register.data_version, cities=cities)
    kept.models.tell(request.app.state.router.standings())
    return PlainTextResponse(kept.render(), media_type=METRICS_TYPE)


async def find_register(request: Request) -> Register:
    """Give the register as it stands now; the connection is given back at once."""
    async with open_session(request.app.state.engine) as session:
        register: Register = await request.app.state.registers.find(session)
    return register


def list_warnings(register: Register, *, stale_after: timedelta) -> list[str]:
    """Say what an operator should look at though every question is answered."""
    stale = register.find_stale(now=datetime.now(UTC), after=stale_after)
    return [f"{city}: the last run that succeeded was {age // HOUR} hours ago" for city, age in stale.items()]


def count_city(state: CityState) -> CityFigures:
    """Give what is recorded of one city; a day is the instant at which it begins in UTC."""
    day = state.data_through
    return CityFigures(
        permits=state.permits,
        last_success_s=state.succeeded_at.timestamp(),
        data_through_s=datetime.combine(day, time(), UTC).timestamp() if day else None,
    )
