"""Who has a job: a session advisory lock of PostgreSQL, held for as long as one process works on it.

The lock ends with its connection, however the process died; that is the only proof of death anybody needs.
This module knows locks and channels, not jobs.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import Final

from django.db import connection

_JOBS: Final = 0x5343
_PLACES: Final = 0x5344
_SWEEP: Final = 0x5345
_NODES: Final = 0x5346


def take(job_id: int) -> bool:
    """Take the lock of a job for this thread's database session; False = another session has it."""
    return _ask("SELECT pg_try_advisory_lock(%s, %s)", _JOBS, _key(job_id))


def take_for_transaction(job_id: int) -> bool:
    """The same until the end of the transaction: True proves that no process works on the job now."""
    return _ask("SELECT pg_try_advisory_xact_lock(%s, %s)", _JOBS, _key(job_id))


def take_sweep() -> bool:
    """Be the one that sweeps, for this session; False = another scheduler does."""
    return _ask("SELECT pg_try_advisory_lock(%s, %s)", _SWEEP, 0)


def take_node(node_id: int) -> bool:
    """Be the one process that runs this access node, for this session; False = another one does."""
    return _ask("SELECT pg_try_advisory_lock(%s, %s)", _NODES, _key(node_id))


def wait_for_places() -> None:
    """Until the end of the transaction, nobody else gives slots of nodes away."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_PLACES, 0])


def channel(job_id: int) -> str:
    """The NOTIFY channel a running job listens on."""
    return f"snapcopy_job_{job_id}"


def notify(job_id: int, word: str) -> None:
    """Wake the process of a job; delivered when the transaction commits, lost if nobody listens."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel(job_id), word])


@cache
def boot_id() -> str:
    """Changes with every start of the host, so that a process id of before is never taken for one of now."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{socket.gethostname()}-{os.stat('/').st_ino}"


def _key(job_id: int) -> int:
    """Advisory locks of two keys take 32 bits each; job numbers stay far below."""
    return job_id & 0x7FFFFFFF


def _ask(statement: str, first: int, second: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, [first, second])
        row = cursor.fetchone()
    return bool(row and row[0])
