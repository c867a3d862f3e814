"""The form of a restart policy."""

from __future__ import annotations

from typing import Any

from django import forms

from policies import audit
from policies.forms.service_form import ServiceForm
from policies.models import RestartPolicy
from policies.selectors.restarts import RestartRow
from policies.services import set_restart_policy


class RestartForm(ServiceForm):
    """How often and when a job that met a passing failure is tried again."""

    times = forms.IntegerField(
        label="Retries", min_value=0, max_value=1000, help_text="0 = a passing failure is the end of the job."
    )
    first_seconds = forms.IntegerField(
        label="Seconds before the first", min_value=1, max_value=86400, help_text="Each next wait is twice as long."
    )
    most_seconds = forms.IntegerField(label="Longest wait in seconds", min_value=1, max_value=86400)
    total_hours = forms.IntegerField(
        label="Total running time in hours",
        required=False,
        min_value=1,
        max_value=8760,
        help_text="No retry begins later than this after the launch. Empty = no limit.",
    )

    def __init__(self, *args: Any, row: RestartRow, **kwargs: Any) -> None:
        self.row = row
        initial = {
            "times": row.rule.times,
            "first_seconds": round(row.rule.first_seconds),
            "most_seconds": round(row.rule.most_seconds),
            "total_hours": row.total_hours,
        }
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)

    def save(self, *, user: audit.Actor) -> RestartPolicy | None:
        """The saved row; None when something was refused, which the form then shows."""
        values: dict[str, Any] = self.cleaned_data
        return self.try_to_save(lambda: set_restart_policy(self.row.operation, user=user, **values))
