"""Reading ahead: several gets under way at once, their answers in order. Only for media that are worth it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .wrapping import DEFAULT_TRANSFERS

Job = TypeVar("Job")
Answer = TypeVar("Answer")


def read_ahead(jobs: Sequence[Job], read: Callable[[Job], Answer], *, transfers: int) -> Iterator[tuple[Job, Answer]]:
    """Each job with its answer, in order; at most ``transfers`` are read or wait to be taken.

    ``read`` is called on threads of its own where ``transfers`` are more than of a local medium; what it raises is
    raised in the job's turn.
    """
    if transfers <= DEFAULT_TRANSFERS or len(jobs) < 2:
        for job in jobs:
            yield job, read(job)
        return
    pool = ThreadPoolExecutor(min(transfers, len(jobs)), thread_name_prefix="read-ahead")
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
