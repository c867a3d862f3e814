"""The form of a user: who, which role, and what they see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model

from policies import audit
from policies.forms.service_form import Section, ServiceForm, described_choice
from policies.models import FileServer, Subclient, UserScope
from policies.services import Limits, create_user, set_user_scope, update_user
from snapcopy_site.lib.roles import Role, role_of

if TYPE_CHECKING:
    ServersField = forms.ModelMultipleChoiceField[FileServer]
    SubclientsField = forms.ModelMultipleChoiceField[Subclient]
else:
    ServersField = SubclientsField = forms.ModelMultipleChoiceField

EVERYTHING, CHOSEN = "everything", "chosen"


class UserForm(ServiceForm):
    """Create a user, or edit ``instance``, whose name then stays."""

    username = forms.CharField(max_length=150, label="User name", help_text="What they type to sign in.")
    full_name = forms.CharField(max_length=150, required=False, help_text="Shown beside what they did.")
    email = forms.EmailField(required=False, label="E-mail")
    role = forms.ChoiceField(
        choices=[(role.value, described_choice(role.label, role.summary)) for role in Role],
        widget=forms.RadioSelect,
        help_text="What they may do.",
    )
    sees = forms.ChoiceField(
        choices=[
            (EVERYTHING, described_choice("Everything", "Every file server and subclient there is and will be.")),
            (CHOSEN, described_choice("Only what is chosen below", "Nothing else is named to them anywhere.")),
        ],
        widget=forms.RadioSelect,
        help_text="An admin sees everything all the same.",
    )
    file_servers = ServersField(
        queryset=FileServer.objects.all(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="With all their subclients, those to come included.",
    )
    subclients = SubclientsField(
        queryset=Subclient.objects.select_related("file_server"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Single subclients",
        help_text="Beside the whole file servers above.",
    )

    def __init__(self, *args: Any, instance: User | None = None, **kwargs: Any) -> None:
        self.instance = instance
        initial: dict[str, Any] = {"role": Role.VIEWER.value, "sees": EVERYTHING}
        if instance:
            role = role_of(instance)
            initial = {
                "username": instance.username,
                "full_name": instance.first_name,
                "email": instance.email,
                "role": role.value if role else "",
                **_initial_scope(instance),
            }
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        if instance:
            self.fields["username"].disabled = True

    def sections(self) -> list[Section]:
        return [
            Section(title="", fields=self.some("username", "full_name", "email", "role")),
            Section(title="What they see", fields=self.some("sees", "file_servers", "subclients")),
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        chosen = cleaned.get("file_servers") or cleaned.get("subclients")
        if cleaned.get("sees") == CHOSEN and not chosen:
            self.add_error("sees", "Choose at least one file server or subclient below, or “Everything”.")
        return cleaned

    def save(self, *, user: audit.Actor) -> User | None:
        """The saved user; None when something was refused, which the form then shows."""
        return self.try_to_save(lambda: self._write(user))

    @transaction.atomic
    def _write(self, user: audit.Actor) -> User:
        given = self.cleaned_data
        role = Role(given["role"])
        details = {"full_name": given["full_name"], "email": given["email"]}
        if self.instance:
            person = update_user(self.instance, role=role, user=user, **details)
        else:
            person = create_user(username=given["username"], role=role, user=user, **details)
        limits = Limits(file_servers=given["file_servers"], subclients=given["subclients"])
        set_user_scope(person, limits if given["sees"] == CHOSEN else None, user=user)
        return person


def _initial_scope(person: User) -> dict[str, Any]:
    scope = UserScope.objects.filter(user=person).first()
    if scope is None:
        return {"sees": EVERYTHING}
    return {
        "sees": CHOSEN,
        "file_servers": _keys(scope.file_servers.all()),
        "subclients": _keys(scope.subclients.all()),
    }


def _keys(rows: Iterable[Model]) -> list[int]:
    return [row.pk for row in rows]
