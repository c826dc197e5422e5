"""The private cluster: a PostgreSQL of this checkout's own, behind a socket that nobody else can reach.

It listens on no port. Its socket lies in a directory closed to others, and only the user that gave the command is let
in, by the name that the kernel vouches for (``peer``). That user is the role ``undervolt``, a superuser of this cluster
and of nothing else: migrations create the extension, tests their scratch databases.
"""

import hashlib
import json
import locale
import os
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.newcomer.postgres import Account, Server, find_server, name_own_account, name_server_account
from scripts.newcomer.steps import STATE, Refusal, make_state_directory, replace_text, say

ROLE = "undervolt"
DATABASE = "undervolt"
PORT = 5432  # names the socket's file; nothing listens on it
START_S = 120
START_TRIES = 4
STOP_S = 30
ROOT_HOMES = Path("/var/lib/undervolt")
URL_FILE = STATE / "database_url"
HOME_FILE = STATE / "cluster_home"


@dataclass(frozen=True)
class Cluster:
    """Where a cluster lies and who runs it. Only ``data`` and ``sockets`` belong to ``account``."""

    home: Path
    sockets: Path
    account: Account

    @property
    def data(self) -> Path:
        """The data directory; it exists only once it is complete."""
        return self.home / "postgres"

    @property
    def version(self) -> int | None:
        """The major version that made the data directory."""
        return int((self.data / "PG_VERSION").read_text()) if self.data.is_dir() else None

    def url(self, database: str) -> str:
        """Give libpq's URL of a database; with its port, since PGPORT would fill it in."""
        return f"postgresql://{ROLE}@/{database}?host={self.sockets}&port={PORT}"


def find_cluster() -> Cluster:
    """Find where this checkout's cluster lies, or would.

    Root's lies under /var/lib: the unprivileged user it runs as may not enter root's home.
    """
    if os.geteuid():
        data = (STATE / "postgres").resolve()
        mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:8]
        short = Path(f"/tmp/undervolt-{os.geteuid()}-{mark}")  # noqa: S108 - claim_sockets refuses another's
        return Cluster(data.parent, short, name_own_account())
    home = find_root_home(ROOT_HOMES)
    account = name_account_of(home / "postgres") if (home / "postgres").is_dir() else name_server_account()
    return Cluster(home, home / "sockets", account)


def find_root_home(homes: Path) -> Path:
    """Give the directory that root's cluster of this checkout has or will have.

    ``.undervolt`` names it, and it names the checkout, so that a checkout that was moved keeps its cluster and one that
    was copied gets another.
    """
    here = Path.cwd()
    with suppress(OSError, ValueError):
        home = Path(json.loads(HOME_FILE.read_text()))
        checkout = Path(json.loads((home / "checkout").read_text()))
        if checkout == here or not names(checkout / HOME_FILE, home):
            return home
    return homes / secrets.token_hex(4)


def names(home_file: Path, home: Path) -> bool:
    """Whether this file is there and names ``home``."""
    return home_file.is_file() and home_file.read_text() == json.dumps(str(home))


def name_account_of(directory: Path) -> Account:
    """Give the user that a directory belongs to."""
    owner = directory.stat()
    return Account(directory.owner(), owner.st_uid, owner.st_gid)


def ensure_cluster() -> Cluster:
    """Make and start this checkout's cluster as far as it is not, and leave its URL in ``.undervolt/database_url``."""
    make_state_directory()
    cluster = find_cluster()
    server = ensure_server(cluster)
    make_home(cluster)
    if not cluster.data.is_dir():
        make_cluster(cluster, server)
    if not answers(cluster):
        start_cluster(cluster, server)
    ensure_database(cluster, server)
    replace_text(URL_FILE, cluster.url(DATABASE) + "\n")
    return cluster


