"""``apply -f FILE``: make the configuration what a file says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policies.declared.applying import apply
from policies.declared.difference import Change
from policies.declared.problems import DeclaredRefused, DeletionsUnconfirmed
from policies.declared.reading import read

DIFFERS: Final = 2
REFUSED: Final = 4
UNCONFIRMED: Final = 5
EXIT_CODES: Final = (
    "exit codes: 0 applied, or nothing to do; 2 with --plan: there is a difference (or a wrong command line); "
    "4 refused: nothing was changed; 5 it would delete snapshots or backup copies: nothing was changed"
)


_CONFIRM: Final = "Look at each with --plan; if that is meant, apply with --confirm-deletions."


class Command(BaseCommand):
    help = "Make the configuration what a YAML file says: all of it or nothing. What the file does not name stays."
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXIT_CODES, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-f", "--file", required=True, help="the file; - reads it from the standard input")
        parser.add_argument("--plan", action="store_true", help="only show what would change; exit code 2 if anything")
        parser.add_argument(
            "--confirm-deletions",
            action="store_true",
            help="apply also what lets the next aging delete snapshots or backup copies, as --plan lists them",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object with the changes or the problems")

    def handle(self, *_args: Any, file: str, plan: bool, **options: Any) -> None:
        try:
            changes = apply(read(_text(file)), plan=plan, confirm_deletions=options["confirm_deletions"])
        except DeclaredRefused as refusal:
            self._refuse(refusal, as_json=options["json"])
        except DeletionsUnconfirmed as question:
            self._ask(question, as_json=options["json"])
        else:
            self._tell(changes, plan=plan, as_json=options["json"])
            if plan and changes:
                raise SystemExit(DIFFERS)

    def _tell(self, changes: list[Change], *, plan: bool, as_json: bool) -> None:
        if as_json:
            shown = {"plan": plan, "changes": [change.as_plain() for change in changes], "problems": []}
            self.stdout.write(json.dumps(shown))
            return
        for change in changes:
            self.stdout.write("\n".join(change.lines()))
        count = f"{len(changes)} object{'' if len(changes) == 1 else 's'}"
        if not changes:
            self.stdout.write("Nothing to do: the configuration is as the file says.")
        else:
            self.stdout.write(f"{count} would change." if plan else f"{count} changed.")
        deletions = sum(len(change.deletions) for change in changes)
        if plan and deletions:
            self.stdout.write(f"Deleted at the next aging: {deletions}. Applying it needs --confirm-deletions.")

    def _ask(self, question: DeletionsUnconfirmed, *, as_json: bool) -> None:
        if as_json:
            changes = [change.as_plain() for change in question.changes]
            problem = {"line": 0, "path": "", "sentence": str(question), "remedy": _CONFIRM}
            self.stdout.write(json.dumps({"plan": False, "changes": changes, "problems": [problem]}))
            raise SystemExit(UNCONFIRMED)
        lines = [line for change in question.changes for line in change.lines()]
        raise CommandError("\n".join([f"Nothing was changed. {question}", *lines, _CONFIRM]), returncode=UNCONFIRMED)

    def _refuse(self, refusal: DeclaredRefused, *, as_json: bool) -> None:
        if as_json:
            problems = [
                {"line": problem.line, "path": problem.path, "sentence": problem.sentence, "remedy": problem.remedy}
                for problem in refusal.problems
            ]
            self.stdout.write(json.dumps({"plan": False, "changes": [], "problems": problems}))
            raise SystemExit(REFUSED)
        raise CommandError(f"Nothing was changed.\n{refusal}", returncode=REFUSED)


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}.", returncode=REFUSED) from error
