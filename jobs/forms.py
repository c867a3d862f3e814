"""Forms of the work: the filter of the jobs list, and what a restore asks."""

from __future__ import annotations

from typing import Any

from django import forms

from jobs.engine.plan import Overwrite
from jobs.models import JobState, Operation
from jobs.selectors_pages.history import Filter
from policies.models import AccessNode, Subclient

STATE_CHOICES = [
    ("", "Any state"),
    ("active", "Not over"),
    ("attention", "Needs attention"),
    ("Exactly", [(state.value, state.label) for state in JobState]),
]


class JobFilterForm(forms.Form):
    """What the list is narrowed to, from the query of the address; a wrong value is an error, not ignored."""

    state = forms.ChoiceField(choices=STATE_CHOICES, required=False)
    operation = forms.ChoiceField(label="Type", choices=[("", "Any type"), *Operation.choices], required=False)
    subclient = forms.ModelChoiceField(
        Subclient.objects.select_related("file_server"), required=False, empty_label="Any subclient"
    )
    node = forms.ModelChoiceField(AccessNode.objects.all(), required=False, empty_label="Any node")
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def wanted(self, *, run_id: int | None = None) -> Filter:
        """Only the valid parts narrow the list. ``run_id``: one slot of a schedule, which only a link asks for."""
        self.is_valid()
        given = self.cleaned_data
        subclient, node = given.get("subclient"), given.get("node")
        return Filter(
            state=given.get("state", ""),
            operation=given.get("operation", ""),
            subclient_id=subclient.pk if subclient else None,
            node_id=node.pk if node else None,
            run_id=run_id,
            since=given.get("since"),
            until=given.get("until"),
        )

    @property
    def is_filtered(self) -> bool:
        return any(self.data.get(name) for name in self.fields)


class RestoreForm(forms.Form):
    """Where and how to restore what was chosen."""

    node = forms.ModelChoiceField(
        AccessNode.objects.filter(is_enabled=True),
        label="Access node",
        required=False,
        empty_label="Any that reaches the medium",
        help_text="The host on which the files are written.",
    )
    target = forms.CharField(
        label="Target directory",
        max_length=4096,
        strip=False,
        help_text="Absolute path on that node. It is created if it does not exist.",
        widget=forms.TextInput(attrs={"class": "mono", "placeholder": "/restore/today", "autocomplete": "off"}),
    )
    layout = forms.ChoiceField(
        label="Below the target",
        choices=[("full", ""), ("flat", "")],
        initial="full",
        widget=forms.RadioSelect,
    )
    overwrite = forms.ChoiceField(
        label="A file that is already there",
        choices=[
            (Overwrite.NEVER.value, "Stays as it is"),
            (Overwrite.IF_NEWER.value, "Is replaced if it is older"),
            (Overwrite.ALWAYS.value, "Is always replaced"),
        ],
        initial=Overwrite.IF_NEWER.value,
        widget=forms.RadioSelect,
    )
    with_metadata = forms.BooleanField(
        label="Restore owners, rights, times, ACLs and extended attributes", required=False, initial=True
    )

    def __init__(self, *args: Any, folder: str = "/", **kwargs: Any) -> None:
        """``folder``: the deepest folder that holds everything chosen, for the words of ``layout``."""
        super().__init__(*args, **kwargs)
        field = self.fields["layout"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [("full", "Keep the full path of each file")]
            if folder != "/":
                field.choices += [("flat", f"Leave out “{folder}”")]
            else:
                field.widget = forms.HiddenInput()

    def clean_target(self) -> str:
        target = str(self.cleaned_data["target"])
        if not target.startswith("/"):
            raise forms.ValidationError("Begin with “/”: the path must be absolute.", code="relative")
        if "\0" in target:
            raise forms.ValidationError("A path cannot hold a NUL character.", code="nul")
        return target

    def overwrite_mode(self) -> Overwrite:
        return Overwrite(self.cleaned_data["overwrite"])

    def data_for_launch(self) -> dict[str, Any]:
        """Keyword arguments of ``services.launch_restore`` that the form decides."""
        given = self.cleaned_data
        return {
            "target": given["target"],
            "node": given["node"],
            "overwrite": self.overwrite_mode(),
            "with_metadata": given["with_metadata"],
        }
