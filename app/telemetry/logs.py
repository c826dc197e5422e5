"""What may stand in a log: counts, durations, names of backends and classes of errors.

It never holds a question, an address, a coordinate or a key, at any level: libraries that log what they send or parse
are held at WARNING whatever is asked for, and of their words nothing is written at all.
"""

import logging
import os
import resource
import sys
import threading
import warnings

log = logging.getLogger(__name__)

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
    "uvicorn.asgi",
)
OWN = ("app", "scripts", "__main__", "alembic", "uvicorn.error")
"""Whose words are fit for a log: this service's, and those of the server about itself at INFO and above."""


def set_up_logs(level: str) -> None:
    """Send this service's log to standard error at ``level``, and whatever else would write, past the same gate.

    Handlers and levels that others set up before, by their variables of the environment too, are taken back.
    """
    logging.basicConfig(level=level, force=True)
    logging.root.handlers[0].addFilter(_is_fit)
    logging.root.handlers[0].setFormatter(_DiscreetFormatter())
    for name in (*logging.root.manager.loggerDict, *TALKATIVE):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
        logger.setLevel(logging.NOTSET if _is_own(name) else logging.WARNING)
    # Below INFO the server logs whole requests; it looks here once the application is made.
    logging.getLogger("uvicorn.error").setLevel(max(logging.root.level, logging.INFO))
    _keep_the_rest_quiet()


def _is_own(name: str) -> bool:
    return any(name == own or name.startswith(f"{own}.") for own in OWN)


def _is_fit(record: logging.LogRecord) -> bool:
    """Whether a record may be written at all."""
    return _is_own(record.name) or record.levelno >= logging.WARNING


class _DiscreetFormatter(logging.Formatter):
    """Writes an exception as its class and place, and of a library's warning only where in the library it stands.

    A library's words may be anything: asyncio's hold the arguments of a call and the message of an exception.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        fit = {"msg": f"at {record.filename}:{record.lineno}", "args": None} if not _is_own(record.name) else {}
        return super().format(logging.makeLogRecord(record.__dict__ | fit | {"exc_text": None}))

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        return describe(ei[1]) if isinstance(ei, tuple) and isinstance(ei[1], BaseException) else ""


def _keep_the_rest_quiet() -> None:
    """Have warnings and exceptions that nobody caught say class and place alone, and no file keep what passes here."""

    def tell_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: str | None = None,
    ) -> None:
        log.warning("%s at %s:%d", category.__name__, filename.rsplit("/", 1)[-1], lineno)

    def tell_ignored(ignored: "sys.UnraisableHookArgs") -> None:
        log.error("ignored: %s", describe(ignored.exc_value) if ignored.exc_value else ignored.exc_type.__name__)

    def tell_thread(ended: threading.ExceptHookArgs) -> None:
        log.error("a thread ended: %s", describe(ended.exc_value) if ended.exc_value else ended.exc_type.__name__)

    warnings.showwarning = tell_warning
    sys.unraisablehook = tell_ignored
    threading.excepthook = tell_thread
    # Python's ssl writes the keys of every connection there, by which a recording of it can be read.
    os.environ.pop("SSLKEYLOGFILE", None)
    # A core file holds every question in memory; the embedded model's process inherits this.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def describe(error: BaseException) -> str:
    """Name an error's class and where it rose, without its message: messages carry parameters."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
    return type(error).__name__ + place
