"""What only the script engine must do: how commands are called, what they may answer, what their exit codes mean."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    Killed,
    NoSpace,
    SnapshotMissing,
    SnapshotNotOurs,
    SourceUnavailable,
    StorageBusy,
)
from jobs.engine.events import FreeRun
from jobs.engine.ids import SnapshotName
from jobs.engine.options import parse_options
from jobs.engine.snapshots.base import SnapshotRef
from jobs.engine.snapshots.script.engine import ScriptEngine, ScriptOptions
from tests.documented_script import PAGE

from .snapshot_drivers import INSTALL, named

RUN = FreeRun()
Scripted = Callable[..., ScriptEngine]

KEEPS_FILES = """#!/bin/sh
# A storage whose snapshots are names in a folder: nothing is in them.
cd {folder}
env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort > "$SNAPCOPY_ACTION.env"
printf '%s\\n' "$@" > "$SNAPCOPY_ACTION.arguments"
{before}
case $SNAPCOPY_ACTION in
create) mkdir "kept/$2" ;;
list) ls kept ;;
path) shift 2; for one; do echo "{folder}/kept/$SNAPCOPY_NAME"; done ;;
delete) rmdir "kept/$2" ;;
esac
"""


@pytest.fixture
def live(tmp_path: Path) -> Path:
    path = tmp_path / "live data"
    path.mkdir()
    return path


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    """An engine whose commands first do what ``before`` says, in a shell."""

    def make(before: str = "", *, clock: SystemClock | None = None) -> ScriptEngine:
        folder = tmp_path / "storage"
        (folder / "kept").mkdir(parents=True, exist_ok=True)
        program = folder / "program"
        program.write_text(KEEPS_FILES.format(folder=folder, before=before))
        program.chmod(0o755)
        lines = {
            f"{action}_command": f"{program} 'one argument; rm -rf'" for action in ("create", "list", "path", "delete")
        }
        return ScriptEngine(options_of(lines, tmp_path), INSTALL, clock)

    return make


def options_of(commands: dict[str, str], folder: Path) -> ScriptOptions:
    values: dict[str, object] = {**commands, "test_directory": str(folder), "timeout_seconds": 30}
    return parse_options(ScriptOptions, values)


def said(tmp_path: Path, what: str) -> list[str]:
    return (tmp_path / "storage" / what).read_text().splitlines()


def test_what_is_added_comes_as_arguments_and_nothing_of_the_worker_is_in_the_environment(
    scripted: Scripted, live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPCOPY_SECRET_KEY", "never to be seen")
    odd = live / "$(reboot) & * 'quoted'"
    odd.mkdir()
    (tmp_path / "link").symlink_to(live)
    scripted().create(named(1), [str(tmp_path / "link" / odd.name)], RUN)
    assert said(tmp_path, "create.arguments") == ["one argument; rm -rf", named(1), str(odd)]
    assert said(tmp_path, "list.arguments") == ["one argument; rm -rf"]
    environment = dict(line.split("=", 1) for line in said(tmp_path, "create.env"))
    description = environment.pop("SNAPCOPY_DESCRIPTION")
    assert json.loads(description.partition(" #")[2])["n"] == 1
    assert sorted(environment) == ["LC_ALL", "PATH", "SNAPCOPY_ACTION", "SNAPCOPY_NAME", "SNAPCOPY_PREFIX"]
    assert environment["SNAPCOPY_PREFIX"] == f"sc-{INSTALL}-"


def test_O2_a_name_of_others_is_passed_over_and_never_given_to_a_command(
    scripted: Scripted, live: Path, tmp_path: Path
) -> None:
    engine = scripted()
    for name in ("daily", "sc-otherone-7-1", "with blank", f"sc-{INSTALL}-7"):
        (tmp_path / "storage" / "kept" / name).mkdir()
    engine.create(named(1), [str(live)], RUN)
    assert [ref.name for ref in engine.list()] == [named(1)]
    for name in ("daily", "sc-otherone-7-1", "-rf", "../live data"):
        with pytest.raises(SnapshotNotOurs):
            engine.delete(SnapshotRef(name=SnapshotName(name), engine="script", taken_at_ns=0, content=(str(live),)))
    assert not (tmp_path / "storage" / "delete.arguments").exists()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, SourceUnavailable),
        (66, SnapshotMissing),
        (69, SourceUnavailable),
        (73, NoSpace),
        (75, StorageBusy),
        (77, InvalidOptions),
        (78, InvalidOptions),
    ],
)
def test_exit_codes_mean_what_the_page_says(scripted: Scripted, live: Path, code: int, kind: type[EngineError]) -> None:
    engine = scripted(f"[ $SNAPCOPY_ACTION != create ] || {{ echo 'the array says no' >&2; exit {code}; }}")
    with pytest.raises(kind) as failure:
        engine.create(named(1), [str(live)], RUN)
    assert type(failure.value) is kind
    assert f"The create command ended with code {code}: the array says no." == failure.value.sentence
    assert f"| {code} |" in PAGE.read_text().replace("77, 78", "77 | | 78") or code == 1


@pytest.mark.parametrize(
    "answer",
    [
        "printf 'sc-contract-7-1\\r\\n'",
        "printf '\\033[1mname\\033[0m\\n'",
        "printf '%0300d\\n' 7",
        "printf 'name\\tone\\ttwo\\n'",
        "echo",
    ],
)
def test_a_list_that_is_none_is_refused(scripted: Scripted, answer: str) -> None:
    with pytest.raises(SourceUnavailable, match="something else than is agreed"):
        scripted(f"{answer}; exit 0").list()


@pytest.mark.parametrize("answer", ["", "echo relative", "echo /a/../b", "echo /a/", "echo //a", "echo /a; echo /b"])
def test_paths_that_are_none_are_refused(scripted: Scripted, live: Path, answer: str) -> None:
    ref = scripted().create(named(1), [str(live)], RUN)
    engine = scripted(f"[ $SNAPCOPY_ACTION != path ] || {{ {answer or ':'}; exit 0; }}")
    with pytest.raises(SourceUnavailable, match="something else than is agreed"), engine.open(ref):
        pass


def test_the_live_directory_is_no_snapshot_of_itself(scripted: Scripted, live: Path) -> None:
    ref = scripted().create(named(1), [str(live)], RUN)
    engine = scripted(f"[ $SNAPCOPY_ACTION != path ] || {{ echo '{live}'; exit 0; }}")
    with pytest.raises(SourceUnavailable, match="names the live directory"), engine.open(ref):
        pass


def test_a_directory_that_is_not_there_is_told(scripted: Scripted, live: Path) -> None:
    ref = scripted().create(named(1), [str(live)], RUN)
    engine = scripted("[ $SNAPCOPY_ACTION != path ] || { echo /nowhere; exit 0; }")
    with pytest.raises(SourceUnavailable, match="cannot read it at “/nowhere”"), engine.open(ref):
        pass


def test_commands_that_say_they_did_and_did_not_are_found_out(scripted: Scripted, live: Path) -> None:
    with pytest.raises(SourceUnavailable, match="does not name"):
        scripted("[ $SNAPCOPY_ACTION != create ] || exit 0").create(named(1), [str(live)], RUN)
    ref = scripted().create(named(2), [str(live)], RUN)
    with pytest.raises(SourceUnavailable, match="is still listed"):
        scripted("[ $SNAPCOPY_ACTION != delete ] || exit 0").delete(ref)


def test_a_snapshot_without_a_description_is_listed_and_can_be_deleted(scripted: Scripted, live: Path) -> None:
    engine = scripted()
    ref = engine.create(named(1), [str(live)], RUN)
    (found,) = engine.list()
    assert (found.name, found.content) == (ref.name, ())
    assert "does not say when" in found.warnings[0]
    engine.delete(found)
    assert engine.list() == []


STARTS_ANOTHER = "sleep 600 & echo $! > new; mv new pid; wait"
"""And tells which, in a file that is there whole or not at all."""


def test_what_takes_too_long_is_ended_with_all_it_started(scripted: Scripted, tmp_path: Path) -> None:
    class Leaps(SystemClock):
        """A minute passes as soon as the other one runs."""

        def monotonic(self) -> float:
            return super().monotonic() + 60 * (tmp_path / "storage" / "pid").exists()

    engine = scripted(STARTS_ANOTHER, clock=Leaps())
    with pytest.raises(StorageBusy, match="did not end within 30 s"):
        engine.list()
    require_gone(int((tmp_path / "storage" / "pid").read_text()))


def test_a_stopped_job_ends_its_command(scripted: Scripted, live: Path, tmp_path: Path) -> None:
    class Kills:
        def check(self) -> None:
            if (tmp_path / "storage" / "pid").exists():
                raise Killed("The job was killed.")

    engine = scripted(f"[ $SNAPCOPY_ACTION != create ] || {{ {STARTS_ANOTHER}; }}")
    with pytest.raises(Killed):
        engine.create(named(1), [str(live)], Kills())
    require_gone(int((tmp_path / "storage" / "pid").read_text()))


def require_gone(pid: int) -> None:
    """A killed process of another parent is gone a moment later."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        os.sched_yield()
    raise AssertionError(f"process {pid} is still there")


