"""The maker's own client (``netapp_ontap``), with our time limits, our errors and our way to stop.

Needs the optional package; only :mod:`.engine` loads it. A connection belongs to one call of the engine: nothing is set
for the whole process, and no session crosses a fork. The environment of the process is not asked: REQUESTS_CA_BUNDLE
would silently replace what the options trust, a proxy or .netrc the way and the account.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import requests
from netapp_ontap.error import NetAppRestError
from netapp_ontap.host_connection import HostConnection, LoggingAdapter, LoggingRetry
from netapp_ontap.raw_resource import RawResource
from netapp_ontap.resource import Resource
from netapp_ontap.resources.cluster import Cluster
from netapp_ontap.resources.job import Job
from netapp_ontap.resources.snapmirror_relationship import SnapmirrorRelationship
from netapp_ontap.resources.snapmirror_transfer import SnapmirrorTransfer
from netapp_ontap.resources.snapshot import Snapshot
from netapp_ontap.resources.svm import Svm
from netapp_ontap.resources.volume import Volume as VolumeResource
from netapp_ontap.response import NetAppResponse
from urllib3.exceptions import ReadTimeoutError

from ...clock import Clock, SystemClock
from ...errors import EngineError, InvalidOptions, SnapshotMissing, SourceUnavailable, Stopped, StorageBusy
from ...events import Control
from ..arrays.certificates import checked_authority, checked_fingerprint, presented_fingerprint
from ..arrays.waiting import Waiting
from .errors import refused
from .options import OntapOptions
from .volumes import Volume, VolumeSnapshot, snapshot_of

_CONNECT_SECONDS: Final = 10
_READ_SECONDS: Final = 60
_PAGE: Final = 1_000
_VOLUME_FIELDS: Final = (
    "uuid,name,type,style,state,nas.path,snapshot_count,snapshot_directory_access_enabled,space.size,space.used"
)
_SNAPSHOT_FIELDS: Final = "uuid,name,create_time,comment,volume.uuid"
_RELATION_FIELDS: Final = "uuid,state,healthy,unhealthy_reason,source.path,destination.path"
_ENDED_BADLY: Final = frozenset({"failed", "aborted", "hard_aborted"})
Record = Mapping[str, Any]


class OntapClient:
    """One connection, to be closed. Every method raises errors of the engine's tree only."""

    def __init__(self, options: OntapOptions, clock: Clock | None = None) -> None:
        self._options = options
        self._clock = clock or SystemClock()
        self._fingerprint = checked_fingerprint(options.fingerprint)
        authority = checked_authority(options.ca_file)
        limits = (min(_CONNECT_SECONDS, options.timeout_seconds), min(_READ_SECONDS, options.timeout_seconds))
        self._connection = HostConnection(
            options.host,
            username=options.account,
            password=options.password.reveal(),
            verify=False if self._fingerprint else (str(authority) if authority else True),  # type: ignore[arg-type]
            port=options.port,
            poll_timeout=options.timeout_seconds,
            poll_interval=1,
            protocol_timeouts=limits,
        )
        session = self._connection.session
        session.trust_env = False
        session.mount(self._connection.origin, _Adapter(self._connection, self._fingerprint, limits))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.session.close()

    def cluster(self) -> tuple[str, str]:
        """Its name, and its version in ONTAP's words."""
        found = Cluster()
        found.set_connection(self._connection)
        with self._errors("say what it is"):
            found.get(fields="name,version")
        told = found.to_dict()
        return str(told.get("name", "")), str(told.get("version", {}).get("full", ""))

    def svm(self) -> str:
        """Its state. Raises InvalidOptions (``svm``)."""
        name = self._options.svm
        found = self._all("list its SVMs", Svm.fast_get_collection, name=name, fields="name,state")
        if not found:
            raise InvalidOptions(
                f"“{self._options.address}” has no SVM called “{name}”, or does not show it to this account.",
                field="svm",
                hint="“vserver show” lists them; upper and lower case count.",
            )
        return str(found[0].get("state", ""))

    def volumes(self) -> tuple[Volume, ...]:
        """All but the SVM's root volume."""
        records = self._all(
            "list the volumes",
            VolumeResource.fast_get_collection,
            **{"svm.name": self._options.svm, "is_svm_root": "false", "fields": _VOLUME_FIELDS},
        )
        return tuple(_volume(record) for record in records)

    def snapshots(self, name: str, *, volume: str = "*") -> list[VolumeSnapshot]:
        """Those whose names match; of all volumes of the SVM, or of one by its uuid."""
        query = {"name": name, "fields": _SNAPSHOT_FIELDS}
        if volume == "*":
            query["svm.name"] = self._options.svm
        records = self._all("list snapshots", Snapshot.fast_get_collection, volume, **query)
        return [_snapshot(record, volume) for record in records]

    def create_snapshot(self, volume: Volume, name: str, comment: str, control: Control) -> None:
        told = {"name": name, "comment": comment}
        if self._options.snapmirror_label:
            told["snapmirror_label"] = self._options.snapmirror_label
        made = _NewSnapshot(volume.uuid, **told)
        made.set_connection(self._connection)
        doing = f"take the snapshot “{name}” of the volume “{volume.name}”"
        try:
            with self._errors(doing):
                answer = made.post(poll=False)
            self._wait(answer, doing, control)
        except SnapshotMissing as error:
            raise SourceUnavailable(f"{error.sentence} The volume is gone.") from error

    def delete_snapshot(self, found: VolumeSnapshot, control: Control) -> None:
        """One that is gone is no error."""
        gone = Snapshot(found.volume, uuid=found.uuid)
        gone.set_connection(self._connection)
        doing = f"delete the snapshot “{found.name}”"
        with contextlib.suppress(SnapshotMissing):
            with self._errors(doing):
                answer = gone.delete(poll=False)
            self._wait(answer, doing, control)

    def restore(self, volume: Volume, found: VolumeSnapshot, control: Control) -> None:
        """Make the whole volume what it is in the snapshot; the newer ones go."""
        restore_to: dict[str, Any] = {"restore_to.snapshot.uuid": found.uuid}
        live = VolumeResource(uuid=volume.uuid)
        live.set_connection(self._connection)
        doing = f"restore the volume “{volume.name}” from “{found.name}”"
        with self._errors(doing):
            answer = live.patch(poll=False, **restore_to)
        self._wait(answer, doing, control)

    def make_clone(self, volume: Volume, snapshot: str, name: str, path: str, control: Control) -> None:
        """A FlexClone of one snapshot, mounted at a junction path of its own."""
        made = _NewVolume.from_dict(
            {
                "name": name,
                "svm": {"name": self._options.svm},
                "nas": {"path": path},
                "clone": {
                    "is_flexclone": True,
                    "parent_volume": {"uuid": volume.uuid},
                    "parent_snapshot": {"name": snapshot},
                },
            }
        )
        made.set_connection(self._connection)
        doing = f"clone the snapshot “{snapshot}” of the volume “{volume.name}”"
        with self._errors(doing):
            answer = made.post(poll=False)
        self._wait(answer, doing, control)

    def clones(self, name: str) -> list[Volume]:
        """FlexClones with that name, or whose names match."""
        query = {"svm.name": self._options.svm, "name": name, "clone.is_flexclone": "true", "fields": _VOLUME_FIELDS}
        return [_volume(record) for record in self._all("list clones", VolumeResource.fast_get_collection, **query)]

    def remove_clone(self, clone: Volume, control: Control) -> None:
        """Out of the namespace first, then for good."""
        gone = VolumeResource(uuid=clone.uuid)
        _set(gone, nas={"path": ""})
        gone.set_connection(self._connection)
        doing = f"remove the clone “{clone.name}”"
        with contextlib.suppress(SnapshotMissing), self._errors(doing):
            self._wait(gone.patch(poll=False), doing, control)
            self._wait(gone.delete(poll=False), doing, control)

    def relationships(self, source: str) -> list[Record]:
        """SnapMirror relationships from the volume ``SVM:volume`` to this cluster."""
        query = {"source.path": source, "destination.svm.name": self._options.svm, "fields": _RELATION_FIELDS}
        return self._all("list SnapMirror relationships", SnapmirrorRelationship.fast_get_collection, **query)

    def transfer(self, relationship: str, snapshot: str, control: Control) -> int:
        """Send one snapshot, and wait as long as it takes. Bytes that went over the network."""
        made = SnapmirrorTransfer(relationship, source_snapshot=snapshot)
        made.set_connection(self._connection)
        doing = f"transfer the snapshot “{snapshot}”"
        with self._errors(doing):
            made.post(poll=False)
            uuid = str(made.to_dict()["uuid"])
        waiting = Waiting(control)
        while True:
            now = SnapmirrorTransfer(relationship, uuid=uuid)
            now.set_connection(self._connection)
            with self._errors(doing):
                now.get(fields="state,bytes_transferred,error_info")
                told = now.to_dict()
            if told.get("state") == "success":
                return int(told.get("bytes_transferred") or 0)
            if told.get("state") in _ENDED_BADLY:
                raise _failed(doing, told.get("error_info") or {})
            try:
                waiting.pause()
            except Stopped:
                self._abort(relationship, uuid)
                raise

    def _abort(self, relationship: str, uuid: str) -> None:
        """As far as it goes: what is not aborted ends by itself."""
        running = SnapmirrorTransfer(relationship, uuid=uuid)
        running.set_connection(self._connection)
        _set(running, state="aborted")
        with contextlib.suppress(EngineError), self._errors("abort a transfer"):
            running.patch(poll=False)

    def _all(self, doing: str, collection: Any, *parents: str, **query: str) -> list[Record]:
        """Every page (``_links.next``), as it came: checked by the client, one value new to it would spoil all."""
        with self._errors(doing):
            query["max_records"] = str(_PAGE)
            found: Iterable[RawResource] = collection(*parents, connection=self._connection, **query)
            return [one.resource_data for one in found]

    def _wait(self, answer: NetAppResponse, doing: str, control: Control) -> None:
        """Until the job of an answer is over; an answer without one says that it is done."""
        with self._errors(doing):
            uuid = (answer.http_response.json() if answer.http_response.content else {}).get("job", {}).get("uuid")
        if not uuid:
            return
        job = Job(uuid=str(uuid))
        job.set_connection(self._connection)
        waiting = Waiting(control)
        ends_at = self._clock.monotonic() + self._options.timeout_seconds
        while True:
            with self._errors(doing):
                job.get(fields="state,code,message,error")
            told = job.to_dict()
            if told.get("state") == "success":
                return
            if told.get("state") == "failure":
                raise _failed(doing, told.get("error") or told)
            if self._clock.monotonic() > ends_at:
                raise StorageBusy(
                    f"ONTAP did not {doing} within {self._options.timeout_seconds} s: its job {told.get('uuid')} is "
                    f"{told.get('state')}.",
                    hint="Look at the cluster’s jobs, or raise the time limit of this file server.",
                )
            waiting.pause()

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except NetAppRestError as error:
            told = (error.response_body or {}).get("error") or {}
            code = str(told.get("code", ""))
            if error.status_code is None:
                raise self._unreached(error) from error
            raise refused(doing, status=error.status_code, code=code, message=str(told.get("message", ""))) from error
        except EngineError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise SourceUnavailable(
                f"“{self._options.address}” answers, but not as ONTAP does.",
                hint="Check that address and port are those of the cluster’s management interface.",
            ) from error

    def _unreached(self, error: NetAppRestError) -> EngineError:
        """No answer at all: why, as far as the client kept it."""
        cause = getattr(error, "cause", None)
        address = self._options.address
        if isinstance(cause, requests.exceptions.SSLError):
            return self._distrusted(str(cause))
        if isinstance(cause, requests.exceptions.Timeout):
            return SourceUnavailable(f"“{address}” did not answer in time.", hint="See that it is reachable from here.")
        if isinstance(cause, requests.exceptions.JSONDecodeError):
            return SourceUnavailable(f"“{address}” answers, but not as ONTAP does.")
        if isinstance(cause, requests.exceptions.RequestException):
            return SourceUnavailable(
                f"“{address}” cannot be reached, or it cut the connection.",
                hint="See that name and port are right and that a firewall lets this node through.",
            )
        return SourceUnavailable(f"“{address}” gave no useful answer: {error}.")

    def _distrusted(self, words: str) -> EngineError:
        """The certificate is not what the options trust; what it shows is told, so that a person can compare."""
        host, port = self._options.host, self._options.port
        shown = presented_fingerprint(host, port, seconds=_CONNECT_SECONDS)
        if not shown:
            return SourceUnavailable(f"“{self._options.address}” does not speak TLS.", hint="Check the port.")
        if self._fingerprint:
            sentence = f"“{self._options.address}” shows another certificate than the one of the fingerprint."
        elif "hostname" in words.lower() or "ip address" in words.lower():
            sentence = f"The certificate of “{self._options.address}” is made out to another name."
        else:
            sentence = f"Nothing that this node trusts has signed the certificate of “{self._options.address}”."
        return InvalidOptions(
            sentence,
            field="fingerprint",
            hint=f"It shows the SHA-256 fingerprint {shown}. Compare it with the cluster’s certificate, and put it in "
            "as Fingerprint if it is the same.",
        )


