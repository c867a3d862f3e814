"""What an address names, if the user may see it: else 404, as if it did not exist."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404

from jobs.models import Job, Snapshot
from jobs.visible import visible_jobs, visible_snapshots
from policies.models import Subclient
from policies.selectors.visible import Person, visible_subclients


def subclient_or_404(user: Person, server: str, name: str) -> Subclient:
    """With its file server and policy."""
    rows = visible_subclients(user).select_related("file_server", "policy")
    return get_object_or_404(rows, file_server__name=server, name=name)


def job_or_404(user: Person, pk: int) -> Job:
    found = visible_jobs(user).filter(pk=pk).first()
    if found is None:
        raise Http404(f"There is no job {pk}.")
    return found


def snapshot_or_404(user: Person, pk: int) -> Snapshot:
    """With its subclient and file server."""
    return get_object_or_404(visible_snapshots(user).select_related("subclient__file_server"), pk=pk)
