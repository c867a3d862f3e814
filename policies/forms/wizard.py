"""The forms of the first three steps: shorter than the full ones, which edit everything afterwards."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction

from policies import audit
from policies.content_paths import cleaned_paths
from policies.forms.media import MediaForm
from policies.forms.retention import DEFAULT_CYCLES, DEFAULT_DAYS, DEFAULT_SNAP_DAYS
from policies.forms.service_form import Section, ServiceForm
from policies.forms.sources import FileServerForm, SubclientForm
from policies.models import FileServer, Media, Retention, StoragePolicy, Subclient
from policies.services import create_copy, create_policy, create_subclient, update_copy

FIRST_COPY_NAME = "backup"


class SourceStepForm(FileServerForm):
    """A file server, and what of it is protected. The paths wait until there is a policy for them."""

    subclient_name = forms.CharField(
        label="Name of the subclient",
        max_length=64,
        help_text="The part that is snapped, copied and restored as one: home, mail, db1.",
    )
    content_paths = SubclientForm.base_fields["content_paths"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("description", "access_nodes", "max_sessions", "max_incrementals", "is_active"):
            del self.fields[name]

    def sections(self) -> list[Section]:
        return [
            Section(title="File server", fields=self.some("name", "engine")),
            Section(title=f"{self.kind_label} settings", fields=self.option_bound_fields()),
            Section(title="What is protected", fields=self.some("subclient_name", "content_paths")),
        ]

    def clean_content_paths(self) -> list[str]:
        return cleaned_paths(self.cleaned_data["content_paths"].splitlines())


class MediaStepForm(MediaForm):
    """A medium, active."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("description", "is_active"):
            del self.fields[name]

    def sections(self) -> list[Section]:
        return [section for section in super().sections() if section.fields]


class PolicyStepForm(ServiceForm):
    """A new policy with one backup copy, or an existing one; saving creates the subclient."""

    existing = forms.ModelChoiceField(
        label="Storage policy",
        queryset=StoragePolicy.objects.filter(is_active=True),
        required=False,
        empty_label="A new one",
        help_text="An existing policy keeps its own copies; the medium of step 2 is then only there.",
    )
    policy_name = forms.CharField(
        label="Name of the new policy", max_length=64, required=False, help_text="Short: gold, nightly. No spaces."
    )
    is_inline = forms.BooleanField(
        label="Copy right after each snapshot",
        required=False,
        help_text="Off: copies are started with Copy now, or by a script.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {"is_inline": True} | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if not StoragePolicy.objects.exists():
            del self.fields["existing"]

    def sections(self) -> list[Section]:
        text = (
            f"A new policy keeps snapshots for {DEFAULT_SNAP_DAYS} days, and backup copies for {DEFAULT_DAYS} days and "
            f"{DEFAULT_CYCLES} cycle: a full with everything that depends on it. Change it afterwards on the policy."
        )
        return [Section(title="The policy", text=text, fields=list(self))]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("existing") and not cleaned.get("policy_name"):
            self.add_error("policy_name", "Type a name for the new policy.")
        return cleaned

    def save(
        self, *, user: audit.Actor, server: FileServer, medium: Media, name: str, paths: list[str]
    ) -> Subclient | None:
        """The new subclient; None when something was refused, which the form then shows."""

        def write() -> Subclient:
            with transaction.atomic():
                policy = self.cleaned_data.get("existing") or self._new_policy(user, medium)
                return create_subclient(user=user, file_server=server, name=name, content_paths=paths, policy=policy)

        return self.try_to_save(write)

    def _new_policy(self, user: audit.Actor, medium: Media) -> StoragePolicy:
        policy = create_policy(
            user=user, name=self.cleaned_data["policy_name"], is_inline=self.cleaned_data["is_inline"]
        )
        update_copy(policy.copies.get(), user=user, retention=Retention.DAYS, retention_days=DEFAULT_SNAP_DAYS)
        create_copy(
            policy,
            user=user,
            name=FIRST_COPY_NAME,
            media=medium,
            retention=Retention.BASIC,
            retention_days=DEFAULT_DAYS,
            retention_cycles=DEFAULT_CYCLES,
        )
        return policy
