"""What the parameters of restore jobs are called, and what they say of the source that was chosen."""

from __future__ import annotations

from typing import Any, Final

from jobs.restore_sources import Chosen

SOURCE: Final = "source"
"""Parameter of a restore job: the :class:`~jobs.rules.restore_source.SourceKind` it reads."""
SOURCE_REASON: Final = "source_reason"
CHOSEN_COPY: Final = "chosen_copy"
"""Parameter: the id of the copy a person chose; missing = RULES V1 decided."""
IN_PLACE: Final = "in_place"
"""Parameter: the files go back to the paths they came from, on a node that reaches the live data."""
EXPECTED: Final = "expected"
"""Parameter: ``files`` and ``bytes`` that a dry run counted, for the progress."""
DESTINATION: Final = "file_server"
"""Parameter of a restore of dumps: ``id`` and ``name`` of the NDMP file server that writes the files."""
DIRECT: Final = "direct"
"""Parameter of a restore of dumps: chosen files are read where they are in the images."""
LIVE: Final = "/"
"""The target of a restore in place: stored paths are the live ones."""


def columns(chosen: Chosen) -> dict[str, Any]:
    """Columns of the job's row."""
    found = chosen.source
    return {
        "copy": found.copy,
        "media_label": found.backup_copy.media.name if found.backup_copy else "",
        "backup_copy": found.backup_copy,
        "replica": found.replica,
    }


def told(chosen: Chosen) -> dict[str, str]:
    """Parameters."""
    return {SOURCE: chosen.source.kind.value, SOURCE_REASON: chosen.reason}
