"""Tags of the design system that need code: icon, badge, card, navigation. The rest are includes in ``components/``."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import cache, lru_cache

from django import template
from django.contrib.auth.models import AbstractBaseUser
from django.template import Context, TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from snapcopy_site.lib.roles import Role, has_role
from snapcopy_site.lib.states import describe

register = template.Library()

TONE_ICONS = {"ok": "ok", "warn": "warn", "bad": "bad", "live": "info", "idle": "info"}


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """An icon of ``static/img/icons.svg``; decorative, so a word must stand beside it.

    ``{% icon "copy" %}``, ``{% icon "ok" "icon-l tone-ok" %}``.
    """
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        extra,
        _sprite(int(time.monotonic())),
        name,
    )


@lru_cache(maxsize=1)
def _sprite(_second: int) -> str:
    """The address of the icons, looked for once a second: a folder's page has hundreds of them."""
    return static("img/icons.svg")


@register.simple_tag
def badge(state: object, word: str = "") -> SafeString:
    """A state as icon and word: ``{% badge job.state %}``, ``{% badge "ok" "Verified" %}``."""
    look = describe(str(state))
    return format_html(
        '<span class="badge badge-{}">{}{}</span>',
        look.tone,
        icon(look.icon, "spin" if look.spins else ""),
        word or look.word,
    )


@register.simple_tag
def state_icon(state: object) -> SafeString:
    """Only the icon of a state, with its word for screen readers and on hover; for tight tables and time lines."""
    look = describe(str(state))
    return format_html(
        '<span class="tone-{}" title="{}">{}<span class="visually-hidden">{}</span></span>',
        look.tone,
        look.word,
        icon(look.icon, "spin" if look.spins else ""),
        look.word,
    )


@register.filter
def can(user: object, role: str) -> bool:
    """Whether to show what needs a role: ``{% if request.user|can:"operator" %}``; the view checks it again."""
    return isinstance(user, AbstractBaseUser) and has_role(user, Role(role))


@register.filter
@cache
def has_error_page(code: str) -> bool:
    """Whether the documentation has a page for a stable error code."""
    if re.fullmatch(r"[a-z0-9-]+", code) is None:
        return False
    try:
        get_template(f"docs/errors/{code}.md")
    except (TemplateDoesNotExist, TemplateSyntaxError):
        return False
    return True


@register.filter
def tone_of(name: object) -> str:
    """The tone of a note: a tone itself, or a message level (``success``, ``error``)."""
    text = str(name)
    return text if text in TONE_ICONS else describe(text).tone


@register.filter
def icon_of(name: object) -> str:
    """The icon of a note's tone or message level."""
    return TONE_ICONS[tone_of(name)]


@register.filter
def tone(state: object) -> str:
    """The meaning of a state as a class suffix: ok, warn, bad, live, idle."""
    return describe(str(state)).tone


@register.filter
def word(state: object) -> str:
    """The state as people read it: ``completed_with_errors`` -> ``Completed with errors``."""
    return describe(str(state)).word


@register.simple_block_tag
def card(content: str, title: str = "", kind: str = "", icon_name: str = "", ident: str = "") -> SafeString:
    """A card: ``{% card title="Media" kind="flush" %} ... {% endcard %}``.

    ``kind``: "" (padded), "flush" (a table to the edges), "quiet" (no surface). For actions in the head write the
    markup of ``components/card.html`` by hand.
    """
    classes = f"card card-{kind}" if kind else "card"
    head = format_html('<div class="card-head"><h2>{}{}</h2></div>', icon(icon_name) if icon_name else "", title)
    return format_html(
        '<section class="{}"{}>{}<div class="card-body">{}</div></section>',
        classes,
        format_html(' id="{}"', ident) if ident else "",
        head if title else "",
        mark_safe(content),  # noqa: S308 - already rendered by the template engine
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NavItem:
    """One entry of the navigation; ``key`` is the second letter of its keyboard shortcut after ``g``."""

    label: str
    icon: str
    url_name: str
    key: str = ""
    role: Role = Role.VIEWER
    staff: bool = False


NAVIGATION = (
    NavItem(label="Overview", icon="overview", url_name="overview", key="o"),
    NavItem(label="Protect", icon="protect", url_name="protect", key="p"),
    NavItem(label="Jobs", icon="jobs", url_name="job-list", key="j"),
    NavItem(label="Restore", icon="restore", url_name="restore", key="r"),
    NavItem(label="Policies", icon="policies", url_name="policies:policy_list", key="s"),
    NavItem(label="Schedules", icon="calendar", url_name="schedule-list", key="c"),
    NavItem(label="Media", icon="media", url_name="policies:media_list", key="m"),
    NavItem(label="Access nodes", icon="nodes", url_name="policies:node_list", key="n"),
    NavItem(label="Activity", icon="activity", url_name="policies:activity", key="a"),
    NavItem(label="Users", icon="users", url_name="policies:user_list", key="u", role=Role.ADMIN),
    NavItem(label="Settings", icon="system", url_name="policies:settings", key="e", role=Role.ADMIN),
    NavItem(label="Docs", icon="docs", url_name="docs", key="d"),
    NavItem(label="Django admin", icon="admin", url_name="admin:index", staff=True),
)


@register.simple_tag(takes_context=True)
def navigation(context: Context) -> list[dict[str, str | bool]]:
    """The entries this user can open, the current one marked; entries whose page is not installed are left out."""
    request = context.get("request")
    path = request.path if request else ""
    user = getattr(request, "user", None)
    entries: list[dict[str, str | bool]] = []
    for item in NAVIGATION:
        try:
            url = reverse(item.url_name)
        except NoReverseMatch:
            continue
        if has_role(user, item.role) and (not item.staff or getattr(user, "is_staff", False)):
            current = path == url if url == "/" else path.startswith(url)
            entries.append({"label": item.label, "icon": item.icon, "url": url, "key": item.key, "current": current})
    return entries
