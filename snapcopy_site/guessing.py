"""Guessing passwords is made useless: after ten wrong ones for a name from an address, sign-in waits.

A name is also closed to everybody after a hundred, so that many addresses help little; a one-time link always works.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils import timezone

from snapcopy_site.models import WrongPassword

WINDOW: Final = timedelta(minutes=15)
FROM_ONE_ADDRESS: Final = 10
FROM_EVERYWHERE: Final = 100


class GuardedAuthenticationForm(AuthenticationForm):
    """Django's form; while a name is closed the password is not even looked at."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "Name or password is wrong. Both are case-sensitive; a user that is switched off stays out.",
    }

    def clean(self) -> dict[str, Any]:
        name = str(self.cleaned_data.get("username") or "")
        address = self.request.META.get("REMOTE_ADDR") if self.request else None
        if is_closed(name, address):
            raise ValidationError(
                f"Too many wrong passwords. Try again in {WINDOW.seconds // 60} minutes, or use a link: snapcopy link",
                code="closed",
            )
        try:
            return super().clean()
        except ValidationError:
            if name:
                note(name, address)
            raise


def note(name: str, address: str | None) -> None:
    """Remember a wrong password; forget what no longer counts."""
    WrongPassword.objects.filter(at__lt=timezone.now() - WINDOW).delete()
    WrongPassword.objects.create(name_hash=_hash(name), address=address or None)


def is_closed(name: str, address: str | None) -> bool:
    """Whether sign-in for the name waits, seen from the address."""
    recent = WrongPassword.objects.filter(name_hash=_hash(name), at__gte=timezone.now() - WINDOW)
    return recent.filter(address=address or None).count() >= FROM_ONE_ADDRESS or recent.count() >= FROM_EVERYWHERE


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.casefold().encode()).digest()
