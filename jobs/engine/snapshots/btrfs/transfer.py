"""Bringing a btrfs snapshot to another btrfs (RULES O1): on one node, or over a connection between two.

Both ways end with the same checks: the other side holds a subvolume that says it was received from this one. Over a
connection the sending end begins::

    sender                                                      receiver
    ref, identity, base and its identity        ->
                                                <-   done: it is there already   or   base: the base to use, or None
    the stream, its end                         ->
                                                <-   done: the reference there
    (either)  failed: code, sentence and hint of an error of jobs.engine.errors
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from ...errors import EngineError, InvalidOptions, SnapshotMissing, SourceUnavailable
from ...events import Control
from ...ids import SnapshotName
from ..base import Replicated, SnapshotRef
from ..channel import Channel
from ..transfer_talk import from_json, heard, tell_failure, to_json
from .replica import is_received, look_at, require_received, stream_identity, sync_directory
from .shelf import Shelf
from .stream import receive_from, send_and_receive, send_to


def take_over(shelf: Shelf, source: Shelf, ref: SnapshotRef, base: SnapshotRef | None, control: Control) -> Replicated:
    """From one shelf of this node to another. The area of ``shelf`` is there and fit."""
    if os.path.realpath(shelf.area.path) == os.path.realpath(source.area.path):
        raise InvalidOptions("A snapshot cannot be sent to the area it lies in.", field="area")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(source.area.held(ref.name))
        identity = stream_identity(look_at(directory))
        if there := _whole(shelf, ref.name, identity):
            return Replicated(ref=there, sent_bytes=0)
        before, used = None, None
        if base is not None and _is_base(shelf, base.name, _identity(source, base.name)):
            before, used = str(stack.enter_context(source.area.held(base.name))), base.name
        with shelf.reception.receiving(ref.name):
            count = send_and_receive(str(directory), str(shelf.area.path), base=before, control=control)
            copied = _settle(shelf, ref, identity)
    return Replicated(ref=copied, sent_bytes=count, base=used)


def send(shelf: Shelf, ref: SnapshotRef, base: SnapshotRef | None, channel: Channel, control: Control) -> Replicated:
    """The sending end. What fails there is raised here, too."""
    try:
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(shelf.area.held(ref.name))
            known = _identity(shelf, base.name) if base is not None else None
            channel.tell(
                ref=to_json(ref),
                identity=str(stream_identity(look_at(directory))),
                base=str(base.name) if base is not None and known else None,
                base_identity=str(known) if known else None,
            )
            answer = heard(channel)
            if "done" in answer:
                return Replicated(ref=from_json(answer["done"]), sent_bytes=0)
            used = base if base is not None and answer.get("base") == base.name else None
            before = str(stack.enter_context(shelf.area.held(used.name))) if used is not None else None
            count = send_to(str(directory), channel, base=before, control=control)
        return Replicated(
            ref=from_json(heard(channel).get("done")), sent_bytes=count, base=used.name if used is not None else None
        )
    except EngineError as error:
        tell_failure(channel, error)
        raise


def receive(shelf: Shelf, channel: Channel, control: Control, prepare: Callable[[Control], None]) -> Replicated:
    """The receiving end. ``prepare`` makes the area of ``shelf`` fit. What fails here is told to the other end, too."""
    try:
        prepare(control)
        asked = heard(channel)
        ref, identity = from_json(asked.get("ref")), _uuid(asked.get("identity"))
        shelf.area.owned(ref.name)
        if there := _whole(shelf, ref.name, identity):
            channel.tell(done=to_json(there))
            return Replicated(ref=there, sent_bytes=0)
        base = asked.get("base")
        used = SnapshotName(base) if base and _is_base(shelf, base, _uuid(asked.get("base_identity"))) else None
        with shelf.reception.receiving(ref.name):
            channel.tell(base=used)
            count = receive_from(channel, str(shelf.area.path), control=control)
            copied = _settle(shelf, ref, identity)
        channel.tell(done=to_json(copied))
        return Replicated(ref=copied, sent_bytes=count, base=used)
    except EngineError as error:
        tell_failure(channel, error)
        channel.drain()
        raise


def _settle(shelf: Shelf, ref: SnapshotRef, identity: UUID) -> SnapshotRef:
    """What was received is on disk, is what was sent, and is described. Returns its reference there."""
    target = shelf.area.directory(ref.name)
    with shelf.area.errors("write to the snapshot area"):
        sync_directory(target)
    require_received(look_at(target), identity, ref.name)
    copied = replace(ref, handle=ref.handle | {"path": str(target)}, exclusive_bytes=None, unread=())
    shelf.describe(copied)
    return copied


def _whole(shelf: Shelf, name: SnapshotName, identity: UUID) -> SnapshotRef | None:
    """The reference of one that is there already. Raises SourceUnavailable if something else has its name."""
    if not shelf.has(name):
        return None
    require_received(look_at(shelf.area.directory(name)), identity, name)
    return shelf.read_ref(name)


def _is_base(shelf: Shelf, name: str, identity: UUID | None) -> bool:
    """Whether both hold it, and ours was received from theirs."""
    if identity is None or not shelf.has(name):
        return False
    try:
        return is_received(look_at(shelf.area.directory(name)), identity)
    except SnapshotMissing:
        return False


def _identity(shelf: Shelf, name: SnapshotName) -> UUID | None:
    try:
        return stream_identity(look_at(shelf.area.directory(name)))
    except SnapshotMissing:
        return None


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError as error:
        raise SourceUnavailable("The other node named a snapshot in a way that is not understood.") from error
