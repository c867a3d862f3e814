"""rclone as a child: it crashes, starts again, dies with us, and its words are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.engine.errors import InvalidOptions, MediaUnavailable
from jobs.engine.media import rclone, rclone_server
from jobs.engine.media.rclone import RcloneMedia, RcloneOptions, stock_rclone
from jobs.engine.options import option_problems
from jobs.engine.plan import Secret
from tests.forks import fork

PACK = "data/ab/" + "ab" * 32
LOCAL = Secret("[here]\ntype = local\n")

KILLED_WITH_ITS_CHILD = """
import os, signal, sys
from jobs.engine.media.rclone import RcloneMedia, RcloneOptions
from jobs.engine.plan import Secret
media = RcloneMedia(RcloneOptions(remote="here", path=sys.argv[1], config=Secret("[here]\\ntype = local\\n")))
media.put("config", [b"x"])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def media(tmp_path: Path) -> Iterator[RcloneMedia]:
    opened = RcloneMedia(RcloneOptions(remote="here", path=str(tmp_path), config=LOCAL))
    yield opened
    opened.close()


def children_at(place: Path) -> list[int]:
    """Process ids of rclone serving that place."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdecimal() else []
        except OSError:
            continue
        if f"here:{place}".encode() in words:
            found.append(int(folder.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def test_a_crashed_child_starts_again_by_itself(media: RcloneMedia, tmp_path: Path) -> None:
    media.put(PACK, [b"before"])
    (first,) = children_at(tmp_path)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: children_at(tmp_path) not in ([], [first]))
    assert media.get(PACK) == b"before"


def test_a_forked_reader_uses_the_child_of_its_parent_also_after_a_crash(media: RcloneMedia, tmp_path: Path) -> None:
    media.put(PACK, [b"x"])
    (serving,) = children_at(tmp_path)
    reader = fork()
    if reader == 0:
        code = 1
        try:
            assert media.get(PACK) == b"x"
            assert children_at(tmp_path) == [serving]
            os.kill(serving, signal.SIGKILL)
            media.put("config", [b"after the crash"])
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(reader, 0)[1] == 0
    assert media.get("config") == b"after the crash"


def test_the_child_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WITH_ITS_CHILD, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "config").exists()
    wait_until(lambda: children_at(tmp_path) == [])


def test_closing_ends_the_child_and_the_medium_can_be_used_again(media: RcloneMedia, tmp_path: Path) -> None:
    media.put("config", [b"x"])
    media.close()
    assert children_at(tmp_path) == []
    assert media.exists("config")


def test_what_rclone_says_is_told(tmp_path: Path) -> None:
    unknown = RcloneMedia(RcloneOptions(remote="odd", path="x", config=Secret("[odd]\ntype = nothing\n")))
    report = unknown.test()
    assert not report.ok
    assert "nothing" in report.steps[0].detail
    (tmp_path / "config").mkdir()
    here = RcloneMedia(RcloneOptions(remote="here", path=str(tmp_path), config=LOCAL))
    with pytest.raises(MediaUnavailable, match=r"rclone says: .*directory"):
        here.put("config", [b"x"])
    here.close()


def test_without_rclone_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rclone, "find_rclone", lambda: None)
    with pytest.raises(MediaUnavailable) as caught:
        RcloneMedia(RcloneOptions(remote="here", path="x"))
    assert "extra “rclone”" in caught.value.hint


def test_rclone_is_found_beside_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert rclone_server.find_rclone() == str(Path(sys.executable).parent / "rclone")


@pytest.mark.parametrize(
    ("remote", "section", "field"),
    [
        ("a:b", "[a]\ntype = local", "remote"),
        ("here", "[other]\ntype = local", "config"),
        ("here", "[here]\nno type", "config"),
        ("here", "[here\n", "config"),
    ],
)
def test_a_section_that_does_not_fit_is_refused_in_the_form(remote: str, section: str, field: str) -> None:
    problems = option_problems(RcloneOptions, {"remote": remote, "path": "x"}, {"config": Secret(section)})
    assert [problem.field for problem in problems] == [field]
    assert all(isinstance(problem, InvalidOptions) for problem in problems)


def test_lines_without_a_heading_are_the_section_of_the_remote() -> None:
    assert not option_problems(RcloneOptions, {"remote": "here", "path": "x"}, {"config": Secret("type = local\r\n")})


def test_stock_restic_is_told_where_to_look() -> None:
    assert stock_rclone({"remote": "drive", "path": "backup/r"}) == "rclone:drive:backup/r"
