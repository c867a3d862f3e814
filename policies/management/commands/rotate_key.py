"""``snapcopy rotate-key``: a new key for all stored secrets."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from jobs.engine.errors import EngineError
from policies.secrets import rotate_keys


class Command(BaseCommand):
    help = "Seal every stored secret again under a new key. Old keys stay in the key file unless --drop-old."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--drop-old",
            action="store_true",
            help="remove keys that no secret uses any more; database backups from before then no longer open",
        )

    def handle(self, *_args: object, drop_old: bool, **_options: object) -> None:
        try:
            done = rotate_keys(drop_old=drop_old)
        except EngineError as error:
            raise CommandError(f"{error.sentence} {error.hint}".strip()) from error
        plural = "secret" if done.sealed_again == 1 else "secrets"
        self.stdout.write(f"{done.sealed_again} {plural} sealed under the new key {done.key_id}.")
        if done.dropped_keys:
            self.stdout.write(f"{done.dropped_keys} old keys removed.")
