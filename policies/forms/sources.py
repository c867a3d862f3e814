"""The forms of file servers and subclients."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django import forms

from jobs.engine.errors import EngineError, InvalidOptions
from jobs.engine.snapshots.registry import ENGINES
from policies import audit
from policies.content_paths import cleaned_paths
from policies.forms.choices import file_server_field, nodes_field, policy_field
from policies.forms.found_paths import offer_found
from policies.forms.kind_form import KindForm
from policies.forms.service_form import Section, ServiceForm, kind_choices, kind_field
from policies.models import FileServer, Subclient
from policies.resolve import build_engine, facts_found, found_label, is_dump_stream
from policies.secrets import secret_fields
from policies.services import create_file_server, create_subclient, update_file_server, update_subclient


class FileServerForm(KindForm):
    """Create a file server, or edit ``instance``. ``kind`` is the engine asked for in the address."""

    kinds = ENGINES

    name = forms.CharField(max_length=64, help_text="Short, as in commands: snapcopy copy NAME/SUBCLIENT. No spaces.")
    description = forms.CharField(required=False, help_text="For people only.")
    access_nodes = nodes_field(
        label="Access nodes",
        help_text="The nodes that reach this data and may work on it. None chosen: the media agents of the policy's "
        "copies, else any node. A subclient may have its own list.",
    )
    max_sessions = forms.IntegerField(
        label="Sessions at the same time",
        min_value=1,
        max_value=64,
        help_text="More jobs on this file server wait, so that copying does not slow its users down.",
    )
    max_incrementals = forms.IntegerField(
        label="Convert to a differential after N incrementals",
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text="The next incremental after so many runs as a differential, and the job says so: a restore then "
        "needs fewer steps. Empty: the engine's own limit, if it has one.",
    )
    is_active = forms.BooleanField(
        label="Active",
        required=False,
        help_text="Off: no snapshot is taken and nothing is copied. Restore still works.",
    )

    def __init__(self, *args: Any, instance: FileServer | None = None, kind: str | None = None, **kwargs: Any) -> None:
        self.instance = instance
        initial: dict[str, Any] = {"is_active": True, "max_sessions": 4}
        if instance:
            names = ("name", "description", "max_sessions", "max_incrementals", "is_active")
            initial = {name: getattr(instance, name) for name in names}
            initial["access_nodes"] = list(instance.access_nodes.values_list("pk", flat=True))
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        stored = instance.engine if instance else None
        self.kind_name = self.choose_kind("engine", asked=kind, stored=stored)
        self.initial["engine"] = self.kind_name
        self.fields["engine"] = kind_field(
            label="Snapshot engine",
            help_text="How a snapshot is taken. Snapshots of one engine cannot be read by another.",
            choices=kind_choices(self.kinds),
        )
        keeps_kind = instance is not None and self.kind_name == stored
        self.add_options(
            stored=instance.options if instance and keeps_kind else {},
            stored_secrets=secret_fields(instance) if instance and keeps_kind else (),
        )
        if instance and keeps_kind:
            self.suggest(facts_found(instance))

    def sections(self) -> list[Section]:
        return [
            Section(title="", fields=self.some("name", "description", "engine")),
            Section(title=f"{self.kind_label} settings", fields=self.option_bound_fields()),
            Section(title="Who works on it", fields=self.some("access_nodes", "max_sessions", "is_active")),
            Section(title="Levels", fields=self.some("max_incrementals")),
        ]

    def save(self, *, user: audit.Actor) -> FileServer | None:
        """The saved file server; None when something was refused, which the form then shows."""
        names = ("name", "description", "engine", "access_nodes", "max_sessions", "max_incrementals", "is_active")
        values: dict[str, Any] = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        values["options"] = self.typed_options()
        secrets = self.typed_secrets()
        if self.instance:
            server = self.instance
            return self.try_to_save(lambda: update_file_server(server, user=user, secrets=secrets, **values))
        return self.try_to_save(lambda: create_file_server(user=user, secrets=secrets, **values))


class SubclientForm(ServiceForm):
    """Create a subclient, or edit ``instance``, whose file server then stays."""

    file_server = file_server_field(refetches=True)
    name = forms.CharField(max_length=64, help_text="Short, unique on its file server: home, mail, db1.")
    description = forms.CharField(required=False, help_text="For people only.")
    content_paths = forms.CharField(
        label="Content paths",
        help_text="What is protected, one absolute path a line. Everything below is included.",
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false", "placeholder": "/srv/data"}),
    )
    policy = policy_field()
    access_nodes = nodes_field(
        label="Access nodes", help_text="None chosen: those of the file server. A list here replaces the server's."
    )
    pre_command = forms.CharField(
        label="Before the snapshot",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
        help_text="A program with its arguments, run on the access node, such as one that puts a database at rest. No "
        "shell reads it. If it fails, no snapshot is taken.",
    )
    post_command = forms.CharField(
        label="After the snapshot",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
        help_text="Runs in any case, also when the snapshot failed.",
    )
    is_active = forms.BooleanField(
        label="Active",
        required=False,
        help_text="Off: no snapshot is taken and nothing is copied. Restore still works.",
    )

    def __init__(self, *args: Any, instance: Subclient | None = None, **kwargs: Any) -> None:
        self.instance = instance
        initial: dict[str, Any] = {"is_active": True}
        if instance:
            names = ("name", "description", "is_active", "pre_command", "post_command")
            initial = {name: getattr(instance, name) for name in names}
            initial |= {
                "file_server": instance.file_server_id,
                "policy": instance.policy_id,
                "content_paths": "\n".join(instance.content_paths),
                "access_nodes": list(instance.access_nodes.values_list("pk", flat=True)),
            }
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        if instance:
            self.fields["file_server"].disabled = True
            self.fields["file_server"].help_text = "A subclient stays on its file server: its snapshots lie there."
        server = self._chosen_server()
        if server is not None and found_label(server):
            offer_found(self, server)

    def sections(self) -> list[Section]:
        return [
            Section(title="", fields=self.some("file_server", "name", "description")),
            Section(title="", fields=self.some("found_paths", "content_paths", "policy")),
            Section(title="Commands around the snapshot", fields=self.some("pre_command", "post_command")),
            Section(title="Who works on it", fields=self.some("access_nodes", "is_active")),
        ]

    def _chosen_server(self) -> FileServer | None:
        """Whose subclient it is, or is going to be, as far as the form knows."""
        if self.instance:
            return self.instance.file_server
        given = self.data.get(self.add_prefix("file_server")) if self.is_bound else self.initial.get("file_server")
        value = str(given or "")
        return FileServer.objects.filter(pk=int(value)).first() if value.isdecimal() and len(value) < 18 else None

    def clean_content_paths(self) -> list[str]:
        chosen = self.cleaned_data.get("found_paths") or []
        return cleaned_paths([*chosen, *self.cleaned_data["content_paths"].splitlines()])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        server, paths = cleaned.get("file_server"), cleaned.get("content_paths")
        if server is not None and paths:
            for message in content_problems(server, paths):
                self.add_error("content_paths", message)
        cleaned.pop("found_paths", None)
        return cleaned

    def save(self, *, user: audit.Actor) -> Subclient | None:
        """The saved subclient; None when something was refused, which the form then shows."""
        values = dict(self.cleaned_data)
        if self.instance:
            subclient = self.instance
            return self.try_to_save(lambda: update_subclient(subclient, user=user, **values))
        return self.try_to_save(lambda: create_subclient(user=user, **values))


def missing_here(paths: Sequence[str]) -> list[str]:
    """Paths that this machine does not have; the access node may."""
    return [path for path in paths if not os.path.lexists(path)]


def content_problems(server: FileServer, paths: Sequence[str]) -> list[str]:
    """What the engine says against the paths that this machine has; the others are judged by the node's first job.

    Paths of a filer are on no machine: they are judged by their form.
    """
    is_away = is_dump_stream(server.engine)
    present = [path for path in paths if is_away or os.path.lexists(path)]
    if not present:
        return []
    try:
        build_engine(server).validate_content(present)
    except InvalidOptions as problem:
        return [f"{problem.sentence} {problem.hint}".strip()]
    except EngineError as error:
        return [f"The file server's engine refuses these paths: {error.sentence} {error.hint}".strip()]
    return []
