"""The domain's exceptions. Each message is fit for a caller; what HTTP makes of them stands in ``problems``."""


class UndervoltError(Exception):
    """The root of what this service raises on purpose."""


class MisconfiguredError(UndervoltError):
    """A setting, a city file or a lexicon is unknown or impossible; the message names it."""


class RefusedQuery(UndervoltError):  # noqa: N818 - a refusal is an answer, not a fault
    """A query that is well-formed and that this service does not answer; the message says what it would answer."""


class UnknownWord(RefusedQuery):
    """A filter's closed word that the register does not know."""

    def __init__(self, parameter: str, given: str, known: list[str]) -> None:
        self.parameter = parameter
        self.known = known
        super().__init__(f"{given!r} is no {parameter} known here; known are: {', '.join(known) or 'none'}")


class MalformedCursor(RefusedQuery):
    """A cursor that was not given out for this query."""


class NoSuchPermit(UndervoltError):  # noqa: N818
    """No permit has that city and source id."""


class RemovedPermit(NoSuchPermit):
    """The city withdrew this permit from its register."""


class NoSuchCity(UndervoltError):  # noqa: N818
    """No city file, or no loaded register, has that name."""


class BackendUnavailable(UndervoltError):  # noqa: N818
    """A language model that gave no answer, or stopped giving one.

    ``fatal`` says that asking again is pointless until somebody changes something (an unknown model, a refused key);
    ``retry_after_s`` is what the server asked for, in seconds; ``status`` is the HTTP status of a refusal.
    """

    def __init__(
        self, reason: str, *, fatal: bool = False, retry_after_s: float | None = None, status: int | None = None
    ) -> None:
        self.fatal = fatal
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class DatabaseUnavailable(UndervoltError):  # noqa: N818
    """PostGIS does not answer, or did not in time."""


class TooBusy(UndervoltError):  # noqa: N818
    """As much is being done of this kind as is done at once; the message says what."""


class TooSlow(UndervoltError):  # noqa: N818
    """A query that ran into its time limit; the message says how to narrow it."""
