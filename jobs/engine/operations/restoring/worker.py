"""One worker process of a restore: a stack of items, deepest first; what is oldest goes to workers that are idle."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...errors import EngineError
from .board import Board
from .context import Context, Wishes
from .directories import Directories
from .files import Files
from .hard_links import HardLinks
from .items import (
    Aborted,
    Crashed,
    Done,
    EntriesItem,
    FileJob,
    Folder,
    FolderItem,
    FromWorker,
    Given,
    Home,
    Idle,
    Item,
    Parent,
    Remote,
    Report,
    Returned,
    Task,
    ToWorker,
)
from .metadata import Metadata, Warnings
from .source import Source
from .temporary import TemporaryNames
from .visiting import Visitor

_BUSY_WAIT_SECONDS: Final = 0.005


class _StoppedError(Exception):
    """The coordinator asked to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a worker is forked with."""

    number: int
    source: Source
    target: bytes
    wishes: Wishes
    with_metadata: bool
    links_name: bytes
    board: Board


class Worker:
    """Runs until the coordinator says that nothing is left. ``receive`` blocks and ``take`` does not."""

    def __init__(
        self,
        assignment: Assignment,
        *,
        send: Callable[[FromWorker], None],
        receive: Callable[[], ToWorker | None],
        take: Callable[[], ToWorker | None],
    ) -> None:
        self._number = assignment.number
        self._board = assignment.board
        self._send, self._receive, self._take = send, receive, take
        self._stack: list[tuple[Item, Parent]] = []
        self._lent: dict[int, Parent] = {}
        self._next_token = 0
        self._heard = 0
        self._has_ended = False
        self._warnings = Warnings()
        self._tally = assignment.board.tally(assignment.number)
        directories, names = Directories(assignment.target), TemporaryNames()
        links = HardLinks(
            directories, assignment.links_name, names, self._warnings, on_home=lambda home: send(Home(home))
        )
        context = Context(
            wishes=assignment.wishes,
            source=assignment.source,
            directories=directories,
            links=links,
            names=names,
            metadata=Metadata(self._warnings, is_wanted=assignment.with_metadata, umask=os.umask(0)),
            warnings=self._warnings,
            tally=self._tally,
            send=send,
            push=self._push,
            finished=self._finished,
            check=self._check,
        )
        self._files = Files(context)
        self._visitor = Visitor(context, self._files)

    def run(self) -> None:
        """The whole life. Tells the coordinator whatever ends it."""
        try:
            while not self._has_ended:
                self._work()
                if not self._stack and not self._files.has_work:
                    self._idle()
            self._tally.publish()
            self._send(Report(self._warnings.found))
        except _StoppedError:
            self._files.discard_all()
        except EngineError as error:
            self._files.discard_all()
            self._send(Aborted(error))
        except Exception:  # noqa: BLE001 - the process ends here; the parent raises what it is told
            self._send(Crashed(traceback.format_exc()))

    def _work(self) -> None:
        while self._stack:
            self._check()
            self._do(*self._stack.pop())
            if self._board.hungry:
                self._give()
            if self._lent:
                self._listen()
        self._files.flush()
        if self._files.has_busy and not self._stack:
            time.sleep(_BUSY_WAIT_SECONDS)
            self._check()
            self._files.retry_busy()
            self._listen()

    def _idle(self) -> None:
        self._tally.publish()
        self._send(Idle(self._heard))
        message = self._receive()
        if message is None:
            raise _StoppedError
        self._handle(message)

    def _listen(self) -> None:
        while (message := self._take()) is not None:
            self._handle(message)

    def _check(self) -> None:
        if self._board.is_stopping:
            raise _StoppedError

    def _do(self, item: Item, parent: Parent) -> None:
        if isinstance(item, FolderItem):
            self._visitor.folder(item, parent)
        elif isinstance(item, EntriesItem):
            self._visitor.entries(item, parent)
        else:
            self._segment_finished(parent, *self._files.segments.write(item))

    def _push(self, item: Item, parent: Folder | FileJob | Remote) -> None:
        self._stack.append((item, parent))

    def _give(self) -> None:
        """The oldest item is the one with most below it."""
        if not self._stack:
            return
        item, parent = self._stack.pop(0)
        self._next_token += 1
        self._lent[self._next_token] = parent
        self._send(Given(self._next_token, item))

    def _handle(self, message: ToWorker) -> None:
        self._heard += 1
        if isinstance(message, Task):
            self._stack.append((message.item, Remote(message.owner, message.token)))
        elif isinstance(message, Returned):
            parent = self._lent.pop(message.token)
            if isinstance(parent, FileJob):
                self._segment_finished(parent, message.error, message.code)
            else:
                self._finished(parent)
        else:
            self._has_ended = True

    def _segment_finished(self, parent: Parent, error: str, code: str) -> None:
        if isinstance(parent, FileJob):
            self._files.segment_done(parent, error, code)
        elif isinstance(parent, Remote):
            self._send(Done(parent.owner, parent.token, error, code))

    def _finished(self, parent: Parent) -> None:
        """One of the things ``parent`` waits for is done; goes up as far as that completes directories."""
        while isinstance(parent, Folder):
            parent.waiting -= 1
            if parent.waiting:
                return
            self._visitor.complete(parent)
            parent = parent.parent
        if isinstance(parent, Remote):
            self._send(Done(parent.owner, parent.token))
