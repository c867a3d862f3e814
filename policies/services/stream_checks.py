"""What cannot be with file servers that are read as the stream of a dump, and what is unwise with them.

They keep no snapshot, so nothing can be sent to another storage; and they keep one set of dump dates for each path,
so only one reader may make them count (RULES L1, L4).
"""

from __future__ import annotations

from collections.abc import Sequence

from policies.models import CatalogMode, Copy, CopyKind, FileServer, StoragePolicy, Subclient
from policies.models.policy_choices import BACKUP_KINDS
from policies.resolve import dump_stream_engines, engine_label, has_tokens, is_dump_stream, point_engines


def stream_problem(policy: StoragePolicy) -> str:
    """Why no subclient that is read as a stream can be under the policy; empty = it can."""
    snap = policy.copies.filter(kind=CopyKind.SECONDARY_SNAP).first()
    if snap is not None:
        return (
            f"No snapshots are sent from a file server that is read as dumps, so the copy “{snap.name}” of the policy "
            f"{policy} would have nothing to send. Choose a policy without secondary snap copies."
        )
    readers = _readers(policy)
    if len(readers) > 1:
        names = " and ".join(f"“{copy.name}”" for copy in readers)
        return (
            f"The copies {names} of the policy {policy} would both read the file server, and each would spoil the "
            "levels of the other. Let one of them be fed from the other."
        )
    return ""


def stream_copy_problems(copy: Copy) -> dict[str, str]:
    """By field: what a copy cannot be while its policy has subclients that are read as a stream."""
    if copy.target_server is not None and is_dump_stream(copy.target_server.engine):
        return {
            "target_server": f"{copy.target_server} is reached by {engine_label(copy.target_server)} only, and "
            "takes no snapshots."
        }
    streamed = next((one for one in _subclients(copy) if is_dump_stream(one.file_server.engine)), None)
    if streamed is None:
        return {}
    if copy.kind == CopyKind.SECONDARY_SNAP:
        return {
            "kind": f"{streamed.path} has no snapshots that could be sent: its file server is read as dumps. Add a "
            "secondary backup copy."
        }
    others = [other for other in _readers(copy.policy) if other.pk != copy.pk]
    if copy.kind in BACKUP_KINDS and copy.source is None and others:
        return {
            "source": f"Only one copy may read {streamed.path}, and “{others[0].name}” does: two would spoil each "
            "other’s levels. Choose a backup copy that this one is fed from."
        }
    return {}


def path_problems(server: FileServer, paths: Sequence[str], *, but: Subclient | None = None) -> list[str]:
    """A path belongs to one subclient of a file server that keeps dump dates by path, under whatever name it is known.

    Not where each dump is told what to build on.
    """
    if not is_dump_stream(server.engine) or has_tokens(server):
        return []
    theirs = Subclient.objects.filter(file_server__engine=server.engine).select_related("file_server")
    others = [one for one in theirs if one != but and _same_storage(one.file_server, server)]
    return [
        f"{path} belongs to {other.path} already. The file server keeps the dates of its dumps by path: two subclients "
        "would spoil each other’s levels."
        for path in paths
        for other in others
        if path in other.content_paths
    ]


def has_streams(policy: StoragePolicy) -> bool:
    """Whether a subclient under the policy is read as a stream."""
    return policy.subclients.filter(file_server__engine__in=dump_stream_engines()).exists()


def has_points(policy: StoragePolicy) -> bool:
    """Whether nothing lies on the storage of a subclient under the policy."""
    return policy.subclients.filter(file_server__engine__in=point_engines()).exists()


def point_warnings(policy: StoragePolicy, *, are_points: bool = True) -> list[str]:
    """What works for a subclient that is read as a stream, and is hardly what anybody wants.

    ``are_points``: nothing of it lies on a storage.
    """
    warnings = []
    if are_points and not _readers(policy):
        warnings.append(f"The policy {policy} has no backup copy: points are recorded, and none of them holds a file.")
    elif are_points and not policy.is_inline:
        warnings.append(
            f"The policy {policy} copies later. The file server makes its snapshot when it is copied, so a copy holds "
            "the files of that moment, not those of its point. Copying inline keeps the two together."
        )
    if policy.catalog == CatalogMode.SKIP:
        warnings.append(
            f"The policy {policy} makes no catalog. The files in a dump are known by its catalog only: without one, "
            "nothing can be browsed or searched, and only whole file systems can be restored."
        )
    return warnings


def _readers(policy: StoragePolicy) -> list[Copy]:
    """The backup copies that read the file server, and are not fed from another backup copy."""
    copies = policy.copies.filter(kind__in=BACKUP_KINDS).select_related("source").order_by("precedence", "pk")
    return [copy for copy in copies if copy.source is None or not copy.source.is_backup]


def _subclients(copy: Copy) -> list[Subclient]:
    return list(copy.policy.subclients.select_related("file_server")) if copy.policy_id else []


def _same_storage(one: FileServer, other: FileServer) -> bool:
    return one.pk == other.pk or _where(one) == _where(other)


def _where(server: FileServer) -> tuple[str, object]:
    return str(server.options.get("host", "")).lower(), server.options.get("port")
