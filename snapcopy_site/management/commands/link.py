"""``link [USER]``: a new one-time sign-in link."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from snapcopy_site import sign_in
from snapcopy_site.running import running_url


class Command(BaseCommand):
    help = "Print a link that signs a user in, once, within an hour."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", help="whom it signs in; default: the first administrator")

    def handle(self, *_args: Any, user: str | None, **_options: Any) -> None:
        person = sign_in.ensure_first_admin() if user is None else self._find(user)
        address = running_url(settings.HOME) or "http://THIS-MACHINE:PORT/"
        self.stdout.write(address.rstrip("/") + reverse("sign-in-link", args=[sign_in.new_link(person)]))

    def _find(self, name: str) -> User:
        try:
            return User.objects.get(username=name, is_active=True)
        except User.DoesNotExist:
            raise CommandError(f"There is no active user “{name}”.") from None