def ensure_server(cluster: Cluster) -> Server:
    """Find the PostgreSQL for this cluster, or have one installed.

    Raises :class:`Refusal` where the one that made the data is gone.
    """
    server = find_server(cluster.account, cluster.version)
    if server:
        return server
    if cluster.version:
        raise Refusal(
            f"{cluster.data} was made by PostgreSQL {cluster.version}, which is no longer here with PostGIS: install it"
            f" again (Debian: postgresql-{cluster.version}-postgis-3), or give up the data with `make clean`"
        )
    say("no PostgreSQL 14 or newer with PostGIS 3.2 or newer here")
    done = subprocess.run(["sh", "scripts/install_packages.sh", "postgis"], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    server = find_server(cluster.account)
    if not server:
        raise Refusal("the packages are installed, but no PostGIS 3.2 or newer lies beside a PostgreSQL 14 or newer")
    return server


def make_cluster(cluster: Cluster, server: Server) -> None:
    """Make the data directory under another name first, so that what was interrupted is never taken for whole."""
    say(f"{server}: making a private cluster in {cluster.home}")
    part = cluster.home / "postgres.part"
    shutil.rmtree(part, ignore_errors=True)
    make_own_directory(part, cluster.account)
    letters = ("--encoding=UTF8", "--locale=C", f"--lc-ctype={'C.UTF-8' if knows_locale('C.UTF-8') else 'C'}")
    options = (f"--username={ROLE}", "--auth=peer", "--no-instructions", *letters)
    cluster.account.run_or_refuse([server.programs / "initdb", "-D", part, *options])
    part.rename(cluster.data)


def make_home(cluster: Cluster) -> None:
    """Make the directory around the data, with the two files that say who may connect."""
    cluster.home.mkdir(parents=True, exist_ok=True)
    if not os.geteuid():
        cluster.home.parent.chmod(0o755)
        cluster.home.chmod(0o755)
        replace_text(cluster.home / "checkout", json.dumps(str(Path.cwd())))
        replace_text(HOME_FILE, json.dumps(str(cluster.home)))
    replace_text(cluster.home / "pg_hba.conf", f"local all all peer map={ROLE}\n")
    replace_text(cluster.home / "pg_ident.conf", f'{ROLE} "{name_own_account().name}" {ROLE}\n')


def make_own_directory(directory: Path, account: Account) -> None:
    """Make a directory that only this user may enter."""
    directory.mkdir(mode=0o700)
    if account.uid != os.geteuid():
        os.chown(directory, account.uid, account.gid)


def knows_locale(name: str) -> bool:
    """Whether the C library knows a locale: C.UTF-8 lowers letters beyond ASCII, and not every system has it."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_CTYPE, before)
    return True


def start_cluster(cluster: Cluster, server: Server) -> None:
    """Start the server, after ending one that lost its socket and removing what a crash or a reboot left behind."""
    stop_cluster(cluster)
    claim_sockets(cluster)
    for left_behind in (cluster.data / "postmaster.pid", *cluster.sockets.iterdir()):
        left_behind.unlink(missing_ok=True)
    for remaining in reversed(range(START_TRIES)):
        failure = try_start(cluster, server)
        if not failure:
            say(f"{server}: private cluster started; `make stop` ends it")
            return
        if remaining:
            time.sleep(1)  # a server that was killed leaves children for a moment, and they hold its memory
    raise Refusal(f"the private cluster does not start:\n{failure}")


def try_start(cluster: Cluster, server: Server) -> str | None:
    """Start the server once, and give the end of its log where it does not start."""
    log = cluster.data / "server.log"
    options = shlex.join(part for name, value in choose_options(cluster).items() for part in ("-c", f"{name}={value}"))
    command = (server.programs / "pg_ctl", "start", "-D", cluster.data, "-l", log, "-t", str(START_S), "-w", "-s")
    done = cluster.account.run([*command, "-o", options])
    if not done.returncode:
        return None
    end = log.read_text(errors="replace").splitlines()[-10:] if log.is_file() else []
    return "\n".join([done.stderr.strip(), *end])


def claim_sockets(cluster: Cluster) -> None:
    """Make the directory of the socket; one that others could have made, or can enter, is refused."""
    with suppress(FileExistsError):
        make_own_directory(cluster.sockets, cluster.account)
    found = cluster.sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != cluster.account.uid or found.st_mode & 0o077:
        raise Refusal(f"{cluster.sockets} is not a directory of {cluster.account.name} alone: remove it")


def choose_options(cluster: Cluster) -> dict[str, str]:
    """Give the server's options: sizes for a box that also runs a model, and a log that names no value."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "listen_addresses": "",
        "unix_socket_directories": str(cluster.sockets),
        "unix_socket_permissions": "0700",
        "port": str(PORT),
        "hba_file": str(cluster.home / "pg_hba.conf"),
        "ident_file": str(cluster.home / "pg_ident.conf"),
        "cluster_name": "undervolt",
        "max_connections": "50",
        "shared_buffers": f"{min(max(memory_mb // 16, 128), 1024)}MB",
        "effective_cache_size": f"{max(memory_mb // 3, 256)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "max_wal_size": "2GB",
        "random_page_cost": "1.1",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",  # it hurts short statements on a small box
        "log_min_error_statement": "panic",  # a statement holds what a caller asked for
        "log_error_verbosity": "terse",
        # Also where a slow-query log is switched on: statements without their values, and no plans, which name them.
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "auto_explain.log_min_duration": "-1",
    }


