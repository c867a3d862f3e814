"""``doctor``: look at everything, name the remedy. Exit code 0 = nothing is wrong, 1 = an error was found."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from snapcopy_site.health import Finding, Status, examine

MARKS: Final = {Status.OK: "ok  ", Status.WARNING: "warn", Status.ERROR: "FAIL"}


class Command(BaseCommand):
    help = "Check everything SnapCopy needs and name the remedy. Exit code 1 if something is wrong."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *_args: Any, **options: Any) -> None:
        findings = []
        for finding in examine():
            findings.append(finding)
            if not options["json"]:
                self._tell(finding)
        errors = sum(finding.status is Status.ERROR for finding in findings)
        warnings = sum(finding.status is Status.WARNING for finding in findings)
        if options["json"]:
            report = {"ok": errors == 0, "findings": [asdict(finding) for finding in findings]}
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))
        else:
            self.stdout.write(f"{errors} errors, {warnings} warnings, {len(findings)} checks.")
        if errors:
            sys.exit(1)

    def _tell(self, finding: Finding) -> None:
        self.stdout.write(f"{MARKS[finding.status]}  {finding.name}: {finding.sentence}")
        if finding.remedy:
            self.stdout.write(f"      -> {finding.remedy}")
