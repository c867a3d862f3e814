"""Snapshots by four commands of the administrator's own, for every storage that has no engine here.

What the commands are given, and what they answer, is in :mod:`.commands`; whether a snapshot is instant and of
one moment is theirs. It is read where the path command says, and a revert replaces files one by one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from ...clock import Clock, SystemClock
from ...errors import EngineError, InvalidOptions, SnapshotMissing, SnapshotNotOurs, SourceUnavailable, StorageBusy
from ...events import Control, FreeRun
from ...ids import SnapshotName, owned_snapshot_name
from ...media.base import TestReport
from ..arrays.description import Description, Part, all_parts, read_description, write_description
from ..arrays.reading import held, refuse_while_read
from ..base import Capability, Reverted, RevertPlan, SnapshotRef, SnapshotRoot
from ..content import checked_content, is_inside, refuse_missing, require_directory
from ..probe import Probe, run_steps
from ..reverting import look_in_place, make_missing, require_nobody_writes, require_parents, revert_in_place
from .commands import ScriptCommands, has_one_line, split_command

_FREE_RUN: Final = FreeRun()
_MOST_DESCRIPTION: Final = 4000
_ACTIONS: Final = ("create", "list", "path", "delete")
_UNKNOWN_HINT: Final = "The page on the script engine says what each command gets and prints."


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOptions:
    """The commands, and a directory for the Test."""

    create_command: str = field(
        metadata={
            "label": "Create command",
            "help": "Program with its arguments; no shell reads it. The snapshot's name and the content paths are "
            "added as arguments.",
            "command": True,
        }
    )
    list_command: str = field(
        metadata={"label": "List command", "help": "Prints the names of all snapshots, one a line.", "command": True}
    )
    path_command: str = field(
        metadata={
            "label": "Path command",
            "help": "Gets a name and content paths, and prints for each path the directory where it is readable in "
            "that snapshot, one a line.",
            "command": True,
        }
    )
    delete_command: str = field(
        metadata={
            "label": "Delete command",
            "help": "Gets a name. Only names that this installation made are ever given to it.",
            "command": True,
        }
    )
    test_directory: Path = field(
        metadata={
            "label": "Directory for the Test",
            "help": "An existing directory on the storage: Test writes a small file there, takes a snapshot of it and "
            "removes both.",
        }
    )
    timeout_seconds: int = field(
        default=300,
        metadata={
            "label": "Time limit",
            "help": "Seconds that one command may take; then it is ended with all it started.",
            "minimum": 1,
            "maximum": 86_400,
        },
    )

    def __post_init__(self) -> None:
        for action, line in self.lines().items():
            split_command(line, f"{action}_command")

    def lines(self) -> dict[str, str]:
        return {action: str(getattr(self, f"{action}_command")) for action in _ACTIONS}


class ScriptEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine`."""

    name: ClassVar[str] = "script"
    label: ClassVar[str] = "Script"
    summary: ClassVar[str] = (
        "Four commands of your own that create, list, show and delete snapshots, for any storage. Instant and of one "
        "moment if they are. They run on the access node with its rights."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INSTANT, Capability.REVERT})

    def __init__(self, options: ScriptOptions, install: str, clock: Clock | None = None) -> None:
        self.install = install
        self._test_directory = options.test_directory
        self._clock = clock or SystemClock()
        self._commands = ScriptCommands(
            options.lines(), install, timeout_seconds=options.timeout_seconds, clock=self._clock
        )

    def validate_content(self, content: Sequence[str]) -> None:
        paths = checked_content(content)
        refuse_missing(paths)
        self._refuse_unfit(paths)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        owned_snapshot_name(name, self.install)
        paths = checked_content(content)
        for path in paths:
            require_directory(path)
        self._refuse_unfit(paths)
        if name in self._commands.names(control):
            raise StorageBusy(f"There is already a snapshot “{name}”.", hint="Resubmit the job; it takes a new name.")
        taken_at_ns = self._clock.now_ns()
        told = Description(
            taken_at_ns=taken_at_ns,
            total=len(paths),
            parts=tuple(Part(number=number, path=path, below="") for number, path in enumerate(paths)),
        )
        text = write_description(name, told, most_characters=_MOST_DESCRIPTION)
        ref = SnapshotRef(name=name, engine=self.name, taken_at_ns=taken_at_ns, content=paths)
        try:
            self._commands.create(name, _real(paths), text, control)
            if name not in self._commands.names(control):
                raise SourceUnavailable(
                    f"The create command ended well, and the list command does not name “{name}”.", hint=_UNKNOWN_HINT
                )
        except BaseException:
            with contextlib.suppress(EngineError):
                self._remove(name)
            raise
        return ref

    @contextlib.contextmanager
    def open(self, ref: SnapshotRef) -> Iterator[tuple[SnapshotRoot, ...]]:
        owned_snapshot_name(ref.name, self.install)
        if ref.name not in self._commands.names(_FREE_RUN):
            raise SnapshotMissing(f"Snapshot “{ref.name}” is not on the storage any more.")
        directories = self._commands.directories(ref.name, _real(ref.content), _FREE_RUN)
        roots = tuple(
            SnapshotRoot(content_path=path, directory=directory)
            for path, directory in zip(ref.content, directories, strict=True)
        )
        with held(roots, directories, ref.name) as readable:
            yield readable

    def exists(self, ref: SnapshotRef) -> bool:
        return owned_snapshot_name(ref.name, self.install) in self._commands.names(_FREE_RUN)

    def list(self) -> Sequence[SnapshotRef]:
        """One whose description the storage did not keep is told without content."""
        return [self._ref(name, text) for name, text in self._commands.names(_FREE_RUN).items()]

    def delete(self, ref: SnapshotRef) -> None:
        owned_snapshot_name(ref.name, self.install)
        if ref.name not in self._commands.names(_FREE_RUN):
            return
        with contextlib.suppress(SnapshotMissing):
            refuse_while_read(self._commands.directories(ref.name, _real(ref.content), _FREE_RUN), ref.name)
        self._remove(ref.name)

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """See :class:`~jobs.engine.snapshots.base.Reverter`."""
        self._require_revertible(ref)
        with self.open(ref) as roots:
            return look_in_place(roots, control, self._clock, seconds=seconds, keep=_left_alone(roots))

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """See :class:`~jobs.engine.snapshots.base.Reverter`. File by file."""
        self._require_revertible(ref)
        with self.open(ref) as roots:
            make_missing(ref.content)
            return revert_in_place(roots, control, keep=_left_alone(roots))

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        """Nobody says."""
        return None

    def test(self) -> TestReport:
        probe = Probe(self, self.install, self._test_directory)

        def look() -> str:
            return f"{len(self._commands.names(_FREE_RUN))} snapshots of this installation are listed"

        def reach() -> str:
            require_directory(str(self._test_directory))
            self._refuse_unfit([str(self._test_directory)])
            return f"a snapshot is taken of “{self._test_directory}”"

        content = (str(self._test_directory),)
        try:
            return run_steps(
                [
                    ("area", reach),
                    ("storage", look),
                    ("write", probe.write),
                    ("snapshot", lambda: probe.take(lambda name: self.create(name, content, _FREE_RUN))),
                    ("open", probe.read),
                    ("list", probe.find),
                    ("delete", probe.delete),
                ],
                self._test_directory,
            )
        finally:
            probe.clean_up()

    def _remove(self, name: SnapshotName) -> None:
        """Raises SourceUnavailable for a delete command that ended well and left it."""
        self._commands.delete(name, _FREE_RUN)
        if name in self._commands.names(_FREE_RUN):
            raise SourceUnavailable(
                f"The delete command ended well, and “{name}” is still listed.", hint="It is tried again later."
            )

    def _ref(self, name: SnapshotName, text: str) -> SnapshotRef:
        told = read_description(text)
        if told is None:
            return SnapshotRef(
                name=name,
                engine=self.name,
                taken_at_ns=0,
                content=(),
                warnings=("The storage does not say when it was taken, nor of what.",),
            )
        return SnapshotRef(
            name=name,
            engine=self.name,
            taken_at_ns=told.taken_at_ns,
            content=tuple(part.path for part in all_parts([told])),
        )

    def _require_revertible(self, ref: SnapshotRef) -> None:
        require_parents(ref.content)
        self._refuse_unfit([path for path in ref.content if os.path.lexists(path)])
        require_nobody_writes(ref.content)

    def _refuse_unfit(self, content: Sequence[str]) -> None:
        """Raises InvalidOptions (``content_paths``) for what lies in a snapshot, or cannot be told to a command."""
        for path in content:
            for piece in os.path.realpath(path).split("/"):
                with contextlib.suppress(SnapshotNotOurs):
                    owned_snapshot_name(piece, self.install)
                    raise InvalidOptions(f"“{path}” is inside a snapshot.", field="content_paths")
            if not has_one_line(path):
                raise InvalidOptions(f"{path!a} holds a control character.", field="content_paths")


def _real(content: Sequence[str]) -> tuple[str, ...]:
    """What a command is told: without links, since a storage knows none of ours."""
    return tuple(os.path.realpath(path) for path in content)


def _left_alone(roots: Sequence[SnapshotRoot]) -> frozenset[tuple[int, int]]:
    """(device, inode) of what lies in the live data and shows snapshots: its topmost directory there."""
    kept = set()
    for root in roots:
        shown = str(root.directory)
        for live in (os.path.realpath(other.content_path) for other in roots):
            if shown != live and is_inside(shown, live):
                top = os.path.join(live, os.path.relpath(shown, live).split("/")[0])
                status = os.lstat(top)
                kept.add((status.st_dev, status.st_ino))
    return frozenset(kept)
