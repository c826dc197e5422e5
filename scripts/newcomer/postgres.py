"""Finds the machine's PostgreSQL with its PostGIS, and runs it as a user that PostgreSQL accepts."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.newcomer.steps import Refusal, describe_failure

OLDEST_POSTGRESQL = 14
OLDEST_POSTGIS = (3, 2)
INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Account:
    """The user that a cluster runs as: oneself, or an unprivileged one where that is root."""

    name: str
    uid: int
    gid: int

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a program as this user, in a directory that everyone may enter, without libpq's variables."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        is_self = self.uid == os.geteuid()
        return subprocess.run(
            command,
            cwd="/",
            env=environment,
            text=True,
            capture_output=True,
            check=False,
            user=None if is_self else self.uid,
            group=None if is_self else self.gid,
            extra_groups=None if is_self else [],
        )

    def run_or_refuse(self, command: Sequence[str | Path]) -> str:
        """Run a program as this user and give its standard output, or raise :class:`Refusal` where it fails."""
        done = self.run(command)
        if done.returncode:
            raise Refusal(describe_failure(command, done))
        return done.stdout


@dataclass(frozen=True)
class Server:
    """A PostgreSQL that has PostGIS: the directory of its programs, its major version, and PostGIS's version."""

    programs: Path
    version: int
    postgis: str

    def __str__(self) -> str:
        """Name both, as people read them."""
        return f"PostgreSQL {self.version} with PostGIS {self.postgis}"


def name_own_account() -> Account:
    """Give the user that gave the command.

    Raises :class:`Refusal` where its number has no name: PostgreSQL asks for one.
    """
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        raise Refusal(f"the user id {os.geteuid()} has no name here, and PostgreSQL refuses to run without") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def name_server_account() -> Account:
    """Give the user that a new cluster runs as; PostgreSQL refuses root, so there it is postgres, or else nobody."""
    own = name_own_account()
    if own.uid:
        return own
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def find_server(account: Account, version: int | None = None) -> Server | None:
    """Find the newest PostgreSQL with PostGIS, or the one of this major version."""
    servers = [server for programs in list_program_directories() if (server := examine(programs, account))]
    fitting = [server for server in servers if version in {None, server.version}]
    return max(fitting, key=lambda server: server.version, default=None)


def list_program_directories() -> list[Path]:
    """List where the programs of a PostgreSQL may lie."""
    on_path = [Path(found).resolve().parent for name in ("initdb", "postgres") if (found := shutil.which(name))]
    installed = [path for pattern in INSTALLED for path in Path("/").glob(pattern[1:])]
    told = [Path(line) for line in ask_pg_config()]
    return [path for path in dict.fromkeys([*installed, *told, *on_path]) if (path / "initdb").is_file()]


def ask_pg_config() -> list[str]:
    """Ask pg_config, where there is one, for the directory of the programs."""
    if not shutil.which("pg_config"):
        return []
    return subprocess.run(["pg_config", "--bindir"], text=True, capture_output=True, check=False).stdout.split()


def examine(programs: Path, account: Account) -> Server | None:
    """Give the server whose programs lie here, if it and its PostGIS are new enough."""
    shown = read_pairs(account.run([programs / "initdb", "--show", "-D", "/nonexistent"]).stderr)
    major = shown.get("VERSION", "").split(".")[0].split(" ")[0]
    postgis = read_postgis_version(Path(shown.get("share_path", "/nonexistent")))
    if not major.isdigit() or int(major) < OLDEST_POSTGRESQL or split_version(postgis) < OLDEST_POSTGIS:
        return None
    return Server(programs, int(major), postgis)


def read_postgis_version(share: Path) -> str:
    """Read which PostGIS lies beside a PostgreSQL; ``0`` where there is none."""
    control = share / "extension" / "postgis.control"
    if not control.is_file():
        return "0"
    return dict(read_pairs(control.read_text())).get("default_version", "0").strip("'")


def read_pairs(text: str) -> dict[str, str]:
    """Read lines of the form ``name = value``."""
    return {name.strip(): value.strip() for name, mark, value in iterate_pairs(text) if mark}


def iterate_pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """Split each line at its first equals sign."""
    return (line.partition("=") for line in text.splitlines())


def split_version(version: str) -> tuple[int, ...]:
    """Give ``3.3.2`` or ``3.6.0rc1`` as numbers that compare."""
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version.split(".")[:2])
