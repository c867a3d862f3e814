"""Reading ahead: several gets under way at once, their answers in order. Only for media that are worth it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from .base import Media
from .wrapping import DEFAULT_TRANSFERS, is_far, transfers_of

_LEAST_AHEAD: Final = 3
"""One is used, one waits to be used, one is under way."""

Job = TypeVar("Job")
Answer = TypeVar("Answer")


def share_of_transfers(media: Media, *, sharers: int) -> int:
    """How many transfers each of ``sharers`` that read a medium at the same time should have under way."""
    transfers = transfers_of(media)
    return max(_LEAST_AHEAD, transfers // sharers) if is_far(media) else transfers


def read_ahead(jobs: Iterable[Job], read: Callable[[Job], Answer], *, transfers: int) -> Iterator[tuple[Job, Answer]]:
    """Each job with its answer, in order; at most ``transfers`` are read or wait to be taken.

    ``jobs`` are asked for on this thread, no further than that. ``read`` is called on threads of its own where
    ``transfers`` are more than of a local medium; what it raises is raised in the job's turn.
    """
    if transfers <= DEFAULT_TRANSFERS:
        for job in jobs:
            yield job, read(job)
        return
    pool = ThreadPoolExecutor(transfers, thread_name_prefix="read-ahead")
    waiting: deque[tuple[Job, Future[Answer]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, pool.submit(read, job)))
            if len(waiting) >= transfers:
                first, answer = waiting.popleft()
                yield first, answer.result()
        while waiting:
            first, answer = waiting.popleft()
            yield first, answer.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
