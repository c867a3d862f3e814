"""A snapshot that goes over a connection to another node: whole or not at all, whatever breaks (RULES O1)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.engine.errors import EngineError, Killed, NoSpace, SnapshotMissing, SourceUnavailable
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.base import Capability, Replicated, SnapshotRef, Streamer
from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions
from jobs.engine.snapshots.channel import MOST_BYTES, Channel
from jobs.engine.snapshots.registry import ENGINES
from tests.loopmounts import LoopMount
from tests.odd_tree import build_odd_tree, describe_tree

from .snapshot_drivers import INSTALL, named

pytestmark = pytest.mark.system

RUN = FreeRun()


class End:
    """One node: a btrfs of its own."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.content = mount / "content"
        self.content.mkdir()
        self.engine = BtrfsEngine(BtrfsOptions(volume=mount), INSTALL)

    def take(self, number: int) -> SnapshotRef:
        return self.engine.create(named(number), [str(self.content)], RUN)


@pytest.fixture
def here(loop_mount: LoopMount) -> End:
    return End(loop_mount("btrfs"))


@pytest.fixture
def there(loop_mount: LoopMount) -> End:
    return End(loop_mount("btrfs"))


class OnceItArrives:
    """A control that does something as soon as the other end has begun to receive."""

    def __init__(self, end: End, do: Callable[[], None]) -> None:
        self._area, self._do = end.engine.area.path, do

    def check(self) -> None:
        if self._area.exists() and any(entry.name.endswith(".receiving") for entry in self._area.iterdir()):
            self._do()


@contextlib.contextmanager
def receiving(end: End, *, silence_seconds: float = 20.0) -> Iterator[tuple[socket.socket, list[object]]]:
    """The receiving end in a thread; what it returned or raised is the only entry once the block is left."""
    mine, theirs = socket.socketpair()
    ended: list[object] = []

    def receive() -> None:
        channel = Channel(theirs, RUN, silence_seconds=silence_seconds)
        try:
            ended.append(end.engine.receive(channel, RUN))
        except EngineError as error:
            ended.append(error)
        finally:
            channel.close()

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        yield mine, ended
    finally:
        mine.close()
        thread.join(timeout=60)
        assert not thread.is_alive()


def send(here: End, there: End, ref: SnapshotRef, base: SnapshotRef | None = None) -> Replicated:
    with receiving(there) as (mine, ended):
        done = here.engine.send(ref, base, Channel(mine, RUN), RUN)
    assert ended == [done]
    return done


def nothing_is_left(end: End) -> bool:
    return not end.engine.list() and not [path.name for path in end.engine.area.path.iterdir()]


def test_an_engine_that_says_so_streams() -> None:
    able = [kind for kind in ENGINES.values() if Capability.STREAM in kind.capabilities]
    assert [kind.name for kind in able] == ["btrfs", "zfs"]
    assert all(issubclass(kind.build, Streamer) for kind in able)  # type: ignore[arg-type]


def test_O1_a_streamed_snapshot_is_identical_and_the_next_one_is_only_the_difference(here: End, there: End) -> None:
    build_odd_tree(here.content)
    shutil.rmtree(here.content / ("00 " + "d" * 120))
    (here.content / "large").write_bytes(b"x" * 3 * MOST_BYTES)
    expected = describe_tree(here.content)
    first = here.take(1)
    done = send(here, there, first)
    assert (done.ref.name, done.ref.taken_at_ns, done.ref.content) == (first.name, first.taken_at_ns, first.content)
    assert done.base is None
    assert done.sent_bytes > 3 * MOST_BYTES
    assert there.engine.list() == [done.ref]
    with there.engine.open(done.ref) as (root,):
        assert describe_tree(root.directory) == expected
    (here.content / "new").write_text("new")
    second = here.take(2)
    next_one = send(here, there, second, first)
    assert next_one.base == first.name
    assert next_one.sent_bytes < 100_000
    with there.engine.open(next_one.ref) as (root,):
        assert (root.directory / "new").read_text() == "new"


def test_O1_a_snapshot_that_is_there_already_is_not_sent_again(here: End, there: End) -> None:
    ref = here.take(1)
    first = send(here, there, ref)
    again = send(here, there, ref)
    assert (again.ref, again.sent_bytes) == (first.ref, 0)


