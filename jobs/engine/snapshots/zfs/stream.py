"""``zfs send`` and ``zfs receive``, as the two ends of a stream of one dataset's snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import EngineError, SourceMissing, SourceUnavailable
from ...events import Control
from ..channel import Channel
from ..child_stream import Speaker, between, from_channel, to_channel
from .command import INSTALL_HINT, as_missing, zfs_failure


def send_and_receive(snapshot: str, into: str, *, base: str | None, control: Control, program: str = "zfs") -> int:
    """Send ``dataset@name`` into the dataset ``into``; returns the bytes sent.

    With ``base``, an older snapshot of the same dataset whose copy is the newest of ``into``, only the difference, and
    what was changed there since is undone; without, ``into`` must not exist. What was received of a stream that is cut
    off is dropped by ZFS itself.
    """
    return between(_sending(snapshot, base, program), _receiving(into, program), control)


def send_to(snapshot: str, channel: Channel, *, base: str | None, control: Control, program: str = "zfs") -> int:
    """The sending half of :func:`send_and_receive`, into a channel."""
    return to_channel(_sending(snapshot, base, program), channel, control)


def receive_from(channel: Channel, into: str, *, control: Control, program: str = "zfs") -> int:
    """The receiving half of :func:`send_and_receive`; returns the bytes received."""
    return from_channel(channel, _receiving(into, program), control)


def _sending(snapshot: str, base: str | None, program: str) -> Speaker:
    difference = ["-i", base] if base is not None else []
    return _speaker(program, ["send", *difference, snapshot])


def _receiving(into: str, program: str) -> Speaker:
    return _speaker(program, ["receive", "-F", into])


def _speaker(program: str, arguments: Sequence[str]) -> Speaker:
    return Speaker(
        command=[program, *arguments], what=f"zfs {arguments[0]}", failure=_failure, install_hint=INSTALL_HINT
    )


def _failure(what: str, complaint: str) -> EngineError:
    error = zfs_failure(what, complaint)
    if isinstance(error, SourceMissing):
        return as_missing(error) if what == "zfs send" else SourceUnavailable(error.sentence)
    return error
