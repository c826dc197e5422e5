"""In which form permits are sent: GeoJSON, CSV or NDJSON, by ``f`` or by ``Accept``."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from fastapi import Request

from app.permits.exports import CSV_COLUMNS, render_csv, render_ndjson
from app.permits.filters import Form

MEDIA_TYPES: dict[Form, str] = {
    "geojson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
}
ACCEPTED: dict[str, Form] = {
    "application/geo+json": "geojson",
    "application/json": "geojson",
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
}
FORM_RESPONSES: dict[int | str, dict[str, object]] = {200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}}
"""What the API's description says of them."""


def choose_form(request: Request, said: Form | None) -> Form:
    """Give the form asked for: ``f`` where it is given, else the one that ``Accept`` likes most; GeoJSON by default."""
    default: Form = "geojson"
    return choose_accepted(request, ACCEPTED, default=default) if said is None else said


T = TypeVar("T")


def choose_accepted(request: Request, accepted: Mapping[str, T], *, default: T) -> T:
    """Give what stands for the media type that ``Accept`` likes most among those that are made."""
    best, best_quality = default, 0.0
    for part in request.headers.get("accept", "").split(","):
        kind, _, rest = part.partition(";")
        form = accepted.get(kind.strip().lower())
        quality = read_quality(rest)
        if form is not None and quality > best_quality:
            best, best_quality = form, quality
    return best


def read_quality(parameters: str) -> float:
    """Read the weight of an accepted media type (RFC 9110, section 12.4.2); one that is none counts as 1."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def render_rows(form: Form, features: Sequence[bytes], *, with_distance: bool) -> bytes:
    """Give the features of a page in a form without a frame around them."""
    if form == "ndjson":
        return render_ndjson(features)
    return render_csv(features, (*CSV_COLUMNS, "distance_m") if with_distance else CSV_COLUMNS)