def test_what_says_too_much_is_ended(scripted: Scripted) -> None:
    with pytest.raises(SourceUnavailable, match="more than 1048576 bytes"):
        scripted("yes").list()


def test_a_command_that_is_not_there_is_told_by_test(tmp_path: Path) -> None:
    lines = {f"{action}_command": "/nowhere/program" for action in ("create", "list", "path", "delete")}
    report = ScriptEngine(options_of(lines, tmp_path), INSTALL).test()
    assert [(step.name, step.ok) for step in report.steps] == [("area", True), ("storage", False)]
    assert "make it executable" in report.steps[-1].hint
    with pytest.raises(EngineUnsupported):
        ScriptEngine(options_of(lines, tmp_path), INSTALL).list()


@pytest.mark.parametrize("line", ["program", "", "'/open quote", "./here", "sh -c 'rm'"])
def test_a_command_line_begins_with_an_absolute_path(line: str, tmp_path: Path) -> None:
    lines = {f"{action}_command": "/bin/true" for action in ("create", "list", "path", "delete")} | {
        "list_command": line
    }
    with pytest.raises(InvalidOptions) as refusal:
        options_of(lines, tmp_path)
    assert refusal.value.field == "list_command"


def test_a_path_with_a_line_feed_cannot_be_content(scripted: Scripted, live: Path) -> None:
    (live / "two\nlines").mkdir()
    with pytest.raises(InvalidOptions, match="control character"):
        scripted().validate_content([str(live / "two\nlines")])
