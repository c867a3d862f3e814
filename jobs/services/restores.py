"""Launching restores: the source by RULES V1, then the row, then the queue (RULES V)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from django.db import transaction

from jobs.engine.plan import Overwrite
from jobs.models import How, Initiator, Job, Snapshot
from jobs.restore_sources import Chosen, choose_source, reach_of
from jobs.rules.restore_source import NoSource
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor
from jobs.services.restore_job import audit_restore, create_restore
from jobs.services.restore_parameters import EXPECTED, LIVE, columns, told
from jobs.services.undumps import refuse_dumps
from policies.models import AccessNode, Copy


def launch_restore(
    snapshot: Snapshot,
    source: Copy | None = None,
    *,
    paths: Sequence[bytes] = (),
    target: str = "",
    in_place: bool = False,
    node: AccessNode | None = None,
    overwrite: Overwrite = Overwrite.IF_NEWER,
    with_metadata: bool = True,
    strip_prefix: bytes = b"",
    dry_run: bool = False,
    expected: dict[str, int] | None = None,
    rather_not: Mapping[int, str] | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """Restore ``paths`` (stored paths, raw bytes; empty = everything) of a point below the directory ``target``.

    ``in_place``: to the paths they came from instead, on a node that reaches the live data; everything is then all
    content paths, and the directories above them stay as they are. ``source``: the copy a
    person chose; None = the first that has the data (RULES V1). ``node`` None = one that reaches the source.
    ``dry_run``: nothing is written; the result tells conflicts and space. ``expected``: ``files`` and ``bytes``, for
    the progress. ``rather_not``: ids of copies that serve only where no other does, and why. Raises CannotLaunch.
    """
    refuse_dumps(snapshot)
    within = _nodes_in_place(snapshot, node) if in_place else None
    if in_place:
        target, strip_prefix = LIVE, b""
    if not target.startswith("/"):
        raise CannotLaunch("The target must be an absolute path on the access node, for example /restore/today.")
    if in_place and not paths:
        paths = [os.fsencode(path) for path in snapshot.content]
    chosen = choose_source(
        snapshot, paths=paths, wanted=source, node=node, within=within, obstacles=None if source else rather_not
    )
    if isinstance(chosen, NoSource) and rather_not:
        chosen = choose_source(snapshot, paths=paths, wanted=source, node=node, within=within)
    if isinstance(chosen, NoSource):
        raise CannotLaunch(chosen.reason, hint="Choose another point, another copy or another node.")
    job = create_restore(
        snapshot,
        chosen,
        paths=paths,
        target=target,
        in_place=in_place,
        strip_prefix=strip_prefix,
        overwrite=overwrite,
        with_metadata=with_metadata,
        dry_run=dry_run,
        more={EXPECTED: expected} if expected else {},
        source=source,
        node=node,
        user=user,
        initiator=initiator,
        how=how,
    )
    if not dry_run:
        audit_restore(job, f", existing files: {overwrite.value}", user=user, how=how)
    return dispatch(job.pk)


def read_instead(job_id: int, chosen: Chosen) -> None:
    """The source of a restore that runs could not be read any more: it reads another one from now on (RULES V1)."""
    with transaction.atomic():
        job = Job.objects.select_for_update(of=("self",)).get(pk=job_id)
        found = columns(chosen)
        for name, value in found.items():
            setattr(job, name, value)
        job.copy_label, job.parameters = chosen.source.copy.name, {**job.parameters, **told(chosen)}
        job.save(update_fields=[*found, "copy_label", "parameters"])


def _nodes_in_place(snapshot: Snapshot, node: AccessNode | None) -> frozenset[str] | None:
    """Names of the nodes that reach the live data; None = any. Raises CannotLaunch if ``node`` does not."""
    server = snapshot.subclient.file_server
    reach = reach_of(server, snapshot.subclient)
    if node is not None and reach is not None and node.name not in reach:
        raise CannotLaunch(
            f"The node {node.name} does not reach the live data of {server.name}, so it cannot restore in place.",
            hint=f"Choose one of {', '.join(sorted(reach))}, or restore to a directory of {node.name}.",
        )
    return reach
