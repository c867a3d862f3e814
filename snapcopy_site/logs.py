"""Log lines as JSON, one object per line, with the job, phase and node they belong to.

``bind(job=…)`` marks every line written inside the block. Nothing here decides what is worth a line.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

_bound: ContextVar[dict[str, str | int]] = ContextVar("snapcopy_log_fields", default={})  # noqa: B039 - never mutated

FIELDS: Final = ("job", "attempt", "phase", "node")
"""Names that may also come with a single record through ``extra=``."""


@contextmanager
def bind(**fields: str | int) -> Iterator[None]:
    """Add fields to every line of this thread or task until the block ends. Never a secret."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonLines(logging.Formatter):
    """``{"at": "2026-01-31T12:00:00.123+00:00", "level": "info", "logger": "jobs.runner", "message": "…", …}``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_bound.get(),
        }
        for name in FIELDS:
            if hasattr(record, name):
                line[name] = getattr(record, name)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def logging_settings(*, level: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error; the supervisor puts it into a file per process."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "snapcopy_site.logs.JsonLines"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            "rq": {"handlers": [], "level": "WARNING", "propagate": True},
        },
    }
