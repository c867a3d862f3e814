"""How figures are written everywhere: bytes, rates, durations, counts, shares and times. No layout here.

None is an unknown value and is written as an en dash. Bytes are binary (1 KiB = 1024 B, IEC 80000-13).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

UNKNOWN = "–"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEPS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@register.filter(name="bytes")
def bytes_text(value: float | None) -> str:
    """Bytes in three significant digits: ``1.23 GiB``, ``45.6 MiB``, ``789 B``."""
    if value is None:
        return UNKNOWN
    size = float(value)
    for unit in _UNITS:
        if abs(size) < 999.5 or unit == _UNITS[-1]:
            return f"{_significant(size) if unit != 'B' else int(size)} {unit}"
        size /= 1024
    raise AssertionError


def _significant(size: float) -> str:
    if abs(size) < 9.995:
        return f"{size:.2f}"
    return f"{size:.1f}" if abs(size) < 99.95 else f"{size:.0f}"


@register.filter
def rate(bytes_per_second: float | None) -> str:
    """Bytes per second: ``123 MiB/s``."""
    return UNKNOWN if bytes_per_second is None else f"{bytes_text(bytes_per_second)}/s"


@register.filter
def count(value: int | None) -> str:
    """A whole number with thin groups: ``1 234 567``."""
    return UNKNOWN if value is None else f"{value:,}".replace(",", "\u202f")


@register.filter
def share(fraction: float | None) -> str:
    """A fraction of one as percent: ``78 %``; never rounds up to 100 nor down to 0."""
    if fraction is None:
        return UNKNOWN
    percent = fraction * 100
    if 0 < percent < 1:
        return "under 1\u202f%"
    if 99 < percent < 100:
        return "over 99\u202f%"
    return f"{percent:.0f}\u202f%"


@register.filter
def factor(value: float | None) -> str:
    """A ratio of sizes: ``2.4 ×``."""
    return UNKNOWN if value is None else f"{_significant(value)}\u202f×"


@register.filter
def duration(value: timedelta | float | None) -> str:
    """A length of time (timedelta or seconds) in its two leading units: ``1 h 04 min``, ``12 s``, ``340 ms``."""
    if value is None:
        return UNKNOWN
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for (unit, size), (small, small_size) in pairwise(_STEPS):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {unit} {rest:02d} {small}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


@register.simple_tag
def elapsed(start: datetime | None, end: datetime | None = None) -> str:
    """Time from ``start`` to ``end`` (None = now); a dash before it starts."""
    return duration((end or timezone.now()) - start) if start else UNKNOWN


@register.filter
def relative(moment: datetime | None) -> str:
    """How far a moment is from now, as text: ``just now``, ``5 min ago``, ``in 3 h``, ``12 days ago``."""
    if moment is None:
        return UNKNOWN
    seconds = (timezone.now() - moment).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return "just now"
    if distance < 60:
        text = f"{distance:.0f} s"
    elif distance < 3_600:
        text = f"{distance // 60:.0f} min"
    elif distance < 2 * 86_400:
        text = f"{distance // 3_600:.0f} h"
    else:
        text = f"{distance // 86_400:.0f} days"
    return f"{text} ago" if seconds > 0 else f"in {text}"


@register.filter
def absolute(moment: datetime | None) -> str:
    """The moment in the current time zone, to the second, with the zone's offset: ``2026-01-04 20:00:00 +01:00``."""
    if moment is None:
        return UNKNOWN
    local = timezone.localtime(moment)
    return (
        f"{local:%Y-%m-%d %H:%M:%S} {local.isoformat()[-6:]}" if local.utcoffset() else f"{local:%Y-%m-%d %H:%M:%S} UTC"
    )


@register.filter
def moment(value: datetime | None) -> str:
    """A short absolute time: ``4 Jan 20:00``, with the year when it is not this one."""
    if value is None:
        return UNKNOWN
    local = timezone.localtime(value)
    return date_format(local, "j M H:i" if local.year == timezone.localtime().year else "j M Y H:i", use_l10n=False)


@register.filter
def clock(value: datetime | None) -> str:
    """What the clocks of the value's own zone show: ``Mon 2026-01-05 20:00 +01:00``; of UTC without an offset."""
    if value is None:
        return UNKNOWN
    return f"{value:%a %Y-%m-%d %H:%M}{f' {value.isoformat()[-6:]}' if value.utcoffset() else ''}"


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """``<time>`` with the relative time shown and the absolute one on hover."""
    return _time(value, relative(value)) if value else UNKNOWN


@register.filter
def at(value: datetime | None) -> SafeString | str:
    """``<time>`` with the short absolute time shown and the full one on hover."""
    return _time(value, moment(value)) if value else UNKNOWN


def _time(value: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), absolute(value), text)
