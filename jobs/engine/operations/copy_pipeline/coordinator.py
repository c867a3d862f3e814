"""Who copies what: the first moments in the parent itself, then forked workers that take work from each other.

Small trees never see a fork: the parent's own worker begins at once, while the repository is still being opened, and
the crew is started only when there is more to do than a fork costs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Final

from ...events import FileFailed, Sink
from ...ids import BlobId
from ...repository.index_file import IndexWriter
from ...repository.pack_writer import WrittenPack
from .channel import WorkerEnd
from .context import CopyContext
from .crew import Crew
from .forked import run_forked_worker
from .local_state import LocalState
from .messages import (
    EntryFailed,
    FromWorker,
    Goodbye,
    Idle,
    LargeFile,
    Slice,
    SliceDone,
    Task,
    TreeDone,
    WorkerFailed,
)
from .pulse import Pulse
from .stores import AwaitedStore, OpenedRepository
from .tally import SharedBoard
from .worker import Worker

_ALONE_SECONDS: Final = 0.05
"""How long the parent works alone once the repository is open, before it forks."""
_ALONE_WITH_CHANGES_SECONDS: Final = 0.6
"""The same where it is known what changed: that is mostly little, and a crew costs a quarter of a second."""
_POLL_SECONDS: Final = 0.1


class Coordinator:
    """Runs the root tasks of one copy to the end. Used once, by one thread.

    ``try_open`` returns the repository if it is open by now; ``wait_open`` waits for it.
    """

    def __init__(
        self,
        *,
        context: CopyContext,
        board: SharedBoard,
        pulse: Pulse,
        sink: Sink,
        state: LocalState | None,
        store: AwaitedStore,
        try_open: Callable[[], OpenedRepository | None],
        index_writer: Callable[[], IndexWriter],
        on_crew: Callable[[], None],
    ) -> None:
        self._context = context
        self._board = board
        self._pulse = pulse
        self._sink = sink
        self._state = state
        self._store = store
        self._try_open = try_open
        self._index_writer = index_writer
        self._on_crew = on_crew
        self._crew: Crew | None = None
        self._tasks: deque[Task | Slice] = deque()
        self._trees: dict[int, BlobId | None] = {}
        self._records: list[bytes] = []
        self._local = Worker(
            number=0, context=context, store=store, report=self, board=board, state=state, beat=pulse.beat
        )

    def run(self, roots: list[Task]) -> list[BlobId]:
        """Copy the roots; returns their trees in order. All packs but those of the caller's store are durable then.

        Raises Stopped, ReaderLost and what reading roots and writing packs raise; workers have ended in every case.
        """
        for task in roots:
            self._local.handle(task)
        try:
            self._work_alone()
            if self._local.has_work:
                self._work_with_crew(len(roots))
            self._local.close()
        except BaseException:
            self._local.abort()
            raise
        finally:
            if self._crew is not None and not self._crew.is_gone:
                with closing(self._crew.stop()) as last_words:
                    for number, message in last_words:
                        if isinstance(message, (WrittenPack, EntryFailed)):
                            self._hear(number, message)
        self._records.append(self._local.state_records)
        return [tree for number in range(len(roots)) if (tree := self._trees[number]) is not None]

    @property
    def state_records(self) -> bytes:
        """Records of every directory for the local state."""
        return b"".join(self._records)

    def publish(self) -> None:
        """Count what was stored through the parent's own store."""
        self._local.publish()

    def send(self, message: FromWorker) -> None:
        """What the parent's own worker has to say."""
        self._hear(0, message)

    def _work_alone(self) -> None:
        opened_at: float | None = None
        alone_seconds = _ALONE_WITH_CHANGES_SECONDS if self._context.differences else _ALONE_SECONDS
        while self._local.has_work:
            if opened_at is None and self._try_open() is not None:
                opened_at = time.monotonic()
            if opened_at is not None and time.monotonic() - opened_at > alone_seconds:
                return
            self._local.step()

    def _work_with_crew(self, roots: int) -> None:
        opened = self._try_open()
        if opened is None:
            raise RuntimeError("the crew starts after the repository is open")
        self._local.settle()
        self._store.close()
        self._crew = Crew(
            self._context.sizing.readers,
            self._board,
            lambda number, end: self._worker_main(number, end, opened),
            keep_fds=self._context.descriptors,
        )
        while self._local.has_work:
            self._local.give()
        self._on_crew()
        while len(self._trees) < roots:
            self._listen()
        self._crew.finish()
        while not self._crew.is_gone:
            self._listen()
        self._crew.close()

    def _worker_main(self, number: int, end: WorkerEnd, opened: OpenedRepository) -> None:
        run_forked_worker(number, end, context=self._context, opened=opened, board=self._board, state=self._state)

    def _listen(self) -> None:
        if self._crew is None:
            return
        for number, message in self._crew.poll(_POLL_SECONDS):
            self._hear(number, message)
        self._schedule(self._crew)
        self._local.publish()
        self._pulse.beat()

    def _schedule(self, crew: Crew) -> None:
        while self._tasks and crew.idle:
            crew.send(crew.idle.pop(), self._tasks.popleft())
        self._board.hungry = len(crew.idle)

    def _hear(self, number: int, message: FromWorker) -> None:
        if isinstance(message, WrittenPack):
            self._index_writer().add(message)
        elif isinstance(message, (Task, Slice)):
            self._tasks.append(message)
        elif isinstance(message, (TreeDone, SliceDone)):
            self._answer(message)
        elif isinstance(message, Idle):
            if self._crew is not None:
                self._crew.idle.add(number)
        elif isinstance(message, EntryFailed):
            self._sink.emit(FileFailed(path=message.path, error=message.error, code=message.code))
        elif isinstance(message, LargeFile):
            self._pulse.in_flight(message.path, begins=message.begins)
        elif isinstance(message, Goodbye):
            self._records.append(message.state)
        elif isinstance(message, WorkerFailed):
            raise message.error

    def _answer(self, message: TreeDone | SliceDone) -> None:
        if isinstance(message, TreeDone) and message.owner is None:
            self._trees[message.token] = message.tree
        elif message.owner == 0:
            self._local.handle(message)
        elif self._crew is not None and message.owner is not None:
            self._crew.send(message.owner, message)
