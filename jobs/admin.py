"""Django's admin of the work: everything to look at, nothing to forge. Orders go through the services."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest

from jobs.models import (
    BackupCopy,
    Job,
    JobAttempt,
    JobEvent,
    JobException,
    JobPhase,
    ScheduleRun,
    Snapshot,
    SnapshotReplica,
)
from jobs.services import JobRefusal, acknowledge_job, kill_job, resume_job, suspend_job

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyInline = admin.TabularInline[Any, Any]
else:
    AnyAdmin = admin.ModelAdmin
    AnyInline = admin.TabularInline


class History:
    """History is permanent: rows are written by the services only."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class HistoryAdmin(History, AnyAdmin):
    list_per_page = 50
    show_full_result_count = False


class HistoryInline(History, AnyInline):
    extra = 0
    can_delete = False
    show_change_link = False


class AttemptInline(HistoryInline):
    model = JobAttempt


class PhaseInline(HistoryInline):
    model = JobPhase


class EventInline(HistoryInline):
    model = JobEvent


@admin.register(Job)
class JobAdmin(HistoryAdmin):
    list_display = ("id", "operation", "state", "subclient_label", "copy_label", "node_label", "percent", "created_at")
    list_filter = ("state", "operation", "initiator", "node_label")
    search_fields = ("=id", "subclient_label", "file_server_label", "error_code")
    date_hierarchy = "created_at"
    inlines = (AttemptInline, PhaseInline, EventInline)
    actions = ("kill", "suspend", "resume", "acknowledge")

    def has_order_permission(self, request: HttpRequest) -> bool:
        """Whoever may enter the admin and change jobs may give orders, though rows stay as they are."""
        return bool(request.user.has_perm("jobs.change_job"))

    @admin.action(description="Kill", permissions=["order"])
    def kill(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._order(request, queryset, "killed", lambda job: kill_job(job, user=request.user))

    @admin.action(description="Suspend", permissions=["order"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._order(request, queryset, "suspended", lambda job: suspend_job(job, user=request.user))

    @admin.action(description="Resume", permissions=["order"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._order(request, queryset, "resumed", lambda job: resume_job(job, user=request.user))

    @admin.action(description="Acknowledge", permissions=["order"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._order(request, queryset, "acknowledged", lambda job: acknowledge_job(job, user=request.user))

    def _order(self, request: HttpRequest, queryset: QuerySet[Job], done: str, order: Callable[[Job], object]) -> None:
        for job in queryset:
            try:
                order(job)
            except JobRefusal as refusal:
                self.message_user(request, refusal.sentence, messages.WARNING)
            else:
                self.message_user(request, f"Job {job.pk}: {done}.", messages.SUCCESS)


class BackupCopyInline(HistoryInline):
    model = BackupCopy
    fk_name = "snapshot"
    fields = ("copy", "media", "state", "state_reason", "files", "logical_bytes", "stored_bytes", "copied_at")


@admin.register(Snapshot)
class SnapshotAdmin(HistoryAdmin):
    """Pinning is the one thing to change here: a pinned snapshot is kept (RULES R6)."""

    list_display = ("name", "subclient", "state", "engine", "taken_at", "is_pinned")
    list_filter = ("state", "engine", "is_pinned")
    search_fields = ("name", "subclient__name", "subclient__file_server__name")
    list_select_related = ("subclient__file_server",)
    inlines = (BackupCopyInline,)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.has_perm("jobs.change_snapshot"))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return [field.name for field in _columns(Snapshot) if field.name != "is_pinned"]


@admin.register(BackupCopy)
class BackupCopyAdmin(HistoryAdmin):
    list_display = ("snapshot", "copy", "media", "state", "files", "logical_bytes", "stored_bytes", "copied_at")
    list_filter = ("state", "media", "ran_level")
    search_fields = ("snapshot__name", "snapshot_file_id")
    list_select_related = ("snapshot", "copy__policy", "media")


@admin.register(ScheduleRun)
class ScheduleRunAdmin(HistoryAdmin):
    list_display = ("schedule_label", "slot", "state", "missed", "sentence", "launched_at")
    list_filter = ("state", "schedule_label")
    search_fields = ("schedule_label", "sentence")
    date_hierarchy = "slot"


@admin.register(SnapshotReplica)
class SnapshotReplicaAdmin(HistoryAdmin):
    list_display = ("snapshot", "copy", "file_server", "state", "sent_bytes", "copied_at", "retain_until")
    list_filter = ("state", "file_server")
    search_fields = ("snapshot__name",)
    list_select_related = ("snapshot", "copy__policy", "file_server")


@admin.register(JobAttempt)
class JobAttemptAdmin(HistoryAdmin):
    list_display = ("job", "number", "state", "node_label", "pid", "started_at", "finished_at")
    list_filter = ("state", "node_label")
    search_fields = ("=job__id",)


@admin.register(JobPhase)
class JobPhaseAdmin(HistoryAdmin):
    list_display = ("job", "attempt", "order", "name", "state", "started_at", "finished_at")
    list_filter = ("name", "state")
    search_fields = ("=job__id",)


@admin.register(JobEvent)
class JobEventAdmin(HistoryAdmin):
    list_display = ("at", "job", "level", "code", "sentence")
    list_filter = ("level", "code")
    search_fields = ("=job__id", "sentence")


@admin.register(JobException)
class JobExceptionAdmin(HistoryAdmin):
    list_display = ("job", "attempt", "display_path", "error", "code")
    list_filter = ("code",)
    search_fields = ("=job__id", "display_path")


def _columns(model: type[Model]) -> list[Field[Any, Any]]:
    return [field for field in model._meta.get_fields() if isinstance(field, Field)]
