"""What a copy may be: every refusal with the field it is about. The database holds the same by constraints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

from django.core.exceptions import ValidationError

from policies.models import Copy, CopyKind, Period, Pick, Retention, StoragePolicy
from policies.models.policy_choices import BACKUP_KINDS, SNAP_KINDS
from policies.resolve import is_dump_stream
from policies.services.stream_checks import stream_copy_problems, stream_problem

MOST_EXTENDED: Final = 3
RETENTIONS: Final = {
    CopyKind.PRIMARY_SNAP: (Retention.DAYS, Retention.COUNT, Retention.SPOOL, Retention.INFINITE),
    CopyKind.SECONDARY_SNAP: (Retention.DAYS, Retention.COUNT, Retention.INFINITE),
    CopyKind.PRIMARY_BACKUP: (Retention.BASIC, Retention.INFINITE),
    CopyKind.SECONDARY_BACKUP: (Retention.BASIC, Retention.INFINITE),
}
"""Which retention a kind of copy can have (RULES R1, R2, P)."""

FIGURES: Final = {
    Retention.BASIC: ("retention_days", "retention_cycles"),
    Retention.DAYS: ("retention_days",),
    Retention.COUNT: ("retention_count",),
    Retention.SPOOL: (),
    Retention.INFINITE: (),
}
"""Which figures a retention has; the others are empty."""


class ExtendedValues(TypedDict):
    """One extended rule (RULES R3). ``days`` None = for ever."""

    period: str
    pick: str
    days: int | None


def check_copy(copy: Copy, extended: Sequence[ExtendedValues]) -> None:
    """``copy`` as it would be saved, with its policy. Raises ValidationError with everything that is wrong."""
    problems: dict[str, str] = {}
    for check in (_place_problems, _source_problems, _retention_problems, stream_copy_problems):
        problems = check(copy) | problems
    problems = _extended_problems(copy, extended) | problems
    if problems:
        raise ValidationError({field: [sentence] for field, sentence in problems.items()})


def engine_problem(policy: StoragePolicy, *, engine: str, server_id: int) -> str:
    """Why a subclient of this engine and file server cannot be under the policy: its secondary snap copies' targets.

    And for a file server that is read as a stream, whatever would read it twice.
    """
    copies = policy.copies.filter(kind=CopyKind.SECONDARY_SNAP).select_related("target_server")
    if is_dump_stream(engine):
        return stream_problem(policy)
    for copy in copies:
        target = copy.target_server
        if target is not None and target.engine != engine:
            return (
                f"The copy “{copy.name}” of the policy {policy} replicates to {target}, which has another snapshot "
                "engine. Choose a policy whose secondary snap copies go to the same engine."
            )
        if target is not None and target.pk == server_id:
            return (
                f"The copy “{copy.name}” of the policy {policy} replicates to this very file server. "
                "Choose another policy."
            )
    return ""


def _place_problems(copy: Copy) -> dict[str, str]:
    """Where it lies: a medium for backup copies, a file server for secondary snap copies."""
    if copy.kind in BACKUP_KINDS:
        return _medium_problems(copy)
    if copy.media_id is not None:
        return {"media": "A snap copy stays on the file server's storage and has no medium."}
    if copy.kind == CopyKind.SECONDARY_SNAP:
        return _target_problems(copy)
    return {"target_server": "Only a secondary snap copy has a target."} if copy.target_server_id is not None else {}


def _medium_problems(copy: Copy) -> dict[str, str]:
    if copy.target_server_id is not None:
        return {"target_server": "Only a secondary snap copy has a target file server."}
    if copy.media is None:
        return {"media": "Choose where the backup copies go."}
    other = copy.policy.copies.filter(media=copy.media).exclude(pk=copy.pk).first()
    if other is not None:
        # two copies on one medium would share each byte: one fault takes both
        return {"media": f"The copy “{other.name}” of this policy is on {copy.media} already."}
    return {}


def _target_problems(copy: Copy) -> dict[str, str]:
    target = copy.target_server
    if target is None:
        return {"target_server": "Choose the file server that the snapshots are sent to."}
    other = copy.policy.copies.filter(target_server=target).exclude(pk=copy.pk).first()
    if other is not None:
        return {"target_server": f"The copy “{other.name}” of this policy goes to {target} already."}
    for subclient in copy.policy.subclients.select_related("file_server"):
        if subclient.file_server_id == target.pk:
            return {"target_server": f"The snapshots of {subclient.path} are taken there. Choose another file server."}
        if subclient.file_server.engine != target.engine:
            return {
                "target_server": f"{target} has another snapshot engine than {subclient.file_server}, "
                f"which {subclient.path} is on. Choose a file server of the same engine."
            }
    return {}


def _source_problems(copy: Copy) -> dict[str, str]:
    """The copy it is fed from: of the same policy, of the same family, and never itself by a detour."""
    source = copy.source
    if source is None:
        return {}
    if copy.kind not in {CopyKind.SECONDARY_SNAP, CopyKind.SECONDARY_BACKUP}:
        return {"source": "Only a secondary copy has a source of its own."}
    if source.policy_id != copy.policy_id:
        return {"source": f"{source} belongs to another policy. Choose a copy of this policy."}
    if copy.kind == CopyKind.SECONDARY_BACKUP and not source.is_backup:
        return {"source": "A secondary backup copy is fed from a backup copy of the same policy."}
    if copy.kind == CopyKind.SECONDARY_SNAP and source.is_backup:
        return {"source": "A secondary snap copy is fed from a snap copy: snapshots do not come back from media."}
    return {"source": "The copies would feed each other in a circle."} if _feeds_itself(copy) else {}


def _feeds_itself(copy: Copy) -> bool:
    seen: set[int] = set()
    above = copy.source
    while above is not None and above.pk not in seen:
        if above.pk == copy.pk:
            return True
        seen.add(above.pk)
        above = above.source
    return False


def _retention_problems(copy: Copy) -> dict[str, str]:
    if copy.retention not in RETENTIONS[CopyKind(copy.kind)]:
        allowed = " or ".join(f"“{retention.label}”" for retention in RETENTIONS[CopyKind(copy.kind)])
        return {"retention": f"A {copy.get_kind_display().lower()} is kept by {allowed}."}
    needed = FIGURES[Retention(copy.retention)]
    problems = {name: "Type a number." for name in needed if getattr(copy, name) is None}
    if problems:
        return problems
    if copy.retention == Retention.BASIC:
        if not (copy.retention_days or copy.retention_cycles):
            return {"retention_days": "Keep at least one day or one cycle; both 0 would keep nothing."}
    elif needed and not getattr(copy, needed[0]):
        return {needed[0]: "At least 1."}
    return {}


def _extended_problems(copy: Copy, extended: Sequence[ExtendedValues]) -> dict[str, str]:
    """RULES R3: at most three, on backup copies only, a period once, each longer than the basic days."""
    if not extended:
        return {}
    if copy.kind in SNAP_KINDS:
        return {"extended": "Only backup copies have extended retention."}
    if len(extended) > MOST_EXTENDED:
        return {"extended": f"At most {MOST_EXTENDED} extended rules."}
    if copy.retention != Retention.BASIC:
        return {"retention": "What is kept for ever needs no extended rule. Choose days and cycles, or remove them."}
    problems: dict[str, str] = {}
    periods = [rule["period"] for rule in extended]
    for number, rule in enumerate(extended, 1):
        field, days = f"extended_{number}", rule["days"]
        if rule["period"] not in Period.values or rule["pick"] not in Pick.values:
            problems[f"{field}_period"] = "Choose a period, and the first or last full of it."
        elif periods.index(rule["period"]) != number - 1:
            problems[f"{field}_period"] = "There is a rule for this period already."
        elif days is not None and days <= (copy.retention_days or 0):
            problems[f"{field}_days"] = f"Longer than the basic {copy.retention_days} days, or empty for ever."
    return problems