def answers(cluster: Cluster) -> bool:
    """Whether the server runs and can be reached through its socket."""
    if not find_postmaster(cluster):
        return False
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.connect(str(cluster.sockets / f".s.PGSQL.{PORT}"))
        return True
    return False


def find_postmaster(cluster: Cluster) -> int | None:
    """Give the process id of the server that works in this data directory.

    The file that names it outlives a crash, a reboot and a copy of the checkout, and its number may by now be another
    program's; so the process is asked where it works, which stays right when the checkout is moved.
    """
    try:
        pid = int((cluster.data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if find_working_directory(pid, cluster.account) == str(cluster.data.resolve()) else None


def find_working_directory(pid: int, account: Account) -> str | None:
    """Give the directory that a process works in, asked as its own user: containers hide it even from root."""
    if Path("/proc/self").exists():
        return account.run(["readlink", f"/proc/{pid}/cwd"]).stdout.rstrip("\n")
    listed = account.run(["lsof", "-a", "-p", str(pid), "-d", "cwd", "-Fn"]).stdout.splitlines()
    return next((line[1:] for line in listed if line.startswith("n")), None)


def ensure_database(cluster: Cluster, server: Server) -> None:
    """Create the service's database where it is not there yet."""
    programs = server.programs
    psql = (programs / "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", cluster.url("postgres"), "-c")
    own = name_own_account()
    if DATABASE not in own.run_or_refuse([*psql, "SELECT datname FROM pg_database"]).splitlines():
        own.run_or_refuse([*psql, f"CREATE DATABASE {DATABASE}"])


def stop_cluster(cluster: Cluster) -> bool:
    """Stop the server if it runs, its transactions rolled back, and tell whether it ran."""
    pid = find_postmaster(cluster)
    if not pid:
        return False
    os.kill(pid, signal.SIGINT)  # PostgreSQL's fast shutdown
    end_s = time.monotonic() + STOP_S
    while find_postmaster(cluster):
        if time.monotonic() > end_s:
            raise Refusal(f"the private cluster (process {pid}) does not end within {STOP_S} s")
        time.sleep(0.05)
    return True


def remove_cluster(cluster: Cluster) -> None:
    """Stop the server and remove its data for good."""
    stop_cluster(cluster)
    for directory in (cluster.sockets, cluster.data, cluster.home / "postgres.part"):
        shutil.rmtree(directory, ignore_errors=True)
    if not os.geteuid() and cluster.home.parent == ROOT_HOMES:
        shutil.rmtree(cluster.home, ignore_errors=True)
        with suppress(OSError):
            ROOT_HOMES.rmdir()
