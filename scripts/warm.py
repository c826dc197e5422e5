"""Bring every model in the house into memory, with the options that real requests have.

Prints one line a backend and exits 0 where all are warm, 1 where one is not, 64 where a setting is wrong. Hosted
backends are sent nothing.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.backends.base import Backend
from app.backends.router import build_router
from app.errors import BackendUnavailable, MisconfiguredError
from app.settings import Settings, read_settings
from app.telemetry import set_up_logs


async def warm_all(settings: Settings) -> bool:
    """Warm one backend after another; whether every one is warm."""
    router = build_router(settings)
    if not router.backends:
        print("no backend is set or installed")
    try:
        return all([await warm(backend) for backend in router.backends])
    finally:
        await router.aclose()


async def warm(backend: Backend) -> bool:
    """Warm one backend and print how that went."""
    if backend.hosted:
        print(f"{backend.name}: hosted, nothing to warm")
        return True
    began_at = time.monotonic()
    try:
        await backend.warm()
    except BackendUnavailable as error:
        print(f"{backend.name}: not warm: {error}")
        return False
    print(f"{backend.name}: {backend.model} is warm after {time.monotonic() - began_at:.1f} s")
    return True


def main() -> int:
    """Run the script and give its exit status."""
    try:
        settings = read_settings(os.environ)
    except MisconfiguredError as error:
        print(error, file=sys.stderr)
        return os.EX_USAGE
    set_up_logs(settings.log_level)
    return 0 if asyncio.run(warm_all(settings)) else 1


if __name__ == "__main__":
    sys.exit(main())
