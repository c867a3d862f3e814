"""What a restore of dumps asks: where an NDMP file server is to write, and how it reads the images."""

from __future__ import annotations

import os
from typing import Any

from django import forms
from django.db import models
from django.db.models import QuerySet

from jobs.models import Job
from jobs.services.undumps import servers_for_dumps
from policies.models import AccessNode, FileServer, Subclient
from policies.selectors.visible import Person, sees_whole_server, visible_subclients, whole_file_servers


class Where(models.TextChoices):
    """The last one needs another file server of the same kind."""

    IN_PLACE = "in_place", "In place: to the paths they came from"
    ANOTHER_PATH = "another_path", "To another path of {server}"
    ANOTHER_SERVER = "another_server", "To another NDMP file server"


class _ConditionalText(forms.CharField):
    """Needed with one choice and left out with the other: neither required nor optional for people."""

    is_conditional = True


class _ConditionalChoice(forms.ChoiceField):
    is_conditional = True


class _ConditionalServer(forms.ModelChoiceField):  # type: ignore[type-arg]
    is_conditional = True


class DumpRestoreForm(forms.Form):
    """Where and how an NDMP file server writes what was chosen. There is no choice about existing files: it decides."""

    where = _ConditionalChoice(label="Where to", initial=Where.ANOTHER_PATH, widget=forms.RadioSelect)
    file_server = _ConditionalServer(
        FileServer.objects.none(),
        label="Other file server",
        required=False,
        empty_label="Choose one",
        help_text="Of the same kind: images of dumps are the vendor’s own.",
    )
    target = _ConditionalText(
        label="Target path",
        max_length=4096,
        strip=False,
        required=False,
        help_text="Unless in place: an absolute path on the file server. Many create it if it does not exist.",
        widget=forms.TextInput(attrs={"class": "mono", "placeholder": "/vol/vol1/restored", "autocomplete": "off"}),
    )
    layout = _ConditionalChoice(
        label="Below the target", initial="full", required=False, choices=[("full", "")], widget=forms.RadioSelect
    )
    is_direct = forms.BooleanField(
        label="Direct access",
        required=False,
        initial=True,
        help_text="Of the images only the places of the chosen files are read. Without it the file server reads each "
        "image from its beginning; choose that if direct access fails.",
    )
    node = forms.ModelChoiceField(
        AccessNode.objects.filter(is_enabled=True),
        label="Access node",
        required=False,
        empty_label="Any that reaches the file server",
        help_text="The host that carries the images from the medium to the file server.",
    )

    def __init__(self, *args: Any, subclient: Subclient, user: Person, folder: str = "/", **kwargs: Any) -> None:
        """``folder``: the deepest folder that holds everything chosen, for the words of ``layout``."""
        super().__init__(*args, **kwargs)
        self._own, self._user = subclient.file_server, user
        others = _others(subclient.file_server, user)
        where, server, layout = (self.fields[name] for name in ("where", "file_server", "layout"))
        if isinstance(server, forms.ModelChoiceField):
            server.queryset = others
        has_others = others.exists()
        if isinstance(where, forms.ChoiceField):
            where.choices = [
                (choice.value, str(choice.label).format(server=self._own.name))
                for choice in Where
                if has_others or choice is not Where.ANOTHER_SERVER
            ]
        if not has_others:
            del self.fields["file_server"]
        if isinstance(layout, forms.ChoiceField):
            layout.choices = [("full", "Keep the full path of each file")]
            if folder != "/":
                layout.choices += [("flat", f"Leave out “{folder}”")]
            else:
                layout.widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("where") == Where.IN_PLACE:
            return given
        if given.get("where") == Where.ANOTHER_SERVER and given.get("file_server") is None:
            self.add_error("file_server", forms.ValidationError("Choose the file server.", code="required"))
        target = str(given.get("target", ""))
        if not target.startswith("/"):
            self.add_error(
                "target", forms.ValidationError("Begin with “/”: the path must be absolute.", code="relative")
            )
        elif "\0" in target or ".." in target.split("/"):
            self.add_error("target", forms.ValidationError("A path cannot hold “..” or a NUL character.", code="nul"))
        elif given.get("where") == Where.ANOTHER_PATH and not self._may_write(target):
            self.add_error(
                "target",
                forms.ValidationError(
                    f"You see a part of {self._own.name} only: choose a path below the content of your subclients.",
                    code="scope",
                ),
            )
        return given

    def data_for_launch(self, folder: bytes) -> dict[str, Any]:
        """Keyword arguments of ``services.launch_undump`` that the form decides. ``folder``: what may be left out."""
        given = self.cleaned_data
        in_place = given["where"] == Where.IN_PLACE
        is_flat = given["layout"] == "flat" and folder != b"/" and not in_place
        return {
            "in_place": in_place,
            "target": "" if in_place else given["target"],
            "file_server": given.get("file_server") if given["where"] == Where.ANOTHER_SERVER else None,
            "strip_prefix": folder if is_flat else b"",
            "is_direct": given["is_direct"],
            "node": given["node"],
        }

    def _may_write(self, target: str) -> bool:
        """A scope of single subclients reaches their content, not what lies beside it on the same file server."""
        if sees_whole_server(self._user, self._own):
            return True
        mine = visible_subclients(self._user).filter(file_server=self._own)
        inside = os.path.normpath(target)
        return any(
            f"{inside}/".startswith(f"{path.rstrip('/')}/") for subclient in mine for path in subclient.content_paths
        )


def initial_of_dumps(job: Job, subclient: Subclient) -> dict[str, Any]:
    """The form as it was filled in for a restore of dumps."""
    given = job.parameters
    in_place = bool(given.get("in_place"))
    elsewhere = given["file_server"]["id"] != subclient.file_server_id
    return {
        "where": Where.IN_PLACE if in_place else Where.ANOTHER_SERVER if elsewhere else Where.ANOTHER_PATH,
        "file_server": given["file_server"]["id"] if elsewhere else None,
        "target": "" if in_place else given["target"],
        "layout": "flat" if given["strip_prefix"] else "full",
        "is_direct": given["direct"],
        "node": AccessNode.objects.filter(name=given.get("node", "")).first(),
    }


def _others(server: FileServer, user: Person) -> QuerySet[FileServer]:
    """To write anywhere on a file server takes all of it."""
    return servers_for_dumps(server).filter(pk__in=whole_file_servers(user).values("pk"))