def test_O1_where_one_end_has_lost_the_base_everything_is_sent(here: End, there: End) -> None:
    first = here.take(1)
    arrived = send(here, there, first)
    there.engine.delete(arrived.ref)
    second = here.take(2)
    assert send(here, there, second, first).base is None
    third = here.take(3)
    here.engine.delete(second)
    assert send(here, there, third, second).base is None


def test_a_stream_that_is_cut_leaves_nothing(here: End, there: End) -> None:
    (here.content / "large").write_bytes(b"x" * 8 * MOST_BYTES)
    ref = here.take(1)

    with receiving(there) as (mine, ended):
        control = OnceItArrives(there, mine.close)
        with pytest.raises(SourceUnavailable, match="cut off"):
            here.engine.send(ref, None, Channel(mine, control), control)
    assert isinstance(ended[0], SourceUnavailable)
    assert nothing_is_left(there)
    assert send(here, there, ref).sent_bytes > 8 * MOST_BYTES


def test_a_killed_sender_tells_the_other_end_and_leaves_nothing(here: End, there: End) -> None:
    (here.content / "large").write_bytes(b"x" * 8 * MOST_BYTES)
    ref = here.take(1)

    def kill() -> None:
        raise Killed("The job was killed.")

    with receiving(there) as (mine, ended), pytest.raises(Killed):
        here.engine.send(ref, None, Channel(mine, RUN), OnceItArrives(there, kill))
    assert isinstance(ended[0], SourceUnavailable)
    assert nothing_is_left(there)


def test_the_sender_raises_what_failed_at_the_other_end(here: End, there: End) -> None:
    (here.content / "large").write_bytes(os.urandom(32 * MOST_BYTES))
    with open(there.mount / "ballast", "wb") as file, contextlib.suppress(OSError):
        while shutil.disk_usage(there.mount).free > 8 * MOST_BYTES:
            file.write(os.urandom(MOST_BYTES))
            os.fsync(file.fileno())
    ref = here.take(1)
    with receiving(there) as (mine, ended), pytest.raises(NoSpace):
        here.engine.send(ref, None, Channel(mine, RUN), RUN)
    assert isinstance(ended[0], NoSpace)
    assert nothing_is_left(there)


def test_a_snapshot_that_is_gone_is_missing_at_both_ends(here: End, there: End) -> None:
    ref = here.take(1)
    here.engine.delete(ref)
    with receiving(there) as (mine, ended), pytest.raises(SnapshotMissing):
        here.engine.send(ref, None, Channel(mine, RUN), RUN)
    assert isinstance(ended[0], SnapshotMissing)


def test_a_name_of_another_installation_is_refused(here: End, there: End) -> None:
    with receiving(there) as (mine, ended):
        channel = Channel(mine, RUN)
        channel.tell(
            ref={
                "name": "sc-zzzz-1-1",
                "engine": "btrfs",
                "taken_at_ns": 1,
                "content": [],
                "handle": {},
                "warnings": [],
            },
            identity="00000000-0000-0000-0000-000000000001",
        )
        assert channel.hear()["failed"] == "snapshot-not-ours"
    assert isinstance(ended[0], EngineError)


@pytest.mark.parametrize(
    ("garbage", "what"),
    [
        (b"\x00\x00\x00\x00\x02[]", "no object"),
        (b"\x00\x00\x00\x00\x01{", "no JSON"),
        (b"\x00\xff\xff\xff\xff", "was announced"),
        (b"\x09\x00\x00\x00\x00", "unknown kind"),
        (b"\x01\x00\x00\x00\x01x", "else than a message"),
        (b"\x00\x00\x00\x00\x02{}", "not understood"),
    ],
)
def test_garbage_from_the_other_node_is_an_error_and_nothing_else(there: End, garbage: bytes, what: str) -> None:
    with receiving(there) as (mine, ended):
        mine.sendall(garbage)
        mine.shutdown(socket.SHUT_WR)
        mine.settimeout(20)
        while mine.recv(4096):
            pass
    assert isinstance(ended[0], SourceUnavailable)
    assert what in ended[0].sentence
    assert nothing_is_left(there)


def test_a_silent_peer_is_given_up(there: End) -> None:
    with receiving(there, silence_seconds=0.3) as (mine, ended):
        mine.settimeout(20)
        while mine.recv(4096):
            pass
    assert isinstance(ended[0], SourceUnavailable)
    assert "said nothing for 0.3 s" in ended[0].sentence
