"""A limit that holds whatever the work does when it is told to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TIDY_UP_S = 1.0
SHUT_DOWN_S = 5.0

_tidying = set[asyncio.Task[Any]]()
"""Work that was given up and closes what it holds; asyncio itself keeps no task alive."""


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Give what ``work`` gives, or raise :class:`TimeoutError` after ``seconds``.

    ``asyncio.timeout`` would also wait until the work has stopped: up to a second for a model's connection, five for a
    query of a database that hangs. Here it stops by itself, and the caller goes on. Where the caller is told to stop,
    the work is too, and gets a moment for it.
    """
    task = asyncio.ensure_future(work)
    _tidying.add(task)
    task.add_done_callback(_forget)
    try:
        await asyncio.wait({task}, timeout=max(seconds, 0))
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=TIDY_UP_S)
        raise
    if not task.done():
        task.cancel()
        raise TimeoutError
    return task.result()


async def wait_until_tidy() -> None:
    """Wait until what was given up has closed what it held, so that nothing is taken away from under it."""
    if _tidying:
        await asyncio.wait(set(_tidying), timeout=SHUT_DOWN_S)


def _forget(task: asyncio.Task[Any]) -> None:
    _tidying.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not tell of it
