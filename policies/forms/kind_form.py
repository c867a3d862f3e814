"""Forms of things that have a kind with settings of its own: media and file servers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django import forms

from jobs.engine.options import FieldSpec, field_specs
from jobs.engine.plan import Secret
from policies.forms.option_fields import option_fields, suggest, typed_options, typed_secrets
from policies.forms.service_form import ServiceForm
from policies.services.writing import OPTION_PREFIX

SHOWN_KIND = "shown_kind"
"""Name of the hidden input that tells which kind's fields were on the page."""


class KindForm(ServiceForm):
    """Adds the option fields of the chosen kind. A subclass sets ``kind_name``, then calls ``add_options``."""

    kind_name: str
    kinds: Mapping[str, Any]

    def choose_kind(self, field: str, *, asked: str | None, stored: str | None) -> str:
        """What was posted or typed before, else asked for in the address, else stored, else the first there is."""
        posted = self.data.get(self.add_prefix(field)) if self.is_bound else None
        candidates = (posted, self.initial.get(field), asked, stored, next(iter(self.kinds)))
        return next(str(name) for name in candidates if name in self.kinds)

    def add_options(self, *, stored: Mapping[str, object], stored_secrets: Collection[str]) -> None:
        self.fields.update(option_fields(self.specs, stored=stored, stored_secrets=stored_secrets))

    def suggest(self, found: Mapping[str, Any]) -> None:
        """Offer what the last Test found for single options (``suggestions`` in its facts)."""
        for name, values in (found.get("suggestions") or {}).items():
            if (field := self.fields.get(OPTION_PREFIX + name)) is not None:
                suggest(field, str(self[OPTION_PREFIX + name].auto_id), values)

    def is_as_proposed(self, name: str) -> bool:
        shown = self.kinds.get(self.data.get(SHOWN_KIND, ""))
        fields = option_fields(field_specs(shown.options), stored={}, stored_secrets=()) if shown else {}
        return name in fields and self.data.get(self.add_prefix(name)) == str(fields[name].initial)

    @property
    def kind_label(self) -> str:
        return str(self.kinds[self.kind_name].label)

    @property
    def specs(self) -> tuple[FieldSpec, ...]:
        return field_specs(self.kinds[self.kind_name].options)

    def typed_options(self) -> dict[str, object]:
        return typed_options(self.specs, self.cleaned_data)

    def typed_secrets(self) -> dict[str, Secret]:
        return typed_secrets(self.specs, self.cleaned_data)

    def option_bound_fields(self) -> list[forms.BoundField]:
        return self.starting_with("option_")
