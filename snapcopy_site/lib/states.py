"""How each state looks: tone, icon, word. Keyed by the stored value, so that no model is needed here.

The tone is a meaning (ok, warn, bad, live, idle) that CSS turns into a colour; icon and word say the same without it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    tone: str
    icon: str
    word: str
    spins: bool = False


LOOKS: dict[str, Look] = {
    # jobs (RULES J1)
    "queued": Look("idle", "clock", "Queued"),
    "waiting": Look("idle", "clock", "Waiting"),
    "pending": Look("warn", "clock", "Pending"),
    "running": Look("live", "running", "Running", spins=True),
    "suspended": Look("warn", "pause", "Suspended"),
    "completed": Look("ok", "ok", "Completed"),
    "completed_with_errors": Look("warn", "warn", "Completed with errors"),
    "failed": Look("bad", "bad", "Failed"),
    "killed": Look("idle", "stop", "Killed"),
    "interrupted": Look("warn", "pause", "Interrupted"),
    "retried": Look("warn", "clock", "To be retried"),
    # phases
    "done": Look("ok", "ok", "Done"),
    "skipped": Look("idle", "idle", "Skipped"),
    # a snapshot towards a copy (RULES B4)
    "not_selected": Look("idle", "idle", "Not selected"),
    "candidate": Look("idle", "todo", "Candidate"),
    "to_be_copied": Look("warn", "todo", "To be copied"),
    "copying": Look("live", "running", "Copying", spins=True),
    "copied": Look("ok", "ok", "Copied"),
    "partial": Look("warn", "warn", "Copied, with exceptions"),
    "aged": Look("idle", "clock", "Aged"),
    "prevented": Look("idle", "stop", "Prevented"),
    # slots of schedules
    "launching": Look("live", "running", "Launching", spins=True),
    "launched": Look("ok", "ok", "Launched"),
    "nothing_new": Look("idle", "idle", "Nothing new"),
    "missed": Look("warn", "warn", "Missed"),
    "put_off": Look("warn", "clock", "Put off"),
    "refused": Look("bad", "warn", "Refused"),
    # snapshots
    "present": Look("ok", "ok", "On storage"),
    "deleting": Look("idle", "running", "Deleting", spins=True),
    "deleted": Look("idle", "delete", "Deleted"),
    "missing": Look("bad", "warn", "Missing on storage"),
    # a path from one point to another (deleted is that of a snapshot)
    "added": Look("ok", "plus", "Added"),
    "changed": Look("warn", "edit", "Changed"),
    # snapshots that are readable on a node
    "mounting": Look("live", "running", "Mounting", spins=True),
    "mounted": Look("ok", "folder", "Mounted"),
    "unmounting": Look("live", "running", "Unmounting", spins=True),
    "unmounted": Look("idle", "idle", "Unmounted"),
    # protection (RULES D1)
    "protected": Look("ok", "protect", "Protected"),
    "overdue": Look("warn", "warn", "Copy overdue"),
    "unprotected": Look("bad", "bad", "Not protected"),
    # nodes, switches, tests
    "online": Look("ok", "ok", "Online"),
    "offline": Look("bad", "bad", "Offline"),
    "draining": Look("warn", "pause", "Draining"),
    "active": Look("ok", "ok", "Active"),
    "inactive": Look("idle", "idle", "Inactive"),
    "disabled": Look("idle", "idle", "Disabled"),
    "untested": Look("idle", "todo", "Not tested"),
    "ok": Look("ok", "ok", "OK"),
    # levels of messages and events
    "success": Look("ok", "ok", "Done"),
    "info": Look("live", "info", "Note"),
    "debug": Look("idle", "info", "Note"),
    "warning": Look("warn", "warn", "Warning"),
    "error": Look("bad", "bad", "Error"),
}


def describe(state: str) -> Look:
    """The look of a state; an unknown one is shown plainly by its own name."""
    known = LOOKS.get(state.replace(" ", "_").lower())
    return known or Look("idle", "idle", state.replace("_", " ").capitalize())
