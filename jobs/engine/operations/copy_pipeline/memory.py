"""Which local state belongs to a copy: found before the walk, replaced after the commit. Format: ``local_state``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...ids import FileId
from ...media.base import Media
from ...plan import CopyPlan
from .context import RootContext
from .local_state import (
    LocalState,
    StateHead,
    drop_old_states,
    newest_state,
    open_state,
    source_key,
    state_path,
    write_state,
)


def source_of(plan: CopyPlan, roots: Sequence[RootContext]) -> str:
    """The key of the plan's source."""
    names = [root.stored_as for root in roots]
    return source_key(hostname=plan.hostname, trust=plan.settings.trust, roots=names)


def recall(plan: CopyPlan, roots: Sequence[RootContext], media: Media) -> LocalState | None:
    """The state as of the parent, or where that is still to be found, the newest one of this repository.

    Which parent it really is shows when the repository is open.
    """
    directory = plan.settings.state_directory
    if directory is None or (plan.parent is None and not plan.find_parent):
        return None
    source = source_of(plan, roots)
    path = state_path(directory, source, plan.parent) if plan.parent else newest_state(directory, source, media)
    state = open_state(path) if path is not None else None
    if state is None or state.head.source != source or (plan.parent and state.head.parent != plan.parent):
        return None
    return state


def remember(directory: Path, head: StateHead, records: bytes, *, before: FileId | None) -> None:
    """Write the state of a committed copy; that of the copy ``before`` it is not needed any more. Raises OSError."""
    write_state(state_path(directory, head.source, head.parent), head, records)
    if before is not None:
        state_path(directory, head.source, before).unlink(missing_ok=True)
    drop_old_states(directory, head.source)
