"""Query strings read straight into the model that says what they may hold."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

Query = TypeVar("Query", bound=BaseModel)
FIELDS_MAX = 200
"""Parameters a query string may have, repeated ones included."""


class QueryRoute(APIRoute):
    """A route that reads the ``query`` of its endpoint by Pydantic alone, where that and the request are all it takes.

    The framework reads a query model field by field, which takes longer than all the rest of a reply that is "not
    modified". What the route says of itself in the API's description stays the framework's.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give what answers a request."""
        endpoint = self.endpoint
        taken = inspect.get_annotations(endpoint, eval_str=True)
        if set(taken) - {"return"} != {"request", "query"} or not get_args(taken["query"]):
            return super().get_route_handler()
        model: type[BaseModel] = get_args(taken["query"])[0]

        async def handle(request: Request) -> Response:
            response: Response = await endpoint(request, read_query(request, model))
            return response

        return handle


def read_query(request: Request, model: type[Query]) -> Query:
    """Read a query string; a parameter given twice is a list, which only some may be.

    Raises :class:`RequestValidationError` with the same faults as the framework's own reading.
    """
    values: dict[str, Any] = {}
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise RequestValidationError([fault("too_long", "too many parameters")]) from None
    for name, value in pairs:
        known = values.get(name)
        values[name] = value if known is None else [*known, value] if isinstance(known, list) else [known, value]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in faults]) from None


def fault(kind: str, message: str) -> dict[str, Any]:
    """Make a fault of the whole query string."""
    return {"type": kind, "loc": ("query",), "msg": message, "input": None}
