"""``schedules``: what starts by itself, when next, and what became of the last time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.selectors_pages.schedules import ScheduleRow, schedule_rows


class Command(BaseCommand):
    help = "List the schedules: what each starts, how often, when next, and what became of the last time."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object per schedule, a line each")

    def handle(self, *_args: Any, **options: Any) -> None:
        for row in schedule_rows():
            if options["json"]:
                self.stdout.write(json.dumps(_as_dictionary(row)))
                continue
            following = (
                f"next {row.next_local:%Y-%m-%d %H:%M %Z} ({_utc(row.next_at)} UTC)" if row.next_local else "off"
            )
            last = f", last {_utc(row.last_run.slot)} UTC: {row.last_run.get_state_display()}" if row.last_run else ""
            what = f"{row.schedule.name}: {row.schedule.get_operation_display().lower()} of {row.of}"
            self.stdout.write(f"{what}, {row.words} {row.schedule.time_zone}; {following}{last}")


def _as_dictionary(row: ScheduleRow) -> dict[str, object]:
    """The schedule as scripts see it; names are stable, new ones may come. Times are in UTC."""
    last = row.last_run
    return {
        "schedule": row.schedule.name,
        "operation": row.schedule.operation,
        "of": row.of,
        "cron": row.schedule.cron,
        "time_zone": row.schedule.time_zone,
        "active": row.schedule.is_active,
        "next_at": row.next_at.isoformat() if row.next_at else None,
        "last": {"slot": last.slot.isoformat(), "state": last.state, "sentence": last.sentence} if last else None,
    }


def _utc(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else ""
