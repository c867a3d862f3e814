"""A medium in a process of its own: forks, hangs, deaths, and what nobody else may see."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.engine.errors import MediaUnavailable
from jobs.engine.hosted.process import Driver
from jobs.engine.media.base import Media
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.media.hosted import HostedMedia
from jobs.engine.operations.copy_pipeline.process import fork_worker
from jobs.engine.plan import Secret

from .media_drivers import S3

PACK = "data/ab/" + "ab" * 32
SECRET = "a-secret-nobody-sees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    directory: str
    secret: Secret


class Telling(DiskMedia):
    """A directory that writes down in which process it runs, and hangs on demand."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(DiskOptions(path=Path(settings.directory)))
        assert settings.secret.reveal() == SECRET
        (Path(settings.directory) / "pids").open("a").write(f"{os.getpid()}\n")

    def exists(self, name: str) -> bool:
        if name == "hang":
            threading.Event().wait()
        return super().exists(name)


@pytest.fixture
def media(tmp_path: Path) -> Iterator[HostedMedia]:
    medium = _open(tmp_path)
    yield medium
    medium.close()


def _open(directory: Path) -> HostedMedia:
    driver = Driver(factory=f"{__name__}:Telling", settings=Settings(directory=str(directory), secret=Secret(SECRET)))
    return HostedMedia(driver, place="the telling medium", call_seconds=60)


def _pids(directory: Path) -> list[int]:
    return [int(line) for line in (directory / "pids").read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_forked_children_and_threads_share_the_host_of_their_parent(media: HostedMedia, tmp_path: Path) -> None:
    media.put("config", [b"parent"])

    def child(number: int) -> None:
        threads = [
            threading.Thread(target=media.put, args=(f"data/ab/{number}{thread:063x}", [b"x" * 300_000]))
            for thread in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert media.get("config") == b"parent"

    workers = [fork_worker(functools.partial(child, number), keep_fds=frozenset()) for number in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert len(list(media.list("data"))) == 9
    assert len(_pids(tmp_path)) == 1


def test_a_copys_readers_go_on_with_an_object_store_that_their_parent_used(tmp_path: Path) -> None:
    media = S3.open(tmp_path)
    media.put("config", [b"parent"])
    worker = fork_worker(lambda: media.put(PACK, [media.get("config"), b" child"]), keep_fds=frozenset())
    assert worker.wait() == 0
    assert media.get(PACK) == b"parent child"
    media.close()


def test_a_child_that_closes_leaves_the_host_to_its_parent(media: HostedMedia, tmp_path: Path) -> None:
    media.put("config", [b"parent"])
    assert fork_worker(media.close, keep_fds=frozenset()).wait() == 0
    assert media.get("config") == b"parent"
    assert len(_pids(tmp_path)) == 1


def test_a_host_that_dies_fails_one_call_and_the_next_has_another(media: HostedMedia, tmp_path: Path) -> None:
    media.put("config", [b"x"])
    os.kill(_pids(tmp_path)[0], signal.SIGKILL)
    with pytest.raises(MediaUnavailable, match="ended"):
        media.get("config")
    assert media.get("config") == b"x"
    assert len(_pids(tmp_path)) == 2


def test_a_host_that_hangs_is_killed(media: HostedMedia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media.put("config", [b"x"])
    media._calls._state().clear()
    with monkeypatch.context() as patch:
        patch.setattr(media._calls, "_call_seconds", 1.0)
        with pytest.raises(MediaUnavailable, match="did not answer within 1 s"):
            media.exists("hang")
    assert not _is_running(_pids(tmp_path)[0])
    assert media.get("config") == b"x"


def test_a_host_ends_with_who_started_it_also_in_the_middle_of_a_call(tmp_path: Path) -> None:
    def owner() -> None:
        own = _open(tmp_path)
        threading.Thread(target=own.exists, args=("hang",), daemon=True).start()
        own.put("config", [b"x"])
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork_worker(owner, keep_fds=frozenset()).wait() == -signal.SIGKILL
    (pid,) = _pids(tmp_path)
    ends_at = time.monotonic() + 20
    while _is_running(pid) and time.monotonic() < ends_at:
        time.sleep(0.01)
    assert not _is_running(pid)


def test_a_closed_medium_leaves_no_process_and_can_be_used_again(media: HostedMedia, tmp_path: Path) -> None:
    media.put("config", [b"x"])
    media.close()
    assert not _is_running(_pids(tmp_path)[0])
    assert media.get("config") == b"x"


def test_a_listing_that_is_given_up_disturbs_no_later_call(media: HostedMedia, tmp_path: Path) -> None:
    for number in range(3):
        media.put(f"data/ab/{number}", [b"x"])
    assert next(media.list("data")) is not None
    assert media.get("data/ab/1") == b"x"


def test_secrets_are_neither_in_arguments_nor_in_the_environment(media: HostedMedia, tmp_path: Path) -> None:
    media.put("config", [b"x"])
    (pid,) = _pids(tmp_path)
    for name in ("cmdline", "environ"):
        assert SECRET.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_a_stranger_is_not_served(media: HostedMedia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media.put("config", [b"x"])
    media.close()
    monkeypatch.setattr("jobs.engine.hosted.wire.os.geteuid", lambda: 65534)
    stranger: Media = _open(tmp_path)
    with pytest.raises(MediaUnavailable, match="not ours"):
        stranger.get("config")
    stranger.close()
