"""An emulator of the REST interface of a NetApp ONTAP cluster: it answers what NetApp documents, and nothing else.

Written from the documentation of ONTAP's REST interface (docs.netapp.com, “ONTAP REST API reference”) and from the
package ``netapp_ontap`` 9.19, whose resource modules are generated from it. Used pages, by their last part:

* ``get-cluster`` – version and name
* ``get-svm-svms``
* ``get-storage-volumes``, ``post-storage-volumes`` (FlexClone), ``patch-storage-volumes-`` (``nas.path``,
  ``restore_to.snapshot.uuid``), ``delete-storage-volumes-``
* ``get-storage-volumes-snapshots`` (also with ``*`` for all volumes), ``post-storage-volumes-snapshots``,
  ``delete-storage-volumes-snapshots-`` with their “ONTAP Error Response Codes”
* ``get-cluster-jobs-`` – states queued, running, success, failure
* ``get-snapmirror-relationships``, ``post-snapmirror-relationships-transfers``,
  ``get-snapmirror-relationships-transfers-``, ``patch-snapmirror-relationships-transfers-``
* “Response body”, “Record filtering”, “Field value query parameters”: ``fields``, ``max_records``, ``_links.next``,
  ``name=a*``, ``a|b``; errors as ``{"error": {"message", "code"}}``, code a string

What is not documented is not claimed: a comment does not travel with SnapMirror, times are of whole seconds, and only
asked-for fields are returned. Whatever else is asked gets 404 and is in ``unknown``.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from . import ontap_volumes as storage
from .certificates import Certificate
from .https_server import Answer, HttpsServer, Request
from .ontap_records import only, page_of
from .ontap_state import (
    Json,
    Refusal,
    Relation,
    StoredJob,
    StoredSnapshot,
    StoredTransfer,
    StoredVolume,
    named,
)

ACCOUNT, PASSWORD = "snapcopy", "a-password-of-tests"
VERSION = "NetApp Release 9.16.1: Thu Jan 01 00:00:00 UTC 2026"
MOST_SNAPSHOTS = 1_023
_numbers = itertools.count(1)


class OntapCluster:
    """A cluster with one SVM, whose namespace lies in ``root`` on a btrfs. To be stopped.

    ``page`` is the most records of one answer, ``polls`` how often a job is running before it is over.
    """

    def __init__(self, root: Path, *, certified: Certificate | None = None) -> None:
        self.number = next(_numbers)
        self.root = root
        self.name, self.svm, self.svm_uuid = f"cluster{self.number}", f"svm{self.number}", str(uuid4())
        self.page, self.polls = 1_000, 1
        self.volumes: list[StoredVolume] = []
        self.relations: list[Relation] = []
        self.unknown: list[str] = []
        self._jobs: dict[str, StoredJob] = {}
        self._lock = threading.RLock()
        self.server = HttpsServer(self._answer, certified=certified)

    def stop(self) -> None:
        self.server.stop()

    def values(self) -> Json:
        """Options of a file server, without the password."""
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "svm": self.svm,
            "account": ACCOUNT,
            "namespace_mount": str(self.root),
            "ca_file": str(self.server.certificate.authority),
        }

    def add_volume(self, name: str, *, path: str | None = None, type: str = "rw") -> StoredVolume:  # noqa: A002
        """A volume at a junction path, /NAME unless told otherwise; an empty path = not mounted."""
        junction = f"/{name}" if path is None else path
        directory = self.root / (junction.strip("/") or f".{name}")
        storage.make_volume(directory)
        made = StoredVolume(name=name, directory=directory, path=junction, type=type)
        self.volumes.append(made)
        return made

    def mirror(self, source: OntapCluster, volume: StoredVolume, destination: StoredVolume) -> Relation:
        """A SnapMirror relationship from another cluster, on the same btrfs, to this one."""
        made = Relation(source=volume, source_path=f"{source.svm}:{volume.name}", destination=destination)
        self.relations.append(made)
        return made

    def take(self, volume: StoredVolume, name: str, *, comment: str = "", label: str = "") -> StoredSnapshot:
        """As somebody else does it, or as a job of ours."""
        if len(volume.snapshots) + volume.filler >= MOST_SNAPSHOTS:
            raise Refusal(400, "525062", "Maximum number of snapshots is reached.")
        if any(one.name == name for one in volume.snapshots):
            raise Refusal(409, "525059", f"Snapshot with the name {name} already exists.")
        if volume.state != "online":
            raise Refusal(500, "524479", f"Volume {volume.name} is offline.")
        storage.take(volume.directory, name)
        made = StoredSnapshot(name=name, created=datetime.now(UTC).replace(microsecond=0), comment=comment, label=label)
        volume.snapshots.append(made)
        return made

    def remove(self, volume: StoredVolume, snapshot: StoredSnapshot) -> None:
        if volume.type != "rw":
            raise Refusal(409, "1638521", "Snapshots can only be deleted on read/write (RW) volumes.")
        if snapshot.owners:
            raise Refusal(409, "1638543", f"Snapshot {snapshot.name} has an owner: {', '.join(snapshot.owners)}.")
        if snapshot.is_locked:
            raise Refusal(409, "1638555", f"Snapshot {snapshot.name} has not expired or is locked.")
        storage.drop(volume.directory / storage.SNAPSHOTS / snapshot.name)
        volume.snapshots.remove(snapshot)

    # Answers

    def _answer(self, request: Request) -> Answer:
        if request.login != (ACCOUNT, PASSWORD):
            return Refusal(401, "6691623", "User is not authorized.").answer
        with self._lock:
            for method, path, serve in self._routes():
                match = re.fullmatch(path, request.path)
                if match and method == request.method:
                    try:
                        return serve(request, *match.groups())
                    except Refusal as refusal:
                        return refusal.answer
        self.unknown.append(f"{request.method} {request.path}")
        return Refusal(404, "3", "API not found.").answer

    def _routes(self) -> tuple[tuple[str, str, Callable[..., Answer]], ...]:
        one = "([0-9a-f-]+)"
        volumes, snapshots = "/api/storage/volumes", f"/api/storage/volumes/{one}/snapshots"
        transfers = f"/api/snapmirror/relationships/{one}/transfers"
        return (
            ("GET", "/api/cluster", self._get_cluster),
            ("GET", "/api/svm/svms", self._get_svms),
            ("GET", volumes, self._get_volumes),
            ("POST", volumes, self._post_volume),
            ("PATCH", f"{volumes}/{one}", self._patch_volume),
            ("DELETE", f"{volumes}/{one}", self._delete_volume),
            ("GET", f"{volumes}/(\\*|{one[1:-1]})/snapshots", self._get_snapshots),
            ("POST", snapshots, self._post_snapshot),
            ("DELETE", f"{snapshots}/{one}", self._delete_snapshot),
            ("GET", f"/api/cluster/jobs/{one}", self._get_job),
            ("GET", "/api/snapmirror/relationships", self._get_relationships),
            ("POST", transfers, self._post_transfer),
            ("GET", f"{transfers}/{one}", self._get_transfer),
            ("PATCH", f"{transfers}/{one}", self._patch_transfer),
        )

    def _get_cluster(self, request: Request) -> Answer:
        version = {"full": VERSION, "generation": 9, "major": 16, "minor": 1}
        return Answer(body=only({"name": self.name, "version": version}, request, keep=("name", "version")))

    def _get_svms(self, request: Request) -> Answer:
        svm = {"uuid": self.svm_uuid, "name": self.svm, "state": "running", "subtype": "default"}
        return self._records(request, [svm])

    def _get_volumes(self, request: Request) -> Answer:
        root = StoredVolume(name=f"{self.svm}_root", directory=self.root, path="/")
        records = [self._volume(root) | {"is_svm_root": True}, *(self._volume(one) for one in self.volumes)]
        return self._records(request, records)

    def _volume(self, volume: StoredVolume) -> Json:
        return {
            "uuid": volume.uuid,
            "name": volume.name,
            "type": volume.type,
            "style": "flexvol",
            "state": volume.state,
            "is_svm_root": False,
            "svm": {"name": self.svm, "uuid": self.svm_uuid},
            "nas": {"path": volume.path} if volume.path else {},
            "snapshot_count": len(volume.snapshots) + volume.filler,
            "snapshot_directory_access_enabled": volume.shows_snapshots,
            "space": {"size": 100 << 30, "used": 7 << 30},
            "clone": {"is_flexclone": bool(volume.parent)},
        }

    def _post_volume(self, request: Request) -> Answer:
        body, clone = request.body, request.body.get("clone") or {}
        parent = self._by_uuid(clone["parent_volume"]["uuid"])
        snapshot = named(parent, clone["parent_snapshot"]["name"])
        made = StoredVolume(
            name=body["name"],
            directory=self.root / body["nas"]["path"].strip("/"),
            path=body["nas"]["path"],
            parent=parent.uuid,
            shows_snapshots=parent.shows_snapshots,
        )

        def act() -> None:
            source = parent.directory / storage.SNAPSHOTS / snapshot.name
            storage.copy_subvolume(source, made.directory, is_writable=True)
            snapshot.owners.append("volume clone")
            self.volumes.append(made)

        return self._job(act, location=f"/api/storage/volumes/{made.uuid}")

    def _patch_volume(self, request: Request, uuid: str) -> Answer:
        volume = self._by_uuid(uuid)
        if wanted := request.query.get("restore_to.snapshot.uuid"):
            snapshot = next((one for one in volume.snapshots if one.uuid == wanted), None)
            if snapshot is None:
                raise Refusal(404, "4", "entry doesn't exist")
            return self._job(lambda: self._restore(volume, snapshot))
        if request.body.get("nas") == {"path": ""}:
            volume.path = ""
            return self._job(lambda: None)
        raise Refusal(400, "2", "An invalid value was entered for one of the fields.")

    def _restore(self, volume: StoredVolume, snapshot: StoredSnapshot) -> None:
        at = volume.snapshots.index(snapshot)
        newer = volume.snapshots[at + 1 :]
        storage.restore(volume.directory, snapshot.name, [one.name for one in newer])
        del volume.snapshots[at + 1 :]

    def _delete_volume(self, _request: Request, uuid: str) -> Answer:
        volume = self._by_uuid(uuid)
        if not volume.parent or volume.path:
            raise Refusal(409, "524865", "Volume is in use, or mounted into the namespace.")

        def act() -> None:
            storage.drop(volume.directory)
            self.volumes.remove(volume)
            for one in self._by_uuid(volume.parent).snapshots:
                if "volume clone" in one.owners:
                    one.owners.remove("volume clone")

        return self._job(act)

    def _get_snapshots(self, request: Request, uuid: str) -> Answer:
        volumes = self.volumes if uuid == "*" else [self._by_uuid(uuid)]
        return self._records(request, [self._snapshot(volume, one) for volume in volumes for one in volume.snapshots])

    def _snapshot(self, volume: StoredVolume, one: StoredSnapshot) -> Json:
        return {
            "uuid": one.uuid,
            "name": one.name,
            "create_time": one.created.isoformat(),
            "comment": one.comment,
            "snapmirror_label": one.label,
            "owners": one.owners,
            "size": 122_880,
            "volume": {"uuid": volume.uuid, "name": volume.name},
            "svm": {"name": self.svm, "uuid": self.svm_uuid},
        }

    def _post_snapshot(self, request: Request, uuid: str) -> Answer:
        volume, body = self._by_uuid(uuid), request.body
        told = {"comment": body.get("comment", ""), "label": body.get("snapmirror_label", "")}
        if len(told["comment"]) > 255:
            raise Refusal(400, "2", "An invalid value was entered for one of the fields.")
        made: list[StoredSnapshot] = []
        return self._job(
            lambda: made.append(self.take(volume, body["name"], **told)),
            location=f"/api/storage/volumes/{volume.uuid}/snapshots?name={body['name']}",
        )

    def _delete_snapshot(self, _request: Request, volume_uuid: str, uuid: str) -> Answer:
        volume = self._by_uuid(volume_uuid)
        snapshot = next((one for one in volume.snapshots if one.uuid == uuid), None)
        if snapshot is None:
            raise Refusal(404, "1638600", "The snapshot does not exist.")
        return self._job(lambda: self.remove(volume, snapshot))

    def _get_job(self, request: Request, uuid: str) -> Answer:
        job = self._jobs.get(uuid)
        if job is None:
            raise Refusal(404, "4", "entry doesn't exist")
        if job.state in {"queued", "running"}:
            job.polls -= 1
            job.state = "running"
            if job.polls < 0:
                self._finish(job)
        record: Json = {"uuid": job.uuid, "state": job.state, "code": 0, "message": job.state}
        if job.error:
            record |= {"error": job.error, "code": int(job.error["code"]), "message": job.error["message"]}
        return Answer(body=record)

    def _finish(self, job: StoredJob) -> None:
        try:
            job.act()
            job.state = "success"
        except Refusal as refusal:
            job.state, job.error = "failure", refusal.error

    def _get_relationships(self, request: Request) -> Answer:
        records = [
            {
                "uuid": one.uuid,
                "state": one.state,
                "healthy": one.state == "snapmirrored",
                "source": {"path": one.source_path},
                "destination": {"path": f"{self.svm}:{one.destination.name}", "svm": {"name": self.svm}},
            }
            for one in self.relations
        ]
        return self._records(request, records)

    def _post_transfer(self, request: Request, uuid: str) -> Answer:
        relation = self._relation(uuid)
        if any(one.state == "transferring" for one in relation.transfers.values()):
            raise Refusal(409, "13303812", "Transfer failed: another transfer is in progress.")
        name = request.body.get("source_snapshot") or ""
        named(relation.source, name)
        made = StoredTransfer(uuid=str(uuid4()), snapshot=name, polls=self.polls)
        relation.transfers[made.uuid] = made
        location = f"/api/snapmirror/relationships/{uuid}/transfers/{made.uuid}"
        return Answer(status=201, body={}, headers={"Location": location})

    def _get_transfer(self, _request: Request, uuid: str, transfer_uuid: str) -> Answer:
        relation = self._relation(uuid)
        made = relation.transfers[transfer_uuid]
        if made.state == "transferring":
            made.polls -= 1
            if made.polls < 0:
                self._arrive(relation, made)
        record: Json = {"uuid": made.uuid, "state": made.state, "snapshot": made.snapshot, "bytes_transferred": 4_096}
        return Answer(body=record | ({"error_info": made.error} if made.error else {}))

    def _patch_transfer(self, request: Request, uuid: str, transfer_uuid: str) -> Answer:
        made = self._relation(uuid).transfers[transfer_uuid]
        if made.state == "transferring":
            made.state = str(request.body["state"])
        return Answer(body={})

    def _arrive(self, relation: Relation, made: StoredTransfer) -> None:
        """Name and time are kept; what else a snapshot knows is not documented to travel, but for its label."""
        there = relation.destination
        try:
            found = named(relation.source, made.snapshot)
        except Refusal as refusal:
            made.state, made.error = "failed", refusal.error
            return
        source = relation.source.directory / storage.SNAPSHOTS / found.name
        storage.copy_subvolume(source, there.directory / storage.SNAPSHOTS / found.name)
        there.snapshots.append(StoredSnapshot(name=found.name, created=found.created, label=found.label))
        made.state = "success"

    def _relation(self, uuid: str) -> Relation:
        found = next((one for one in self.relations if one.uuid == uuid), None)
        if found is None:
            raise Refusal(404, "4", "entry doesn't exist")
        return found

    def _by_uuid(self, uuid: str) -> StoredVolume:
        found = next((one for one in self.volumes if one.uuid == uuid), None)
        if found is None:
            raise Refusal(404, "4", "entry doesn't exist")
        return found

    def _job(self, act: Callable[[], None], *, location: str = "") -> Answer:
        made = StoredJob(uuid=str(uuid4()), act=act, polls=self.polls)
        self._jobs[made.uuid] = made
        link = {"self": {"href": f"/api/cluster/jobs/{made.uuid}"}}
        headers = {"Location": location} if location else {}
        return Answer(status=202, body={"job": {"uuid": made.uuid, "_links": link}}, headers=headers)

    def _records(self, request: Request, records: list[Json]) -> Answer:
        return page_of(request, records, most=self.page)
