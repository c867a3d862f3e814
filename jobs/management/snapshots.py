"""What the commands about one snapshot share: finding it by its name or time, and telling of mounts."""

from __future__ import annotations

from django.core.management.base import CommandError

from jobs.management.cli import ExitCode, find_subclient
from jobs.models import Snapshot, SnapshotMount, SnapshotState
from policies.models import AccessNode

LATEST = "latest"


def find_snapshot(subclient: str, name: str) -> Snapshot:
    """``name`` of a snapshot that is on its storage, or ``latest``. Anything else is a wrong command line."""
    found = find_subclient(subclient)
    rows = found.snapshots.select_related("subclient__file_server", "subclient__policy").order_by("-taken_at", "-pk")
    rows = rows.filter(state=SnapshotState.PRESENT) if name == LATEST else rows.filter(name=name)
    snapshot = rows.first()
    if snapshot is None:
        known = ", ".join(found.snapshots.filter(state=SnapshotState.PRESENT).values_list("name", flat=True)[:5])
        which = "no snapshot on its storage" if name == LATEST else f"no snapshot {name}"
        raise CommandError(
            f"{found.path} has {which}. The newest are: {known or 'none'}.", returncode=int(ExitCode.USAGE)
        )
    return snapshot


def find_node(name: str | None) -> AccessNode | None:
    """None = not asked for."""
    if name is None:
        return None
    node = AccessNode.objects.filter(name=name).first()
    if node is None:
        raise CommandError(f"There is no access node {name}.", returncode=int(ExitCode.USAGE))
    return node


def mount_as_dictionary(mount: SnapshotMount) -> dict[str, object]:
    """A mount as scripts see it; names are stable."""
    return {
        "snapshot": mount.snapshot.name,
        "subclient": mount.snapshot.subclient.path,
        "state": mount.state,
        "node": mount.node_label,
        "path": mount.path,
        "way": mount.way,
        "by": mount.mounted_by_label,
        "until": mount.expires_at.isoformat(),
    }
