"""Settings of the whole installation: the time zone and the start of the week, by which periods are counted."""

from __future__ import annotations

from typing import TypedDict, Unpack
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError

from policies import audit
from policies.models import Installation
from policies.services import writing


class SettingsValues(TypedDict, total=False):
    time_zone: str
    week_start: int


def update_settings(*, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[SettingsValues]) -> Installation:
    """Days, weeks and months of selection and retention are counted anew from the next look on (RULES B3).

    Schedules keep the zone that each of them names. Raises ValidationError.
    """
    if "time_zone" in values and values["time_zone"] not in available_timezones():
        raise ValidationError({"time_zone": ["There is no such time zone. Type a name like Europe/Berlin or UTC."]})
    return writing.update(Installation.objects.get(pk=1), values=values, user=user, how=how)
