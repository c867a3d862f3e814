"""ZFS snapshots brought to another dataset, pool or node: the difference, nothing half, and what fails at both ends."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from jobs.engine.errors import EngineError, InvalidOptions, NoSpace, SnapshotMissing
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.base import Replicated, SnapshotRef
from jobs.engine.snapshots.channel import Channel
from tests.loopmounts import LoopMount
from tests.zfs_pool import another_pool, fresh_dataset, zfs

from .snapshot_drivers import INSTALL
from .zfs_world import World

RUN = FreeRun()


@pytest.fixture
def world(loop_mount: LoopMount) -> World:
    return World(loop_mount("zfs"))


@pytest.mark.system
def test_O1_a_snapshot_goes_to_another_pool_and_the_next_as_the_difference(world: World, tmp_path: Path) -> None:
    one, two = world.child("one"), world.child("two")
    (one / "large").write_bytes(os.urandom(1 << 20))
    with another_pool(tmp_path) as pool:
        vault = world.of(pool)
        first = world.take(1, one, two)
        assert vault.replicate(first, world.engine, None, RUN).sent_bytes > 1 << 20
        (two / "new").write_text("new")
        second = world.take(2, one, two)
        done = vault.replicate(second, world.engine, first, RUN)
        assert done.base == first.name
        assert done.sent_bytes < 100_000
        with vault.open(done.ref) as roots:
            assert (roots[1].directory / "new").read_text() == "new"
        for ref in vault.list():
            vault.delete(ref)
        assert "replicas" not in zfs("list", "-H", "-r", "-o", "name", pool), "nothing is left where the last one was"


@pytest.mark.system
def test_O1_what_a_killed_job_received_is_hidden_then_swept(world: World, tmp_path: Path) -> None:
    """A stream that has arrived and was never described, as after a kill between the two."""
    (world.mount / "file").write_text("x")
    with another_pool(tmp_path) as pool:
        vault = world.of(pool)
        first, second = world.take(1), world.take(2)
        replicas = f"{pool}/snapcopy-{INSTALL}-replicas"
        zfs("create", "-o", "mountpoint=none", replicas)
        command = f"zfs send {world.dataset}@{first.name} | zfs receive {replicas}/{first.name}.0"
        subprocess.run(command, shell=True, check=True)
        assert vault.list() == []
        assert not vault.exists(first)
        vault.replicate(second, world.engine, None, RUN)
        assert [ref.name for ref in vault.list()] == [second.name]
        assert first.name not in zfs("list", "-H", "-r", "-t", "all", "-o", "name", pool)


@pytest.mark.system
def test_O1_a_dataset_cannot_be_its_own_target_nor_one_below(world: World) -> None:
    ref = world.take(1)
    world.child("vault")
    with pytest.raises(InvalidOptions, match="lies in"):
        world.of(f"{world.dataset}/vault").replicate(ref, world.engine, None, RUN)


@pytest.fixture
def ends(world: World, loop_mount: LoopMount) -> tuple[World, World]:
    """Two nodes: a dataset on each."""
    return world, World(loop_mount("zfs"))


def stream(here: World, there: World, ref: SnapshotRef, base: SnapshotRef | None = None) -> tuple[object, object]:
    """What the two ends returned or raised."""
    mine, theirs = socket.socketpair()
    received: list[object] = []

    def receive() -> None:
        channel = Channel(theirs, RUN)
        try:
            received.append(there.engine.receive(channel, RUN))
        except EngineError as error:
            received.append(error)
        finally:
            channel.close()

    thread = threading.Thread(target=receive)
    thread.start()
    channel = Channel(mine, RUN)
    try:
        sent: object = here.engine.send(ref, base, channel, RUN)
    except EngineError as error:
        sent = error
    finally:
        channel.close()
        thread.join(timeout=60)
    assert not thread.is_alive()
    return sent, received[0]


@pytest.mark.system
def test_O1_snapshots_are_streamed_from_node_to_node(ends: tuple[World, World]) -> None:
    here, there = ends
    (here.mount / "large").write_bytes(os.urandom(2 << 20))
    first = here.take(1)
    sent, received = stream(here, there, first)
    assert sent == received
    assert isinstance(sent, Replicated)
    assert sent.sent_bytes > 2 << 20
    (here.mount / "new").write_text("new")
    second = here.take(2)
    sent, received = stream(here, there, second, first)
    assert sent == received
    assert isinstance(sent, Replicated)
    assert (sent.base, sent.sent_bytes < 100_000) == (first.name, True)
    again, _received = stream(here, there, second, first)
    assert again == Replicated(ref=sent.ref, sent_bytes=0)
    with there.engine.open(sent.ref) as (root,):
        assert (root.directory / "new").read_text() == "new"
    here.engine.delete(first)
    assert isinstance(stream(here, there, first)[0], SnapshotMissing)


@pytest.mark.system
def test_O1_a_target_that_is_full_is_told_at_both_ends_and_left_clean(world: World, tmp_path: Path) -> None:
    (world.mount / "large").write_bytes(os.urandom(12 << 20))
    ref = world.take(1)
    point = tmp_path / "small"
    point.mkdir()
    with fresh_dataset(point, size_bytes=8 << 20):
        small = World(point)
        assert [type(end) for end in stream(world, small, ref)] == [NoSpace, NoSpace]
        assert small.engine.list() == []
        assert small.snapshots() == []
