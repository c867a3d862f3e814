"""The script that the page on the script engine shows, as a file: what people copy is what the tests run."""

from __future__ import annotations

import shlex
from pathlib import Path

PAGE = Path(__file__).parents[1] / "templates" / "docs" / "script-engine.md"
ACTIONS = ("create", "list", "path", "delete")


def write_documented_script(folder: Path) -> Path:
    """The only example of the page, executable."""
    (example,) = (part for part in PAGE.read_text().split("\n```\n")[1::2] if part.startswith("#!"))
    program = folder / "snapcopy-btrfs"
    program.write_text(example + "\n")
    program.chmod(0o755)
    return program


def commands_of(program: Path, volume: Path) -> dict[str, str]:
    """Options of a file server for that volume."""
    return {f"{action}_command": shlex.join([str(program), action, str(volume)]) for action in ACTIONS}
