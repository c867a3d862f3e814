"""The four commands of the script engine: how they are called, what they may answer, and what their exit codes mean.

A command line is split once, like a shell would, and run without one. Whatever is added comes after it as arguments of
its own, so that no name and no path is ever taken for anything else. Answers are read strictly.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ...clock import Clock
from ...errors import (
    EngineError,
    InvalidOptions,
    NoSpace,
    SnapshotMissing,
    SnapshotNotOurs,
    SourceUnavailable,
    StorageBusy,
)
from ...events import Control
from ...ids import SnapshotName, owned_snapshot_name
from ..child_program import ChildPrograms

MOST_OUTPUT: Final = 1 << 20
_SHOWN_CHARACTERS: Final = 300
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CODES: Final[dict[int, type[EngineError]]] = {
    os.EX_NOINPUT: SnapshotMissing,
    os.EX_UNAVAILABLE: SourceUnavailable,
    os.EX_CANTCREAT: NoSpace,
    os.EX_TEMPFAIL: StorageBusy,
    os.EX_NOPERM: InvalidOptions,
    os.EX_CONFIG: InvalidOptions,
}
"""sysexits.h: 66, 69, 73, 75, 77, 78."""


def split_command(line: str, field: str) -> tuple[str, ...]:
    """Raises InvalidOptions (``field``)."""
    try:
        parts = tuple(shlex.split(line))
    except ValueError as error:
        raise InvalidOptions(f"“{line}” is no command line: {error}.", field=field) from error
    if not parts or not parts[0].startswith("/"):
        raise InvalidOptions(
            "A command begins with the absolute path of its program.",
            field=field,
            hint="No shell reads it. Give a script of your own, like /usr/local/sbin/array-snapshots create.",
        )
    return parts


def has_one_line(text: str) -> bool:
    """Whether it can be an argument and a line of an answer: no control character is in it."""
    return _CONTROL.search(text) is None


class ScriptCommands:
    """Of one installation. ``lines`` maps create, list, path and delete to their command lines."""

    def __init__(self, lines: Mapping[str, str], install: str, *, timeout_seconds: float, clock: Clock) -> None:
        self._commands = {action: split_command(line, f"{action}_command") for action, line in lines.items()}
        self._install = install
        self._children = ChildPrograms(
            timeout_seconds,
            clock,
            slow_hint="See what it waits for, or raise the time limit of the file server.",
            install_hint="Put it on every access node of the file server, and make it executable.",
            most_output=MOST_OUTPUT,
        )

    def create(self, name: SnapshotName, content: Sequence[str], description: str, control: Control) -> None:
        self._run("create", name, [name, *content], control, {"SNAPCOPY_DESCRIPTION": description})

    def names(self, control: Control) -> dict[SnapshotName, str]:
        """Those of this installation, each with what it says of itself; others are passed over."""
        found: dict[SnapshotName, str] = {}
        for line in _lines(self._run("list", "", [], control)):
            name, _tab, description = line.partition("\t")
            if not _NAME.match(name) or not has_one_line(description):
                raise self._unreadable("list", line)
            try:
                found[owned_snapshot_name(name, self._install)] = description
            except SnapshotNotOurs:
                continue
        return found

    def directories(self, name: SnapshotName, content: Sequence[str], control: Control) -> tuple[Path, ...]:
        """Where each content path is readable. Raises SnapshotMissing."""
        lines = _lines(self._run("path", name, [name, *content], control))
        if len(lines) != len(content):
            raise self._unreadable("path", f"{len(lines)} lines for {len(content)} content paths")
        for line, path in zip(lines, content, strict=True):
            if not line.startswith("/") or posixpath.normpath(line) != line or line.startswith("//"):
                raise self._unreadable("path", line)
            if os.path.realpath(line) == os.path.realpath(path):
                raise SourceUnavailable(f"The path command names the live directory “{path}”, not a snapshot of it.")
        return tuple(map(Path, lines))

    def delete(self, name: SnapshotName, control: Control) -> None:
        """Raises SnapshotNotOurs before anything is run."""
        self._run("delete", owned_snapshot_name(name, self._install), [name], control)

    def _run(
        self,
        action: str,
        name: str,
        arguments: Sequence[str],
        control: Control,
        facts: Mapping[str, str] | None = None,
    ) -> str:
        environment = {
            "SNAPCOPY_ACTION": action,
            "SNAPCOPY_NAME": name,
            "SNAPCOPY_PREFIX": f"sc-{self._install}-",
            **(facts or {}),
        }
        ended = self._children.run([*self._commands[action], *arguments], f"{action} command", control, environment)
        if ended.code == 0:
            return ended.output
        said = " ".join((ended.complaint.strip() or ended.output.strip()).split())[-_SHOWN_CHARACTERS:]
        how = f"ended with code {ended.code}" if ended.code > 0 else f"was ended by signal {-ended.code}"
        sentence = f"The {action} command {how}{f': {said}' if said else ''}."
        kind = _CODES.get(ended.code, SourceUnavailable)
        if kind is InvalidOptions:
            raise InvalidOptions(sentence, field=f"{action}_command")
        raise kind(sentence)

    @staticmethod
    def _unreadable(action: str, line: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"The {action} command answered something else than is agreed: “{ascii(line)[1:81]}”.",
            hint="The page on the script engine says what each command prints.",
        )


def _lines(output: str) -> list[str]:
    """Whole ones only; a line ends with a line feed and nothing else."""
    return output.removesuffix("\n").split("\n") if output else []
