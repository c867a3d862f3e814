"""How every write goes: lock, change, validate, save, sets and secrets, audit; all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import ProtectedError, RestrictedError

from jobs.engine.options import dump_options, option_problems, parse_options
from jobs.engine.plan import Secret as PlainSecret
from policies import audit
from policies.errors import CannotDelete
from policies.models import Copy, FileServer, Media
from policies.secrets import forget_secrets, secrets_of, store_secret
from policies.selectors.deletion import effects_of_deleting, rows_that_hold_nothing

ModelType = TypeVar("ModelType", bound=models.Model)
Secrets = Mapping[str, PlainSecret]

OPTION_PREFIX = "option_"
"""A ValidationError about the option ``path`` is about the field ``option_path``."""


@transaction.atomic
def create(
    instance: ModelType,
    *,
    values: Mapping[str, Any],
    user: audit.Actor,
    how: str,
    secrets: Secrets | None = None,
    sentence: str = "",
) -> ModelType:
    """Fill, validate and save a new row. Raises ValidationError."""
    many = _fill(instance, values)
    instance.full_clean()
    instance.save()
    _write_sets(instance, many)
    changed = _write_secrets(instance, secrets)
    audit.record(
        action=audit.Action.CREATED,
        instance=instance,
        user=user,
        how=how,
        changes=audit.difference({}, audit.picture(instance)) | changed,
        sentence=sentence,
    )
    return instance


@transaction.atomic
def update(
    instance: ModelType,
    *,
    values: Mapping[str, Any],
    user: audit.Actor,
    how: str,
    secrets: Secrets | None = None,
    sentence: str = "",
) -> ModelType:
    """Change some fields of a saved row; the others stay as they are in the database. Raises ValidationError.

    ``instance`` itself is brought up to date. No change, no audit entry.
    """
    current = type(instance)._base_manager.select_for_update().get(pk=instance.pk)
    before = audit.picture(current)
    many = _fill(current, values)
    current.full_clean()
    current.save()
    _write_sets(current, many)
    changed = _write_secrets(current, secrets)
    changes = audit.difference(before, audit.picture(current)) | changed
    if changes:
        audit.record(
            action=audit.Action.CHANGED, instance=current, user=user, how=how, changes=changes, sentence=sentence
        )
    instance.refresh_from_db()
    return instance


@transaction.atomic
def delete(instance: models.Model, *, user: audit.Actor, how: str) -> None:
    """Delete a row with what belongs to it. Raises CannotDelete, naming what still needs it."""
    before = audit.picture(instance)
    effects = effects_of_deleting(instance)
    kind = instance._meta.verbose_name
    if effects.needed_by:
        raise CannotDelete(
            f"The {kind} “{instance}” is still needed.",
            needed_by=effects.needed_by,
            hint="Delete or change what needs it first.",
        )
    audit.record(
        action=audit.Action.DELETED,
        instance=instance,
        user=user,
        how=how,
        changes=audit.difference(before, {}),
        sentence=f"With it went: {', '.join(effects.goes_with)}." if effects.goes_with else "",
    )
    try:
        if isinstance(instance, Copy):
            for rows in rows_that_hold_nothing(instance):
                rows.delete()
        instance.delete()
    except (ProtectedError, RestrictedError) as error:
        raise CannotDelete(f"The {kind} “{instance}” came into use just now.", hint="Look again.") from error


def checked_options(options_type: type, options: Mapping[str, object], secrets: Secrets) -> dict[str, object]:
    """The options as they are stored: complete, normalised, without secrets. Raises ValidationError per field."""
    problems = option_problems(options_type, options, secrets)
    if problems:
        raise ValidationError(
            {OPTION_PREFIX + problem.field: _text(problem.sentence, problem.hint) for problem in reversed(problems)}
        )
    return dump_options(parse_options(options_type, options, secrets))


def known_secrets(owner: Media | FileServer, typed: Secrets | None, *, fields: Iterable[str]) -> dict[str, PlainSecret]:
    """What is stored already, overlaid with what was typed now, for the given fields only."""
    wanted = set(fields)
    together = (secrets_of(owner) if owner.pk else {}) | dict(typed or {})
    return {field: secret for field, secret in together.items() if field in wanted}


def drop_other_secrets(owner: Media | FileServer, *, keep: set[str]) -> None:
    """After a change of kind: secrets of fields that are gone."""
    forget_secrets(owner, keep=keep)


def _text(sentence: str, hint: str) -> str:
    return f"{sentence} {hint}".strip()


def _fill(instance: models.Model, values: Mapping[str, Any]) -> dict[str, Iterable[models.Model]]:
    """Set plain fields and references; hand back the sets, which need a saved row."""
    sets = {field.name for field in instance._meta.many_to_many}
    for name, value in values.items():
        if name not in sets:
            setattr(instance, name, value)
    return {name: value for name, value in values.items() if name in sets}


def _write_sets(instance: models.Model, many: Mapping[str, Iterable[models.Model]]) -> None:
    for name, value in many.items():
        getattr(instance, name).set(value)


def _write_secrets(instance: models.Model, secrets: Secrets | None) -> dict[str, list[object]]:
    """Only what was typed; an empty one was not typed."""
    changes: dict[str, list[object]] = {}
    if not secrets or not isinstance(instance, Media | FileServer):
        return changes
    for field, value in secrets.items():
        if value.reveal():
            store_secret(instance, field, value)
            changes[field] = [None, "changed"]
    return changes
