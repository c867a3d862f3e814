"""Secrets at rest: sealed, bound to their row, rotated without loss, and never to be read anywhere else."""

from __future__ import annotations

import json
import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from jobs.engine.plan import Secret as PlainSecret
from policies import keyring, secrets
from policies.errors import KeyringRefused, SecretUnreadable
from policies.models import AuditEntry, Media, Secret
from policies.resolve import media_password
from policies.services import update_media
from tests.factories import make_media

pytestmark = pytest.mark.django_db

WORD = "correct-horse-battery"


def test_the_key_file_is_made_on_first_use_for_its_owner_only(key_file: Path) -> None:
    make_media()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert os.listdir(key_file.parent) == [key_file.name]


def test_a_secret_comes_back() -> None:
    assert media_password(make_media(password=WORD)).reveal() == WORD


def test_the_database_holds_only_ciphertext() -> None:
    make_media(password=WORD)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(s)::text FROM policies_secret s")
        (row,) = cursor.fetchone()
    assert WORD not in row


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_others_may_read_is_refused_with_the_remedy(key_file: Path, mode: int) -> None:
    medium = make_media()
    key_file.chmod(mode)
    with pytest.raises(KeyringRefused) as refusal:
        media_password(medium)
    assert f"chmod 600 {key_file}" in refusal.value.hint
    assert f"{mode:04o}" in refusal.value.sentence


@pytest.mark.parametrize("content", ["", "nonsense\n", "0123 AAAA 2026-01-01T00:00:00+00:00\n", "# only a comment\n"])
def test_a_damaged_key_file_is_refused(key_file: Path, content: str) -> None:
    medium = make_media()
    key_file.write_text(content)
    with pytest.raises(KeyringRefused, match="empty or damaged"):
        media_password(medium)


def test_a_lost_key_is_named(key_file: Path) -> None:
    medium = make_media()
    key_file.unlink()
    with pytest.raises(SecretUnreadable) as refusal:
        media_password(medium)
    assert str(key_file) in refusal.value.sentence


def test_ciphertext_moved_to_another_row_does_not_open() -> None:
    one, two = make_media(name="one", password="first"), make_media(name="two", password="second")
    token = one.secrets.get().token
    two.secrets.update(token=token)
    with pytest.raises(SecretUnreadable, match="damaged"):
        media_password(two)


def test_changed_ciphertext_does_not_open() -> None:
    medium = make_media()
    token = medium.secrets.get().token
    medium.secrets.update(token=("A" if token[0] != "A" else "B") + token[1:])
    with pytest.raises(SecretUnreadable):
        media_password(medium)


def test_the_same_secret_never_looks_the_same_twice() -> None:
    one, two = make_media(name="one", password=WORD), make_media(name="two", password=WORD)
    assert one.secrets.get().token != two.secrets.get().token


def test_a_rotation_seals_everything_under_a_new_key(key_file: Path) -> None:
    medium = make_media(password=WORD)
    before = medium.secrets.get()
    done = secrets.rotate_keys()
    after = medium.secrets.get()
    assert (after.key_id, done.sealed_again) == (done.key_id, 1)
    assert after.token != before.token
    assert media_password(medium).reveal() == WORD
    assert [key.id for key in keyring.read_keys(key_file)] == [done.key_id, before.key_id]


def test_old_keys_go_only_when_asked(key_file: Path) -> None:
    medium = make_media(password=WORD)
    secrets.rotate_keys()
    done = secrets.rotate_keys(drop_old=True)
    assert done.dropped_keys == 2
    assert [key.id for key in keyring.read_keys(key_file)] == [done.key_id]
    assert media_password(medium).reveal() == WORD


def test_a_rotation_that_fails_changes_no_row_and_loses_no_key() -> None:
    good, bad = make_media(name="good", password=WORD), make_media(name="bad")
    token = good.secrets.get().token
    bad.secrets.update(token="broken")
    with pytest.raises(SecretUnreadable):
        secrets.rotate_keys(drop_old=True)
    assert good.secrets.get().token == token
    assert media_password(good).reveal() == WORD


def test_the_command_rotates_and_tells(capsys: pytest.CaptureFixture[str]) -> None:
    make_media(password=WORD)
    call_command("rotate_key", "--drop-old")
    told = capsys.readouterr().out
    assert "1 secret sealed under the new key" in told
    assert "1 old keys removed" in told or "1 old key removed" in told
    assert WORD not in told


def test_the_command_tells_the_remedy_of_a_wrong_mode(key_file: Path) -> None:
    make_media()
    key_file.chmod(0o644)
    with pytest.raises(CommandError, match="chmod 600"):
        call_command("rotate_key")


def test_a_new_password_is_not_in_the_audit_trail_nor_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    medium = make_media(password=WORD)
    update_media(medium, user=None, secrets={secrets.REPOSITORY_PASSWORD: PlainSecret(WORD + "2")})
    trail = json.dumps(list(AuditEntry.objects.values("changes", "sentence", "object_label")))
    assert WORD not in trail
    assert "repository_password" in trail
    assert WORD not in caplog.text


def test_no_repr_shows_a_secret_or_a_key(key_file: Path) -> None:
    medium = make_media(password=WORD)
    key = keyring.read_keys(key_file)[0]
    shown = repr([secrets.secrets_of(medium), key, Secret.objects.get(), medium, medium.__dict__])
    assert WORD not in shown
    assert repr(key.material) not in shown


def test_an_empty_secret_keeps_the_stored_one() -> None:
    medium = make_media(password=WORD)
    update_media(medium, user=None, secrets={secrets.REPOSITORY_PASSWORD: PlainSecret("")})
    assert media_password(medium).reveal() == WORD


@pytest.mark.django_db(transaction=True)
def test_rotations_beside_writers_and_readers_lose_nothing(key_file: Path) -> None:
    media = [make_media(f"/srv/{number}", name=f"m{number}") for number in range(3)]
    is_over = Event()

    def write_and_read(medium: Media) -> str:
        try:
            number = 0
            while not is_over.is_set():
                number += 1
                secrets.store_secret(medium, secrets.REPOSITORY_PASSWORD, PlainSecret(f"{medium.name}-{number}"))
                assert media_password(medium).reveal() == f"{medium.name}-{number}"
            return f"{medium.name}-{number}"
        finally:
            connection.close()

    with ThreadPoolExecutor(len(media)) as pool:
        last = [pool.submit(write_and_read, medium) for medium in media]
        try:
            for _ in range(10):
                secrets.rotate_keys(drop_old=True)
        finally:
            is_over.set()
    assert [media_password(medium).reveal() for medium in media] == [future.result() for future in last]
    assert len(keyring.read_keys(key_file)) == 1
