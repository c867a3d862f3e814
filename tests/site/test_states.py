"""Every state a page can meet has a look: icon, word and tone, and the icon exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import TextChoices
from django.template import Context, Template

from jobs.models.choices import (
    AttemptState,
    CopyState,
    EventLevel,
    JobState,
    MountState,
    PhaseState,
    SlotState,
    SnapshotState,
)
from jobs.rules.protection import Protection
from snapcopy_site.lib.states import LOOKS, describe
from snapcopy_site.lib.templatetags.ui import NAVIGATION, TONE_ICONS, has_error_page

SPRITE = (Path(settings.BASE_DIR) / "static" / "img" / "icons.svg").read_text()
ICONS = set(re.findall(r'<symbol id="([^"]+)"', SPRITE))


@pytest.mark.parametrize(
    "choices", [JobState, CopyState, SnapshotState, MountState, PhaseState, AttemptState, EventLevel, SlotState]
)
def test_every_stored_state_has_a_look(choices: type[TextChoices]) -> None:
    assert set(choices.values) <= set(LOOKS)


def test_every_verdict_has_a_look() -> None:
    assert {protection.value for protection in Protection} <= set(LOOKS)


def test_every_icon_is_in_the_sprite() -> None:
    named = {look.icon for look in LOOKS.values()} | {item.icon for item in NAVIGATION} | set(TONE_ICONS.values())
    for template in (Path(settings.BASE_DIR) / "templates").rglob("*.html"):
        named |= set(re.findall(r'{% icon "([^"]+)"', template.read_text()))
        named |= set(re.findall(r'icon_name="([^"]+)"', template.read_text()))
    assert named <= ICONS


def test_no_colour_is_written_outside_the_tokens() -> None:
    for sheet in (Path(settings.BASE_DIR) / "static" / "css").glob("*.css"):
        if sheet.name != "tokens.css":
            colours = [line for line in sheet.read_text().splitlines() if re.search(r"#[0-9a-fA-F]{3,8}\b|rgb\(", line)]
            assert not colours, f"{sheet.name}: {colours}"


def test_an_unknown_state_is_shown_by_its_own_name() -> None:
    assert describe("some_new_state").word == "Some new state"


def test_a_badge_is_an_icon_and_a_word() -> None:
    html = Template('{% badge "failed" %}').render(Context())
    assert "#bad" in html
    assert "Failed" in html


def test_a_card_escapes_its_title() -> None:
    html = Template("{% card title=name %}<b>{{ name }}</b>{% endcard %}").render(Context({"name": "<i>"}))
    assert "<h2>&lt;i&gt;</h2>" in html
    assert "<b>&lt;i&gt;</b>" in html


def test_only_documented_errors_are_linked() -> None:
    assert has_error_page("no-space")
    assert not has_error_page("no-such-error")
    assert not has_error_page("")
    assert not has_error_page("../index")
