"""``prepare``: what ``up`` does to the database before anything else runs. Not meant to be typed."""

from __future__ import annotations

import json
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from snapcopy_site import sign_in


class Command(BaseCommand):
    help = "Bring the database up to date, make the first administrator, print a sign-in token as JSON."
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
            token = sign_in.new_link(sign_in.ensure_first_admin())
        except DatabaseError as error:
            raise CommandError(f"PostgreSQL refused: {str(error).strip()}") from error
        self.stdout.write(json.dumps({"token": token}))
