"""Forks of a test process, which other tests leave with threads."""

from __future__ import annotations

import os

from jobs.engine.operations.copy_pipeline.process import let_threads_end


def fork() -> int:
    """Like ``os.fork``, once no thread is ending any more: a child would keep the locks of libraries that one holds."""
    let_threads_end()
    return os.fork()