def _failed(doing: str, error: Record) -> EngineError:
    """A job or transfer that did not end well."""
    return refused(doing, status=None, code=str(error.get("code") or ""), message=str(error.get("message") or ""))


def _set(resource: Resource, **values: object) -> None:
    """What a PATCH sends: only what is set after the making counts as a change. The client declares no fields."""
    for name, value in values.items():
        setattr(resource, name, value)


class _NewSnapshot(Snapshot):
    """Where it lies is not asked: without a uuid in Location the client would wait itself, deaf."""

    def _set_keys(self, *_arguments: Any, **_names: Any) -> None:
        """Keys are found by name, once the job is over."""


class _NewVolume(VolumeResource):
    """As :class:`_NewSnapshot`."""

    def _set_keys(self, *_arguments: Any, **_names: Any) -> None:
        """Keys are found by name, once the job is over."""


class _Retry(LoggingRetry):
    """Once more after a connection that broke, where that can do no harm (RFC 9110, 9.2.2); never after a silence."""

    def increment(self, *arguments: Any, **names: Any) -> Any:
        if isinstance(names.get("error"), ReadTimeoutError):
            raise names["error"]
        return super().increment(*arguments, **names)


class _Adapter(LoggingAdapter):
    """Trusts one certificate if told to, and keeps to our time limits."""

    def __init__(self, connection: HostConnection, fingerprint: str, limits: tuple[int, int]) -> None:
        self._fingerprint = fingerprint
        retries = _Retry(total=2, connect=1, read=1, redirect=0, other=0, backoff_factor=0)
        super().__init__(connection, max_retries=retries, timeout=limits)  # type: ignore[no-untyped-call]

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        if self._fingerprint:
            settings["assert_fingerprint"] = self._fingerprint
        super().init_poolmanager(*arguments, **settings)


def _volume(record: Record) -> Volume:
    space = record.get("space") or {}
    return Volume(
        uuid=str(record["uuid"]),
        name=str(record["name"]),
        path=str((record.get("nas") or {}).get("path") or ""),
        type=str(record.get("type") or "rw"),
        style=str(record.get("style") or "flexvol"),
        state=str(record.get("state") or "online"),
        shows_snapshots=bool(record.get("snapshot_directory_access_enabled", True)),
        snapshot_count=int(record.get("snapshot_count") or 0),
        total_bytes=space.get("size"),
        used_bytes=space.get("used"),
    )


def _snapshot(record: Record, volume: str) -> VolumeSnapshot:
    created = record.get("create_time")
    moment = created if isinstance(created, datetime) else datetime.fromisoformat(str(created))
    return snapshot_of(
        str((record.get("volume") or {}).get("uuid") or volume),
        uuid=str(record["uuid"]),
        name=str(record["name"]),
        created_at_ns=int(moment.timestamp()) * 1_000_000_000,
        comment=record.get("comment"),
    )
