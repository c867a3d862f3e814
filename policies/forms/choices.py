"""Fields that choose other objects, with the words that are the same on every form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms

from policies.forms.service_form import REFETCH
from policies.models import AccessNode, Copy, FileServer, Media, StoragePolicy

if TYPE_CHECKING:
    AnyCopyField = forms.ModelChoiceField[Copy]
    NodesField = forms.ModelMultipleChoiceField[AccessNode]
    PolicyField = forms.ModelChoiceField[StoragePolicy]
    MediaField = forms.ModelChoiceField[Media]
    FileServerField = forms.ModelChoiceField[FileServer]
else:
    AnyCopyField = forms.ModelChoiceField


class CopyField(AnyCopyField):
    """A choice among the copies of one policy, by name and kind."""

    def label_from_instance(self, obj: Copy) -> str:
        return f"{obj.name} ({obj.get_kind_display().lower()})"


def nodes_field(*, label: str, help_text: str) -> NodesField:
    """Any number of access nodes, as check boxes."""
    return forms.ModelMultipleChoiceField(
        label=label,
        help_text=help_text,
        required=False,
        queryset=AccessNode.objects.all(),
        widget=forms.CheckboxSelectMultiple,
    )


def policy_field() -> PolicyField:
    return forms.ModelChoiceField(
        label="Storage policy",
        help_text="Says where the snapshots of this subclient and their copies go.",
        queryset=StoragePolicy.objects.all(),
        empty_label="Choose a policy",
    )


def media_field(*, required: bool, help_text: str, empty_label: str = "Choose a medium") -> MediaField:
    return forms.ModelChoiceField(
        label="Medium", help_text=help_text, queryset=Media.objects.all(), required=required, empty_label=empty_label
    )


def file_server_field(*, refetches: bool = False) -> FileServerField:
    """``refetches``: another choice fetches the form again, which may offer other things for it."""
    return forms.ModelChoiceField(
        label="File server",
        queryset=FileServer.objects.all(),
        empty_label="Choose a file server",
        widget=forms.Select(attrs=REFETCH if refetches else {}),
    )
