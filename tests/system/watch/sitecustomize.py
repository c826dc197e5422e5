"""Python loads this at its start in the proxy that a test watches: what it calls, writes and starts goes into a file.

Audit events see what goes through Python's own sockets and files. ``uvloop`` calls through libuv, which raises none, so
its ways out are noted too.
"""

import importlib
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

NOTES = os.open(os.environ["WATCH_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
WRITING = os.O_WRONLY | os.O_RDWR


def note(*words: object) -> None:
    """Write one line."""
    os.write(NOTES, (" ".join(map(str, words)).replace("\n", " ") + "\n").encode())


def watch(event: str, details: tuple[Any, ...]) -> None:
    """Note what leaves the process."""
    if event in ("socket.connect", "socket.sendto"):
        address = details[1]
        note("calls", address[0] if isinstance(address, tuple) else "unix", address)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        note("calls", details[0])
    elif event == "sqlite3.connect" or (event == "open" and is_writing(details[2])):
        note("writes", details[0])
    elif event == "subprocess.Popen":
        note("starts", details[1])


def is_writing(flags: object) -> bool:
    """Tell whether a file is opened to be written; another library's opener may give no flags."""
    return isinstance(flags, int) and bool(flags & WRITING)


def noted(way: Callable[..., Coroutine[Any, Any, Any]], place: int) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Make a loop's method note the host that it is given."""

    async def call(*arguments: Any, **named: Any) -> Any:
        host = named.get("host", arguments[place] if len(arguments) > place else None)
        if host is not None:
            note("calls", host)
        return await way(*arguments, **named)

    return call


sys.addaudithook(watch)
try:
    loop: Any = importlib.import_module("uvloop").Loop
except ImportError:
    pass
else:
    loop.create_connection = noted(loop.create_connection, 2)
    loop.getaddrinfo = noted(loop.getaddrinfo, 1)
