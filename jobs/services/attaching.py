"""Attaching a repository that is there already, also one of stock restic: its snapshot files become points (RULES V1).

Looking and importing are jobs on a node, and change nothing on the medium. Importing twice imports nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction

from jobs.engine.operations.sealing import is_configuration
from jobs.engine.operations.undumping.stored import FoundDumps
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.models import (
    BackupCopy,
    CatalogState,
    CopyState,
    How,
    Initiator,
    Job,
    Operation,
    Snapshot,
    SnapshotState,
)
from jobs.progress import clean
from jobs.services.attaching_dumps import ImportedLevel, imported_level
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor
from jobs.services.upkeep import launch_of_medium
from policies import audit
from policies.models import IMPORTED, Copy, Media, Subclient
from policies.resolve import install_id, is_dump_stream
from policies.services.imported import imported_copy, imported_server, imported_subclient

IMPORT: Final = "import"
"""Parameter: the points are imported; without it the job only looks."""

OWN: Final = "own"
"""Parameter: the installation whose points belong to subclients that were rebuilt from its sealed configuration."""

NODE: Final = "node"

_SUBCLIENT_TAG: Final = "subclient="
_SNAPSHOT_TAG: Final = "snapshot="
_NS: Final = 10**9
_WHY_GONE: Final = "Imported from the medium {}: its snapshot is on no storage that is known here."


def launch_attach(
    *,
    media: Media,
    imports: bool = False,
    own: str = "",
    node: str = "",
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    user: Actor = None,
) -> Job:
    """Look what the repository on a medium holds; with ``imports`` make its snapshot files points. Audited.

    Raises CannotLaunch.
    """
    if not media.is_active:
        raise CannotLaunch(f"The medium {media.name} is switched off.", hint="Switch it on on its form.")
    given = {IMPORT: imports, OWN: own, NODE: node}
    parameters = {name: value for name, value in given.items() if value}
    job = launch_of_medium(Operation.ATTACH, media, initiator=initiator, how=how, user=user, parameters=parameters)
    known = how if how in audit.How.values else audit.How.SYSTEM
    sentence = f"{'Import' if imports else 'Look at'} what lies on the medium {media.name}: job {job.pk}"
    audit.record(action=audit.Action.OPERATED, instance=media, user=user, how=known, sentence=sentence)
    return job


def attach_wishes(job: Job) -> dict[str, Any]:
    """What an attachment was asked for, as keywords of :func:`launch_attach`."""
    given = job.parameters
    return {"imports": bool(given.get(IMPORT)), "own": str(given.get(OWN, "")), "node": str(given.get(NODE, ""))}


def known_files(media: Media) -> set[str]:
    """Ids of the snapshot files on a medium that some row means already."""
    rows = BackupCopy.objects.filter(media=media, snapshot_file_id__isnull=False)
    return {file_id for file_id in rows.values_list("snapshot_file_id", flat=True) if file_id}


@dataclass(slots=True, kw_only=True)
class Importer:
    """Makes points of snapshot files of one medium. ``own`` as in :data:`OWN`; ``user`` for the audit trail.

    ``subclients`` are those that got a point; ``rebuilt`` those of them that were rebuilt.
    """

    media: Media
    own: str = ""
    user: Actor = None
    subclients: dict[int, Subclient] = field(default_factory=dict)
    rebuilt: dict[int, Subclient] = field(default_factory=dict)
    _copies: dict[int, Copy | None] = field(default_factory=dict)
    _former_ids: dict[str, str] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._known = known_files(self.media)

    def leaves_out(self, file: SnapshotFile) -> bool:
        """It is a point already, or none: a configuration, or what a copy of ours left that was made again."""
        return file.id in self._known or is_configuration(file) or self._is_replaced(file)

    def _is_replaced(self, file: SnapshotFile) -> bool:
        name = name_of(file)
        is_ours = name.startswith(f"sc-{install_id()}-")
        return is_ours and BackupCopy.objects.filter(media=self.media, snapshot__name=name).exists()

    @transaction.atomic
    def take(self, file: SnapshotFile, content: Iterable[bytes], *, dumps: FoundDumps | None = None) -> bool:
        """False = there is a point of it already. ``content`` are the paths its files lie below, ``dumps`` what it
        holds instead of files. To be called from the oldest to the newest."""
        if file.id is None or file.id in self._known:
            return False
        paths = [path.decode("utf-8", "surrogateescape") for path in content]
        mine = self._rebuilt_subclient(file)
        engine, level = IMPORTED, ImportedLevel()
        if mine is not None:
            subclient, copy = mine
            self.rebuilt[subclient.pk] = subclient
            if dumps is not None and is_dump_stream(subclient.file_server.engine):
                engine, paths = subclient.file_server.engine, list(dumps.file_systems)
                level = imported_level(file, dumps, subclient, copy, former_ids=self._former_ids)
        else:
            copy = imported_copy(self.media, user=self.user)
            server = imported_server(clean(file.hostname), user=self.user)
            subclient = imported_subclient(server, copy, paths, user=self.user)
        name = name_of(file) if mine is not None else ""
        snapshot = self._snapshot(file, subclient, paths, name=name, engine=engine, level=level)
        made = self._backup_copy(file, snapshot, copy, level)
        self.subclients[subclient.pk] = subclient
        self._known.add(file.id)
        if file.original is not None:
            self._former_ids[file.original] = file.id
        return made

    def _rebuilt_subclient(self, file: SnapshotFile) -> tuple[Subclient, Copy] | None:
        """Only points of the installation that was rebuilt from here, and only where its subclient is there again."""
        name, path = name_of(file), _tagged(file, _SUBCLIENT_TAG)
        if not self.own or not name.startswith(f"sc-{self.own}-") or path.count("/") != 1:
            return None
        server, own_name = path.split("/")
        found = Subclient.objects.filter(file_server__name=server, name=own_name).exclude(file_server__engine=IMPORTED)
        subclient = found.select_related("file_server", "policy").first()
        copy = self._copy_of(subclient) if subclient is not None else None
        return (subclient, copy) if subclient is not None and copy is not None else None

    def _copy_of(self, subclient: Subclient) -> Copy | None:
        """The policy's copy on this medium, the one of the lowest precedence."""
        if subclient.policy_id not in self._copies:
            rows = Copy.objects.filter(policy=subclient.policy_id, media=self.media).order_by("precedence")
            self._copies[subclient.policy_id] = rows.select_related("policy", "media").first()
        return self._copies[subclient.policy_id]

    def _snapshot(
        self,
        file: SnapshotFile,
        subclient: Subclient,
        content: list[str],
        *,
        name: str,
        engine: str,
        level: ImportedLevel,
    ) -> Snapshot:
        """The row of a snapshot that is nowhere any more. Two media may hold copies of the same one."""
        if name and (there := Snapshot.objects.filter(name=name, subclient=subclient).first()) is not None:
            return there
        if not name or Snapshot.objects.filter(name=name).exists():
            name = f"sc-imported-{file.id[:24] if file.id else ''}"
        return Snapshot.objects.create(
            subclient=subclient,
            name=name,
            engine=engine,
            content=content,
            state=SnapshotState.DELETED,
            state_reason=_WHY_GONE.format(self.media.name),
            initiator=Initiator.SCRIPT,
            catalog_state=CatalogState.PENDING,
            asked_level=level.level,
            ran_level=level.level,
            level_number=level.number,
            taken_at=_free_moment(subclient, file.time_ns),
        )

    def _backup_copy(self, file: SnapshotFile, snapshot: Snapshot, copy: Copy, level: ImportedLevel) -> bool:
        """A snapshot file of files holds everything, so each is a full; dumps have their levels."""
        summary = file.summary
        copied_ns = summary.backup_end_ns if summary is not None else file.time_ns
        values: dict[str, Any] = {
            "media": self.media,
            "state": CopyState.COPIED,
            "state_reason": f"Imported. {level.problem}".rstrip(),
            "ran_level": level.level,
            "level_number": level.number,
            "parent": level.parent,
            "snapshot_file_id": file.id,
            "tree_id": file.tree.hex(),
            "copied_at": _moment(copied_ns),
        }
        if summary is not None:
            values |= {
                "files": summary.total_files_processed,
                "logical_bytes": summary.total_bytes_processed,
                "stored_bytes": summary.data_added_packed,
                "new_bytes": summary.data_added,
            }
        _, made = BackupCopy.objects.get_or_create(snapshot=snapshot, copy=copy, defaults=values)
        return made


def name_of(file: SnapshotFile) -> str:
    """The name of the snapshot that one of our own backup copies was made of; empty for those of others."""
    name = _tagged(file, _SNAPSHOT_TAG)
    return name if name.startswith("sc-") and len(name) <= 64 else ""


def _tagged(file: SnapshotFile, tag: str) -> str:
    found = [one.removeprefix(tag) for one in file.tags if one.startswith(tag)]
    return clean(found[0]) if len(found) == 1 else ""


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // _NS, tz=UTC) + timedelta(microseconds=ns % _NS // 1000)


def _free_moment(subclient: Subclient, ns: int) -> datetime:
    """The catalog tells the points of a subclient apart by their moments: a rewritten file keeps that of the first."""
    at = _moment(ns)
    while Snapshot.objects.filter(subclient=subclient, taken_at=at).exists():
        at += timedelta(microseconds=1)
    return at
