"""The documentation: Markdown files below ``templates/docs`` shown at ``/docs/``.

``index.md`` of a folder is the folder's own page. The contents page is made from the titles, in ``SECTIONS`` order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from snapcopy_site.lib import markdown

SECTIONS: Final = {"": "Using SnapCopy", "errors": "Errors", "decisions": "Decisions"}
READ_FIRST: Final = ("first-steps", "words", "your-data-without-us")
"""Above the others of their section, which follow by title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``slug`` is what follows ``/docs/``; '' is the first page."""

    slug: str
    title: str
    html: SafeString

    @property
    def address(self) -> str:
        return reverse("docs-page", args=[self.slug]) if self.slug else reverse("docs")

    @property
    def section(self) -> str:
        return self.slug.split("/")[0] if "/" in self.slug or self.slug in SECTIONS else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """``name`` is the folder; '' is the top one, whose list is always open."""

    name: str
    title: str
    pages: tuple[Page, ...]

    @property
    def is_open(self) -> bool:
        return not self.name


def folder() -> Path:
    return Path(settings.BASE_DIR) / "templates" / "docs"


def find(slug: str) -> Page | None:
    """The page of a slug; only names that the folder really holds are looked at."""
    return _pages().get(slug.strip("/"))


def contents() -> list[Section]:
    """Sections with their pages, for the list beside every page."""
    pages = sorted(_pages().values(), key=lambda page: (page.slug != page.section, _rank(page.slug), page.title))
    return [
        Section(name=name, title=title, pages=tuple(page for page in pages if page.section == name))
        for name, title in SECTIONS.items()
    ]


def _rank(slug: str) -> int:
    return READ_FIRST.index(slug) if slug in READ_FIRST else len(READ_FIRST)


@cache
def _pages() -> dict[str, Page]:
    root = folder()
    return {page.slug: page for page in (_read(root, file) for file in sorted(root.rglob("*.md")))}


def _read(root: Path, file: Path) -> Page:
    text = file.read_text(encoding="utf-8")
    slug = file.relative_to(root).with_suffix("").as_posix().removesuffix("index").strip("/")
    html = mark_safe(markdown.to_html(text))  # noqa: S308 - our own files; raw HTML in them is escaped
    return Page(slug=slug, title=markdown.title_of(text) or slug, html=html)
