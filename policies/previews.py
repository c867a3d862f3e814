"""What an edit of the configuration would delete, before it is saved (RULES R9).

Who knows the snapshots and backup copies is :mod:`jobs`, which configuration never imports: it gives its calculation
here once Django is ready (``set_provider``). This module only says what is asked and answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from policies.models import Copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """One item that would go. ``kind`` is what people call it: “backup copy”, “snapshot”, “secondary snapshot”.

    ``label`` names it and its subclient, ``at`` is the moment it was taken (None = unknown), ``reason`` a sentence.
    """

    kind: str
    label: str
    at: datetime | None
    reason: str


Provider = Callable[[Copy, Mapping[str, object]], list[Deletion]]


def _nothing(_copy: Copy, _changes: Mapping[str, object]) -> list[Deletion]:
    return []


_provider: list[Provider] = [_nothing]


def set_provider(provider: Provider) -> None:
    """Who calculates from now on; called once, when Django is ready."""
    _provider[0] = provider


def deletions_of_edit(*, copy: Copy, changes: Mapping[str, object]) -> list[Deletion]:
    """What the next aging would delete if ``changes`` were saved, and would not delete without them; oldest first.

    ``changes`` are fields of the copy by name: ``retention``, ``retention_days``, ``retention_cycles``,
    ``retention_count``, ``ages``, ``is_active``, and ``extended``: a sequence of mappings of ``period``, ``pick`` and
    ``days``. Fields that are not named stay as they are. Nothing is written. A copy that is not saved yet has nothing.
    """
    if copy._state.adding:
        return []
    return _provider[0](copy, changes)
