"""Every choice the job tables know, for columns, forms and templates."""

from __future__ import annotations

from django.db import models

from jobs.rules import states


class Operation(models.TextChoices):
    SNAPSHOT = "snapshot", "Snapshot"
    BACKUP_COPY = "backup_copy", "Backup copy"
    SECONDARY_COPY = "secondary_copy", "Secondary snap copy"
    RESTORE = "restore", "Restore"
    DELETE_SNAPSHOT = "delete_snapshot", "Snapshot deletion"
    AGING = "aging", "Aging"
    PRUNE = "prune", "Pruning"
    VERIFY = "verify", "Verification"
    REPAIR = "repair", "Repair"
    ATTACH = "attach", "Attachment"
    DRILL = "drill", "Restore drill"
    CATALOG = "catalog", "Catalog"
    REVERT = "revert", "Revert"
    MOUNT = "mount", "Mounting"
    UNMOUNT = "unmount", "Unmounting"
    RECONCILE = "reconcile", "Reconciliation"
    TEST = "test", "Test"
    DEMO = "demo", "Sample data"


class JobState(models.TextChoices):
    """RULES J1; the moves between them are :data:`jobs.rules.states.JOB_MOVES`."""

    QUEUED = states.JobState.QUEUED.value, "Queued"
    WAITING = states.JobState.WAITING.value, "Waiting"
    PENDING = states.JobState.PENDING.value, "Pending"
    RUNNING = states.JobState.RUNNING.value, "Running"
    SUSPENDED = states.JobState.SUSPENDED.value, "Suspended"
    COMPLETED = states.JobState.COMPLETED.value, "Completed"
    COMPLETED_WITH_ERRORS = states.JobState.COMPLETED_WITH_ERRORS.value, "Completed with errors"
    FAILED = states.JobState.FAILED.value, "Failed"
    KILLED = states.JobState.KILLED.value, "Killed"


class CopyState(models.TextChoices):
    """RULES B4."""

    NOT_SELECTED = states.CopyState.NOT_SELECTED.value, "Not selected"
    CANDIDATE = states.CopyState.CANDIDATE.value, "Candidate"
    TO_BE_COPIED = states.CopyState.TO_BE_COPIED.value, "To be copied"
    COPYING = states.CopyState.COPYING.value, "Copying"
    COPIED = states.CopyState.COPIED.value, "Copied"
    PARTIAL = states.CopyState.PARTIAL.value, "Partial"
    SKIPPED = states.CopyState.SKIPPED.value, "Skipped"
    FAILED = states.CopyState.FAILED.value, "Failed"
    PREVENTED = states.CopyState.PREVENTED.value, "Prevented"
    AGED = states.CopyState.AGED.value, "Aged"


class Mark(models.TextChoices):
    """What a person said of one snapshot towards one copy; beats the rules (RULES B4)."""

    NONE = "", "By rule"
    PICK = "pick", "Picked"
    PREVENT = "prevent", "Prevented"


class CatalogState(models.TextChoices):
    """RULES S4. *Aged*: neither the snapshot nor a backup copy of it is left, so the catalog forgot it."""

    SKIPPED = "skipped", "Skipped"
    PENDING = "pending", "Pending"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    AGED = "aged", "Aged"


class SlotState(models.TextChoices):
    """What became of one slot of a schedule."""

    LAUNCHING = "launching", "Launching"
    LAUNCHED = "launched", "Launched"
    NOTHING_NEW = "nothing_new", "Nothing new"
    MISSED = "missed", "Missed"
    PUT_OFF = "put_off", "Put off by a blackout window"
    REFUSED = "refused", "Refused"


class Initiator(models.TextChoices):
    """Who started a job; rules depend on it (RULES P)."""

    PERSON = "person", "Person"
    SCRIPT = "script", "Script"
    SCHEDULE = "schedule", "Schedule"
    INLINE = "inline", "Inline"


class How(models.TextChoices):
    """Through which door it came."""

    WEB = "web", "Web"
    CLI = "cli", "Command line"
    API = "api", "API"
    POLICY = "policy", "Policy"


class Want(models.TextChoices):
    """What people want a job to do; the process that runs it obeys within half a second."""

    RUN = "run", "Run"
    KILL = "kill", "Kill"
    SUSPEND = "suspend", "Suspend"


class Level(models.TextChoices):
    FULL = "full", "Full"
    DIFFERENTIAL = "differential", "Differential"
    INCREMENTAL = "incremental", "Incremental"


class SnapshotState(models.TextChoices):
    PRESENT = "present", "Present"
    DELETING = "deleting", "Being deleted"
    DELETED = "deleted", "Deleted"
    MISSING = "missing", "Missing"


class MountState(models.TextChoices):
    """Of a snapshot that is readable on a node. *Unmounted* is the end; the row stays as history."""

    MOUNTING = "mounting", "Mounting"
    MOUNTED = "mounted", "Mounted"
    UNMOUNTING = "unmounting", "Unmounting"
    UNMOUNTED = "unmounted", "Unmounted"


class MountWay(models.TextChoices):
    """*Link*: the node may not mount, and nobody can write to the snapshot anyway."""

    BIND = "bind", "Mounted read-only"
    LINK = "link", "Linked"


class PhaseState(models.TextChoices):
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    INTERRUPTED = "interrupted", "Interrupted"


class AttemptState(models.TextChoices):
    """How one attempt of a job ended. *Interrupted* is an attempt's end, never a job's (RULES J1)."""

    RUNNING = "running", "Running"
    INTERRUPTED = "interrupted", "Interrupted"
    RETRIED = "retried", "To be retried"
    SUSPENDED = "suspended", "Suspended"
    COMPLETED = "completed", "Completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors", "Completed with errors"
    FAILED = "failed", "Failed"
    KILLED = "killed", "Killed"


class EventLevel(models.TextChoices):
    INFO = "info", "Information"
    WARNING = "warning", "Warning"
    ERROR = "error", "Error"
