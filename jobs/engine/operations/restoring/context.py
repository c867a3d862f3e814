"""What all parts of one worker share, and how one entry's failure is told apart from the end of the restore."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...errors import EngineError, NoSpace, TargetRefused
from ...plan import Overwrite
from ...repository.tree import Node
from .board import Tally
from .decision import Decision, decide
from .directories import Directories
from .hard_links import HardLinks
from .items import Failed, FileJob, Folder, FromWorker, Item, Parent, Parts, Place, Remote
from .metadata import Metadata, Warnings
from .source import Source, Unread
from .temporary import TemporaryNames

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE: Final = frozenset({errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.EIO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The part of the plan that workers need. ``target`` is for sentences.

    ``begin`` is the deepest existing directory that everything is below, see :func:`.target.prepare_target`.
    """

    overwrite: Overwrite
    is_sparse: bool
    target: str
    begin: Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One worker. ``finished`` tells whoever waits for an item that it is done; ``push`` adds an item to the stack."""

    wishes: Wishes
    source: Source
    directories: Directories
    links: HardLinks
    names: TemporaryNames
    metadata: Metadata
    warnings: Warnings
    tally: Tally
    send: Callable[[FromWorker], None]
    push: Callable[[Item, Folder | FileJob | Remote], None]
    finished: Callable[[Parent], None]
    check: Callable[[], None]

    def decide(self, node: Node, existing: os.stat_result | None, place: Place) -> Decision:
        """See :mod:`.decision`. Nothing in a directory that an earlier attempt left unfinished is anybody else's."""
        decision = decide(node, existing, self.wishes.overwrite, with_metadata=self.metadata.is_wanted)
        return Decision.REPLACE if decision is Decision.KEEP and place.is_unfinished else decision

    def fail_unread(self, path: bytes, unread: Unread) -> None:
        self.fail(path, unread.error, unread.code)

    def fail(self, path: bytes, error: str, code: str) -> None:
        """One entry is not restored; the rest goes on."""
        self.tally.exceptions += 1
        self.send(Failed(path, error, code))

    def fail_from(self, path: bytes, error: OSError) -> None:
        """As :meth:`fail`, from a failed call; raises NoSpace or TargetRefused if nothing else can succeed either."""
        fatal = self.fatal(error)
        if fatal is not None:
            raise fatal from error
        self.fail(path, reason(error), "file-unwritable")

    def fatal(self, error: OSError) -> EngineError | None:
        """The error that ends the restore, or None if it concerns one entry."""
        if error.errno in _FULL:
            return NoSpace(f"There is no space left at the restore target {self.wishes.target}.")
        if error.errno in _GONE:
            return TargetRefused(
                f"The restore target {self.wishes.target} does not answer: {reason(error)}.",
                hint="Check the file system of the target, then resubmit the job: what is complete is kept.",
            )
        return None


def reason(error: OSError) -> str:
    """What the system says, for people: “Permission denied”."""
    special = {
        errno.ELOOP: "a symbolic link is in the way; it is never followed",
        errno.ENOTDIR: "something that is not a directory is in the way",
        errno.EISDIR: "a directory is in its place",
        errno.ENOTEMPTY: "a directory is in its place",
        errno.EBADMSG: "what the target holds is not what was written",
    }
    return special.get(error.errno or 0) or os.strerror(error.errno or 0)
