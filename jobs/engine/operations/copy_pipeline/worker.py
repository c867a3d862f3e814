"""One worker's loop: visit, flush, complete, and share work with others. Runs in a forked process or in the parent.

The stack is depth first, so that memory stays small; what is given away is the oldest entry, the largest subtree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ...repository.chunker import Chunker
from .assembly import Assembly, Report
from .context import CopyContext
from .file_reader import FileReader
from .large_files import LargeFiles
from .local_state import LocalState
from .messages import LargeFile, Slice, SliceDone, Task, ToWorker, TreeDone
from .pending import ForeignSlice, PendingDirectory, PendingSlice
from .small_files import SmallFiles
from .stores import BlobStore
from .tally import SharedBoard
from .visit import Visitor
from .visit_changed import ChangedVisitor


class Worker:
    """Does tasks until its stack is empty. ``number`` 0 is the parent process.

    ``beat`` is called between directories and every few files or windows in one; it may raise.
    """

    def __init__(
        self,
        *,
        number: int,
        context: CopyContext,
        store: BlobStore,
        report: Report,
        board: SharedBoard,
        state: LocalState | None,
        beat: Callable[[], None],
    ) -> None:
        self.number = number
        self._context = context
        self._store = store
        self._report = report
        self._board = board
        self._beat = beat
        self._tally = board.tally(number)
        self._stack: deque[PendingDirectory | PendingSlice] = deque()
        self._assembly = Assembly(store=store, report=report, tally=self._tally, with_state=context.with_state)
        self._small = SmallFiles(store, self._assembly)
        chunker = Chunker()
        self._large = LargeFiles(
            store=store,
            assembly=self._assembly,
            tally=self._tally,
            sizing=context.sizing,
            chunker=chunker,
            beat=self._published_beat,
            announce=self._announce,
        )
        files = FileReader(context=context, small=self._small, large=self._large, chunker=chunker, tally=self._tally)
        visitor = ChangedVisitor if context.differences else Visitor
        self._visitor = visitor(
            context=context,
            store=store,
            assembly=self._assembly,
            files=files,
            tally=self._tally,
            report=report,
            state=state,
            push=self._stack.append,
            beat=self._published_beat,
        )

    @property
    def has_work(self) -> bool:
        return bool(self._stack)

    @property
    def lends(self) -> bool:
        """Whether other workers still owe it trees."""
        return self._assembly.lends

    @property
    def state_records(self) -> bytes:
        return bytes(self._assembly.state)

    def handle(self, message: ToWorker) -> None:
        """A task for this worker, or the answer to something it gave away."""
        if isinstance(message, Task):
            self._stack.append(
                PendingDirectory(
                    root=message.root,
                    relative=message.relative,
                    parent_tree=message.parent_tree,
                    known=message.known,
                    owner=message.owner,
                    token=message.token,
                )
            )
        elif isinstance(message, Slice):
            self._stack.append(_foreign_slice(message))
        elif isinstance(message, (TreeDone, SliceDone)):
            self._assembly.returned(message)

    def step(self) -> None:
        """Do the newest entry of the stack; with the last one, write out what waits."""
        item = self._stack.pop()
        if isinstance(item, PendingSlice):
            self._visitor.visit_slice(item)
        else:
            self._visitor.visit(item)
        if not self._stack:
            self.settle()
        self._published_beat()

    def settle(self) -> None:
        """Nothing is left to read: complete everything that was read."""
        self._small.flush()
        self._large.collect(wait=True)

    def share(self) -> bool:
        """Give the oldest entry away if another worker is idle and this one has more to do."""
        if not self._board.hungry or len(self._stack) < 2:
            return False
        self.give()
        return True

    def give(self) -> None:
        """Give the oldest entry away; its answer comes back through :meth:`handle`."""
        item = self._stack.popleft()
        token = self._assembly.lend(item)
        if isinstance(item, PendingSlice):
            directory = item.directory
            names = [name for _, name in item.files]
            self._report.send(Slice(self.number, token, directory.root, directory.relative, names))
        else:
            self._report.send(Task(self.number, token, item.root, item.relative, item.parent_tree, item.known))

    def close(self) -> None:
        """Write out every pack; all is durable and reported when it returns."""
        self._large.close()
        self._store.close()
        self.publish()

    def abort(self) -> None:
        """End its threads without writing what is left."""
        self._store.abort()
        self._large.close()

    def publish(self) -> None:
        """Show the figures to the parent."""
        counts = self._store.counts
        tally = self._tally
        tally.bytes_new = counts.plain_bytes
        tally.bytes_stored = counts.sealed_bytes
        tally.data_blobs = counts.data_blobs
        tally.tree_blobs = counts.tree_blobs
        tally.publish()

    def _published_beat(self) -> None:
        """Also in the middle of a directory or a large file: nobody is to be idle while this one has a stack."""
        self.publish()
        self._beat()
        if self.number:
            self.share()

    def _announce(self, path: str, begins: bool) -> None:
        self._report.send(LargeFile(path, begins))


def _foreign_slice(message: Slice) -> PendingSlice:
    directory = ForeignSlice(
        root=message.root,
        relative=message.relative,
        parent_tree=None,
        known=None,
        owner=message.owner,
        token=message.token,
    )
    directory.nodes = [""] * len(message.names)
    directory.waiting = len(message.names)
    return PendingSlice(directory, list(enumerate(message.names)))
