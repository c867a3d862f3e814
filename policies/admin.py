"""Django's admin of the configuration, complete. Secrets appear as whether they are set; history cannot be changed.

Rows are written here without the services' checks and without the audit trail's detail, so each save adds an entry of
its own; the product's pages are the better place for everything they offer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from policies import (
    admin_users,  # noqa: F401 - registers the users
    audit,
)
from policies.models import (
    AccessNode,
    AuditEntry,
    BlackoutWindow,
    Copy,
    ExtendedRetention,
    FileServer,
    Installation,
    Media,
    RestartPolicy,
    Schedule,
    Secret,
    StoragePolicy,
    Subclient,
    UserScope,
)
from policies.services import plan_next

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyAdmin = admin.ModelAdmin
    AnyInline = admin.TabularInline

TIMES = ("created_at", "updated_at")
TEST = ("last_test", "last_tested_at")


class AuditedAdmin(AnyAdmin):
    """Every save and deletion in the admin is in the activity, too."""

    list_per_page = 50

    def save_related(self, request: HttpRequest, form: ModelForm[Any], formsets: Any, change: bool) -> None:
        """After the sets are saved, so that the picture is whole."""
        super().save_related(request, form, formsets, change)
        names = [name for name in form.changed_data if name in form.cleaned_data]
        audit.record(
            action=audit.Action.CHANGED if change else audit.Action.CREATED,
            instance=form.instance,
            user=request.user,
            changes={name: [None, audit.picture(form.instance).get(name)] for name in names},
            sentence="In the Django admin.",
        )

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self._record_deletion(request, obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for instance in queryset:
            self._record_deletion(request, instance)
        super().delete_queryset(request, queryset)

    def _record_deletion(self, request: HttpRequest, instance: Model) -> None:
        audit.record(action=audit.Action.DELETED, instance=instance, user=request.user, sentence="In the Django admin.")


class ReadOnlyAdmin(AnyAdmin):
    """Looked at, never written."""

    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class SecretInline(AnyInline):
    """Which secrets are set, and since when; never their text, sealed or not."""

    model = Secret
    extra = 0
    can_delete = False
    fields = readonly_fields = ("field", "key_id", "updated_at")
    verbose_name_plural = "secrets that are set (type new ones on the product's own form)"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class CopyInline(AnyInline):
    model = Copy
    extra = 0
    show_change_link = True
    fk_name = "policy"
    fields = ("precedence", "name", "kind", "media", "target_server", "source", "retention", "is_active")
    autocomplete_fields = ("media", "target_server", "source")


class ExtendedInline(AnyInline):
    model = ExtendedRetention
    extra = 0
    max_num = 3


class SubclientInline(AnyInline):
    model = Subclient
    extra = 0
    show_change_link = True
    fields = ("name", "content_paths", "policy", "is_active")
    autocomplete_fields = ("policy",)


@admin.register(AccessNode)
class AccessNodeAdmin(AuditedAdmin):
    list_display = ("name", "state", "slots", "busy_slots", "load_1m", "cores", "version", "last_seen_at")
    list_filter = ("is_enabled", "is_draining")
    search_fields = ("name", "hostname")
    readonly_fields = (
        "hostname",
        "version",
        "pid",
        "boot_id",
        "cores",
        "load_1m",
        "memory_total_bytes",
        "memory_free_bytes",
        "busy_slots",
        "last_seen_at",
        *TIMES,
    )


@admin.register(FileServer)
class FileServerAdmin(AuditedAdmin):
    list_display = ("name", "engine", "is_active", "max_sessions", "last_tested_at", "updated_at")
    list_filter = ("is_active", "engine")
    search_fields = ("name", "description")
    filter_horizontal = ("access_nodes",)
    readonly_fields = (*TEST, *TIMES)
    inlines = (SubclientInline, SecretInline)


@admin.register(Subclient)
class SubclientAdmin(AuditedAdmin):
    list_display = ("path", "content_paths", "policy", "is_active", "updated_at")
    list_filter = ("is_active", "file_server", "policy")
    list_select_related = ("file_server", "policy")
    search_fields = ("name", "description", "file_server__name")
    autocomplete_fields = ("file_server", "policy")
    filter_horizontal = ("access_nodes",)
    readonly_fields = TIMES


@admin.register(Media)
class MediaAdmin(AuditedAdmin):
    list_display = ("name", "kind", "is_active", "stored_bytes", "free_bytes", "total_bytes", "last_tested_at")
    list_filter = ("is_active", "kind")
    search_fields = ("name", "description", "repository_id")
    readonly_fields = (
        "repository_id",
        "total_bytes",
        "free_bytes",
        "stored_bytes",
        "measured_at",
        *TEST,
        *TIMES,
    )
    inlines = (SecretInline,)


@admin.register(StoragePolicy)
class StoragePolicyAdmin(AuditedAdmin):
    list_display = ("name", "is_inline", "selection", "selection_period", "is_active", "description", "updated_at")
    list_filter = ("is_inline", "is_active", "selection", "overdue_action")
    search_fields = ("name", "description")
    autocomplete_fields = ("backup_source",)
    filter_horizontal = ("excluded_subclients",)
    readonly_fields = TIMES
    inlines = (CopyInline,)


@admin.register(Copy)
class CopyAdmin(AuditedAdmin):
    list_display = ("policy", "precedence", "name", "kind", "media", "target_server", "retention_text", "is_active")
    list_display_links = ("name",)
    list_filter = ("kind", "retention", "is_active", "ages", "media")
    list_select_related = ("policy", "media", "target_server")
    search_fields = ("name", "policy__name", "media__name")
    autocomplete_fields = ("policy", "media", "target_server", "source")
    filter_horizontal = ("media_agents",)
    readonly_fields = TIMES
    inlines = (ExtendedInline,)


@admin.register(Schedule)
class ScheduleAdmin(AuditedAdmin):
    list_display = ("name", "operation", "cron", "time_zone", "is_active", "next_slot_at")
    list_filter = ("operation", "is_active")
    search_fields = ("name", "description")
    autocomplete_fields = ("policy", "file_server", "subclient", "copy", "media")
    readonly_fields = ("active_since", "last_slot_at", "next_slot_at", *TIMES)

    def save_model(self, request: HttpRequest, obj: Schedule, form: ModelForm[Any], change: bool) -> None:
        """Slots from before a change are not caught up, whichever page made it."""
        obj.active_since = timezone.now()
        super().save_model(request, obj, form, change)
        plan_next(obj, after=obj.active_since)


@admin.register(BlackoutWindow)
class BlackoutWindowAdmin(AuditedAdmin):
    list_display = ("name", "operations", "days", "starts_at", "ends_at", "time_zone", "is_active")
    list_filter = ("is_active",)
    search_fields = ("name",)
    readonly_fields = TIMES


@admin.register(RestartPolicy)
class RestartPolicyAdmin(AuditedAdmin):
    list_display = ("operation", "times", "first_seconds", "most_seconds", "total_hours")
    readonly_fields = TIMES


@admin.register(UserScope)
class UserScopeAdmin(AuditedAdmin):
    list_display = ("user", "updated_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    autocomplete_fields = ("user",)
    filter_horizontal = ("file_servers", "subclients")
    readonly_fields = TIMES


@admin.register(Secret)
class SecretAdmin(ReadOnlyAdmin):
    list_display = ("field", "media", "file_server", "key_id", "updated_at")
    list_filter = ("field", "key_id")
    list_select_related = ("media", "file_server")
    search_fields = ("field", "media__name", "file_server__name")
    fields = ("media", "file_server", "field", "key_id", "created_at", "updated_at")


@admin.register(Installation)
class InstallationAdmin(AuditedAdmin):
    """Its id never changes: snapshots on the storage carry it (RULES O2)."""

    list_display = ("install_id", "time_zone", "week_start", "created_at")
    readonly_fields = ("install_id", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "user_label", "how", "action", "object_kind", "object_label", "sentence")
    list_filter = ("action", "how", "object_kind")
    search_fields = ("user_label", "object_label", "sentence")
    date_hierarchy = "at"
    list_select_related = ("user",)
