"""The site as a Django app: sign-in links, checks and commands."""

from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "snapcopy_site"
    label = "site"
    verbose_name = "SnapCopy"
