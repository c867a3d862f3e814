"""What a dry run found, as the job's result keeps it: figures, space, and the first conflicts (RULES V2)."""

from __future__ import annotations

from jobs.engine.plan import RestoreResult


def findings_of(result: RestoreResult) -> dict[str, object]:
    """JSON-compatible; empty after a restore that wrote. Paths are hexadecimal, times ns since the epoch."""
    found = result.preview
    if found is None:
        return {}
    return {
        "preview": {
            "files_new": result.counters.files_new,
            "files_replaced": result.counters.files_changed - found.alike,
            "files_alike": found.alike,
            "files_same": result.counters.files_unmodified,
            "files_kept": result.files_skipped,
            "directories": result.counters.directories_done,
            "existing": found.existing,
            "newer": found.newer,
            "older": found.older,
            "conflicts_total": found.conflicts_total,
            "conflicts": [
                {
                    "path": conflict.path.hex(),
                    "fate": conflict.fate.value,
                    "size": conflict.size,
                    "mtime_ns": conflict.mtime_ns,
                    "there_size": conflict.there_size,
                    "there_mtime_ns": conflict.there_mtime_ns,
                }
                for conflict in found.conflicts
            ],
            "spaces": [
                {"where": space.where, "needed_bytes": space.needed_bytes, "free_bytes": space.free_bytes}
                for space in found.spaces
            ],
        }
    }
