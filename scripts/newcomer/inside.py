"""What has to be asked from inside .venv, one JSON object a question: the settings, and what the register holds."""

import json
import os
import sys

import psycopg

from app.database import find_database_url
from app.errors import MisconfiguredError
from app.settings import read_settings


def read_addresses() -> dict[str, object]:
    """Give where the service listens, where Ollama would be, and whether the backends were named."""
    settings = read_settings(os.environ)
    return {
        "host": settings.host,
        "port": settings.port,
        "ollama": settings.ollama_host,
        "backends_named": settings.backends is not None,
    }


def count_permits() -> dict[str, object]:
    """Count the sample's permits, and tell whether a real city is loaded."""
    with psycopg.connect(find_database_url(read_settings(os.environ))) as connection:
        sample = connection.execute("SELECT count(*) FROM permits WHERE city = 'sample'").fetchone()
        real = connection.execute("SELECT EXISTS (SELECT FROM permits WHERE city <> 'sample')").fetchone()
    return {"sample": sample and sample[0], "real": real and real[0]}


def main() -> None:
    """Answer the question that the command line names."""
    answers = {"addresses": read_addresses, "permits": count_permits}
    try:
        print(json.dumps(answers[sys.argv[1]]()))
    except (MisconfiguredError, psycopg.OperationalError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(78) from None


if __name__ == "__main__":
    main()
