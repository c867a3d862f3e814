"""Times on the command line: as they are typed, and as they are printed."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from jobs.management.cli import ExitCode


def moment_at(text: str, *, option: str = "--at", is_start: bool = False) -> datetime:
    """A day stands for its end, or its beginning; a time without a zone is one of this installation's.

    Anything else is a wrong command line, at ``option``.
    """
    try:
        found, day = parse_datetime(text), parse_date(text)
    except ValueError:
        found, day = None, None
    if day is not None:
        end = timedelta() if is_start else timedelta(days=1, microseconds=-1)
        found = datetime(day.year, day.month, day.day) + end  # noqa: DTZ001 - made aware below
    if found is None:
        raise CommandError(
            f"{option}: “{text}” is no time. Write it like 2026-01-31 or 2026-01-31T20:00.",
            returncode=int(ExitCode.USAGE),
        )
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def local_time(moment: datetime) -> str:
    """To the second, in the zone of this installation."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
