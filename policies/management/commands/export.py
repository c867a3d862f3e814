"""``export``: the configuration as the file that ``apply`` reads."""

from __future__ import annotations

import json
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from policies.declared.picture import picture


class Command(BaseCommand):
    help = "Write the configuration as the YAML file that apply reads. Secrets are only placeholders in it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as JSON, which apply reads too")

    def handle(self, *_args: Any, **options: Any) -> None:
        with transaction.atomic():
            shown = picture()
        if options["json"]:
            self.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False))
            return
        self.stdout.write(yaml.dump(shown, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=120), ending="")


class _Indented(yaml.SafeDumper):
    """Lists stand further in than their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
