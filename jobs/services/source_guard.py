"""The source guard: a source that came back empty or much smaller freezes aging until somebody looks (RULES R10)."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from jobs.engine.events import Counters
from jobs.models import BackupCopy, How
from jobs.rules.guard import source_guard
from jobs.selectors import last_copied
from jobs.services.errors import JobRefusal
from policies import audit
from policies.models import Subclient


class NothingFrozen(JobRefusal):
    """Aging of the subclient is not stopped: there is nothing to acknowledge."""


def guard_source(row: BackupCopy, counters: Counters, *, is_full: bool = False) -> str:
    """Compare what a backup copy just found with the copy before it, on the same medium; freezes aging if it must.

    Empty = all is well; else the sentence with which the job ends *completed with errors*. Idempotent.
    ``is_full``: it is compared with the last full, for dumps of a lower level hold the changes only (L1).
    """
    before = last_copied(row.snapshot.subclient, row.copy, before=row.snapshot, is_full=is_full)
    sentence = source_guard(
        before_files=before.files if before else None,
        before_bytes=before.logical_bytes if before else None,
        files=counters.files_done,
        bytes=counters.bytes_done,
    )
    if sentence:
        freeze_aging(row.snapshot.subclient, reason=sentence)
    return sentence


def freeze_aging(subclient: Subclient, *, reason: str) -> bool:
    """Stop aging of everything of the subclient. False = it was stopped already; the first reason stays."""
    with transaction.atomic():
        unfrozen = Subclient.objects.filter(pk=subclient.pk, aging_frozen_at__isnull=True)
        if not unfrozen.update(aging_frozen_at=timezone.now(), aging_frozen_reason=reason):
            return False
        audit.record(
            action=audit.Action.OPERATED,
            instance=subclient,
            user=None,
            how=audit.How.SYSTEM,
            sentence=f"The source guard stopped aging of {subclient.path}: {reason}",
        )
    return True


def acknowledge_source(subclient: Subclient, *, user: audit.Actor, how: str = How.WEB) -> Subclient:
    """Somebody looked at the source and says that it is right: aging goes on. Raises NothingFrozen."""
    with transaction.atomic():
        frozen = Subclient.objects.select_for_update(of=("self",)).filter(
            pk=subclient.pk, aging_frozen_at__isnull=False
        )
        found = frozen.select_related("file_server").first()
        if found is None:
            raise NothingFrozen(f"Aging of {subclient.path} is not stopped: there is nothing to acknowledge.")
        reason = found.aging_frozen_reason
        frozen.update(aging_frozen_at=None, aging_frozen_reason="")
        audit.record(
            action=audit.Action.OPERATED,
            instance=found,
            user=user,
            how=how,
            sentence=f"Acknowledged the source of {found.path}: its aging goes on. The guard had said: {reason}",
        )
    subclient.refresh_from_db(fields=["aging_frozen_at", "aging_frozen_reason"])
    return subclient
