"""Who is measured: how each makes a repository and copies a tree into it. A new one is one class and one entry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from .measuring import Figures, run

_PASSWORD: Final = "bench"
_PROJECT: Final = Path(__file__).parents[2]


class Contender(Protocol):
    """``place`` is an empty directory of its own for everything it keeps."""

    @property
    def name(self) -> str: ...
    def version(self) -> str: ...
    def prepare(self, place: Path) -> None: ...
    def copy(self, source: Path, place: Path) -> Figures: ...
    def restore(self, place: Path, target: Path) -> Figures:
        """Everything of the latest copy below ``target``, which is an empty directory."""


def _setup(command: list[str], environment: Mapping[str, str]) -> None:
    run(command, environment)


def _first_line(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[0].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The whole process: a Python that starts, opens the repository, copies and ends."""

    name: str = "ours"
    arguments: tuple[str, ...] = ()

    def version(self) -> str:
        return "this tree"

    def _environment(self, place: Path) -> dict[str, str]:
        return {"SNAPCOPY_REPO_PASSWORD": _PASSWORD, "XDG_CACHE_HOME": str(place / "cache")}

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, str(_PROJECT / "manage.py"), "repo", *words]

    def prepare(self, place: Path) -> None:
        _setup(self._command("init", str(place / "repository")), self._environment(place))

    def copy(self, source: Path, place: Path) -> Figures:
        command = self._command("backup", *self.arguments, str(place / "repository"), str(source))
        return run(command, self._environment(place))

    def restore(self, place: Path, target: Path) -> Figures:
        command = self._command("restore", str(place / "repository"), "latest", "--to", str(target))
        return run(command, self._environment(place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Restic:
    """Stock restic with its defaults and its cache."""

    name: str = "restic"
    program: str = "restic"

    def version(self) -> str:
        return _first_line(self.program, "version")

    def _environment(self, place: Path) -> dict[str, str]:
        return {
            "RESTIC_PASSWORD": _PASSWORD,
            "RESTIC_REPOSITORY": str(place / "repository"),
            "RESTIC_CACHE_DIR": str(place / "cache"),
        }

    def prepare(self, place: Path) -> None:
        _setup([self.program, "init"], self._environment(place))

    def copy(self, source: Path, place: Path) -> Figures:
        return run([self.program, "backup", "--quiet", str(source)], self._environment(place))

    def restore(self, place: Path, target: Path) -> Figures:
        return run([self.program, "restore", "--quiet", "latest", "--target", str(target)], self._environment(place))

    def list_folder(self, place: Path, folder: str) -> Figures:
        """One folder of the latest copy."""
        return run([self.program, "ls", "latest", folder], self._environment(place))

    def find(self, place: Path, pattern: str) -> Figures:
        """A name in the latest copy."""
        return run([self.program, "find", "--snapshot", "latest", pattern], self._environment(place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Borg:
    """borg with encryption, and the compression the others use."""

    name: str = "borg"
    environment: dict[str, str] = field(default_factory=dict)

    def version(self) -> str:
        return _first_line("borg", "--version")

    def _environment(self, place: Path) -> dict[str, str]:
        return {"BORG_PASSPHRASE": _PASSWORD, "BORG_BASE_DIR": str(place / "base")}

    def prepare(self, place: Path) -> None:
        _setup(["borg", "init", "--encryption=repokey", str(place / "repository")], self._environment(place))

    def copy(self, source: Path, place: Path) -> Figures:
        command = ["borg", "create", "--compression=zstd,3", f"{place / 'repository'}::{{now:%H%M%S.%f}}", str(source)]
        return run(command, self._environment(place))

    def restore(self, place: Path, target: Path) -> Figures:
        environment = self._environment(place)
        command = ["borg", "list", "--last=1", "--format={archive}", str(place / "repository")]
        listed = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
        return run(["borg", "extract", f"{place / 'repository'}::{listed.stdout.strip()}"], environment, cwd=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rsync:
    """A plain copy: no history, no encryption, no compression. What the file system alone costs."""

    name: str = "rsync"

    def version(self) -> str:
        return _first_line("rsync", "--version")

    def prepare(self, place: Path) -> None:
        (place / "repository").mkdir()

    def copy(self, source: Path, place: Path) -> Figures:
        return run(["rsync", "-a", f"{source}/", f"{place / 'repository'}/"], {})

    def restore(self, place: Path, target: Path) -> Figures:
        return run(["rsync", "-a", f"{place / 'repository'}/", f"{target}/"], {})


def contenders(names: list[str], restics: list[str]) -> list[Contender]:
    """Those of the names that are installed. ``restics`` are the programs to run for that name."""
    everybody: dict[str, list[tuple[Contender, str]]] = {
        "ours": [(Ours(), sys.executable)],
        "restic": [
            (Restic(name="restic" if not number else f"restic {number + 1}", program=path), path)
            for number, path in enumerate(restics)
        ],
        "borg": [(Borg(), "borg")],
        "rsync": [(Rsync(), "rsync")],
    }
    return [contender for name in names for contender, program in everybody[name] if shutil.which(program)]
