"""Markdown to HTML, for our own pages: raw HTML stays text, links that are not links are dropped."""

from __future__ import annotations

from typing import Final

from markdown_it import MarkdownIt

_renderer: Final = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable(["table", "strikethrough"])


def title_of(text: str) -> str:
    """The first heading of the first level, without its marks; '' if there is none."""
    for line in text.splitlines():
        if line.startswith("# "):
            return line[2:].strip()
    return ""


def to_html(text: str) -> str:
    """Safe HTML without scripts, styles or embedded HTML."""
    html = str(_renderer.render(text))
    # A wide table scrolls by itself; a keyboard must reach it to do so.
    return html.replace("<table>", '<div class="prose-table" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
