"""How many readers, threads and bytes of buffer a copy takes, from its settings and the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from ...media.wrapping import DEFAULT_TRANSFERS
from ...plan import CopySettings

BATCH_FILES: Final = 256
BATCH_BYTES: Final = 4 << 20
LARGE_FILE_BYTES: Final = 16 << 20
"""Files above this are read in windows and processed by threads."""
WINDOW_BYTES: Final = 4 << 20
SLICE_ENTRIES: Final = 512
"""A directory with more entries than twice this may be shared out between workers in slices of this size."""
MAX_CHUNK_BYTES: Final = 8 << 20
_PACKS_FILLED: Final = 2
"""The data and the tree pack of a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """``readers`` processes with ``threads`` each for large files, which share ``windows`` buffers.

    ``writers``: so many full packs of each reader may be on their way to the medium.
    """

    readers: int
    threads: int
    windows: int
    writers: int


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))


def sizing(settings: CopySettings, *, transfers: int = DEFAULT_TRANSFERS) -> Sizing:
    """Readers as asked (None = one per core), reduced until their buffers fit ``memory_bytes``; never below one.

    ``transfers`` are those the medium is worth. What memory the windows leave is for packs on their way.
    """
    cores = usable_cores()
    readers = max(1, settings.readers if settings.readers is not None else cores)
    fixed = (_PACKS_FILLED + 1) * settings.pack_bytes + 2 * BATCH_BYTES + LARGE_FILE_BYTES
    window = WINDOW_BYTES + MAX_CHUNK_BYTES
    while readers > 1 and readers * (fixed + 2 * window) > settings.memory_bytes:
        readers -= 1
    spare = settings.memory_bytes // readers - fixed
    windows = max(2, min(cores + 1, spare // window))
    more = max(0, spare - windows * window) // settings.pack_bytes
    writers = max(1, min(transfers, DEFAULT_TRANSFERS + more))
    return Sizing(readers=readers, threads=max(1, min(cores, windows)), windows=windows, writers=writers)
