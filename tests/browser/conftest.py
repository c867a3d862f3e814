"""A real Chromium on a live server. A test fails on any console error, failed request, or request to another host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.quiet_network import browsing

CHROMIUM: Final = os.environ.get("SNAPCOPY_TEST_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
PATIENCE_MS: Final = 60_000
"""It only keeps a test from hanging: pages wait for a machine that does much else."""
NOT_OURS: Final = "net::ERR_NETWORK_CHANGED"
"""A test of this process unplugged a cable of its own."""

expect.set_options(timeout=PATIENCE_MS)
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's loop runs in the thread of the test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which(CHROMIUM)
    if path is None or "/snap/" in str(Path(path).resolve()):
        pytest.skip(f"{CHROMIUM} is not installed as a program of its own; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Visitor:
    """One person at one browser. ``complaints`` is what the browser did not like; it must stay empty."""

    context: BrowserContext
    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Parts of complaints that the test provokes."""

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.address}{path}")
        return self.page

    def check(self) -> None:
        expected = (*self.expected, NOT_OURS)
        unexpected = [text for text in self.complaints if not any(part in text for part in expected)]
        assert not unexpected, "\n".join(unexpected)


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(chromium: Browser, live_server: LiveServer, tmp_path: Path, settings: Settings) -> Iterator[Visit]:
    """``visit(Role.ADMIN, width=360, dark=True)``: a signed-in person; ``visit(None)``: a stranger."""
    settings.SNAPCOPY_KEY_FILE = tmp_path / "keys" / "keyring"
    visitors: list[Visitor] = []

    def come(role: Role | None = Role.ADMIN, *, width: int = 1440, dark: bool = False, **options: Any) -> Visitor:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(PATIENCE_MS)
        if role is not None:
            _sign_in(context, live_server.url, role)
        visitor = Visitor(context, context.new_page(), live_server.url)
        _listen(visitor)
        visitors.append(visitor)
        return visitor

    with browsing():
        yield come
        for visitor in visitors:
            visitor.page.goto("about:blank")
            visitor.context.close()
    for visitor in visitors:
        visitor.check()


def _sign_in(context: BrowserContext, address: str, role: Role) -> None:
    """By a session of its own: typing a password costs a quarter of a second."""
    user = User.objects.filter(username=role.value).first() or make_user(role)
    client = Client()
    client.force_login(user)
    name = django_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])


def _listen(visitor: Visitor) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visitor.complaints.append(f"console: {message.text} at {visitor.page.url}")

    def on_request(request: Request) -> None:
        if not request.url.startswith((visitor.address, "data:", "about:", "blob:")):
            visitor.complaints.append(f"request to another host: {request.url}")

    visitor.page.on("console", on_console)
    visitor.page.on("pageerror", lambda error: visitor.complaints.append(f"error: {error}"))
    visitor.page.on("request", on_request)
