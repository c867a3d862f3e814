"""``{% medium_upkeep medium %}``, ``{% medium_figures medium %}``: what jobs know of a medium, for its page."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from jobs.selectors_pages.medium import figures_of
from jobs.selectors_pages.upkeep import upkeep_of
from jobs.views.charts import sparkline
from policies.models import Media
from policies.selectors.visible import sees_everything

register = template.Library()


@register.inclusion_tag("jobs/_medium_upkeep.html", takes_context=True)
def medium_upkeep(context: Context, medium: Media) -> dict[str, Any]:
    """The card; its buttons are for operators who see all that is on the medium."""
    user = context["request"].user
    return {
        "medium": medium,
        "upkeep": upkeep_of(medium, user),
        "is_whole": sees_everything(user),
        "request": context["request"],
    }


@register.inclusion_tag("jobs/_medium_figures.html", takes_context=True)
def medium_figures(context: Context, medium: Media) -> dict[str, Any]:
    """Its space and growth; who has a scope sees only how full the medium is."""
    figures = figures_of(medium) if sees_everything(context["request"].user) else None
    growth = [(at.timestamp(), float(size)) for at, size in figures.growth] if figures is not None else []
    return {"medium": medium, "figures": figures, "chart": sparkline(growth, ())}
