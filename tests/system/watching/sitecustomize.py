"""Python imports this at its start where it lies on PYTHONPATH; here it notes what the process does to the outside.

Every connection, look-up of a name, program started and file opened for writing becomes a line of JSON in the file that
``WATCH_FILE`` names. With ``WATCH_TRACES`` a tracer of OpenTelemetry is there, as an operator's SDK would set one up,
which notes the attributes of every span. ``WATCH_NAME`` is a name that this machine has for the process alone.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(path: str) -> Callable[..., None]:
    """Note what happens in this process, and give what notes."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(event: str, *what: object) -> None:
        os.write(file, json.dumps([event, *what], default=str).encode() + b"\n")

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in WATCHED:
            # A socket's address, or a host; what else there is may be a socket object.
            note(event, *(argument for argument in arguments if isinstance(argument, str | bytes | tuple | list)))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            note(event, arguments[0])

    sys.addaudithook(hear)
    note("started", sys.argv)
    return note


def trace(note: Callable[..., None]) -> None:
    """Set up a tracer that notes the attributes of each span."""
    from opentelemetry import trace as api

    class NotedSpan(api.NonRecordingSpan):
        def is_recording(self) -> bool:
            return True

        def set_attribute(self, key: str, value: object) -> None:
            note("span", key, value)

        def set_attributes(self, attributes: Any) -> None:
            note("span", dict(attributes))

        def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
            note("span", "exception", repr(exception))

    class NotingTracer(api.NoOpTracer):
        def start_span(self, name: str, *arguments: Any, **named: Any) -> api.Span:
            note("span", name, dict(named.get("attributes") or {}))
            return NotedSpan(api.INVALID_SPAN_CONTEXT)

    class NotingProvider(api.TracerProvider):
        def get_tracer(self, *_: Any, **__: Any) -> api.Tracer:
            return NotingTracer()

    api.set_tracer_provider(NotingProvider())


def answer_to(name: str) -> None:
    """Have a name that is not of the house lead to loopback."""
    import socket

    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if host in {name, name.encode()} else host, *arguments, **named)

    socket.getaddrinfo = getaddrinfo


if "WATCH_FILE" in os.environ:
    noted = watch(os.environ["WATCH_FILE"])
    if "WATCH_TRACES" in os.environ:
        trace(noted)
    if "WATCH_NAME" in os.environ:
        answer_to(os.environ["WATCH_NAME"])
