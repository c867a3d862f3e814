"""How far a dump is: bytes that came, files that history named, what was stored, and what the file server expects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ...clock import Clock
from ...events import Control, Counters, Sink
from ...ndmp import messages
from ...ndmp.session import Session
from ...ndmp.values import Nothing
from ...repository.session import AppendSession
from ..copy_pipeline.pulse import Pulse
from ..copy_pipeline.tally import SharedBoard
from .history_keeping import CountedHistory

_ESTIMATE_SECONDS: Final = 5.0
"""How often the file server is asked how much is left, as long as it does not say it."""
_MOST_ESTIMATES: Final = 12
_REMAINING_UNKNOWN: Final = 1


class Meter:
    """Figures of all dumps of one copy. ``beat`` may be called as often as one likes; raises what the control raises,
    and what ``also`` raises."""

    def __init__(self, *, sink: Sink, control: Control, clock: Clock, also: Callable[[], None]) -> None:
        self._clock = clock
        self._board = SharedBoard(1)
        self._tally = self._board.tally(0)
        self._pulse = Pulse(board=self._board, sink=sink, control=control, clock=clock, also=also)
        self._packs: AppendSession | None = None
        self._history: CountedHistory | None = None
        self._files_before = self._folders_before = self._bytes_before = 0
        self._estimates = 0
        self._estimate_due_at = 0.0

    def watch(self, packs: AppendSession) -> None:
        """Whose stored bytes are told."""
        self._packs = packs

    def begin(self, file_system: str, history: CountedHistory) -> None:
        self._history = history
        self._estimates, self._estimate_due_at = 0, self._clock.monotonic() + _ESTIMATE_SECONDS
        self._pulse.in_flight(file_system, begins=True)

    def end(self, file_system: str) -> None:
        """The content path is not read any more, however it went."""
        self._pulse.in_flight(file_system, begins=False)

    def received(self, image_bytes: int) -> None:
        """So many bytes of this image have come."""
        self._tally.bytes_done = self._tally.bytes_read = self._bytes_before + image_bytes

    def settle(self, image_bytes: int) -> None:
        """The dump is whole. One without history counts as one file: it is not empty."""
        history, self._history = self._history, None
        files, folders = (history.file_count, history.folder_count) if history is not None else (0, 0)
        self._files_before += files if files or folders else 1
        self._folders_before += folders
        self._bytes_before += image_bytes

    def estimate(self, session: Session, image_bytes: int) -> None:
        """Ask the file server now and then how much is left, until it says it. Only where there is one image."""
        if self._estimates >= _MOST_ESTIMATES or self._clock.monotonic() < self._estimate_due_at:
            return
        self._estimates += 1
        self._estimate_due_at = self._clock.monotonic() + _ESTIMATE_SECONDS
        status = session.ask(messages.DATA_GET_STATE, Nothing()).reply
        if status is not None and status.bytes_remaining and not status.unsupported & _REMAINING_UNKNOWN:
            self._pulse.bytes_total = image_bytes + status.bytes_remaining
            self._estimates = _MOST_ESTIMATES

    def beat(self) -> None:
        self._publish()
        self._pulse.beat()

    def final(self) -> Counters:
        """Figures of the finished copy, told at once."""
        self._publish()
        self._pulse.bytes_total = self._bytes_before
        self._pulse.progress()
        return replace(self._pulse.final_counters(), bytes_total=self._bytes_before)

    @property
    def blobs(self) -> tuple[int, int]:
        """(data, tree) blobs that were stored."""
        return self._tally.data_blobs, self._tally.tree_blobs

    def _publish(self) -> None:
        tally, history = self._tally, self._history
        tally.files_done = tally.files_new = self._files_before + (history.file_count if history else 0)
        tally.dirs_new = self._folders_before + (history.folder_count if history else 0)
        if self._packs is not None:
            stored = self._packs.counts
            tally.bytes_new, tally.bytes_stored = stored.plain_bytes, stored.sealed_bytes
            tally.data_blobs, tally.tree_blobs = stored.data_blobs, stored.tree_blobs
        tally.publish()
