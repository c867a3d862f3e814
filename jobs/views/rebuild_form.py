"""The form that asks for the secrets a kept configuration refers to: they are not kept with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from jobs.engine.plan import Secret
from policies.declared.sealed import Needed
from policies.forms.option_fields import secret_field
from policies.forms.service_form import ServiceForm


class RebuildForm(ServiceForm):
    """One field per secret; what is left empty is left out of the rebuilding."""

    def __init__(self, *args: Any, needed: Sequence[Needed], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._needed = tuple(needed)
        for number, one in enumerate(needed):
            self.fields[f"secret_{number}"] = secret_field(
                label=one.label, help_text="Empty: it is left out, with everything that refers to it."
            )
        self.fields["with_schedules"] = forms.BooleanField(
            label="Switch its schedules on",
            required=False,
            help_text="Off: they come back switched off, and nothing starts by itself until you switch them on.",
        )

    @property
    def typed(self) -> dict[str, Secret]:
        """By :attr:`Needed.key`."""
        given = {one.key: self.cleaned_data.get(f"secret_{number}", "") for number, one in enumerate(self._needed)}
        return {key: Secret(text) for key, text in given.items() if text}
