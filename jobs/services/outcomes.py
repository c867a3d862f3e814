"""How an attempt can end, as values: what a runner hands to :func:`jobs.services.finish.end_attempt`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.engine.errors import EngineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It did its work. ``record`` writes the result's rows in the transaction that ends the job (RULES L4).

    ``afterwards`` is done once that is committed; the job is over then, whatever becomes of it.
    """

    exceptions: int = 0
    result: dict[str, object] = field(default_factory=dict)
    record: Callable[[], None] | None = None
    afterwards: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitsChildren:
    """Its own part is done; it ends when its children end (RULES B1)."""

    exceptions: int = 0
    result: dict[str, object] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Somebody must change something.

    RULES B7: ``snapshot_is_gone``: the source of a copy no longer exists; ``source_is_offline``: it is not there now,
    and a later run tries again.
    """

    code: str
    sentence: str
    hint: str = ""
    snapshot_is_gone: bool = False
    source_is_offline: bool = False

    @classmethod
    def by(cls, error: EngineError, *, snapshot_is_gone: bool = False, source_is_offline: bool = False) -> Failed:
        return cls(
            code=error.code,
            sentence=error.sentence,
            hint=error.hint,
            snapshot_is_gone=snapshot_is_gone,
            source_is_offline=source_is_offline,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRetry:
    """A passing failure: tried again later, as often as RULES J4 allow, then failed."""

    code: str
    sentence: str
    hint: str = ""

    @classmethod
    def by(cls, error: EngineError) -> ToRetry:
        return cls(code=error.code, sentence=error.sentence, hint=error.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    reason: str = "killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    reason: str = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The process is gone or must go; the job goes on as the next attempt. ``lost`` = nobody asked for that."""

    reason: str
    lost: bool = True


Outcome = Done | AwaitsChildren | Failed | ToRetry | Killed | Suspended | Interrupted
"""Exactly one per attempt."""
