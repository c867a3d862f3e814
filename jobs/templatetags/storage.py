"""``{% storage_of server %}``: the last reconciliation of a file server's storage and what nobody knows there."""

from __future__ import annotations

from typing import Any, Final

from django import template
from django.template import Context
from django.utils.dateparse import parse_datetime

from jobs.models import Job
from jobs.services.reconcile import active_reconcile
from jobs.services.storage_record import last_reconcile, orphans_of
from policies.models import FileServer, Subclient
from policies.resolve import is_point
from policies.selectors.visible import sees_everything, whole_file_servers

register = template.Library()

_KINDS: Final = ("missing", "returned", "unknown")


@register.inclusion_tag("jobs/_storage.html", takes_context=True)
def storage_of(context: Context, server: FileServer, subclient: Subclient | None = None) -> dict[str, Any]:
    """The card. ``subclient``: only what is of it. Nothing for whoever does not see the whole server, or of points."""
    request = context["request"]
    sees_it = sees_everything(request.user) or whole_file_servers(request.user).filter(pk=server.pk).exists()
    if not sees_it or is_point(server.engine):
        return {"is_shown": False}
    last = last_reconcile(server)
    unknown = orphans_of(last) if last is not None else []
    if subclient is not None:
        unknown = [one for one in unknown if one["subclient_id"] == subclient.pk]
    return {
        "is_shown": True,
        "server": server,
        "subclient": subclient,
        "active": active_reconcile(server),
        "last": last,
        "found": _found(last, subclient) if last is not None else {},
        "unknown": unknown,
        "subclients": server.subclients.all() if unknown and subclient is None else [],
        "request": request,
    }


def _found(last: Job, subclient: Subclient | None) -> dict[str, Any]:
    """The figures of the whole storage, or of one subclient's part: those are counted from what the result names."""
    result = last.result
    if subclient is None:
        return {name: result.get(f"{name}_count", 0) for name in _KINDS} | {
            "reverted": bool(result.get("reverted")),
            "agrees": result.get("agrees", False),
        }
    mine = {name: sum(one["subclient"] == subclient.path for one in result.get(name, [])) for name in _KINDS}
    reverted = subclient.path in result.get("reverted", [])
    return mine | {"reverted": reverted, "agrees": not (any(mine.values()) or reverted)}


@register.filter
def as_moment(text: object) -> Any:
    """A moment that a job's result keeps as text."""
    return parse_datetime(str(text))
