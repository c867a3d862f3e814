"""Signing in without a password: one-time links, and the first administrator.

A link is 32 random bytes; the database keeps only their SHA-256. It works once: whoever changes ``used_at`` from NULL
is signed in, everybody else was too late.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from snapcopy_site.models import SignInLink

LINK_LIFETIME: Final = timedelta(hours=1)
FIRST_ADMIN: Final = "admin"


def new_link(user: User, *, lifetime: timedelta = LINK_LIFETIME) -> str:
    """A token for ``/sign-in/<token>/``; it is not stored, so show it now. Forgets links that expired."""
    now = timezone.now()
    token = secrets.token_urlsafe(32)
    SignInLink.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()
    SignInLink.objects.create(user=user, token_hash=_hash(token), expires_at=now + lifetime)
    return token


def find_link(token: str) -> SignInLink | None:
    """The link, while it can still be used."""
    return (
        SignInLink.objects.select_related("user")
        .filter(token_hash=_hash(token), used_at=None, expires_at__gt=timezone.now(), user__is_active=True)
        .first()
    )


def use_link(token: str) -> User | None:
    """The person the link signs in, exactly once; None when it was used, expired or never existed."""
    link = find_link(token)
    if link is None or SignInLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now()) != 1:
        return None
    return link.user


@transaction.atomic
def ensure_first_admin() -> User:
    """The oldest active superuser, for whom links are printed; made without a password if there is none."""
    admin = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if admin is None:
        admin = User.objects.create_superuser(FIRST_ADMIN, password=None)
    return admin


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
