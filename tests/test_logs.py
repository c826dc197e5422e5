"""Whatever a library would write, the log holds its class and place alone, and no trace is made."""

import subprocess
import sys

import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.conftest import ROOT

CANARY = "canary-7f3a"
BEFORE = """
import asyncio, gc, logging, os, resource, threading, warnings
from app.telemetry.logs import set_up_logs

canary = "canary-7f3a"
talkative = logging.getLogger("httpx2")
talkative.setLevel(logging.DEBUG)
talkative.addHandler(logging.StreamHandler())
server = logging.getLogger("uvicorn.error")
server.setLevel(5)
server.addHandler(logging.StreamHandler())
set_up_logs("DEBUG")

def fail():
    raise ValueError(canary)
"""
WAYS = {
    "a library at debug": ("talkative.debug(canary)", ""),
    "a library that warns": ("logging.getLogger('later').warning('%s', canary)", "WARNING later at <string>:"),
    "a whole request": ("server.log(5, canary); logging.getLogger('uvicorn.asgi').log(5, canary)", ""),
    "the access log": ("logging.getLogger('uvicorn.access').info(canary)", ""),
    "an exception of the server": (
        "try: fail()\nexcept ValueError: server.exception('Exception in ASGI application')",
        "ERROR uvicorn.error Exception in ASGI application\nValueError at <string>:",
    ),
    "an exception of our own": (
        "try: fail()\nexcept ValueError: logging.getLogger('app.ask').exception('broken')",
        "ERROR app.ask broken\nValueError at <string>:",
    ),
    "an exception that nobody awaited": (
        "async def break_off(): fail()\n"
        "async def leave():\n    task = asyncio.create_task(break_off())\n    await asyncio.sleep(0)\n    del task\n"
        "asyncio.run(leave(), debug=True); gc.collect()",
        "ERROR asyncio at base_events.py:",
    ),
    "a callback that is slow": (
        "async def wait():\n"
        "    asyncio.get_running_loop().slow_callback_duration = 0\n"
        "    asyncio.get_running_loop().call_soon(str.upper, canary)\n    await asyncio.sleep(0.01)\n"
        "asyncio.run(wait(), debug=True)",
        "WARNING asyncio at base_events.py:",
    ),
    "a warning": (
        "warnings.simplefilter('always'); warnings.warn(canary)",
        "WARNING app.telemetry.logs UserWarning at <string>:",
    ),
    "an exception at the end of an object": (
        "class Ending:\n    def __del__(self): fail()\nEnding(); gc.collect()",
        "ERROR app.telemetry.logs ignored: ValueError at <string>:",
    ),
    "an exception in a thread": (
        "thread = threading.Thread(target=fail); thread.start(); thread.join()",
        "ERROR app.telemetry.logs a thread ended: ValueError at <string>:",
    ),
    "the keys of connections": ("print(os.environ.get('SSLKEYLOGFILE'))", "None"),
    "a core file": ("print(resource.getrlimit(resource.RLIMIT_CORE)[0])", "0"),
}


@pytest.mark.parametrize(("code", "line"), WAYS.values(), ids=WAYS.keys())
def test_log_holds_no_word_that_a_library_was_given(code: str, line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + code],
        cwd=ROOT,
        env={"SSLKEYLOGFILE": f"/nowhere/{CANARY}", "PYTHONDEVMODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert CANARY not in done.stdout + done.stderr
    assert line in done.stdout + done.stderr
    assert line or not done.stderr


def test_same_words_are_written_where_nothing_is_set_up() -> None:
    code = BEFORE.replace('set_up_logs("DEBUG")', "") + "talkative.debug(canary); fail()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.count(CANARY) == 2


async def test_framework_makes_no_span_of_a_request(settings: Settings) -> None:
    """The framework's spans hold the query string, and an SDK in the process is enough to send them away."""
    framework = FastAPI()
    assert framework._telemetry["tracing"], "what is switched off here would else be on"
    told = create_app(settings)._telemetry
    assert not any(told[name] for name in ("tracing", "metrics", "logs", "operation_spans", "auto_configure"))
