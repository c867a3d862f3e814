"""The documentation inside the product: every page renders, every link leads somewhere, every error has a page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import Resolver404, resolve, reverse

import jobs.runner.orders
import jobs.services.failures
import policies.errors
from jobs.engine.errors import EngineError
from snapcopy_site import documentation
from snapcopy_site.lib import markdown

KNOWN_MODULES = (policies.errors, jobs.runner.orders, jobs.services.failures)
"""Modules that add to the tree of errors; importing them is what makes their classes known here."""


def every_code() -> set[str]:
    def below(kind: type[EngineError]) -> Iterator[type[EngineError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return {kind.code for kind in below(EngineError) if not kind.__module__.startswith("tests.")}


def pages() -> list[documentation.Page]:
    return [page for section in documentation.contents() for page in section.pages]


def test_every_error_code_has_a_page_that_says_what_to_do() -> None:
    missing = {code for code in every_code() if documentation.find(f"errors/{code}") is None}
    assert missing == set()
    for code in every_code():
        page = documentation.find(f"errors/{code}")
        assert page is not None
        assert f"<code>{code}</code>" in page.html
        assert "What to do" in page.html


def test_the_list_of_errors_names_every_page() -> None:
    index = documentation.find("errors")
    assert index is not None
    for page in pages():
        if page.slug.startswith("errors/"):
            assert f'href="{page.address}"' in index.html, page.slug


def test_every_link_inside_the_documentation_leads_somewhere() -> None:
    dead = []
    for page in pages():
        for target in re.findall(r'href="(/[^"#]*)', page.html):
            if target.startswith("/docs/"):
                if documentation.find(target.removeprefix("/docs/")) is None:
                    dead.append((page.slug, target))
                continue
            try:
                resolve(target)
            except Resolver404:
                dead.append((page.slug, target))
    assert dead == []


def test_every_page_has_a_title_and_a_section() -> None:
    for page in pages():
        assert page.title, page.slug
        assert page.section in documentation.SECTIONS, page.slug


@pytest.mark.django_db
def test_a_page_is_shown_beside_the_list_of_all_pages(client: Client) -> None:
    client.force_login(User.objects.create_superuser("admin"))
    shown = client.get(reverse("docs-page", args=["errors/no-space"])).content.decode()
    assert "There is no space left" in shown
    assert reverse("docs-page", args=["words"]) in shown
    assert 'aria-current="page"' in shown


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["nothing", "../settings", "page.html", "errors/../index"])
def test_only_pages_of_the_folder_are_shown(client: Client, page: str) -> None:
    client.force_login(User.objects.create_superuser("admin"))
    assert client.get(f"/docs/{page}/").status_code == 404


def test_markup_in_a_text_stays_text() -> None:
    html = markdown.to_html("# <script>alert(1)</script>\n\n[x](javascript:alert(1)) <img src=x onerror=y>")
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html


def test_a_wide_table_can_be_reached_by_keyboard() -> None:
    html = markdown.to_html("| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert '<div class="prose-table" tabindex="0"><table>' in html
