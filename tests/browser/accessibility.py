"""What every page must be: accessible in light and dark, no wider than the screen, nothing on the console.

axe-core is put into a page once and asked several times: reading its half megabyte costs more than most of its rules.
"""

from __future__ import annotations

import json
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from snapcopy_site.lib.roles import Role
from tests.browser.conftest import Visit

RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_AXE: Final = Axe().axe_script


def inspect(visit: Visit, *paths: str, role: Role | None = Role.ADMIN, expected: tuple[str, ...] = ()) -> None:
    """Look at each page, wide and narrow, light and dark. ``expected``: complaints that the pages provoke."""
    visitor = visit(role)
    visitor.expected = expected
    page, faults = visitor.page, []
    for path in paths:
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1440, "height": 900})
        visitor.open(path)
        assert page.title().endswith("SnapCopy"), path
        faults += violations(page, *RULES, where=path)
        page.emulate_media(color_scheme="dark")
        faults += violations(page, "color-contrast", where=f"{path} dark")
        page.set_viewport_size({"width": 360, "height": 740})
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            faults.append(f"{path}: {width} px wide at 360")
        faults += violations(page, "target-size", "scrollable-region-focusable", where=f"{path} narrow")
    assert not faults, "\n".join(faults)


def violations(page: Page, *only: str, where: str = "") -> list[str]:
    """What axe-core finds with these rules or tags, the first three places of each."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(_AXE)
    options = json.dumps({"runOnly": list(only), "resultTypes": ["violations"]})
    found: list[dict[str, Any]] = page.evaluate(f"axe.run(document, {options}).then(results => results.violations)")
    return [
        f"{where}: {violation['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"
        for violation in found
        for node in violation["nodes"][:3]
    ]
