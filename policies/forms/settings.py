"""The form of the installation's settings."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms

from policies import audit
from policies.forms.service_form import ServiceForm
from policies.models import Installation, Weekday
from policies.services import update_settings


class SettingsForm(ServiceForm):
    """How days, weeks and months are counted."""

    time_zone = forms.ChoiceField(
        help_text="Days, weeks and months of selection rules and retention begin and end in this zone. Each schedule "
        "names its own."
    )
    week_start = forms.TypedChoiceField(
        label="Weeks start on",
        choices=Weekday.choices,
        coerce=int,
        help_text="For the first or last full of a week, in selection rules and extended retention.",
    )

    def __init__(self, *args: Any, instance: Installation, **kwargs: Any) -> None:
        initial = {"time_zone": instance.time_zone, "week_start": instance.week_start}
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        zones = sorted(available_timezones() | {instance.time_zone})
        self.fields["time_zone"].choices = [(zone, zone) for zone in zones]  # type: ignore[attr-defined]

    def save(self, *, user: audit.Actor) -> Installation | None:
        """The saved settings; None when something was refused, which the form then shows."""
        values: dict[str, Any] = self.cleaned_data
        return self.try_to_save(lambda: update_settings(user=user, **values))
