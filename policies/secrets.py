"""Secrets at rest: sealed with AES-256-GCM into :class:`~policies.models.Secret` rows, opened only to build a driver.

A token is bound to its row's owner and field, so that ciphertext moved to another row does not open. What comes out is
:class:`jobs.engine.plan.Secret`, whose text no template, log or repr shows. The keys are :mod:`policies.keyring`'s.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection, transaction

from jobs.engine.plan import Secret as PlainSecret
from policies import keyring
from policies.errors import SecretUnreadable
from policies.models import FileServer, Media, Secret

Owner = Media | FileServer

REPOSITORY_PASSWORD: Final = "repository_password"  # noqa: S105 - the name of a field
_NONCE_BYTES: Final = 12
_ROTATION_LOCK: Final = 0x5EC4E7


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What a rotation did."""

    key_id: str
    sealed_again: int
    dropped_keys: int


def store_secret(owner: Owner, field: str, value: PlainSecret) -> None:
    """Seal and save one secret field of a saved medium or file server, replacing what was there."""
    with transaction.atomic():
        _lock(exclusive=False)
        key = keyring.read_keys(_path())[0]
        media, file_server = (owner, None) if isinstance(owner, Media) else (None, owner)
        sealed = {"token": _seal(key, _context(owner, field), value), "key_id": key.id}
        Secret.objects.update_or_create(media=media, file_server=file_server, field=field, defaults=sealed)


def forget_secrets(owner: Owner, *, keep: set[str]) -> None:
    """Delete the secrets of fields that the owner's kind no longer has."""
    owner.secrets.exclude(field__in=keep).delete()


def secrets_of(owner: Owner) -> dict[str, PlainSecret]:
    """All secrets of a medium or file server by field. Raises SecretUnreadable, KeyringRefused."""
    rows = list(owner.secrets.all())
    if not rows:
        return {}
    keys = {key.id: key for key in keyring.read_keys(_path())}
    if any(row.key_id not in keys for row in rows):
        # a rotation may have sealed the rows again and dropped the old key since they were read
        rows = list(owner.secrets.all())
    return {row.field: _open(keys, owner, row) for row in rows}


def secret_fields(owner: Owner) -> set[str]:
    """Names of the fields that have a secret: what a form may tell."""
    return set(owner.secrets.values_list("field", flat=True))


def rotate_keys(*, drop_old: bool = False) -> Rotation:
    """Seal every secret again under a new key, in one transaction.

    Old keys stay in the file, because a database backup from before still needs them, unless ``drop_old``. Nothing is
    lost if this is killed at any moment: the new key is durable in the file before a row uses it.
    """
    path = _path()
    with transaction.atomic():
        _lock(exclusive=True)
        keys = {key.id: key for key in keyring.read_keys(path)}
        new = keyring.Key.generate()
        keyring.put_key_first(path, new)
        rows = list(Secret.objects.select_for_update(of=("self",)).select_related("media", "file_server"))
        for row in rows:
            owner = _owner_of(row)
            row.token = _seal(new, _context(owner, row.field), _open(keys, owner, row))
            row.key_id = new.id
        Secret.objects.bulk_update(rows, ["token", "key_id"])
    return Rotation(key_id=new.id, sealed_again=len(rows), dropped_keys=_drop_unused(path) if drop_old else 0)


def _drop_unused(path: Path) -> int:
    """A transaction of its own: a key may go only after no committed row needs it."""
    with transaction.atomic():
        _lock(exclusive=True)
        used = set(Secret.objects.values_list("key_id", flat=True))
        unused = {key.id for key in keyring.read_keys(path)[1:]} - used
        keyring.drop_keys(path, unused)
    return len(unused)


def _path() -> Path:
    return Path(settings.SNAPCOPY_KEY_FILE)


def _lock(*, exclusive: bool) -> None:
    """Writers share the lock, a rotation has it alone: nobody seals with a key that is about to go."""
    function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [_ROTATION_LOCK])


def _owner_of(row: Secret) -> Owner:
    owner = row.media or row.file_server
    assert owner is not None, "a constraint holds this"  # noqa: S101
    return owner


def _context(owner: Owner, field: str) -> bytes:
    return f"{owner._meta.model_name}:{owner.pk}:{field}".encode()


def _seal(key: keyring.Key, context: bytes, value: PlainSecret) -> str:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(key.material).encrypt(nonce, value.reveal().encode(), context)
    return base64.b64encode(nonce + sealed).decode()


def _open(keys: Mapping[str, keyring.Key], owner: Owner, row: Secret) -> PlainSecret:
    key = keys.get(row.key_id)
    if key is None:
        raise SecretUnreadable(f"The key {row.key_id} of the {row.field} of “{owner}” is not in {_path()}.")
    try:
        raw = base64.b64decode(row.token, validate=True)
        text = AESGCM(key.material).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _context(owner, row.field))
    except (InvalidTag, ValueError, binascii.Error) as error:
        raise SecretUnreadable(f"The stored {row.field} of “{owner}” is damaged.") from error
    return PlainSecret(text.decode())
