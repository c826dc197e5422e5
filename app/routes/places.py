"""``POST /places``: what a text may mean, by the register's own addresses and regions; no URL has the text."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StringConstraints

from app.permits.place_texts import TEXT_MAX
from app.permits.places import CANDIDATES_MAX, find_places
from app.problems import PROBLEM_RESPONSES
from app.routes.dependencies import CurrentRegister, Session

LIMIT_MAX = 20
router = APIRouter(tags=["places"], responses=PROBLEM_RESPONSES)


class PlaceQuery(BaseModel, frozen=True, extra="forbid"):
    """A place in words."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_MAX)]
    city: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    limit: int = Field(default=CANDIDATES_MAX, ge=1, le=LIMIT_MAX)


class PlaceReply(BaseModel):
    """One place where the text means one, several where it may mean each of them."""

    places: list[dict[str, Any]]
    did_you_mean: list[str]
    as_of: dict[str, Any]


@router.post("/places", response_class=Response, responses={200: {"model": PlaceReply}})
async def places(session: Session, register: CurrentRegister, query: PlaceQuery) -> Response:
    """An address, a block, a crossing, a street, a ZIP, a district or another region, with how well it is known."""
    cities = register.choose_cities((query.city,) if query.city else ())
    found = await find_places(session, register, query.text, cities, limit=query.limit)
    document = {
        "places": [place.render() for place in found.places],
        "did_you_mean": list(found.candidates),
        "as_of": register.as_of(cities),
    }
    return Response(orjson.dumps(document), media_type="application/json", headers={"Cache-Control": "no-store"})
