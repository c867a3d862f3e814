"""Launching restores of dumps: their files go back to an NDMP file server, which writes them itself (RULES L6, V)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db.models import QuerySet

from jobs.dump_chains import dump_chain
from jobs.engine.errors import NotInCopy
from jobs.engine.plan import Overwrite
from jobs.models import How, Initiator, Job, Snapshot
from jobs.restore_sources import Chosen, choose_source
from jobs.rules.restore_source import NoSource, SourceKind
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor
from jobs.services.restore_job import audit_restore, create_restore
from jobs.services.restore_parameters import CHOSEN_COPY, DESTINATION, DIRECT, IN_PLACE, LIVE
from policies.models import AccessNode, Copy, FileServer
from policies.resolve import dump_stream_engines, is_dump_stream

_AS_IT_SAYS: Final = "auto"


def launch_undump(
    snapshot: Snapshot,
    source: Copy | None = None,
    *,
    paths: Sequence[bytes] = (),
    file_server: FileServer | None = None,
    target: str = "",
    in_place: bool = False,
    strip_prefix: bytes = b"",
    is_direct: bool = True,
    node: AccessNode | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """Give back ``paths`` (stored paths, raw bytes; empty = everything) of a point that was dumped.

    ``file_server`` None = the one that it came from. ``in_place``: to the paths they came from, else below ``target``,
    an absolute path there. What is in the way is overwritten. ``is_direct``: chosen files are read where they are in
    the images. ``node``: who carries the data; None = one that reaches the file server. Raises CannotLaunch.
    """
    own = snapshot.subclient.file_server
    there = file_server or own
    if not is_dumped(snapshot):
        raise CannotLaunch(f"{snapshot.name} was not dumped: its files are restored to a directory of a node.")
    if in_place and there != own:
        raise CannotLaunch(
            f"In place means {own.name}, where the files came from.",
            hint=f"Name a path on {there.name}, or leave the file server out.",
        )
    _require_same_kind(own, there)
    target = LIVE if in_place else target
    if not target.startswith("/") or ".." in target.split("/"):
        raise CannotLaunch(f"The target must be an absolute path on {there.name}, for example /vol/vol1/restored.")
    chosen = _choose(snapshot, paths, source)
    job = create_restore(
        snapshot,
        chosen,
        paths=paths,
        target=target,
        in_place=in_place,
        strip_prefix=b"" if in_place else strip_prefix,
        overwrite=Overwrite.ALWAYS,
        more={DESTINATION: {"id": there.pk, "name": there.name}, DIRECT: is_direct},
        source=source,
        node=node,
        user=user,
        initiator=initiator,
        how=how,
    )
    audit_restore(job, f" on {there.name}, which overwrites", user=user, how=how)
    return dispatch(job.pk)


def undump_again(
    job: Job,
    snapshot: Snapshot,
    paths: Sequence[bytes],
    *,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """The same as a new job, of other ``paths``. Raises CannotLaunch."""
    given = job.parameters
    there = FileServer.objects.filter(pk=given[DESTINATION]["id"]).first()
    if there is None:
        raise CannotLaunch(f"The file server {given[DESTINATION]['name']} that was restored to was deleted.")
    return launch_undump(
        snapshot,
        Copy.objects.filter(pk=given.get(CHOSEN_COPY)).first(),
        paths=paths,
        file_server=there,
        target="" if given.get(IN_PLACE) else given["target"],
        in_place=bool(given.get(IN_PLACE)),
        strip_prefix=bytes.fromhex(given["strip_prefix"]),
        is_direct=given[DIRECT],
        node=AccessNode.objects.filter(name=given.get("node", "")).first(),
        user=user,
        initiator=initiator,
        how=how,
    )


def is_dumped(snapshot: Snapshot) -> bool:
    """Its files lie in dumps, which only an NDMP file server can read."""
    return is_dump_stream(snapshot.engine)


def refuse_dumps(snapshot: Snapshot) -> None:
    """For what needs files: a directory of a node, an archive to download. Raises CannotLaunch."""
    if is_dumped(snapshot):
        raise CannotLaunch(
            f"The files of {snapshot.subclient.path} lie in dumps that only an NDMP file server can read: they cannot "
            "be written to a directory of an access node.",
            hint="Restore them in place, to another path or to another file server of the same kind.",
        )


def servers_for_dumps(server: FileServer) -> QuerySet[FileServer]:
    """Other file servers that can read what ``server`` dumped, as far as it is known."""
    others = FileServer.objects.filter(engine__in=dump_stream_engines()).exclude(pk=server.pk)
    return others.filter(pk__in=[other.pk for other in others if not _differ(server, other)])


def _choose(snapshot: Snapshot, paths: Sequence[bytes], source: Copy | None) -> Chosen:
    chosen = choose_source(snapshot, paths=paths, wanted=source, kinds=(SourceKind.MEDIA,))
    if isinstance(chosen, NoSource):
        raise CannotLaunch(chosen.reason, hint="Choose another point or another copy.")
    if chosen.source.backup_copy is not None:
        try:
            dump_chain(chosen.source.backup_copy)
        except NotInCopy as error:
            raise CannotLaunch(error.sentence, hint=error.hint) from error
    return chosen


def _require_same_kind(own: FileServer, there: FileServer) -> None:
    """Images are the vendor's own. What is not known now is found out by the job."""
    if not is_dump_stream(there.engine):
        raise CannotLaunch(
            f"{there.name} is not reached by NDMP, so it cannot read dumps.",
            hint="Choose an NDMP file server of the same kind.",
        )
    if _differ(own, there):
        raise CannotLaunch(
            f"{there.name} is another kind of file server than {own.name} and cannot read its dumps.",
            hint="Choose an NDMP file server of the same kind.",
        )


def _differ(one: FileServer, other: FileServer) -> bool:
    kinds = {_kind_of(one), _kind_of(other)} - {""}
    return len(kinds) > 1 or one.options.get("backup_type", "dump") != other.options.get("backup_type", "dump")


def _kind_of(server: FileServer) -> str:
    """The key of its profile: as it was chosen, or as its last Test found; empty = nobody knows."""
    chosen: Any = server.options.get("profile", _AS_IT_SAYS)
    found: Any = (server.last_test or {}).get("facts") or {}
    return str(found.get("profile", "") if chosen == _AS_IT_SAYS else chosen)
