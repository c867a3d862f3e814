"""What the site itself remembers: links that sign a person in once, and passwords that were wrong."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SignInLink(models.Model):
    """One link for one person, usable once until it expires. Only the token's hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_in_links")
    token_hash = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="site_link_expires")]

    def __str__(self) -> str:
        return f"sign-in link of {self.user}"


class WrongPassword(models.Model):
    """One wrong password: for which name (as typed, hashed: people type passwords there), from which address."""

    at = models.DateTimeField(auto_now_add=True)
    name_hash = models.BinaryField(max_length=32)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        indexes = [models.Index(fields=["name_hash", "at"], name="site_wrong_name_at")]

    def __str__(self) -> str:
        return f"wrong password from {self.address} at {self.at:%Y-%m-%d %H:%M}"
