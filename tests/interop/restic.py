"""Stock restic as a judge: runs the distribution's binary on a directory, or on a server through its own backend."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Restic:
    """``run`` raises with restic's own words if it fails; ``attempt`` returns whatever happened.

    ``address`` is where its own backend finds the repository, for one that is no directory here. ``options`` stand in
    every command, such as ``-o`` for that backend; ``environment`` holds its keys.
    """

    repository: Path = Path()
    address: str = ""
    password: str = "correct horse"
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def attempt(
        self, *arguments: str, cwd: Path | None = None, timeout_seconds: float = 100
    ) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "RESTIC_REPOSITORY": self.address or str(self.repository),
            "RESTIC_PASSWORD": self.password,
        }
        environment |= self.environment
        command = ["restic", "--no-cache", *self.options, *arguments]
        return subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        result = self.attempt(*arguments, cwd=cwd)
        assert result.returncode == 0, f"restic {' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run("--json", *arguments))

    def points(self) -> list[dict[str, Any]]:
        """Its snapshot files without the sealed configurations."""
        return [one for one in self.json("snapshots") if "snapcopy-configuration" not in (one.get("tags") or ())]

    def judge(self) -> None:
        """``check --read-data`` finds nothing wrong, and no notice of a file left over."""
        result = self.attempt("check", "--read-data")
        assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
        assert "no errors were found" in result.stdout
        assert "not referenced in any index" not in result.stdout
