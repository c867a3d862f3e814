"""Launching restores: the source by RULES V1, then the row, then the queue (RULES V)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobs.engine.plan import Overwrite
from jobs.models import How, Initiator, Job, Operation, Snapshot
from jobs.restore_sources import choose_source
from jobs.rules.restore_source import NoSource, SourceKind
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, create_job
from policies.models import AccessNode, Copy

SOURCE: Final = "source"
"""Parameter of a restore job: the :class:`~jobs.rules.restore_source.SourceKind` it reads."""
SOURCE_REASON: Final = "source_reason"
CHOSEN_COPY: Final = "chosen_copy"
"""Parameter: the id of the copy a person chose; missing = RULES V1 decided."""
READABLE: Final = (SourceKind.MEDIA,)
"""What the restore of this version reads."""


def launch_restore(
    snapshot: Snapshot,
    source: Copy | None = None,
    *,
    paths: Sequence[bytes] = (),
    target: str,
    node: AccessNode | None = None,
    overwrite: Overwrite = Overwrite.IF_NEWER,
    with_metadata: bool = True,
    strip_prefix: bytes = b"",
    dry_run: bool = False,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """Restore ``paths`` (stored paths, raw bytes; empty = everything) of a point below the directory ``target``.

    ``source``: the copy a person chose; None = the first that has the data (RULES V1). ``node`` None = one that reaches
    the source. Raises CannotLaunch.
    """
    if not target.startswith("/"):
        raise CannotLaunch("The target must be an absolute path on the access node, for example /restore/today.")
    chosen = choose_source(snapshot, paths=paths, wanted=source, node=node, kinds=READABLE)
    if isinstance(chosen, NoSource):
        raise CannotLaunch(chosen.reason, hint="Choose another point or another copy.")
    found = chosen.source
    job = create_job(
        operation=Operation.RESTORE,
        subclient=snapshot.subclient,
        user=user,
        initiator=initiator,
        how=how,
        copy=found.copy,
        media_label=found.backup_copy.media.name if found.backup_copy else "",
        snapshot=snapshot,
        backup_copy=found.backup_copy,
        replica=found.replica,
        parameters={
            "paths": [path.hex() for path in paths],
            "target": target,
            "overwrite": overwrite.value,
            "with_metadata": with_metadata,
            "strip_prefix": strip_prefix.hex(),
            "dry_run": dry_run,
            SOURCE: found.kind.value,
            SOURCE_REASON: chosen.reason,
            **({CHOSEN_COPY: source.pk} if source else {}),
            **({"node": node.name} if node else {}),
        },
    )
    return dispatch(job.pk)
