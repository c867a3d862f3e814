"""The form of a blackout window."""

from __future__ import annotations

from typing import Any

from django import forms

from policies import audit
from policies.forms.recurrence_choices import zone_choices
from policies.forms.service_form import ServiceForm
from policies.models import BlackoutWindow, Installation, ScheduledOperation, Weekday
from policies.services import create_blackout_window, update_blackout_window

_NAMES = ("name", "operations", "days", "starts_at", "ends_at", "time_zone", "is_active")


class BlackoutForm(ServiceForm):
    """Add a window, or edit ``instance``."""

    name = forms.CharField(max_length=64, help_text="Short: office-hours, month-end. No spaces.")
    operations = forms.MultipleChoiceField(
        label="What does not start",
        required=False,
        choices=ScheduledOperation.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: nothing starts. What runs already goes on, and what a person starts, starts.",
    )
    days = forms.TypedMultipleChoiceField(
        label="On the days", coerce=int, choices=Weekday.choices, widget=forms.CheckboxSelectMultiple
    )
    starts_at = forms.TimeField(label="From", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    ends_at = forms.TimeField(
        label="To",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="Not later than “From”: of the next day.",
    )
    time_zone = forms.ChoiceField()
    is_active = forms.BooleanField(label="Active", required=False, help_text="Off: the window holds nothing back.")

    def __init__(self, *args: Any, instance: BlackoutWindow | None = None, **kwargs: Any) -> None:
        self.instance = instance
        installation = Installation.objects.filter(pk=1).first()
        initial: dict[str, Any] = {
            "is_active": True,
            "days": [0, 1, 2, 3, 4],
            "time_zone": installation.time_zone if installation else "UTC",
        }
        if instance:
            initial = {name: getattr(instance, name) for name in _NAMES}
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        zones = self.fields["time_zone"]
        if isinstance(zones, forms.ChoiceField):
            zones.choices = zone_choices(present=str(self.initial["time_zone"]))

    def save(self, *, user: audit.Actor) -> BlackoutWindow | None:
        """The saved window; None when something was refused, which the form then shows."""
        values: dict[str, Any] = self.cleaned_data
        if self.instance:
            window = self.instance
            return self.try_to_save(lambda: update_blackout_window(window, user=user, **values))
        return self.try_to_save(lambda: create_blackout_window(user=user, **values))
