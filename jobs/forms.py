"""Forms of the work: the filter of the jobs list, what a restore asks, and decisions about snapshots."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django import forms
from django.db import models
from django.http import QueryDict

from jobs.engine.plan import Overwrite
from jobs.models import Job, JobState, Operation, Snapshot
from jobs.selectors_pages.history import Filter
from jobs.services.mounts import DEFAULT_HOURS
from policies.models import AccessNode, Copy, Subclient
from policies.selectors.visible import Person, visible_subclients

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
    subclient = forms.ModelChoiceField(Subclient.objects.none(), required=False, empty_label="Any subclient")
    node = forms.ModelChoiceField(AccessNode.objects.all(), required=False, empty_label="Any node")
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, user: Person, **kwargs: Any) -> None:
        """``user``: only subclients that they may see can be chosen."""
        super().__init__(*args, **kwargs)
        field = self.fields["subclient"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = visible_subclients(user).select_related("file_server")

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


class Where(models.TextChoices):
    """In place: on a node that reaches the live data. Elsewhere: below a directory of any node."""

    IN_PLACE = "in_place", "In place: to the paths they came from"
    ELSEWHERE = "elsewhere", "Elsewhere: below a directory of a node"


class _ConditionalText(forms.CharField):
    """Needed with one choice and left out with the other: neither required nor optional for people."""

    is_conditional = True


class _ConditionalChoice(forms.ChoiceField):
    """As above, and one that always has a choice."""

    is_conditional = True


class RestoreForm(forms.Form):
    """Where and how to restore what was chosen."""

    where = _ConditionalChoice(
        label="Where to", choices=Where.choices, initial=Where.ELSEWHERE, required=False, widget=forms.RadioSelect
    )
    target = _ConditionalText(
        label="Target directory",
        max_length=4096,
        strip=False,
        required=False,
        help_text="For a restore elsewhere: an absolute path on the node. It is created if it does not exist.",
        widget=forms.TextInput(attrs={"class": "mono", "placeholder": "/restore/today", "autocomplete": "off"}),
    )
    layout = _ConditionalChoice(
        label="Below the target",
        choices=[("full", ""), ("flat", "")],
        initial="full",
        required=False,
        widget=forms.RadioSelect,
    )
    node = forms.ModelChoiceField(
        AccessNode.objects.filter(is_enabled=True),
        label="Access node",
        required=False,
        empty_label="Any that reaches what is read and written",
        help_text="The host on which the files are written.",
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

    @property
    def is_in_place(self) -> bool:
        return bool(self.cleaned_data["where"] == Where.IN_PLACE)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("where") == Where.IN_PLACE:
            return given
        target = str(given.get("target", ""))
        if not target.startswith("/"):
            self.add_error(
                "target", forms.ValidationError("Begin with “/”: the path must be absolute.", code="relative")
            )
        elif "\0" in target:
            self.add_error("target", forms.ValidationError("A path cannot hold a NUL character.", code="nul"))
        return given

    def data_for_launch(self, folder: bytes) -> dict[str, Any]:
        """Keyword arguments of ``services.launch_restore`` that the form decides. ``folder``: what may be left out."""
        given = self.cleaned_data
        is_flat = given["layout"] == "flat" and folder != b"/" and not self.is_in_place
        return {
            "in_place": self.is_in_place,
            "target": "" if self.is_in_place else given["target"],
            "strip_prefix": folder if is_flat else b"",
            "node": given["node"],
            "overwrite": Overwrite(given["overwrite"]),
            "with_metadata": given["with_metadata"],
        }


def initial_of(job: Job) -> dict[str, Any]:
    """The form as it was filled in for a restore, so that it can be changed."""
    given = job.parameters
    in_place = bool(given.get("in_place"))
    return {
        "where": Where.IN_PLACE if in_place else Where.ELSEWHERE,
        "target": "" if in_place else given["target"],
        "layout": "flat" if given["strip_prefix"] else "full",
        "node": AccessNode.objects.filter(name=given.get("node", "")).first(),
        "overwrite": given["overwrite"],
        "with_metadata": given["with_metadata"],
    }


class MountForm(forms.Form):
    """On which node, and for how long."""

    node = forms.ModelChoiceField(
        AccessNode.objects.none(),
        label="Access node",
        required=False,
        empty_label="Any that reaches the storage",
        help_text="The host on which people will read it.",
    )
    hours = forms.TypedChoiceField(
        label="For how long",
        coerce=int,
        choices=[(1, "1 hour"), (8, "8 hours"), (24, "1 day"), (72, "3 days"), (168, "1 week"), (744, "31 days")],
        initial=DEFAULT_HOURS,
        help_text="Then it is unmounted by itself. Until then the snapshot is held: no rule deletes it.",
    )

    def __init__(self, *args: Any, reach: Collection[str] | None, **kwargs: Any) -> None:
        """``reach``: names of the nodes that see the storage, None = any."""
        super().__init__(*args, **kwargs)
        field = self.fields["node"]
        if isinstance(field, forms.ModelChoiceField):
            nodes = AccessNode.objects.filter(is_enabled=True)
            field.queryset = nodes if reach is None else nodes.filter(name__in=reach)


class RevertForm(forms.Form):
    """What whoever replaces live data says: that it is meant, and which snapshots may be lost with it."""

    accepted = forms.MultipleChoiceField(required=False, widget=forms.MultipleHiddenInput)
    with_safety_snapshot = forms.BooleanField(
        label="Take a safety snapshot of the live data first",
        required=False,
        initial=True,
        help_text="Pinned, so that you can go back. Off only when the storage is full.",
    )
    confirmation = forms.CharField(
        label="Name of the subclient",
        help_text="Type it to confirm that its live data is to be replaced.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, lost: Collection[str], can_be_safe: bool, **kwargs: Any) -> None:
        """``lost``: names of the newer snapshots that the page shows as lost."""
        super().__init__(*args, **kwargs)
        field = self.fields["accepted"]
        if isinstance(field, forms.MultipleChoiceField):
            field.choices = [(name, name) for name in lost]
        self.initial["accepted"] = list(lost)
        if not can_be_safe:
            del self.fields["with_safety_snapshot"]


class Action(models.TextChoices):
    """What people decide about chosen snapshots (RULES B4, R6)."""

    PICK = "pick", "Pick for copying"
    PREVENT = "prevent", "Prevent copying"
    RULE = "rule", "Leave to the rules"
    RECOPY = "recopy", "Copy again"
    PIN = "pin", "Pin"
    UNPIN = "unpin", "Unpin"


class MarkForm(forms.Form):
    """An action on chosen snapshots of one subclient, towards one backup copy of its policy or all of them.

    A button of one row sends ``one`` = ``ACTION:SNAPSHOT:COPY`` instead, the copy empty where it has none.
    """

    snapshots = forms.ModelMultipleChoiceField(
        Snapshot.objects.none(),
        error_messages={
            "required": "Choose at least one snapshot: tick the box before it.",
            "invalid_choice": "One of the snapshots is not of this subclient any more. Look again and choose anew.",
        },
    )
    action = forms.ChoiceField(
        choices=Action.choices, error_messages={"required": "Choose what to do with the snapshots."}
    )
    copy = forms.ModelChoiceField(Copy.objects.none(), required=False, empty_label="every backup copy")
    until = forms.DateField(
        label="Pin until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={"invalid": "Pin until a day such as 2026-12-31, or leave it empty: until somebody unpins."},
    )

    def __init__(self, data: QueryDict | None = None, *, subclient: Subclient, copies: Sequence[Copy]) -> None:
        super().__init__(_spread(data) if data is not None else None)
        chosen, towards = self.fields["snapshots"], self.fields["copy"]
        if isinstance(chosen, forms.ModelMultipleChoiceField) and isinstance(towards, forms.ModelChoiceField):
            chosen.queryset = subclient.snapshots.select_related("subclient__file_server", "subclient__policy")
            towards.queryset = Copy.objects.filter(pk__in=[copy.pk for copy in copies])

    @property
    def chosen(self) -> set[str]:
        """Ids that are ticked, for a page that is shown again because of an error."""
        return set(self.data.getlist("snapshots")) if isinstance(self.data, QueryDict) else set()


def _spread(data: QueryDict) -> QueryDict:
    """``one`` as the fields it stands for."""
    action, _, rest = data.get("one", "").partition(":")
    if not action:
        return data
    snapshot, _, copy = rest.partition(":")
    spread = data.copy()
    spread.setlist("snapshots", [snapshot])
    spread["action"], spread["copy"] = action, copy
    return spread
