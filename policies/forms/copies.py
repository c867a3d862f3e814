"""The form of a copy of a storage policy: what it is, where it lies, what feeds it, how long it keeps."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from policies import audit
from policies.forms.choices import CopyField, media_field, nodes_field
from policies.forms.retention import (
    FIGURES,
    extended_fields,
    retention_fields,
    retention_initial,
    retention_sections,
    typed_retention,
)
from policies.forms.service_form import Section, ServiceForm, described_choice, kind_field
from policies.models import Copy, CopyKind, FileServer, StoragePolicy
from policies.models.policy_choices import BACKUP_KINDS
from policies.services import create_copy, update_copy

AGENTS_HELP: Final = (
    "Nodes that may do the copying when neither the subclient nor its file server names any, and that are preferred "
    "when they do. None chosen: any node."
)
_KINDS: Final = {
    CopyKind.PRIMARY_BACKUP: "The data of the snapshots on a medium, in a repository any restic reads.",
    CopyKind.SECONDARY_BACKUP: "The same data once more on another medium.",
    CopyKind.SECONDARY_SNAP: "The snapshots themselves, sent to another file server of the same engine.",
}
_OWN: Final = ("name", "media", "target_server", "source", "media_agents", "is_active", "precedence")


class CopyForm(ServiceForm):
    """Add a copy to ``policy``, or edit ``instance``, which stays of its kind. ``kind``: asked for in the address."""

    name = forms.CharField(max_length=64, help_text="Unique in the policy: backup, offsite.")
    media_agents = nodes_field(label="Media agents", help_text=AGENTS_HELP)
    is_active = forms.BooleanField(
        label="Active",
        required=False,
        help_text="Off: it receives nothing and nothing waits for it. What it holds stays, ages and can be restored.",
    )

    def __init__(
        self,
        *args: Any,
        policy: StoragePolicy,
        instance: Copy | None = None,
        kind: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.policy = policy
        self.instance = instance
        typed: dict[str, Any] = kwargs.pop("initial", None) or {}
        super().__init__(*args, **kwargs)
        self.kind = CopyKind(instance.kind) if instance else self._choose_kind(typed.get("kind") or kind)
        self._add_place()
        self.fields.update(retention_fields(self.kind))
        if self.is_backup:
            self.fields.update(extended_fields())
        self.initial = self._stored() | {
            name: value for name, value in typed.items() if value is not None or name not in FIGURES
        }
        if self.initial["retention"] not in dict(self.fields["retention"].choices):  # type: ignore[attr-defined]
            self.initial["retention"] = retention_initial(None, self.kind)["retention"]

    @property
    def is_backup(self) -> bool:
        return self.kind in BACKUP_KINDS

    def sections(self) -> list[Section]:
        where = Section(title="", fields=self.some("kind", "name", "media", "target_server", "source"))
        work = Section(title="Who works on it", fields=self.some("media_agents", "precedence", "is_active"))
        return [where, *retention_sections(self), work]

    def values(self) -> dict[str, Any]:
        """What was typed, as :func:`policies.services.update_copy` and the preview of deletions take it."""
        own = {name: self.cleaned_data[name] for name in _OWN if self.cleaned_data.get(name) not in {None, ""}}
        empty = {name: None for name in ("source",) if name in self.cleaned_data and name not in own}
        return own | empty | typed_retention(self.cleaned_data)

    def save(self, *, user: audit.Actor) -> Copy | None:
        """The saved copy; None when something was refused, which the form then shows."""
        values = self.values()
        if self.instance:
            copy = self.instance
            return self.try_to_save(lambda: update_copy(copy, user=user, **values))
        return self.try_to_save(lambda: create_copy(self.policy, user=user, kind=self.kind, **values))

    def _choose_kind(self, asked: str | None) -> CopyKind:
        """Adds the choice, too. What was posted, else typed before or asked for, else the first there is."""
        has_primary = self.policy.copies.filter(kind=CopyKind.PRIMARY_BACKUP).exists()
        backup = CopyKind.SECONDARY_BACKUP if has_primary else CopyKind.PRIMARY_BACKUP
        offered = (backup, CopyKind.SECONDARY_SNAP)
        choices = [(kind.value, described_choice(kind.label, _KINDS[kind])) for kind in offered]
        self.fields["kind"] = kind_field(label="Kind", help_text="It cannot change afterwards.", choices=choices)
        self.fields["kind"].required = False
        posted = self.data.get(self.add_prefix("kind")) if self.is_bound else None
        chosen = next((kind for word in (posted, asked) for kind in offered if kind == word), backup)
        self.kind_name = chosen.value
        return chosen

    def _add_place(self) -> None:
        if self.is_backup:
            help_text = "Where this copy lies. It cannot change once something was copied."
            self.fields["media"] = media_field(required=True, help_text=help_text)
        elif self.kind == CopyKind.SECONDARY_SNAP:
            self.fields["target_server"] = self._target_field()
        if self.kind == CopyKind.SECONDARY_BACKUP:
            self.fields["source"] = self._source_field(
                [CopyKind.PRIMARY_BACKUP, CopyKind.SECONDARY_BACKUP],
                empty="The snapshots, like the primary",
                help_text="From a backup copy only what is missing moves, from repository to repository, and the file "
                "server is not read again. From the snapshots it does not depend on the other copy's medium.",
            )
        elif self.kind == CopyKind.SECONDARY_SNAP:
            self.fields["source"] = self._source_field(
                [CopyKind.SECONDARY_SNAP],
                empty="The primary snap copy",
                help_text="Another secondary snap copy makes a chain: the snapshots go on from there.",
            )
        if self.instance and self.kind != CopyKind.PRIMARY_SNAP:
            self.fields["precedence"] = forms.IntegerField(
                min_value=1,
                help_text="A restore reads the lowest that has the data. Snapshots come before media.",
            )

    def _source_field(self, kinds: list[CopyKind], *, empty: str, help_text: str) -> CopyField:
        copies = Copy.objects.filter(policy=self.policy, kind__in=kinds)
        if self.instance:
            copies = copies.exclude(pk=self.instance.pk)
        return CopyField(label="Fed from", queryset=copies, required=False, empty_label=empty, help_text=help_text)

    def _target_field(self) -> forms.ModelChoiceField[FileServer]:
        servers = FileServer.objects.all()
        engines = set(self.policy.subclients.values_list("file_server__engine", flat=True))
        if engines:
            servers = servers.filter(engine__in=engines).exclude(subclients__policy=self.policy)
        return forms.ModelChoiceField(
            label="Target file server",
            queryset=servers,
            empty_label="Choose a file server",
            help_text="Of the same snapshot engine, on other storage. The snapshots arrive in its snapshot area.",
        )

    def _stored(self) -> dict[str, Any]:
        copy = self.instance
        initial: dict[str, Any] = {"is_active": True, "kind": self.kind.value} | retention_initial(copy, self.kind)
        if copy is None:
            if self.kind == CopyKind.SECONDARY_BACKUP:
                initial["source"] = self.policy.copies.get(kind=CopyKind.PRIMARY_BACKUP).pk
            return initial
        return initial | {
            "name": copy.name,
            "media": copy.media_id,
            "target_server": copy.target_server_id,
            "source": copy.source_id,
            "media_agents": list(copy.media_agents.values_list("pk", flat=True)),
            "is_active": copy.is_active,
            "precedence": copy.precedence,
        }
