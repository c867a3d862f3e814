"""Which wrappers a medium gets, from its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..clock import Clock, SystemClock
from .base import Media
from .board import MediaBoard
from .checked import Checked
from .limited import Limited
from .retrying import Retrying
from .throttled import Throttled
from .timed import Timed

GIVE_UP_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``transfers`` None = as the pipeline likes; ``timeout_seconds`` None = the driver's own timeouts only.

    ``give_up_seconds``: no operation is tried again later than that after its first try.
    """

    transfers: int | None
    retries: int
    timeout_seconds: float | None
    give_up_seconds: float = GIVE_UP_SECONDS


REMOTE: Final = Limits(transfers=8, retries=8, timeout_seconds=60.0)
LOCAL: Final = Limits(transfers=None, retries=0, timeout_seconds=None)
"""A directory: the kernel waits, and a mount that is gone fails the job, which is tried again as a whole."""


def layered(
    driver: Media, limits: Limits, *, board: MediaBoard, is_throttled: bool = True, clock: Clock | None = None
) -> Media:
    """The driver in its wrappers; the driver itself where it needs none. ``board`` is one per medium and job."""
    clock = clock or SystemClock()
    media: Media = driver
    if limits.retries:
        media = Checked(media)
    if limits.timeout_seconds is not None:
        media = Timed(media, seconds=limits.timeout_seconds)
    if is_throttled:
        media = Throttled(media, board=board, clock=clock)
    if limits.transfers is not None:
        media = Limited(
            media, board=board, transfers=limits.transfers, patience_seconds=limits.give_up_seconds, clock=clock
        )
    if limits.retries:
        media = Retrying(
            media,
            board=board,
            retries=limits.retries,
            give_up_seconds=limits.give_up_seconds,
            clock=clock,
        )
    return media
