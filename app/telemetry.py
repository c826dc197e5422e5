"""What may be recorded, and where: the one place that sets up logs.

A log line holds counts, durations, names of backends and classes of errors. It never holds a question, an address, a
coordinate or a key, at any level: libraries that log what they send or parse are held at WARNING whatever is asked for.
"""

import logging

TALKATIVE = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "ollama",
    "sqlalchemy",
    "psycopg",
    "asyncio",
    "uvicorn.access",
)


def set_up_logs(level: str) -> None:
    """Send this service's log to standard error at ``level``."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def describe(error: BaseException) -> str:
    """Name an error's class and where it rose, without its message: messages carry parameters."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
    return type(error).__name__ + place
