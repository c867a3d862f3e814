"""What the two ends of a snapshot's transfer tell each other, whatever the storage: references and failures."""

from __future__ import annotations

import contextlib
from typing import Any

from ..errors import EngineError, SourceUnavailable, Stopped
from ..ids import SnapshotName
from .base import SnapshotRef
from .channel import Channel, raise_failure


def heard(channel: Channel) -> dict[str, Any]:
    """The next message; the peer's failure is raised."""
    message = channel.hear()
    raise_failure(message)
    return message


def tell_failure(channel: Channel, error: EngineError) -> None:
    """The peer may be gone, or not be listening: then it learns from the closed connection."""
    code = SourceUnavailable.code if isinstance(error, Stopped) else error.code
    with contextlib.suppress(EngineError):
        channel.tell(failed=code, sentence=error.sentence, hint=error.hint)


def to_json(ref: SnapshotRef) -> dict[str, Any]:
    return {
        "name": ref.name,
        "engine": ref.engine,
        "taken_at_ns": ref.taken_at_ns,
        "content": list(ref.content),
        "handle": ref.handle,
        "warnings": list(ref.warnings),
    }


def from_json(values: object) -> SnapshotRef:
    try:
        if not isinstance(values, dict):
            raise TypeError
        return SnapshotRef(
            name=SnapshotName(str(values["name"])),
            engine=str(values["engine"]),
            taken_at_ns=int(values["taken_at_ns"]),
            content=tuple(map(str, values["content"])),
            handle={str(key): str(value) for key, value in values["handle"].items()},
            warnings=tuple(map(str, values["warnings"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceUnavailable("The other node described a snapshot in a way that is not understood.") from error
