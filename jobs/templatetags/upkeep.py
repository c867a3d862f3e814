"""``{% medium_upkeep medium %}``: pruning and verification of a medium, for its page in the configuration."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from jobs.selectors_pages.upkeep import upkeep_of
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
