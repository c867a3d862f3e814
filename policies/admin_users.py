"""Users in Django's admin: as Django has them, but the last admin stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from policies.services import leaves_no_admin
from snapcopy_site.lib.roles import Role

if TYPE_CHECKING:
    AnyUserForm = UserChangeForm[User]
    AnyUserAdmin = UserAdmin[User]
else:
    AnyUserForm = UserChangeForm
    AnyUserAdmin = UserAdmin

REFUSAL = "This is the last admin: nobody could configure SnapCopy any more. Make somebody else an admin first."


class GuardedUserForm(AnyUserForm):
    """Refuses to take the role or the account from the last admin."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        groups = cleaned.get("groups") or []
        is_admin = cleaned.get("is_superuser") or any(group.name == Role.ADMIN.value for group in groups)
        if not (is_admin and cleaned.get("is_active")) and _is_last(self.instance):
            raise ValidationError(REFUSAL)
        return cleaned


class GuardedUserAdmin(AnyUserAdmin):
    form = GuardedUserForm

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and _is_last(obj):
            return False
        return super().has_delete_permission(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """All of them or none: together they may be the last admins."""
        with transaction.atomic():
            if leaves_no_admin(list(queryset.values_list("pk", flat=True))):
                messages.error(request, f"Nobody was deleted. {REFUSAL}")
                return
            super().delete_queryset(request, queryset)


def _is_last(person: User) -> bool:
    with transaction.atomic():
        return leaves_no_admin([person.pk])


admin.site.unregister(User)
admin.site.register(User, GuardedUserAdmin)
