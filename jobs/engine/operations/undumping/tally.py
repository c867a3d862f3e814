"""How far a recovery is, told a few times a second."""

from __future__ import annotations

from typing import Final

from ...clock import Clock
from ...events import Counters, FileFailed, Progress, Sink

_PROGRESS_SECONDS: Final = 0.5


class Tally:
    """Bytes are those of the images that were sent. One recovery after the other, each with what is expected of it."""

    def __init__(
        self, sink: Sink, clock: Clock, *, files_total: int | None, bytes_total: int, exceptions: int = 0
    ) -> None:
        self._sink, self._clock = sink, clock
        self.files_total, self.bytes_total = files_total, bytes_total
        self.files_done = self.folders_done = 0
        self.exceptions = exceptions
        self._sent = self._sending = 0
        """Of recoveries that are over, and of this one."""
        self._done = self._doing = self._expected = 0
        self._label = ""
        self._next_at = 0.0

    def begin(self, label: str, *, expected_bytes: int) -> None:
        """The next recovery begins."""
        self._label, self._expected, self._doing, self._sending = label, expected_bytes, 0, 0
        self._tell()

    def sent(self, count: int) -> None:
        """So many bytes of this recovery's image so far; it may be more than expected, and is not shown as more."""
        self._sending, self._doing = count, min(count, self._expected)
        if self._clock.monotonic() >= self._next_at:
            self._tell()

    def end(self, *, files: int, folders: int) -> None:
        """It is over, with so many files and folders."""
        self.files_done += files
        self.folders_done += folders
        self._sent += self._sending
        self._done += self._expected
        self._sending = self._doing = self._expected = 0
        self._tell()

    def failed(self, path: bytes, reason: str) -> None:
        self.exceptions += 1
        self._sink.emit(FileFailed(path=path, error=reason, code="file-not-recovered"))

    def counters(self) -> Counters:
        return Counters(
            files_total=self.files_total,
            files_done=self.files_done,
            directories_done=self.folders_done,
            bytes_total=self.bytes_total,
            bytes_done=self._done + self._doing,
            bytes_read=self._sent + self._sending,
            exceptions=self.exceptions,
        )

    def _tell(self) -> None:
        self._next_at = self._clock.monotonic() + _PROGRESS_SECONDS
        self._sink.emit(Progress(counters=self.counters(), in_flight=(self._label,) if self._expected else ()))
