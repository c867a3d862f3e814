"""The form of a user: who, and which role."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User

from policies import audit
from policies.forms.service_form import ServiceForm, described_choice
from policies.services import create_user, update_user
from snapcopy_site.lib.roles import Role, role_of


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

    def __init__(self, *args: Any, instance: User | None = None, **kwargs: Any) -> None:
        self.instance = instance
        initial: dict[str, Any] = {"role": Role.VIEWER.value}
        if instance:
            role = role_of(instance)
            initial = {
                "username": instance.username,
                "full_name": instance.first_name,
                "email": instance.email,
                "role": role.value if role else "",
            }
        super().__init__(*args, initial=initial | (kwargs.pop("initial", None) or {}), **kwargs)
        if instance:
            self.fields["username"].disabled = True

    def save(self, *, user: audit.Actor) -> User | None:
        """The saved user; None when something was refused, which the form then shows."""
        role = Role(self.cleaned_data["role"])
        details = {"full_name": self.cleaned_data["full_name"], "email": self.cleaned_data["email"]}
        if self.instance:
            person = self.instance
            return self.try_to_save(lambda: update_user(person, role=role, user=user, **details))
        name = self.cleaned_data["username"]
        return self.try_to_save(lambda: create_user(username=name, role=role, user=user, **details))
