"""Entries into rows: all or nothing, in one transaction, each through its service. A plan does the same and undoes it.

What would change is not guessed: the picture after the writes is compared with the one before, so that a plan shows
what an apply does, checks included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import connection, transaction
from django.db.models import Model, QuerySet

from jobs.engine.errors import EngineError
from policies import services
from policies.audit import Actor, How
from policies.declared import copy_writers, writers
from policies.declared.difference import Action, Change, differences
from policies.declared.picture import picture
from policies.declared.problems import DeclaredRefused, DeletionsUnconfirmed, Problem
from policies.declared.reading import Declared, Entry
from policies.declared.schema import COPIES, SECTIONS
from policies.declared.secrets import ReferenceRefused, changed_secrets
from policies.models import (
    AccessNode,
    BlackoutWindow,
    Copy,
    FileServer,
    Installation,
    Media,
    Schedule,
    StoragePolicy,
    Subclient,
)
from policies.previews import Deletion
from policies.secrets import REPOSITORY_PASSWORD
from policies.services.writing import OPTION_PREFIX

_WRITERS: Final[dict[str, Callable[[Entry, Actor], None]]] = {
    "access_nodes": writers.write_node,
    "media": writers.write_medium,
    "file_servers": writers.write_server,
    "policies": writers.write_policy,
    "subclients": writers.write_subclient,
    "schedules": writers.write_schedule,
    "blackout_windows": writers.write_window,
}

Secrets = dict[tuple[str, str], list[str]]
"""By kind and name of an object that is there already: which of its secrets change."""

Deletions = dict[str, list[Deletion]]
"""By ``POLICY/COPY``: what goes at the next aging because of its edit."""


def apply(
    declared: Declared, *, user: Actor = None, plan: bool = False, confirm_deletions: bool = False
) -> list[Change]:
    """What changed; with ``plan`` what would. Raises DeclaredRefused, and then nothing changed.

    Raises DeletionsUnconfirmed, too, when something would be deleted because of it and nobody confirmed that.
    """
    with transaction.atomic():
        # one apply at a time: two would each compare with what the other is about to change
        Installation.objects.select_for_update().get(pk=1)
        before = picture()
        secrets = _secret_changes(declared)
        deletions = _write(declared, before, secrets, user)
        connection.check_constraints()
        changes = _with_deletions(_with_secrets(differences(before, picture()), secrets), deletions)
        if deletions and not plan and not confirm_deletions:
            raise DeletionsUnconfirmed([change for change in changes if change.deletions])
        if plan:
            transaction.set_rollback(True)
    return changes


def _write(declared: Declared, before: dict[str, Any], secrets: Secrets, user: Actor) -> Deletions:
    """In the order of references; what is to go goes last, in the opposite order."""
    current = _by_name(before)
    deletions: Deletions = {}
    if declared.settings and not _is_as_wanted(declared.settings, before["settings"]):
        with _told_of(declared.settings):
            writers.write_settings(declared.settings, user)
    for name, write in _WRITERS.items():
        wanted = [entry for entry in declared.entries.get(name, []) if not entry.is_absent]
        for entry in wanted:
            stored = current.get((name, entry.name))
            _require(entry, is_new=stored is None)
            is_secret_new = (entry.section.singular, entry.name) in secrets
            if stored is None or is_secret_new or not _is_as_wanted(entry, stored):
                with _told_of(entry):
                    write(entry, user)
        if name == "policies":
            deletions = _write_copies(wanted, current, user)
    for entry in declared.entries.get("policies", []):
        if not entry.is_absent and not _is_as_wanted(entry, current.get(("policies", entry.name), {})):
            with _told_of(entry):
                writers.write_policy_references(entry, user)
    _remove(declared, user)
    return deletions


def _write_copies(policies: list[Entry], current: dict[tuple[str, str], Any], user: Actor) -> Deletions:
    deletions: Deletions = {}
    for entry in policies:
        copies = entry.values.get("copies", [])
        stored = {copy["name"]: copy for copy in current.get(("policies", entry.name), {}).get("copies", [])}
        policy = StoragePolicy.objects.get(name=entry.name)
        wanted = [copy for copy in copies if not copy.is_absent]
        for copy in copy_writers.in_feeding_order(wanted):
            _require(copy, is_new=copy.name not in stored)
            if not _is_as_wanted(copy, stored.get(copy.name, {})):
                with _told_of(copy):
                    if gone := copy_writers.write_copy(policy, copy, user):
                        deletions[f"{entry.name}/{copy.name}"] = gone
        if wanted:
            with _told_of(entry):
                copy_writers.order_copies(policy, [copy.name for copy in wanted], user)
    return deletions


def _remove(declared: Declared, user: Actor) -> None:
    """``state: absent``; an object that is not there already is as wanted."""
    removers: dict[str, Callable[[str], None]] = {
        "blackout_windows": _remover(BlackoutWindow.objects.all(), services.delete_blackout_window, user),
        "schedules": _remover(Schedule.objects.all(), services.delete_schedule, user),
        "subclients": _remover(Subclient.objects.all(), services.delete_subclient, user),
        "policies": _remover(StoragePolicy.objects.all(), services.delete_policy, user),
        "file_servers": _remover(FileServer.objects.all(), services.delete_file_server, user),
        "media": _remover(Media.objects.all(), services.delete_media, user),
        "access_nodes": _remover(AccessNode.objects.all(), services.delete_node, user),
    }
    for name, remove in removers.items():
        if name == "policies":
            _remove_copies(declared, user)
        for entry in declared.entries.get(name, []):
            if entry.is_absent:
                with _told_of(entry):
                    remove(entry.name)


def _remove_copies(declared: Declared, user: Actor) -> None:
    """What is fed before what feeds it."""
    for entry in declared.entries.get("policies", []):
        absent = [copy for copy in entry.values.get("copies", []) if copy.is_absent]
        for copy in reversed(absent):
            row = Copy.objects.filter(policy__name=entry.name, name=copy.name).select_related("policy").first()
            if row is not None:
                with _told_of(copy):
                    services.delete_copy(row, user=user, how=How.CLI)


def _remover(rows: QuerySet[Any], delete: Callable[..., None], user: Actor) -> Callable[[str], None]:
    def remove(name: str) -> None:
        server, is_path, own = name.partition("/")
        wanted = {"file_server__name": server, "name": own} if is_path else {"name": name}
        row: Model | None = rows.filter(**wanted).first()
        if row is not None:
            delete(row, user=user, how=How.CLI)

    return remove


def _require(entry: Entry, *, is_new: bool) -> None:
    missing = [key for key in entry.section.needed if key not in entry.values]
    if is_new and missing:
        sentence = f"A new {entry.section.singular} needs {' and '.join(missing)}."
        raise DeclaredRefused([Problem(line=entry.line, path=entry.path, sentence=sentence)])


def _is_as_wanted(entry: Entry, stored: dict[str, Any]) -> bool:
    """Every given key has its value already, so that nothing needs to be written. Secrets are compared elsewhere."""
    if not stored:
        return False
    for key, value in entry.values.items():
        if key == "secrets":
            continue
        if key == "options":
            if any(stored["options"].get(name, value) != given for name, given in value.items()):
                return False
        elif key in {"access_nodes", "media_agents", "excluded_subclients"}:
            if sorted(value) != stored[key]:
                return False
        elif key != "copies" and value != stored[key]:
            return False
    return True


def _by_name(before: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (section.name, "/".join(item[part] for part in section.identity)): item
        for section in SECTIONS
        for item in before[section.name]
    }


def _secret_changes(declared: Declared) -> Secrets:
    """Which secrets of objects that are there already change: a picture cannot tell."""
    found: dict[tuple[str, str], list[str]] = {}
    kinds: dict[str, type[Media | FileServer]] = {"media": Media, "file_servers": FileServer}
    for section, model in kinds.items():
        for entry in declared.entries.get(section, []):
            row = model._default_manager.filter(name=entry.name).first()
            if row is not None and not entry.is_absent:
                with _told_of(entry):
                    changed = changed_secrets(row, entry.values.get("secrets", {}))
                found[entry.section.singular, entry.name] = sorted(changed)
    return {name: fields for name, fields in found.items() if fields}


def _with_secrets(changes: list[Change], secrets: Secrets) -> list[Change]:
    named = {(change.kind, change.name): change for change in changes}
    for (kind, name), fields in secrets.items():
        shown = {f"secrets.{field}": ["set", "changed"] for field in fields}
        change = named.get((kind, name))
        if change is None:
            changes.append(Change(action=Action.CHANGE, kind=kind, name=name, fields=shown))
        else:
            change.fields.update({field: value for field, value in shown.items() if field not in change.fields})
    return changes


def _with_deletions(changes: list[Change], deletions: Deletions) -> list[Change]:
    named = {change.name: change for change in changes if change.kind == COPIES.singular}
    for name, gone in deletions.items():
        if name not in named:
            named[name] = Change(action=Action.CHANGE, kind=COPIES.singular, name=name)
            changes.append(named[name])
        named[name].deletions.extend(gone)
    return changes


@contextmanager
def _told_of(entry: Entry) -> Iterator[None]:
    """A refusal of a service as a fault of the entry, with its line, path and key."""
    try:
        yield
    except ValidationError as refusal:
        raise DeclaredRefused(_problems(entry, refusal)) from refusal
    except ReferenceRefused as refusal:
        path = f"{entry.path}.secrets"
        raise DeclaredRefused(
            [Problem(line=entry.line, path=path, sentence=str(refusal), remedy=refusal.remedy)]
        ) from refusal
    except EngineError as refusal:
        needed_by = getattr(refusal, "needed_by", ())
        sentence = f"{refusal.sentence} Needed by: {', '.join(needed_by)}." if needed_by else refusal.sentence
        raise DeclaredRefused(
            [Problem(line=entry.line, path=entry.path, sentence=sentence, remedy=refusal.hint)]
        ) from refusal


def _problems(entry: Entry, refusal: ValidationError) -> list[Problem]:
    if not hasattr(refusal, "error_dict"):
        return [Problem(line=entry.line, path=entry.path, sentence=" ".join(refusal.messages))]
    return [
        Problem(line=_line(entry, field), path=_path(entry, field), sentence=" ".join(error.messages))
        for field, errors in refusal.error_dict.items()
        for error in errors
    ]


def _line(entry: Entry, field: str) -> int:
    """Of the key that the field comes from, else of the entry."""
    prefixes = {OPTION_PREFIX: "options", "extended_": "extended", "retention_": "retention"}
    key = next((key for prefix, key in prefixes.items() if field.startswith(prefix)), field)
    return entry.lines.get(writers.FIELD_KEYS.get(key, key), entry.line)


def _path(entry: Entry, field: str) -> str:
    if field == NON_FIELD_ERRORS:
        return entry.path
    if field.startswith(OPTION_PREFIX):
        return f"{entry.path}.options.{field.removeprefix(OPTION_PREFIX)}"
    if field == REPOSITORY_PASSWORD:
        return f"{entry.path}.secrets.{field}"
    if field.startswith("extended_"):
        return f"{entry.path}.extended[{int(field.split('_')[1]) - 1}]"
    return f"{entry.path}.{writers.FIELD_KEYS.get(field, field)}"
