"""Bringing a ZFS snapshot to another dataset or pool (RULES O1): on one node, or over a connection between two.

Each dataset of a snapshot becomes one below ``<target>/snapcopy-<install>-replicas``, which is mounted nowhere; the
next snapshot follows into the same one, as a difference, as long as both ends hold the one before it. A replica is
there when it is described, last of all. Both ends know a snapshot by its guid, which a stream carries::

    sender                                                      receiver
    ref, guids, base and its guids              ->
                                                <-   done: it is there already   or   base: the base to use, or None
    of each dataset: the stream, its end        ->
                                                <-   done: the reference there
    (either)  failed: code, sentence and hint of an error of jobs.engine.errors
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...errors import EngineError, InvalidOptions, SnapshotMissing, SourceMissing, SourceUnavailable
from ...events import Control, FreeRun
from ...ids import SnapshotName
from ..base import Replicated, SnapshotRef
from ..channel import Channel
from ..content import is_inside
from ..transfer_talk import from_json, heard, tell_failure, to_json
from .shelf import Shelf
from .stream import receive_from, send_and_receive, send_to
from .volume import datasets_of, handle_of, parts_of_ref, whole_name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A snapshot on one shelf: the datasets it lies in, in the order of its content, and the guid of each."""

    ref: SnapshotRef
    datasets: tuple[str, ...]
    guids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is to come. ``base`` None = there is none at the sending end."""

    ref: SnapshotRef
    guids: tuple[str, ...]
    base: SnapshotName | None
    base_guids: tuple[str, ...]


def take_over(shelf: Shelf, source: Shelf, ref: SnapshotRef, base: SnapshotRef | None, control: Control) -> Replicated:
    """From one shelf of this node to another."""
    if is_inside(shelf.dataset, source.dataset) or is_inside(source.dataset, shelf.dataset):
        raise InvalidOptions("A snapshot cannot be sent to the dataset it lies in, nor to one below.", field="dataset")
    sent = _require(source, source.owned(ref.name), control)
    before = _look(source, base.name, control) if base is not None else None

    def bring(number: int, into: str, is_difference: bool) -> int:
        dataset = sent.datasets[number]
        older = whole_name(dataset, before.ref.name) if before is not None and is_difference else None
        return send_and_receive(whole_name(dataset, ref.name), into, base=older, control=control)

    if there := _whole(shelf, ref.name, sent.guids, control):
        return Replicated(ref=there, sent_bytes=0)
    is_base = before is not None and before.datasets == sent.datasets
    order = _Order(
        ref=sent.ref,
        guids=sent.guids,
        base=before.ref.name if before is not None and is_base else None,
        base_guids=before.guids if before is not None else (),
    )
    return _receive(shelf, order, bring, control)


def send(shelf: Shelf, ref: SnapshotRef, base: SnapshotRef | None, channel: Channel, control: Control) -> Replicated:
    """The sending end. What fails there is raised here, too."""
    try:
        sent = _require(shelf, shelf.owned(ref.name), control)
        before = _look(shelf, base.name, control) if base is not None else None
        if before is not None and before.datasets != sent.datasets:
            before = None
        channel.tell(
            ref=to_json(sent.ref),
            guids=list(sent.guids),
            base=str(before.ref.name) if before is not None else None,
            base_guids=list(before.guids) if before is not None else [],
        )
        answer = heard(channel)
        if "done" in answer:
            return Replicated(ref=from_json(answer["done"]), sent_bytes=0)
        used = before if before is not None and answer.get("base") == before.ref.name else None
        count = 0
        for dataset in sent.datasets:
            older = whole_name(dataset, used.ref.name) if used is not None else None
            count += send_to(whole_name(dataset, ref.name), channel, base=older, control=control)
        done = from_json(heard(channel).get("done"))
        return Replicated(ref=done, sent_bytes=count, base=used.ref.name if used is not None else None)
    except EngineError as error:
        tell_failure(channel, error)
        raise


def receive(shelf: Shelf, channel: Channel, control: Control) -> Replicated:
    """The receiving end. What fails here is told to the other end, too."""
    try:
        asked = heard(channel)
        ref, guids, base = from_json(asked.get("ref")), _guids(asked.get("guids")), asked.get("base")
        shelf.owned(ref.name)
        if there := _whole(shelf, ref.name, guids, control):
            channel.tell(done=to_json(there))
            return Replicated(ref=there, sent_bytes=0)

        def bring(number: int, into: str, is_difference: bool) -> int:
            if not number:
                channel.tell(base=base if is_difference else None)
            return receive_from(channel, into, control=control)

        used = shelf.owned(str(base)) if base else None
        order = _Order(ref=ref, guids=guids, base=used, base_guids=_guids(asked.get("base_guids") or []))
        done = _receive(shelf, order, bring, control)
        channel.tell(done=to_json(done.ref))
        return done
    except EngineError as error:
        tell_failure(channel, error)
        channel.drain()
        raise


def _receive(shelf: Shelf, order: _Order, bring: Callable[[int, str, bool], int], control: Control) -> Replicated:
    """Whole or not at all. ``bring`` receives the dataset of a number into another, as a difference or as a whole."""
    name = order.ref.name
    shelf.sweep(control)
    with shelf.room.receiving(shelf.dataset, name, control):
        chain = _chain(shelf, order, control)
        targets = chain or tuple(f"{shelf.replicas}/{name}.{number}" for number in range(len(order.guids)))
        try:
            shelf.make_replicas(control)
            count = sum(bring(number, into, chain is not None) for number, into in enumerate(targets))
            copied = _settle(shelf, order, targets, control)
        except BaseException:
            with contextlib.suppress(EngineError):
                shelf.drop(name, FreeRun())
            raise
    return Replicated(ref=copied, sent_bytes=count, base=order.base if chain is not None else None)


def _settle(shelf: Shelf, order: _Order, targets: Sequence[str], control: Control) -> SnapshotRef:
    """What was received is what was sent, held and described. Returns its reference there."""
    ref = order.ref
    came = tuple(shelf.guid(dataset, ref.name, control) for dataset in targets)
    if came != order.guids:
        raise SourceUnavailable(
            f"The snapshot “{ref.name}” did not arrive whole: it is not the one that was sent.",
            hint="The next attempt sends it again. Look at “zpool status” of both ends if it happens twice.",
        )
    parts = parts_of_ref(ref, shelf.dataset)
    there = dict(zip(datasets_of(parts), targets, strict=True))
    handle = handle_of(replace(part, dataset=there[part.dataset]) for part in parts)
    copied = replace(ref, handle=handle, exclusive_bytes=None, unread=())
    shelf.hold(targets, ref.name, control)
    shelf.describe(copied, control)
    return copied


def _chain(shelf: Shelf, order: _Order, control: Control) -> tuple[str, ...] | None:
    """The datasets that hold the base, if it is the same one there and nothing came after it; else None."""
    base = order.base
    there = _look(shelf, base, control) if base is not None else None
    if there is None or there.guids != order.base_guids or len(there.guids) != len(order.guids):
        return None
    newest = dict(shelf.whole_names(control))
    is_last = all(newest[one] == base and is_inside(one, shelf.replicas) for one in there.datasets)
    return there.datasets if is_last else None


def _whole(shelf: Shelf, name: SnapshotName, guids: Sequence[str], control: Control) -> SnapshotRef | None:
    """The reference of one that is there already. Raises SourceUnavailable if something else has its name."""
    there = _look(shelf, name, control)
    if there is None:
        return None
    if there.guids != tuple(guids):
        raise SourceUnavailable(f"“{shelf.dataset}” holds another snapshot of the name “{name}”.")
    return there.ref


def _require(shelf: Shelf, name: SnapshotName, control: Control) -> _Found:
    found = _look(shelf, name, control)
    if found is None:
        raise SnapshotMissing(f"Snapshot “{name}” is not in “{shelf.dataset}” any more.")
    return found


def _look(shelf: Shelf, name: SnapshotName, control: Control) -> _Found | None:
    ref = shelf.find(name, control)
    if ref is None:
        return None
    datasets = tuple(datasets_of(parts_of_ref(ref, shelf.dataset)))
    try:
        return _Found(ref=ref, datasets=datasets, guids=tuple(shelf.guid(one, name, control) for one in datasets))
    except SourceMissing:
        return None


def _guids(told: object) -> tuple[str, ...]:
    if not isinstance(told, list) or not all(isinstance(one, str) and one.isdecimal() for one in told):
        raise SourceUnavailable("The other node named a snapshot in a way that is not understood.")
    return tuple(told)
