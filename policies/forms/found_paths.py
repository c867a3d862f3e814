"""The file systems or volumes that the last Test of a file server found, as check boxes beside what is typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.safestring import SafeString

from policies.forms.service_form import ServiceForm, described_choice
from policies.models import FileServer
from policies.resolve import facts_found, found_label, is_dump_stream
from snapcopy_site.lib.templatetags.units import bytes_text, relative

FOUND: Final = "found_paths"
_USUAL: Final = frozenset({"", "online", "mounted"})
MOST_OFFERED: Final = 200
"""More are only offered while they are typed."""


def offer_found(form: ServiceForm, server: FileServer) -> None:
    """Put them into a subclient's form, above its content paths, with those ticked that it has."""
    paths = form.fields["content_paths"]
    found = [one for one in facts_found(server).get("file_systems") or () if str(one["path"]).startswith("/")]
    if is_dump_stream(server.engine):
        example = str(found[0]["path"]) if found else "/vol/vol1"
        paths.widget.attrs["placeholder"] = example
        paths.help_text = (
            f"What is protected, one path a line, as the file server calls it: {example}. Each is a dump with levels "
            "of its own, and everything below is included."
        )
    if not found:
        paths.help_text += " Press Test on the file server’s page first: then they can be chosen here."
        return
    offered = found[:MOST_OFFERED]
    if not is_dump_stream(server.engine):
        paths.widget.attrs["placeholder"] = f"{offered[0]['path']}/projects"
    form.fields[FOUND] = forms.MultipleChoiceField(
        label=found_label(server),
        required=False,
        choices=[(one["path"], _described(one)) for one in offered],
        widget=forms.CheckboxSelectMultiple,
        help_text=_when(server, len(found)),
    )
    form.order_fields([FOUND])  # cleaned before the paths that are typed
    paths.label, paths.required = "Other content paths", False
    if not form.is_bound and FOUND not in form.initial:
        names = {str(one["path"]) for one in offered}
        stored = str(form.initial.get("content_paths", "")).splitlines()
        form.initial[FOUND] = [path for path in stored if path in names]
        form.initial["content_paths"] = "\n".join(path for path in stored if path not in names)


def _described(one: Mapping[str, Any]) -> SafeString:
    """“dump, 1.20 TiB, 430 GiB used”; only what the file server told."""
    said = [str(one["kind"])] if one.get("kind") else []
    if one.get("total_bytes") is not None:
        said.append(bytes_text(one["total_bytes"]))
    if one.get("used_bytes") is not None:
        said.append(f"{bytes_text(one['used_bytes'])} used")
    if one.get("snapshots"):
        said.append(f"{one['snapshots']:,} snapshot{'' if one['snapshots'] == 1 else 's'}")
    if str(one.get("status") or "").lower() not in _USUAL:
        said.append(str(one["status"]))
    return described_choice(str(one["path"]), ", ".join(said))


def _when(server: FileServer, count: int) -> str:
    when = relative(server.last_tested_at) if server.last_tested_at else ""
    text = f"What the last Test of {server.name} found{f', {when}' if when else ''}."
    return text if count <= MOST_OFFERED else f"{text} These are the first {MOST_OFFERED} of {count}; type the others."
