"""The register that is measured: 2.34 million synthetic permits in a database of their own, made once and kept.

They go the way of a city's rows: written by ``scripts.make_sample``, loaded by ``scripts.ingest``. What it was made of
stands in the database's comment, written last, so that what was interrupted is never taken for whole.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from app.permits.words import CATEGORIES_VERSION
from scripts.make_sample import SEED

ROWS = 2_340_000
MIGRATIONS = Path("migrations/versions")
Say = Callable[[str], None]


def ensure_register(server_url: str, *, rows: int, fresh: bool, say: Say) -> str:
    """Have the register on the server of ``server_url``, at the newest migration, and give its URL.

    Raises :class:`subprocess.CalledProcessError` where a step fails, its output shown.
    """
    name = name_database(rows)
    url = rename_database(server_url, name)
    made, wanted = read_comment(server_url, name), describe(rows)
    if not fresh and made == wanted:
        say(f"register: {name}, {rows:,} rows, is there already")
        return url
    if not fresh and is_still_good(made, wanted):
        say(f"register: {name}, {rows:,} rows, is there already; bringing it to the newest migration")
        if migrate(url):
            finish(url, name, rows=rows)
            return url
    make(server_url, name, rows=rows, say=say)
    return url


def name_database(rows: int) -> str:
    """Name the database of so many rows, so that a small one never takes the large one's place."""
    return "undervolt_bench" if rows == ROWS else f"undervolt_bench_{rows}"


def is_still_good(made: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a register is what one made now would be, but for migrations that were added since.

    A migration that was rewritten after it had been applied is none that leads on.
    """
    applied = made.get("migrations", {})
    unchanged = applied.items() <= wanted["migrations"].items()
    return bool(applied) and unchanged and {**made, "migrations": 0} == {**wanted, "migrations": 0}


def describe(rows: int) -> dict[str, Any]:
    """Tell what a register made now is made of."""
    files = {path.stem: sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(MIGRATIONS.glob("*.py"))}
    return {"rows": rows, "seed": SEED, "categories": CATEGORIES_VERSION, "migrations": files}


def rename_database(url: str, name: str) -> str:
    """Give the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def read_comment(server_url: str, name: str) -> dict[str, Any]:
    """Give what the register was made of; nothing where there is none, or none that was finished."""
    statement = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    with psycopg.connect(server_url) as connection:
        row = connection.execute(statement, [name]).fetchone()
    try:
        found = json.loads(row[0]) if row and row[0] else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def make(server_url: str, name: str, *, rows: int, say: Say) -> None:
    """Make the register anew."""
    url, database = rename_database(server_url, name), sql.Identifier(name)
    say(f"register: making {name} with {rows:,} synthetic rows, once; some ten minutes for 2.34 million")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
    if not migrate(url):
        raise OSError(f"{name} could not be brought to the newest migration")
    with tempfile.TemporaryDirectory(prefix="undervolt-bench-") as folder:
        file = Path(folder) / "register.csv.gz"
        say("register: writing the rows")
        run(url, "scripts.make_sample", "--rows", str(rows), "--out", str(file))
        say("register: loading them by the ingest")
        run(url, "scripts.ingest", "--city", "sample", "--file", str(file))
    finish(url, name, rows=rows)


def finish(url: str, name: str, *, rows: int) -> None:
    """Do at once what autovacuum would do in the middle of a measurement, and say what the register was made of."""
    comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute(comment.format(sql.Identifier(name), sql.Literal(json.dumps(describe(rows)))))


def migrate(url: str) -> bool:
    """Bring a database to the newest migration; tells whether that could be done."""
    return call(url, ["alembic", "upgrade", "head"]).returncode == 0


def run(url: str, *command: str) -> None:
    """Run a module of this project on a database; its last line on standard output is its own report."""
    call(url, command).check_returncode()


def call(url: str, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a module of this project on a database."""
    environment = os.environ | {"UNDERVOLT_DATABASE_URL": url}
    return subprocess.run([sys.executable, "-m", *command], env=environment, stdout=subprocess.DEVNULL)
