"""Entry point of ``snapcopy repo``; exit codes are in the help."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Final

from ..errors import EngineError, InvalidOptions, RepositoryLocked, RepositoryMissing, Stopped, WrongPassword
from . import copying, listing, upkeep
from .console import write_json
from .parser import build_parser
from .session import Session, session

_COMMANDS: Final[dict[str, Callable[[Namespace, Session], int]]] = {
    "init": copying.init,
    "backup": copying.backup,
    "restore": copying.restore,
    "snapshots": listing.snapshots,
    "ls": listing.ls,
    "stats": listing.stats,
    "check": upkeep.check,
    "forget": upkeep.forget,
    "prune": upkeep.prune,
    "unlock": upkeep.unlock,
}
_EXIT_CODES: Final[tuple[tuple[type[EngineError], int], ...]] = (
    (InvalidOptions, 2),
    (RepositoryMissing, 10),
    (RepositoryLocked, 11),
    (WrongPassword, 12),
    (Stopped, 5),
    (EngineError, 1),
)


def main(words: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    arguments = build_parser().parse_args(words)
    try:
        with session(arguments, create=arguments.command == "init") as opened:
            return _COMMANDS[arguments.command](arguments, opened)
    except EngineError as error:
        _tell(error, as_json=arguments.json)
        return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _tell(error: EngineError, *, as_json: bool) -> None:
    if as_json:
        write_json({"event": "error", "code": error.code, "sentence": error.sentence, "hint": error.hint})
        return
    print(f"snapcopy repo: {error.sentence}", file=sys.stderr)
    if error.hint:
        print(error.hint, file=sys.stderr)
