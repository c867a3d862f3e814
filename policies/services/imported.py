"""Rows for what an attached repository holds of hosts that are not configured here: servers, subclients, a copy.

They are switched off: nothing runs for them, nothing ages, and no schedule takes them up. Made again when asked again:
everything is looked for by what it stands for, never by the name it got. Why so: the decision note “imported”.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from django.db import transaction
from django.utils import timezone

from policies import audit
from policies.models import IMPORTED, Copy, CopyKind, FileServer, Media, Retention, StoragePolicy, Subclient
from policies.services import writing
from policies.services.storage_policies import create_policy

HOSTNAME: Final = "hostname"
"""Setting of an imported file server: the host as its snapshot files call it."""

_PREFIX: Final = "imported-"
_NO_NAME_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 64


@transaction.atomic
def imported_copy(media: Media, *, user: audit.Actor, how: str = audit.How.SYSTEM) -> Copy:
    """The backup copy on this medium that imported points belong to. It keeps everything for ever, and nothing ages."""
    found = Copy.objects.filter(
        media=media, kind=CopyKind.PRIMARY_BACKUP, ages=False, policy__name__startswith=_PREFIX
    ).select_related("policy", "media")
    if (copy := found.order_by("pk").first()) is not None:
        return copy
    name = _free_name(f"{_PREFIX}{media.name}", set(StoragePolicy.objects.values_list("name", flat=True)))
    policy = create_policy(
        name=name,
        description=f"What the repository on the medium {media.name} held when it was attached.",
        user=user,
        how=how,
    )
    values = {
        "policy": policy,
        "name": IMPORTED,
        "kind": CopyKind.PRIMARY_BACKUP,
        "precedence": 2,
        "media": media,
        "retention": Retention.INFINITE,
        "ages": False,
    }
    return writing.create(Copy(), values=values, user=user, how=how)


@transaction.atomic
def imported_server(hostname: str, *, user: audit.Actor, how: str = audit.How.SYSTEM) -> FileServer:
    """The file server that stands for a host of attached repositories; one for all of them."""
    found = FileServer.objects.filter(engine=IMPORTED, **{f"options__{HOSTNAME}": hostname}).order_by("pk").first()
    if found is not None:
        return found
    name = _free_name(f"{_PREFIX}{hostname or 'unnamed'}", set(FileServer.objects.values_list("name", flat=True)))
    values = {
        "name": name,
        "description": f"Imported: the host {hostname or 'without a name'} as attached repositories know it.",
        "engine": IMPORTED,
        "options": {HOSTNAME: hostname},
        "is_active": False,
    }
    return writing.create(FileServer(), values=values, user=user, how=how)


@transaction.atomic
def imported_subclient(
    server: FileServer, copy: Copy, content: Sequence[str], *, user: audit.Actor, how: str = audit.How.SYSTEM
) -> Subclient:
    """The subclient of an imported host for one set of paths on one medium. ``content`` are absolute paths."""
    wanted = sorted(content)
    known = list(Subclient.objects.filter(file_server=server).select_related("file_server", "policy"))
    for one in known:
        if one.policy_id == copy.policy_id and sorted(one.content_paths) == wanted:
            return one
    values = {
        "file_server": server,
        "name": _free_name(_name_of(wanted), {one.name for one in known}),
        "description": f"Imported from the medium {copy.media.name if copy.media else ''}.",
        "content_paths": wanted,
        "policy": copy.policy,
        "is_active": False,
    }
    return writing.create(Subclient(), values=values, user=user, how=how)


def freeze_rebuilt(subclients: Collection[Subclient], media: Media) -> None:
    """Nothing of what was rebuilt ages until somebody looked: time has passed since the disaster (RULES R10)."""
    reason = f"Rebuilt from the medium {media.name}. Look whether all of it is there, then let it age again."
    rows = Subclient.objects.filter(pk__in=[one.pk for one in subclients], aging_frozen_at__isnull=True)
    rows.update(aging_frozen_at=timezone.now(), aging_frozen_reason=reason)


def _name_of(paths: Sequence[str]) -> str:
    first = paths[0].strip("/") or "everything"
    return first if len(paths) == 1 else f"{first}-and-{len(paths) - 1}-more"


def _free_name(wanted: str, taken: set[str]) -> str:
    """As :func:`policies.models.fields.name_field` allows it; a number makes it unique."""
    plain = _NO_NAME_CHARACTERS.sub("-", wanted).strip(".-_") or IMPORTED
    plain = plain[: _LONGEST - 5].strip(".-_")
    number, name = 1, plain
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name
