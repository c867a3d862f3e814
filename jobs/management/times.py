"""Times on the command line: what ``--at`` takes."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from jobs.management.cli import ExitCode


def moment_at(text: str) -> datetime:
    """A day stands for its end; a time without a zone is one of this installation's."""
    try:
        found, day = parse_datetime(text), parse_date(text)
    except ValueError:
        found, day = None, None
    if day is not None:
        found = datetime(day.year, day.month, day.day) + timedelta(days=1, microseconds=-1)  # noqa: DTZ001 - made aware below
    if found is None:
        raise CommandError(
            f"--at: “{text}” is no time. Write it like 2026-01-31 or 2026-01-31T20:00.", returncode=int(ExitCode.USAGE)
        )
    return found if timezone.is_aware(found) else timezone.make_aware(found)
