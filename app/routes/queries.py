"""Query strings and paths read straight into the model that says what they may hold."""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError, create_model

Model = TypeVar("Model", bound=BaseModel)
FIELDS_MAX = 200
"""Parameters a query string may have, repeated ones included."""


class NoParameters(BaseModel, frozen=True, extra="forbid"):
    """A query string that must be empty."""


def refuse_parameters(_nothing: Annotated[NoParameters, Query()]) -> None:
    """Refuse every parameter, where the framework reads the query string."""


class QueryRoute(APIRoute):
    """A route that reads path and query string of a GET by Pydantic alone, and refuses a parameter it does not know.

    Its endpoint takes the request, the parts of its path, and a ``query`` where it knows any parameter. The framework
    reads a query model field by field, which takes longer than all the rest of a reply that is "not modified". What the
    route says of itself in the API's description stays the framework's.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give what answers a request."""
        if "GET" not in (self.methods or ()):
            return super().get_route_handler()
        endpoint = self.endpoint
        taken = inspect.get_annotations(endpoint, eval_str=True)
        model: type[BaseModel] | None = get_args(taken["query"])[0] if "query" in taken else None
        parts: dict[str, Any] = {name: kind for name, kind in taken.items() if name in self.param_convertors}
        path = create_model("Path", **parts) if parts else None

        async def handle(request: Request) -> Response:
            named = dict(read(path, request.path_params, place="path")) if path else {}
            query = read_query(request, model or NoParameters)
            response: Response = await endpoint(request, **named, **({"query": query} if model else {}))
            return response

        return handle


def read_query(request: Request, model: type[Model]) -> Model:
    """Read a query string; a parameter given twice is a list, which only some may be.

    Raises :class:`RequestValidationError` with the same faults as the framework's own reading.
    """
    given: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise RequestValidationError([fault("too_long", "too many parameters")]) from None
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return read(model, {name: said if len(said) > 1 else said[0] for name, said in given.items()}, place="query")


def read(model: type[Model], values: Mapping[str, Any], *, place: Literal["path", "query"]) -> Model:
    """Read values as a model. Raises :class:`RequestValidationError` with the place of each fault."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        twice = [name for name, value in values.items() if isinstance(value, list) and is_single(model, name)]
        faults = error.errors(include_url=False, include_context=False)
        others = [{**one, "loc": (place, *one["loc"])} for one in faults if not {*one["loc"][:1]} & {*twice}]
        raise RequestValidationError(
            [*(fault("given_twice", "may be given once only", name) for name in twice), *others]
        ) from None


def is_single(model: type[BaseModel], name: str) -> bool:
    """Tell whether a model knows a parameter, and takes one value of it."""
    field = model.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is not tuple


def fault(kind: str, message: str, *names: str) -> dict[str, Any]:
    """Make a fault of a parameter, or of the whole query string."""
    return {"type": kind, "loc": ("query", *names), "msg": message, "input": None}
