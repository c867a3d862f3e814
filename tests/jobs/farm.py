"""A small SnapCopy inside a test: real configuration over real directories, a real node and scheduler as processes."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from django.db import connection, connections, transaction

from jobs import lease
from jobs.engine.plan import Secret
from jobs.models import Job, JobState
from jobs.node import Node
from jobs.rules import states
from jobs.scheduler import Scheduler
from jobs.worker import die_with_parent
from policies import services as configuration
from policies.models import AccessNode, Copy, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from tests.forks import fork

PASSWORD: Final = "correct horse"
NODE: Final = "one"
Found = TypeVar("Found")


def configure(folder: Path, *, name: str = "tree", is_inline: bool = False, **policy: Any) -> Subclient:
    """A subclient over ``folder/source`` on a directory engine, with one backup copy on a disk below ``folder``.

    Without a catalog unless told otherwise.
    """
    (folder / "source").mkdir(parents=True, exist_ok=True)
    medium = configuration.create_media(
        name=f"disk-{name}",
        kind="disk",
        options={"path": str(folder / "media"), "create_directory": True, "fsync": False},
        secrets={REPOSITORY_PASSWORD: Secret(PASSWORD)},
        user=None,
    )
    policy = {"catalog": "skip", **policy}
    made = configuration.create_policy(name=f"policy-{name}", is_inline=is_inline, user=None, **policy)
    configuration.create_copy(made, name="backup", media=medium, user=None)
    server = configuration.create_file_server(
        name=f"server-{name}", engine="directory", options={"area": str(folder / "snapshots")}, user=None
    )
    return configuration.create_subclient(
        file_server=server, name=name, content_paths=[str(folder / "source")], policy=made, user=None
    )


def backup_copy_of(subclient: Subclient) -> Copy:
    """The one backup copy of a configured subclient."""
    return Copy.objects.select_related("media", "policy").get(policy=subclient.policy, kind="primary_backup")


def until(condition: Callable[[], Found], *, seconds: float = 60, what: str = "") -> Found:
    """Look until it holds; a test waits on conditions, never for a time."""
    ends_at = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > ends_at:
            raise AssertionError(f"not within {seconds} s: {what}\n{picture()}")
        time.sleep(0.02)
    return found


def picture() -> str:
    """Every job and its story, for a test that fails."""
    lines = []
    for job in Job.objects.all():
        lines.append(f"{job} {job.operation} {job.state} attempt {job.attempt} {job.percent} {job.state_reason!r}")
        lines += [f"    {event.level} {event.code}: {event.sentence}" for event in job.events.all()]
    return "\n".join(lines)


def wait(job: Job, *, seconds: float = 120) -> Job:
    """Until the job is over."""
    return reach(job, lambda row: row.state in states.FINAL, seconds=seconds, what=f"{job} is over")


def reach(job: Job, condition: Callable[[Job], bool], *, seconds: float = 60, what: str = "") -> Job:
    """Until the row is so."""

    def look() -> bool:
        job.refresh_from_db()
        return condition(job)

    until(look, seconds=seconds, what=what or f"{job} gets there")
    return job


def is_copying(job: Job) -> bool:
    """Data is on its way: some, but far from all, was written."""
    return job.state == JobState.RUNNING and job.current_phase == "copy" and job.bytes_done > 0


@dataclass
class Farm:
    """Processes of this test only; all of them are gone when it ends."""

    pids: dict[str, int] = field(default_factory=dict)

    def start_node(self, name: str = NODE, *, slots: int = 2) -> int:
        until(lambda: _is_free(name), what=f"the database has ended the session of the process that ran {name} before")
        return self._start(f"node-{name}", lambda: Node(name, slots=slots).run())

    def start_scheduler(self, name: str = "scheduler") -> int:
        return self._start(name, lambda: Scheduler().run())

    def kill(self, name: str) -> None:
        """``kill -9``."""
        pid = self.pids.pop(name)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def stop(self, name: str) -> int:
        """In order; returns the exit code."""
        pid = self.pids.pop(name)
        os.kill(pid, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def close(self) -> None:
        for name in list(self.pids):
            self.stop(name)

    def _start(self, name: str, work: Callable[[], None]) -> int:
        connections.close_all()
        parent = os.getpid()
        pid = fork()
        if pid == 0:
            _live(parent, work)
        self.pids[name] = pid
        return pid


def _is_free(node: str) -> bool:
    """Whether no session has the lock of a node. PostgreSQL may end one later than the test sees the process end."""
    row = AccessNode.objects.filter(name=node).first()
    if row is None:
        return True
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [lease._NODES, row.pk])
        (is_free,) = cursor.fetchone() or (False,)
    return bool(is_free)


def is_let_go(job: Job) -> bool:
    """Whether PostgreSQL has seen that the process which worked on a job is gone."""
    with transaction.atomic():
        return lease.take_for_transaction(job.pk)


_INHERITED: list[object] = []


def _forget_inherited_connections() -> None:
    """Leave the test's own database sockets alone, without closing them.

    Where a browser's event loop ran in the test process, Django kept the connections of before in another place than
    those of now, so that closing all of them there does not reach what a child, which has no loop, finds here.
    """
    for inherited in connections.all(initialized_only=True):
        _INHERITED.append(inherited.connection)
        inherited.connection = None


def _live(parent: int, work: Callable[[], None]) -> None:
    """The child's whole life. Its standard error is the test's, so that a broken worker is seen."""
    code = 1
    try:
        die_with_parent(parent, signal.SIGKILL)
        os.setpgrp()
        signal.setitimer(signal.ITIMER_REAL, 0)
        _forget_inherited_connections()
        work()
        code = 0
    except BaseException:
        logging.getLogger(__name__).exception("A process of the farm failed.")
        raise
    finally:
        os._exit(code)


def parent_of(pid: int) -> int:
    """The process that started a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
