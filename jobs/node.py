"""One access node: a process that reports the host's figures and keeps its workers running.

Each slot is a worker process, and a few more read the light queue. All are forked from here, so that they share memory;
this process has one thread and no database session at the moment of a fork.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from types import FrameType
from typing import Final

from django.db import Error as DatabaseError
from django.db import connections
from django.utils import timezone
from django.utils.module_loading import import_string

from jobs import lease, queues
from jobs.models import Job, JobState
from jobs.runner import drill, mounting
from jobs.worker import adopt_orphans, die_with_parent, run_worker
from policies.models import AccessNode

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.5
REPAIR_SECONDS: Final = 30.0
STOP_SECONDS: Final = 40.0
LIGHT_WORKERS: Final = 2
MEETING_WORKERS: Final = 2
RESPAWN_SECONDS: Final = 1.0
"""A worker that ends is not started again sooner than this after its start."""


class NodeRefused(RuntimeError):
    """``str(error)`` says why this node cannot run here."""


@dataclass(slots=True)
class _Worker:
    queue: str
    pid: int
    started: float


class Node:
    """The supervisor of one access node's workers. ``run`` returns when it was told to stop."""

    def __init__(self, name: str, *, slots: int | None = None) -> None:
        self.name = name
        self._slots = slots
        self._stop = threading.Event()
        self._workers: list[_Worker] = []
        self._beat_at = 0.0
        self._repaired_at = -REPAIR_SECONDS
        self._row: AccessNode | None = None

    def run(self) -> None:
        """Raises NodeRefused, and DatabaseError when the database is away at the start."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        import_string(queues.TASK)  # before the forks, so that all workers share what it loads
        self._register()
        adopt_orphans()
        logger.info("Access node %s: %s slots.", self.name, self._node.slots)
        try:
            while not self._stop.is_set():
                self._reap()
                self._beat()
                self._spawn()
                self._stop.wait(LOOK_SECONDS)
        finally:
            self._say_goodbye()
            self._stop_workers()
            connections.close_all()

    @property
    def _node(self) -> AccessNode:
        if self._row is None:
            raise NodeRefused("The node is not registered yet.")
        return self._row

    def _register(self) -> None:
        row, created = AccessNode.objects.get_or_create(name=self.name, defaults={"slots": self._slots or 2})
        self._row = row
        if not lease.take_node(row.pk):
            where = f" on {row.hostname} (pid {row.pid})" if row.hostname else ""
            raise NodeRefused(f"The access node {self.name} already runs{where}. Give this one another name.")
        if self._slots and not created and row.slots != self._slots:
            AccessNode.objects.filter(pk=row.pk).update(slots=self._slots)
        self._report()

    def _beat(self) -> None:
        if time.monotonic() - self._beat_at < HEARTBEAT_SECONDS:
            return
        self._beat_at = time.monotonic()
        try:
            lease.take_node(self._node.pk)
            self._report()
            self._repair()
        except DatabaseError as error:
            logger.warning("The database does not answer: %s", str(error).strip())
            connections.close_all()

    def _repair(self) -> None:
        """RULES R6: a mount that a restart took away holds its snapshot no longer."""
        if time.monotonic() - self._repaired_at >= REPAIR_SECONDS:
            self._repaired_at = time.monotonic()
            mounting.repair(self._node)
            drill.clear_leftovers()

    def _report(self) -> None:
        """Only the node's own columns: what an admin decides is his."""
        free, total = _memory()
        AccessNode.objects.filter(pk=self._node.pk).update(
            hostname=socket.gethostname(),
            version=version(),
            pid=os.getpid(),
            boot_id=lease.boot_id(),
            cores=len(os.sched_getaffinity(0)),
            load_1m=round(os.getloadavg()[0], 2),
            memory_total_bytes=total,
            memory_free_bytes=free,
            busy_slots=busy_slots(self._node.pk),
            last_seen_at=timezone.now(),
        )
        self._node.refresh_from_db(fields=["slots", "is_enabled", "is_draining"])

    def _spawn(self) -> None:
        """As many workers as slots, some light and meeting ones; workers that ended are started again."""
        wanted = {
            queues.heavy_queue(self._node): self._node.slots,
            queues.light_queue(self._node): LIGHT_WORKERS,
            queues.meeting_queue(self._node): MEETING_WORKERS,
        }
        for queue, number in wanted.items():
            have = [worker for worker in self._workers if worker.queue == queue]
            for worker in have[number:]:
                _signal(worker.pid, signal.SIGTERM)
            for _ in range(number - len(have)):
                self._fork(queue)

    def _fork(self, queue: str) -> None:
        connections.close_all()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(parent, lambda: run_worker(queue, node=self.name))
        self._workers.append(_Worker(queue=queue, pid=pid, started=time.monotonic()))
        self._beat_at = 0.0

    def _reap(self) -> None:
        """Collect workers that ended, and orphans of workers that were killed."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = next((one for one in self._workers if one.pid == pid), None)
            if worker is None:
                continue
            self._workers.remove(worker)
            if status:
                logger.warning("Worker %s ended with status %s.", pid, os.waitstatus_to_exitcode(status))
            if time.monotonic() - worker.started < RESPAWN_SECONDS:
                self._stop.wait(RESPAWN_SECONDS)

    def _stop_workers(self) -> None:
        """SIGTERM lets each write a checkpoint and give its job back; SIGKILL after that."""
        for worker in self._workers:
            _signal(worker.pid, signal.SIGTERM)
        ends_at = time.monotonic() + STOP_SECONDS
        while self._workers and time.monotonic() < ends_at:
            self._reap()
            time.sleep(0.05)
        for worker in self._workers:
            logger.error("Worker %s does not stop and is killed.", worker.pid)
            _signal(worker.pid, signal.SIGKILL)
        self._workers.clear()

    def _say_goodbye(self) -> None:
        """Offline at once, so that nothing is given to this node any more."""
        try:
            AccessNode.objects.filter(pk=self._node.pk, pid=os.getpid()).update(last_seen_at=None, busy_slots=0)
        except DatabaseError as error:
            logger.warning("The database does not answer: %s", str(error).strip())

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()


def busy_slots(node_id: int) -> int:
    """Jobs with a slot on the node that run now."""
    running = Job.objects.filter(node_id=node_id, state=JobState.RUNNING)
    return running.exclude(operation__in=queues.LIGHT).exclude(queues.IS_PREVIEW).count()


def version() -> str:
    try:
        return metadata.version("snapcopy")
    except metadata.PackageNotFoundError:
        return ""


def _be_child(parent: int, work: Callable[[], None]) -> None:
    """The child's whole life; never returns. When this node is killed, its workers end in order."""
    code = 1
    try:
        die_with_parent(parent, signal.SIGTERM)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        logging.shutdown()
        os._exit(code)


def _memory() -> tuple[int | None, int | None]:
    """(available, total) bytes of the host; None where /proc does not tell."""
    found: dict[str, int] = {}
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                name, _, rest = line.partition(":")
                if name in {"MemTotal", "MemAvailable"}:
                    found[name] = int(rest.split()[0]) * 1024
    except OSError:
        return None, None
    return found.get("MemAvailable"), found.get("MemTotal")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
