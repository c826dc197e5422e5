"""Bring every model in the house into memory, with the options that real requests have, or keep it there.

Prints one line a backend. Exits 0 where all are warm, 1 where one is not, 64 where a setting is wrong, and 75 where
nothing failed and other programs' models have the memory: those stay. Hosted backends are sent nothing, and the
embedded model lives in the service, which warms it itself.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.backends.base import Backend
from app.backends.embedded import EmbeddedBackend
from app.backends.ollama import MemoryTaken
from app.backends.router import build_router
from app.errors import BackendUnavailable, MisconfiguredError
from app.settings import Settings, read_settings
from app.telemetry.logs import set_up_logs

FAILED = 1


async def warm_all(settings: Settings) -> int:
    """Warm every backend, all at once, and give the worst exit status. Raises :class:`MisconfiguredError`."""
    router = build_router(settings)
    if not router.backends:
        print("no backend is set or installed")
    try:
        ends = set(await asyncio.gather(*map(warm, router.backends)))
    finally:
        await router.aclose()
    return next((status for status in (FAILED, os.EX_TEMPFAIL) if status in ends), os.EX_OK)


async def warm(backend: Backend) -> int:
    """Warm one backend, print how that went, and give the exit status that it alone would have."""
    if backend.hosted or isinstance(backend, EmbeddedBackend):
        print(f"{backend.name}: {'hosted' if backend.hosted else 'inside the service'}, nothing to warm")
        return os.EX_OK
    began_at = time.monotonic()
    try:
        await backend.warm()
    except BackendUnavailable as error:
        print(f"{backend.name}: not warm: {error}")
        return os.EX_TEMPFAIL if isinstance(error, MemoryTaken) else FAILED
    print(f"{backend.name}: {backend.model} is warm after {time.monotonic() - began_at:.1f} s")
    return os.EX_OK


def main() -> int:
    """Run the script and give its exit status."""
    try:
        settings = read_settings(os.environ)
        set_up_logs(settings.log_level)
        return asyncio.run(warm_all(settings))
    except MisconfiguredError as error:
        print(error, file=sys.stderr)
        return os.EX_USAGE


if __name__ == "__main__":
    sys.exit(main())
