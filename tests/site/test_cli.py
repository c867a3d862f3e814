"""The command line before it reaches Django."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snapcopy_site import cli


@pytest.fixture(autouse=True)
def _same_home_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCOPY_HOME", os.environ["SNAPCOPY_HOME"])


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_without_a_command_it_says_what_there_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    for name in ("up", "link", "doctor", "node", "snapshot", "copy", "restore", "jobs", "rotate-key"):
        assert f"snapcopy {name}" in said


def test_every_command_it_names_exists() -> None:
    known = subprocess.run(
        [sys.executable, "manage.py", "commands"],
        cwd=Path(cli.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DJANGO_COLORS": "nocolor"},
    ).stdout.split()
    for name in (
        "link",
        "doctor",
        "node",
        "scheduler",
        "snapshot",
        "copy",
        "restore",
        "jobs",
        "demo",
        "rotate_key",
        "prepare",
    ):
        assert name in known


@pytest.mark.parametrize("words", [["--home", "relative", "help"], ["help", "--home=relative"]])
def test_the_home_may_stand_anywhere_and_becomes_absolute(words: list[str]) -> None:
    assert cli.main(words) == 0
    assert os.environ["SNAPCOPY_HOME"] == str(Path("relative").absolute())


def test_a_home_without_a_folder_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "--home"]) == 2
    assert "--home" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "name"), [("up", "SNAPCOPY_PORT"), ("doctor", "SNAPCOPY_HTTPS")])
def test_a_variable_that_cannot_be_used_is_named(command: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=Path(cli.__file__).parent.parent,
        env={**os.environ, name: "what"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_up_needs_no_django() -> None:
    code = "import sys, snapcopy_site.supervisor; sys.exit('django' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(cli.__file__).parent.parent, check=False).returncode == 0
    )
