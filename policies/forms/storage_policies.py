"""The form of a storage policy; its copies have their own (``copies``)."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.db import transaction

from policies import audit
from policies.forms.choices import CopyField, media_field, nodes_field
from policies.forms.copies import AGENTS_HELP
from policies.forms.retention import (
    DEFAULT_CYCLES,
    DEFAULT_DAYS,
    DEFAULT_SNAP_DAYS,
    ConditionalChoice,
    retention_fields,
    typed_retention,
)
from policies.forms.service_form import Section, ServiceForm, described_choice
from policies.models import CatalogMode, CopyKind, OverdueAction, Period, Retention, Selection, StoragePolicy, Subclient
from policies.services import create_copy, create_policy, update_copy, update_policy

FIRST_COPY_NAME: Final = "backup"
_NAMES: Final = (
    "name",
    "description",
    "is_inline",
    "is_active",
    "catalog",
    "selection",
    "selection_period",
    "selection_starts_on",
    "defer_days",
    "alert_after_hours",
    "overdue_after_days",
    "overdue_action",
    "offline_attempts",
    "offline_days",
)
_SELECTIONS: Final = {
    Selection.ALL: "Every snapshot gets a backup copy.",
    Selection.FULLS: "Only snapshots that ran as full.",
    Selection.FIRST: "One full of each hour, day, week or longer: the first.",
    Selection.LAST: "One full of each period: the last. It is a candidate until the period is over.",
}

_CATALOG_LABELS: Final = {
    CatalogMode.INLINE: "At once",
    CatalogMode.DEFERRED: "Later, by a schedule",
    CatalogMode.SKIP: "Not at all",
}
_CATALOGS: Final = {
    CatalogMode.INLINE: "A phase of the job: files can be browsed and searched as soon as it is over.",
    CatalogMode.DEFERRED: "A schedule of the kind “Deferred catalog” does it, so that snapshots are quick.",
    CatalogMode.SKIP: "Files are found by reading the repository, folder by folder. It can be made up for later.",
}


class PolicyForm(ServiceForm):
    """Create a policy with, if a medium is chosen, its first backup copy; or edit ``instance``."""

    name = forms.CharField(max_length=64, help_text="Short: gold, nightly-offsite. No spaces.")
    description = forms.CharField(required=False, help_text="For people only.")
    is_active = forms.BooleanField(
        label="Active", required=False, help_text="Off: nothing is snapped or copied under this policy."
    )
    is_inline = forms.BooleanField(
        label="Copy right after each snapshot",
        required=False,
        help_text="Inline: the backup copies are part of the snapshot job. Off: they run later, by a schedule, "
        "with Copy now or by a script. A failed copy never fails the snapshot.",
    )
    catalog = forms.ChoiceField(
        label="Catalog",
        choices=[(mode.value, described_choice(_CATALOG_LABELS[mode], _CATALOGS[mode])) for mode in CatalogMode],
        widget=forms.RadioSelect,
    )
    selection = forms.ChoiceField(
        label="Copy",
        choices=[(kind.value, described_choice(kind.label, _SELECTIONS[kind])) for kind in Selection],
        widget=forms.RadioSelect,
    )
    selection_period = ConditionalChoice(
        label="Period", choices=[("", "Choose a period"), *Period.choices], required=False
    )
    selection_starts_on = forms.DateField(
        label="Start date",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Snapshots from before that day are not copied. Empty: all.",
    )
    defer_days = forms.IntegerField(
        label="Defer by days",
        min_value=0,
        max_value=365,
        help_text="A snapshot is copied so many days later. 0: at once.",
    )
    alert_after_hours = forms.IntegerField(
        label="Alert after hours", min_value=1, max_value=10_000, help_text="A selected snapshot still waits then."
    )
    overdue_after_days = forms.IntegerField(label="Overdue after days", min_value=1, max_value=1000)
    overdue_action = forms.ChoiceField(
        label="Then",
        choices=OverdueAction.choices,
        help_text="Alert only: an alarm; it stays held and is copied when it can be. Skip: all but the newest are "
        "given up. Keep waiting: it is held as long as it takes, without an alarm.",
    )
    offline_attempts = forms.IntegerField(label="Attempts", min_value=1, max_value=1000)
    offline_days = forms.IntegerField(label="Days", min_value=0, max_value=365)

    def __init__(self, *args: Any, instance: StoragePolicy | None = None, **kwargs: Any) -> None:
        self.instance = instance
        initial: dict[str, Any] = {name: getattr(instance or StoragePolicy(), name) for name in _NAMES}
        if instance:
            initial["backup_source"] = instance.backup_source_id
            initial["allow_primary"] = instance.allow_primary
            initial["excluded_subclients"] = list(instance.excluded_subclients.values_list("pk", flat=True))
        else:
            initial |= {"is_inline": True, "copy_name": FIRST_COPY_NAME, "retention": Retention.DAYS, "ages": True}
            initial |= {"retention_days": DEFAULT_SNAP_DAYS, "copy_days": DEFAULT_DAYS, "copy_cycles": DEFAULT_CYCLES}
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        if instance:
            self._add_source(instance)
            self._add_excluded(instance)
        else:
            self._add_first_copies()

    def sections(self) -> list[Section]:
        sections = [
            Section(title="", fields=self.some("name", "description", "is_active")),
            Section(title="Backup copies", fields=self.some("is_inline", "backup_source", "allow_primary")),
        ]
        if self.instance is None:
            sections += self._first_sections()
        return [
            *sections,
            Section(title="How files are found again", fields=self.some("catalog")),
            Section(title="Which snapshots are copied", fields=self.some("selection")),
            Section(title="", fields=self.some("selection_period"), when="period"),
            Section(title="", fields=self.some("selection_starts_on", "defer_days"), is_row=True),
            Section(title="", fields=self.some("excluded_subclients")),
            Section(
                title="When snapshots wait too long",
                fields=self.some("alert_after_hours", "overdue_after_days", "overdue_action"),
                is_row=True,
            ),
            Section(
                title="When a file server is offline",
                text="A snapshot that cannot be read is tried again in later runs, at most so often and so long; then "
                "it is skipped with the reason, and the next one is copied.",
                fields=self.some("offline_attempts", "offline_days"),
                is_row=True,
            ),
        ]

    def save(self, *, user: audit.Actor) -> StoragePolicy | None:
        """The saved policy; None when something was refused, which the form then shows."""
        more = ("backup_source", "allow_primary", "excluded_subclients")
        values: dict[str, Any] = {name: self.cleaned_data[name] for name in _NAMES}
        values |= {name: self.cleaned_data[name] for name in more if name in self.cleaned_data}
        if self.instance:
            policy = self.instance
            return self.try_to_save(lambda: update_policy(policy, user=user, **values))
        return self.try_to_save(lambda: self._create(user, values))

    def _create(self, user: audit.Actor, values: Any) -> StoragePolicy:
        cleaned = self.cleaned_data
        with transaction.atomic():
            policy = create_policy(user=user, **values)
            update_copy(policy.copies.get(), user=user, **typed_retention(cleaned))
            if cleaned["media"]:
                create_copy(
                    policy,
                    user=user,
                    name=cleaned["copy_name"] or FIRST_COPY_NAME,
                    media=cleaned["media"],
                    media_agents=cleaned["media_agents"],
                    retention=Retention.BASIC,
                    retention_days=cleaned["copy_days"],
                    retention_cycles=cleaned["copy_cycles"],
                )
        return policy

    def _first_sections(self) -> list[Section]:
        return [
            Section(title="How long snapshots stay on the file server", fields=self.some("retention")),
            Section(title="", fields=self.some("retention_days"), when="days"),
            Section(title="", fields=self.some("retention_count"), when="count"),
            Section(
                title="First backup copy",
                text="Where the data of the snapshots is copied. More copies, copies that are kept for ever and "
                "extended rules can be added afterwards.",
                fields=self.some("media", "copy_name", "media_agents"),
            ),
            Section(title="", fields=self.some("copy_days", "copy_cycles"), is_row=True),
        ]

    def _add_first_copies(self) -> None:
        self.fields.update(retention_fields(CopyKind.PRIMARY_SNAP))
        del self.fields["ages"]
        self.fields["media"] = media_field(
            required=False, help_text="Each copy goes to one medium.", empty_label="None yet: snapshots only"
        )
        self.fields["copy_name"] = forms.CharField(
            label="Name of the copy", required=False, max_length=64, help_text="Unique in the policy."
        )
        self.fields["media_agents"] = nodes_field(label="Media agents", help_text=AGENTS_HELP)
        self.fields["copy_days"] = forms.IntegerField(
            label="Keep it for days", min_value=0, max_value=100_000, help_text="From the start of the copy's job."
        )
        self.fields["copy_cycles"] = forms.IntegerField(
            label="and cycles", min_value=1, max_value=1000, help_text="A full and everything until the next full."
        )

    def _add_source(self, policy: StoragePolicy) -> None:
        """The choice exists only where there is one."""
        copies = policy.copies.filter(kind=CopyKind.SECONDARY_SNAP)
        if not copies.exists():
            return
        self.fields["backup_source"] = CopyField(
            label="Read from",
            queryset=copies,
            required=False,
            empty_label="The primary snap copy",
            help_text="A secondary snap copy takes the load of copying off the file server. A snapshot that has not "
            "arrived there yet is waited for.",
        )
        self.fields["allow_primary"] = forms.BooleanField(
            label="Read from the primary where the secondary has not got the snapshot",
            required=False,
            help_text="Off: it is never done silently; the snapshot waits.",
        )

    def _add_excluded(self, policy: StoragePolicy) -> None:
        subclients = Subclient.objects.filter(policy=policy).select_related("file_server")
        if subclients.exists():
            self.fields["excluded_subclients"] = forms.ModelMultipleChoiceField(
                label="Excluded subclients",
                queryset=subclients,
                required=False,
                widget=forms.CheckboxSelectMultiple,
                help_text="Their snapshots are taken, but not copied to media.",
            )
