"""``btrfs send`` and ``btrfs receive``, as the two ends of a stream."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import EngineError, EngineUnsupported
from ...events import Control
from ..channel import Channel
from ..child_stream import Speaker, between, from_channel, to_channel
from .progs import INSTALL_HINT, progs_failure


def send_and_receive(path: str, into: str, *, base: str | None, control: Control, program: str = "btrfs") -> int:
    """Send the read-only snapshot ``path`` into the directory ``into`` of another btrfs; returns the bytes sent.

    With ``base``, an older snapshot that the other btrfs has received, only the difference. Raises the errors of
    btrfs-progs and what ``control`` raises; what was received by then is left for the caller to remove.
    """
    return between(_sending(path, base, program), _receiving(into, program), control)


def send_to(path: str, channel: Channel, *, base: str | None, control: Control, program: str = "btrfs") -> int:
    """The sending half of :func:`send_and_receive`, into a channel. What the other end says went wrong is raised."""
    return to_channel(_sending(path, base, program), channel, control)


def receive_from(channel: Channel, into: str, *, control: Control, program: str = "btrfs") -> int:
    """The receiving half of :func:`send_and_receive`; returns the bytes received. Only a stream with its end counts."""
    return from_channel(channel, _receiving(into, program), control)


def _sending(path: str, base: str | None, program: str) -> Speaker:
    difference = ["-p", base] if base is not None else []
    return _speaker(program, ["send", "-q", *difference, "--", path])


def _receiving(into: str, program: str) -> Speaker:
    return _speaker(program, ["receive", "-q", "--", into])


def _speaker(program: str, arguments: Sequence[str]) -> Speaker:
    return Speaker(
        command=[program, *arguments], what=f"btrfs {arguments[0]}", failure=_failure, install_hint=INSTALL_HINT
    )


def _failure(what: str, complaint: str) -> EngineError:
    if "File name too long" in complaint:
        return EngineUnsupported(
            "btrfs cannot send a snapshot that holds a path of more than 4,095 bytes.",
            hint="Shorten the directories above it, or feed the backup copies from the primary snap copy.",
        )
    return progs_failure(what, complaint)
