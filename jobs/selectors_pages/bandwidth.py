"""The bandwidth limits in force, in words: on the card of a running job, and on the page of a medium."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.utils import timezone

from jobs.models import Job, JobState
from jobs.rules.bandwidth import InForce, rate_text
from jobs.services.medium_turns import jobs_using, media_of
from policies.models import Media
from policies.resolve import bandwidth_now

_SOON: Final = timedelta(hours=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitShown:
    """One medium of a job whose bandwidth is limited now. ``sharing``: jobs that use it at once, this one too."""

    medium: str
    text: str
    sharing: int


def limits_in_force(job: Job) -> list[LimitShown]:
    """Of the media that a running job uses; one query where none of them has a limit."""
    if job.state != JobState.RUNNING:
        return []
    shown = []
    for media in Media.objects.filter(pk__in=media_of(job)).order_by("name"):
        limit = bandwidth_now(media)
        if limit.bytes_per_second is not None:
            shown.append(LimitShown(medium=media.name, text=limit_text(limit), sharing=jobs_using(media.pk)))
    return shown


def limit_text(limit: InForce) -> str:
    """“limited to 20 MiB/s until 18:00”, in the current time zone; with the day where it is not soon."""
    text = "not limited" if limit.bytes_per_second is None else f"limited to {rate_text(limit.bytes_per_second)}"
    if limit.until is None:
        return text
    until = timezone.localtime(limit.until)
    is_soon = limit.until - timezone.now() < _SOON
    return f"{text} until {until:%H:%M}" if is_soon else f"{text} until {until:%a %H:%M}"
