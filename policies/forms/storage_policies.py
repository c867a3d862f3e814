"""The forms of storage policies and their copies."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction

from policies import audit
from policies.forms.choices import media_field, nodes_field
from policies.forms.service_form import Section, ServiceForm
from policies.models import Copy, StoragePolicy
from policies.services import create_copy, create_policy, update_copy, update_policy

AGENTS_HELP = (
    "Nodes that may do the copying when neither the subclient nor its file server names any, and that are preferred "
    "when they do. None chosen: any node."
)
FIRST_COPY_NAME = "backup"


class PolicyForm(ServiceForm):
    """Create a policy with, if a medium is chosen, its first backup copy; or edit ``instance``."""

    name = forms.CharField(max_length=64, help_text="Short: gold, nightly-offsite. No spaces.")
    description = forms.CharField(required=False, help_text="For people only.")
    is_inline = forms.BooleanField(
        label="Copy right after each snapshot",
        required=False,
        help_text="Inline: the backup copies are part of the snapshot job. Off: they are started with Copy now or by "
        "a script. A failed copy never fails the snapshot.",
    )
    is_active = forms.BooleanField(
        label="Active", required=False, help_text="Off: nothing is snapped or copied under this policy."
    )

    def __init__(self, *args: Any, instance: StoragePolicy | None = None, **kwargs: Any) -> None:
        self.instance = instance
        names = ("name", "description", "is_inline", "is_active")
        initial: dict[str, Any] = {"is_active": True, "is_inline": True, "copy_name": FIRST_COPY_NAME}
        if instance:
            initial = {name: getattr(instance, name) for name in names}
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        if instance is None:
            self._add_first_copy()

    def sections(self) -> list[Section]:
        sections = [Section(title="", fields=self.some("name", "description", "is_inline", "is_active"))]
        if self.instance is None:
            sections.append(
                Section(
                    title="First backup copy",
                    text="Where the data of the snapshots is copied. More copies can be added afterwards.",
                    fields=self.some("media", "copy_name", "media_agents"),
                )
            )
        return sections

    def save(self, *, user: audit.Actor) -> StoragePolicy | None:
        """The saved policy; None when something was refused, which the form then shows."""
        values: dict[str, Any] = {
            name: self.cleaned_data[name] for name in ("name", "description", "is_inline", "is_active")
        }
        if self.instance:
            policy = self.instance
            return self.try_to_save(lambda: update_policy(policy, user=user, **values))
        return self.try_to_save(lambda: self._create(user, values))

    def _create(self, user: audit.Actor, values: Any) -> StoragePolicy:
        with transaction.atomic():
            policy = create_policy(user=user, **values)
            if self.cleaned_data["media"]:
                create_copy(
                    policy,
                    user=user,
                    name=self.cleaned_data["copy_name"] or FIRST_COPY_NAME,
                    media=self.cleaned_data["media"],
                    media_agents=self.cleaned_data["media_agents"],
                )
        return policy

    def _add_first_copy(self) -> None:
        self.fields["media"] = media_field(
            required=False, help_text="Each copy goes to one medium.", empty_label="None yet: snapshots only"
        )
        self.fields["copy_name"] = forms.CharField(
            label="Name of the copy", required=False, max_length=64, help_text="Unique in the policy."
        )
        self.fields["media_agents"] = nodes_field(label="Media agents", help_text=AGENTS_HELP)


class CopyForm(ServiceForm):
    """Add a backup copy to ``policy``, or edit ``instance``; the primary snap copy has no medium."""

    name = forms.CharField(max_length=64, help_text="Unique in the policy: backup, offsite.")
    media_agents = nodes_field(label="Media agents", help_text=AGENTS_HELP)
    is_active = forms.BooleanField(
        label="Active", required=False, help_text="Off: it receives nothing, and no snapshot waits for it."
    )

    def __init__(self, *args: Any, policy: StoragePolicy, instance: Copy | None = None, **kwargs: Any) -> None:
        self.policy = policy
        self.instance = instance
        initial: dict[str, Any] = {"is_active": True}
        if instance:
            initial = {
                "name": instance.name,
                "media": instance.media_id,
                "media_agents": list(instance.media_agents.values_list("pk", flat=True)),
                "is_active": instance.is_active,
            }
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        if instance is None or instance.is_backup:
            help_text = "Where this copy lies. It cannot change once something was copied."
            self.fields["media"] = media_field(required=True, help_text=help_text)
            self.order_fields(["name", "media"])

    def save(self, *, user: audit.Actor) -> Copy | None:
        """The saved copy; None when something was refused, which the form then shows."""
        values: dict[str, Any] = dict(self.cleaned_data)
        if self.instance:
            copy = self.instance
            return self.try_to_save(lambda: update_copy(copy, user=user, **values))
        return self.try_to_save(lambda: create_copy(self.policy, user=user, **values))
