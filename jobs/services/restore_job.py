"""The job of a restore of whatever kind: its row with all its parameters, and its line in the audit trail (RULES V)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.engine.plan import Overwrite
from jobs.models import Job, Operation, Snapshot
from jobs.restore_sources import Chosen
from jobs.services.launch import Actor, create_job
from jobs.services.restore_parameters import CHOSEN_COPY, IN_PLACE, columns, told
from policies import audit
from policies.models import AccessNode, Copy


def create_restore(
    snapshot: Snapshot,
    chosen: Chosen,
    *,
    paths: Sequence[bytes],
    target: str,
    in_place: bool,
    strip_prefix: bytes,
    overwrite: Overwrite,
    with_metadata: bool = True,
    dry_run: bool = False,
    more: Mapping[str, Any],
    source: Copy | None,
    node: AccessNode | None,
    user: Actor,
    initiator: str,
    how: str,
) -> Job:
    """``more`` are the parameters that only this kind of restore has; ``source`` and ``node`` those a person chose."""
    return create_job(
        operation=Operation.RESTORE,
        subclient=snapshot.subclient,
        user=user,
        initiator=initiator,
        how=how,
        snapshot=snapshot,
        **columns(chosen),
        parameters={
            "paths": [path.hex() for path in paths],
            "target": target,
            "overwrite": overwrite.value,
            "with_metadata": with_metadata,
            "strip_prefix": strip_prefix.hex(),
            "dry_run": dry_run,
            **more,
            **({IN_PLACE: True} if in_place else {}),
            **told(chosen),
            **({CHOSEN_COPY: source.pk} if source else {}),
            **({"node": node.name} if node else {}),
        },
    )


def audit_restore(job: Job, how_it_writes: str, *, user: Actor, how: str) -> None:
    """It writes over what is there: the trail keeps it beyond the job. ``how_it_writes`` goes on behind the target."""
    given = job.parameters
    what = f"{len(given['paths']):,} path{'' if len(given['paths']) == 1 else 's'}" if given["paths"] else "everything"
    where = "in place" if given.get(IN_PLACE) else f"to {given['target']}"
    audit.record(
        action=audit.Action.OPERATED,
        instance=job,
        user=user,
        how=how if how in audit.How.values else audit.How.SYSTEM,
        sentence=f"Restore of {what} of {job.subclient_label} {where}{how_it_writes}: {job}",
    )
