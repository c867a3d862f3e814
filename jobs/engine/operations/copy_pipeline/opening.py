"""Opening the repository while the walk begins: key, lock, index, the parent snapshot file and its roots.

scrypt, the lock's 200 ms and the index take longer than looking at a small tree, so all of it runs on a thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...clock import Clock
from ...errors import NotInCopy, RepositoryDamaged, RepositoryMissing
from ...ids import BlobId, FileId
from ...media.base import Media
from ...plan import CopyPlan, Secret
from ...repository.claims import Claims
from ...repository.gojson import name_body
from ...repository.index import Index
from ...repository.index_load import load_index
from ...repository.layout import BlobKind
from ...repository.lock import RepositoryLock, survive_liveness_probe
from ...repository.lock_file import clear_locks
from ...repository.reader import BlobReader
from ...repository.repository import Repository
from ...repository.snapshot_file import LATEST, SnapshotFile, find_snapshot_file, read_snapshot_file
from ...repository.tree import node_subtree
from .context import RootContext
from .local_state import LocalState, path_key
from .stores import OpenedRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The snapshot file to compare with. ``trees`` holds one entry per root, ``nodes`` the chain by stored path."""

    file: SnapshotFile
    trees: tuple[BlobId | None, ...]
    nodes: dict[bytes, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """``lock`` is placed and must be settled before anything of the copy is committed.

    ``problem`` says why a parent that was asked for is not used. ``state_fits``: the local state may be trusted."""

    shared: OpenedRepository
    lock: RepositoryLock
    parent: Parent | None
    problem: str
    state_fits: bool


class Opening:
    """The thread and its result. ``close`` must be called; it removes the lock."""

    def __init__(
        self,
        plan: CopyPlan,
        media: Media,
        password: Secret,
        *,
        roots: Sequence[RootContext],
        state: LocalState | None,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._media = media
        self._password = password
        self._roots = roots
        self._state = state
        self._clock = clock
        self._lock: RepositoryLock | None = None
        self._result: Opened | None = None
        self._error: BaseException | None = None
        survive_liveness_probe()
        self._thread = threading.Thread(target=self._run, name="repository-opening", daemon=True)
        self._thread.start()

    def poll(self) -> Opened | None:
        """What was opened, or None as long as it takes. Raises what went wrong."""
        if self._thread.is_alive():
            return None
        return self._finished()

    def wait(self, beat: Callable[[], None]) -> Opened:
        """What was opened; ``beat`` is called while waiting and may raise."""
        while self._thread.is_alive():
            self._thread.join(0.05)
            beat()
        return self._finished()

    def close(self) -> None:
        """Wait for the thread and remove the lock. Idempotent."""
        self._thread.join()
        if self._lock is not None:
            self._lock.release()

    def _finished(self) -> Opened:
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise RuntimeError("the opening thread ended without a result")
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._open()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error

    def _open(self) -> Opened:
        repository = Repository.open(self._media, self._password, clock=self._clock)
        expected = self._plan.repository_id
        if expected is not None and repository.id != expected:
            raise RepositoryMissing(
                f"The repository at this place is {repository.id[:8]}, not {expected[:8]}.",
                hint="Check that the right storage is mounted. Nothing was written.",
            )
        lock = RepositoryLock(repository, exclusive=False)
        lock.place()
        self._lock = lock
        clear_locks(repository)
        index = load_index(repository, cache_directory=self._plan.settings.index_directory)
        reader = BlobReader(repository, index)
        parent, problem = self._find_parent(repository, reader)
        fits = parent is not None and self._state_fits(index, parent)
        shared = OpenedRepository(repository=repository, index=index, claims=Claims())
        return Opened(shared=shared, lock=lock, parent=parent, problem=problem, state_fits=fits)

    def _find_parent(self, repository: Repository, reader: BlobReader) -> tuple[Parent | None, str]:
        wanted = self._plan.parent
        if wanted is None and not self._plan.find_parent:
            return None, ""
        try:
            file = self._latest(repository) if wanted is None else read_snapshot_file(repository, wanted)
        except NotInCopy:
            return None, "The copy to compare with is no longer in the repository, so everything is read."
        except RepositoryDamaged as error:
            return None, f"The copy to compare with is damaged, so everything is read. {error}"
        if file is None:
            return None, ""
        nodes: dict[bytes, str] = {}
        trees = tuple([_tree_at(reader, file.tree, root.stored_as, nodes) for root in self._roots])
        return Parent(file=file, trees=trees, nodes=nodes), ""

    def _latest(self, repository: Repository) -> SnapshotFile | None:
        paths = tuple(os.fsencode(root.stored_as or "/") for root in self._roots)
        try:
            return find_snapshot_file(repository, LATEST, hostname=self._plan.hostname, paths=paths)
        except NotInCopy:
            return None

    def _state_fits(self, index: Index, parent: Parent) -> bool:
        """Whether the local state speaks of exactly these trees, and the repository still holds all of them."""
        state = self._state
        if state is None or state.head.parent != parent.file.id:
            return False
        if not index.files.issuperset(FileId(name) for name in state.head.index_files):
            return False
        for number, tree in enumerate(parent.trees):
            found = state.find(path_key(number, ""))
            if found is None or found[1] != tree:
                return False
        trees = np.ascontiguousarray(state.tree_ids())
        ids = [BlobId(row.tobytes()) for row in trees]
        return bool(index.has_many(BlobKind.TREE, ids).all())


def _tree_at(reader: BlobReader, tree: BlobId, path: str, nodes: dict[bytes, str]) -> BlobId | None:
    """The tree stored as ``path``, or None; collects the nodes on the way by stored path.

    A tree that no index names is as good as none, and is stored anew. One in a damaged pack raises RepositoryDamaged:
    it cannot be stored again until the repository is repaired.
    """
    at: BlobId | None = tree
    stored = b""
    for part in path.split("/")[1:]:
        if at is None or reader.index.missing(BlobKind.TREE, [at]):
            return None
        stored += b"/" + os.fsencode(part)
        node = dict(reader.split_tree(at)).get(name_body(part))
        if node is None:
            return None
        nodes[stored] = node
        at = node_subtree(node)
    return at
