"""What ``snapcopy doctor`` looks at: findings with a sentence and, if something is wrong, its remedy.

A check never raises for the fault it looks for, and none of them changes anything.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from policies.models import AccessNode, Secret
from snapcopy_site.lib import env
from snapcopy_site.lib.home import Home
from snapcopy_site.running import running_url
from snapcopy_site.service_account import EmbeddedServerFailed, postgres_account

MINIMUM_PYTHON: Final = (3, 11)
MINIMUM_POSTGRES: Final = 140000
FREE_BYTES_ERROR: Final = 512 * 1024**2
FREE_BYTES_WARNING: Final = 5 * 1024**3
CLOCK_SECONDS: Final = 5.0
TOOLS: Final = {
    "btrfs": ("the btrfs snapshot engine", "apt install btrfs-progs"),
    "xfs_io": ("the xfs snapshot engine", "apt install xfsprogs"),
    "zfs": ("the zfs snapshot engine", "apt install zfsutils-linux, or zfs-fuse"),
}


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``remedy`` is a command or a step; '' when nothing is to be done."""

    name: str
    status: Status
    sentence: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Every finding, the most basic first. What needs the database is left out when it does not answer."""
    home: Home = settings.HOME
    for check in (python, programs):
        yield from check()
    for place in (home_folder, secret_files, disk_space, service_account):
        yield from place(home)
    answers = True
    for finding in database(home):
        answers = answers and finding.status is not Status.ERROR
        yield finding
    yield from message_queue(home)
    if answers:
        checks: tuple[Callable[[], Iterator[Finding]], ...] = (migrations, clock)
        for check in checks:
            for finding in check():
                answers = answers and not (finding.name == "migrations" and finding.status is Status.ERROR)
                yield finding
    if answers:
        yield from keys()
        yield from people()
        yield from nodes()


def python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < MINIMUM_PYTHON:
        yield _error(
            "python", f"Python {version} is too old.", "Install Python 3.11 or newer and make a new venv with it."
        )
    else:
        yield _ok("python", f"Python {version}")


def programs() -> Iterator[Finding]:
    for program, (purpose, remedy) in TOOLS.items():
        found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if found:
            yield _ok("tools", f"{program} for {purpose}: {found}")
        else:
            yield _warning("tools", f"{program} is not installed; {purpose} needs it.", remedy)


def home_folder(home: Home) -> Iterator[Finding]:
    try:
        details = home.path.stat()
    except FileNotFoundError:
        yield _warning("home", f"{home.path} does not exist yet.", "snapcopy up")
        return
    except PermissionError:
        yield _error(
            "home", f"This account may not look into {home.path}.", "Run snapcopy as the account that owns it."
        )
        return
    if details.st_uid != os.geteuid():
        yield _error("home", f"{home.path} belongs to another account.", "Run snapcopy as the account that owns it.")
    elif details.st_mode & 0o066:
        mode = stat.S_IMODE(details.st_mode)
        yield _error("home", f"Others may list or change {home.path} (mode {mode:04o}).", f"chmod go-rw {home.path}")
    else:
        yield _ok("home", f"{home.path}")


def secret_files(home: Home) -> Iterator[Finding]:
    for name, path in (("secret key", home.secret_key), ("keyring", Path(settings.SNAPCOPY_KEY_FILE))):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        except PermissionError:
            yield _error(name, f"This account may not see {path}.", "Run snapcopy as the account that owns it.")
            continue
        if mode & 0o077:
            yield _error(name, f"Others may read {path} (mode {mode:04o}).", f"chmod 600 {path}")
        else:
            yield _ok(name, f"{path}, mode {mode:04o}")


def disk_space(home: Home) -> Iterator[Finding]:
    if not home.path.exists():
        return
    free = shutil.disk_usage(home.path).free
    sentence = f"{free / 1024**3:.1f} GiB free at {home.path}."
    remedy = "Free space there, or move the installation (--home)."
    if free < FREE_BYTES_ERROR:
        yield _error("disk space", sentence, remedy)
    elif free < FREE_BYTES_WARNING:
        yield _warning("disk space", sentence, remedy)
    else:
        yield _ok("disk space", sentence)


def service_account(_home: Home) -> Iterator[Finding]:
    if os.geteuid() != 0 or env.text("SNAPCOPY_DATABASE_URL"):
        return
    try:
        account = postgres_account()
    except EmbeddedServerFailed as error:
        yield _error("service account", str(error), "useradd --system snapcopy")
        return
    if account and account.name != "snapcopy":
        yield _warning(
            "service account",
            f"PostgreSQL runs as {account.name}, which other programs may share.",
            "useradd --system snapcopy, then start snapcopy again",
        )
    elif account:
        yield _ok("service account", f"PostgreSQL runs as {account.name}.")


def database(home: Home) -> Iterator[Finding]:
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            version = int(cursor.fetchone()[0])
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        yield _error("database", f"PostgreSQL does not answer: {reason}", _server_remedy(home, "SNAPCOPY_DATABASE_URL"))
        return
    if version < MINIMUM_POSTGRES:
        yield _error("database", f"PostgreSQL {version // 10000} is too old.", "Use PostgreSQL 14 or newer.")
    else:
        yield _ok("database", f"PostgreSQL {version // 10000}.{version % 10000} answers.")


def message_queue(home: Home) -> Iterator[Finding]:
    server = redis.Redis.from_url(settings.SNAPCOPY_REDIS_URL, socket_timeout=3, socket_connect_timeout=3)
    try:
        facts = server.info()
    except (redis.RedisError, OSError) as error:
        yield _error("redis", f"Redis does not answer: {error}", _server_remedy(home, "SNAPCOPY_REDIS_URL"))
        return
    finally:
        server.close()
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        remedy = "In the server's configuration: maxmemory-policy noeviction"
        yield _error("redis", f"Redis may throw queued jobs away (maxmemory-policy {policy}).", remedy)
    else:
        yield _ok("redis", f"{facts.get('server_name', 'redis')} {facts.get('redis_version')} answers.")


def migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        yield _error(
            "migrations", f"{len(plan)} migrations are not applied.", "snapcopy migrate (snapcopy up does it too)"
        )
    else:
        yield _ok("migrations", "The database is up to date.")


def clock() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        there: datetime = cursor.fetchone()[0]
    apart = abs((datetime.now(UTC) - there).total_seconds())
    if apart > CLOCK_SECONDS:
        remedy = "timedatectl set-ntp true, on both machines"
        yield _error("clock", f"This machine and the database differ by {apart:.0f} s; leases would not hold.", remedy)
    else:
        yield _ok("clock", f"Differs from the database by {apart:.3f} s.")


def keys() -> Iterator[Finding]:
    path = Path(settings.SNAPCOPY_KEY_FILE)
    stored = Secret.objects.count()
    if stored and not path.exists():
        remedy = f"Put the file back from your safe copy: {path}"
        yield _error("keyring", f"The key file is gone; {stored} stored passwords cannot be opened.", remedy)


def people() -> Iterator[Finding]:
    if User.objects.filter(is_superuser=True, is_active=True).exists():
        yield _ok("administrator", "There is an active administrator.")
    else:
        yield _error("administrator", "Nobody may administer this installation.", "snapcopy link")


def nodes() -> Iterator[Finding]:
    known = list(AccessNode.objects.filter(is_enabled=True))
    if not known:
        yield _warning(
            "access nodes", "No access node has reported yet.", "snapcopy up, or on another host: snapcopy node NAME"
        )
    for node in known:
        if node.is_online:
            yield _ok("access nodes", f"“{node.name}” is online, {node.busy_slots} of {node.slots} slots busy.")
        else:
            since = f"since {node.last_seen_at:%Y-%m-%d %H:%M} UTC" if node.last_seen_at else "and never reported"
            yield _error(
                "access nodes", f"“{node.name}” is offline {since}.", f"On its host: snapcopy node {node.name}"
            )


def _server_remedy(home: Home, variable: str) -> str:
    if env.text(variable):
        return f"Correct {variable}, or start that server."
    if running_url(home):
        return f"It is being started again; its log is in {home.logs}"
    return "snapcopy up"


def _ok(name: str, sentence: str) -> Finding:
    return Finding(name=name, status=Status.OK, sentence=sentence)


def _warning(name: str, sentence: str, remedy: str) -> Finding:
    return Finding(name=name, status=Status.WARNING, sentence=sentence, remedy=remedy)


def _error(name: str, sentence: str, remedy: str) -> Finding:
    return Finding(name=name, status=Status.ERROR, sentence=sentence, remedy=remedy)
