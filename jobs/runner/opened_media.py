"""The medium of a job while it is used: its limits are followed, what it does not do at once is told.

Every few seconds the row is read again: a limit that somebody changes, or that the calendar changes, counts for what
runs. All jobs that use a medium share its bandwidth, each an equal part, on whatever node they are.
"""

from __future__ import annotations

import threading
from typing import Final

from jobs.engine.events import Level
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.board import MediaBoard, Troubles
from jobs.engine.media.wrapping import Wrapper, read_near
from jobs.rules.bandwidth import InForce, share_of
from jobs.runner.task import Task
from jobs.selectors_pages.bandwidth import limit_text
from jobs.services.medium_turns import jobs_using
from policies.models import Media
from policies.resolve import bandwidth_now, resolve_media

LOOK_SECONDS: Final = 3.0


def open_media(task: Task, media: Media) -> MediaDriver:
    """The driver of a medium for one job, to be closed by the caller. Raises what ``resolve_media`` does."""
    board = MediaBoard()
    watch = _Watch(task, media, board)
    watch.follow()
    driver = _Watched(resolve_media(media, board=board), watch)
    task.rounds.add(watch.look)
    return driver


class _Watch:
    """Keeps one board as it should be."""

    def __init__(self, task: Task, media: Media, board: MediaBoard) -> None:
        self._task, self._media, self._board = task, media, board
        self._lock = threading.Lock()
        self._next = task.clock.monotonic() + LOOK_SECONDS
        self._limit: InForce | None = None
        self._told = Troubles(retries=0, given_up=0, last="")

    def look(self) -> None:
        """One round of the guard."""
        if self._task.orders.is_stopping:
            self._board.stop()
        if self._task.clock.monotonic() >= self._next:
            self._next = self._task.clock.monotonic() + LOOK_SECONDS
            self.follow()
            self.tell_troubles(self._told.retries * 2)

    def follow(self) -> None:
        """Read the row again; one that is gone leaves all as it is."""
        media = Media.objects.filter(pk=self._media.pk).first()
        if media is None:
            return
        limit = bandwidth_now(media)
        jobs = jobs_using(media.pk) if limit.bytes_per_second is not None else 1
        self._board.bytes_per_second = share_of(limit.bytes_per_second, jobs)
        before = self._limit
        self._limit = limit
        if (before and before.bytes_per_second) != limit.bytes_per_second:
            self._task.tell("bandwidth", f"{media.name} is {limit_text(limit)}.")

    def tell_troubles(self, beyond: int) -> None:
        """What had to be tried again, if that is more than ``beyond`` times; so a storm does not flood the story."""
        with self._lock:
            now, told = self._board.troubles(), self._told
            if now.retries <= max(beyond, told.retries) and now.given_up == told.given_up:
                return
            self._told = now
        times = "once" if now.retries == 1 else f"{now.retries} times"
        sentence = f"Something on {self._media.name} was tried again {times} so far. {now.last}"
        if now.given_up > told.given_up:
            sentence = f"{self._media.name} did not do what was asked of it after {now.retries} more tries. {now.last}"
            self._task.tell("media-given-up", sentence, level=Level.WARNING)
        else:
            self._task.tell("media-retried", sentence)

    def end(self) -> None:
        self._task.rounds.remove(self.look)
        self.tell_troubles(0)


class _Watched(Wrapper):
    """Ends its watch when it is closed."""

    def __init__(self, inner: MediaDriver, watch: _Watch) -> None:
        super().__init__(inner)
        self._watch = watch

    def get_near(self, name: str, *, offset: int, length: int, is_fresh: bool = False) -> bytes:
        return read_near(self.inner, name, offset=offset, length=length, is_fresh=is_fresh)

    def close(self) -> None:
        self._watch.end()
        super().close()
