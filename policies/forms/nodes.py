"""The form of an access node."""

from __future__ import annotations

from typing import Any

from django import forms

from policies import audit
from policies.forms.service_form import ServiceForm
from policies.models import AccessNode
from policies.services import update_node


class NodeForm(ServiceForm):
    """Edit a node. Nodes are not created here: a node appears when its worker starts."""

    slots = forms.IntegerField(
        min_value=1,
        max_value=64,
        help_text="Jobs it runs at the same time. Half of its cores is a good start; slow storage takes more.",
    )
    address = forms.CharField(
        max_length=255,
        required=False,
        help_text="Name or IP address at which other access nodes reach it, for snapshots that go from one node to "
        "another. Empty: the host name that it reports.",
    )
    is_draining = forms.BooleanField(
        label="Draining", required=False, help_text="Finishes what it runs and takes nothing new: before maintenance."
    )
    is_enabled = forms.BooleanField(
        label="Enabled", required=False, help_text="Off: it is never chosen, even when it is the only one."
    )

    def __init__(self, *args: Any, instance: AccessNode, **kwargs: Any) -> None:
        self.instance = instance
        initial = {name: getattr(instance, name) for name in ("slots", "address", "is_draining", "is_enabled")}
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)

    def save(self, *, user: audit.Actor) -> AccessNode | None:
        """The saved node; None when something was refused, which the form then shows."""
        values: dict[str, Any] = self.cleaned_data
        return self.try_to_save(lambda: update_node(self.instance, user=user, **values))
