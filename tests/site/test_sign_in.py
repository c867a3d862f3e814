"""One-time links, sign-in by name, one's own password."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from snapcopy_site import sign_in
from snapcopy_site.models import SignInLink

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return sign_in.ensure_first_admin()


def address(token: str) -> str:
    return reverse("sign-in-link", args=[token])


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_the_first_administrator_has_no_password_at_all(admin: User) -> None:
    assert admin.is_superuser
    assert not admin.has_usable_password()
    assert sign_in.ensure_first_admin() == admin, "there is only one first"


def test_an_administrator_that_was_switched_off_gets_no_link(admin: User) -> None:
    other = User.objects.create_superuser("zoe")
    User.objects.filter(pk=admin.pk).update(is_active=False)
    assert sign_in.ensure_first_admin() == other


def test_a_link_signs_in_once(admin: User) -> None:
    token = sign_in.new_link(admin)
    first, second = Client(), Client()
    assert first.get(address(token)).status_code == 200
    assert not is_signed_in(first), "looking signs nobody in"
    assert first.post(address(token)).status_code == 302
    assert is_signed_in(first)
    assert second.get(address(token)).status_code == 410
    assert second.post(address(token)).status_code == 410
    assert not is_signed_in(second)


def test_of_two_who_come_at_once_only_one_is_signed_in(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token = sign_in.new_link(admin)
    found = sign_in.find_link(token)
    monkeypatch.setattr(sign_in, "find_link", lambda _token: found)
    assert sign_in.use_link(token) == admin
    assert sign_in.use_link(token) is None


def test_a_link_that_expired_or_never_was_is_refused(admin: User) -> None:
    old = sign_in.new_link(admin, lifetime=timedelta(seconds=-1))
    for token in (old, "guessed"):
        assert Client().post(address(token)).status_code == 410


def test_a_link_of_a_user_that_was_switched_off_is_refused(admin: User) -> None:
    token = sign_in.new_link(admin)
    User.objects.filter(pk=admin.pk).update(is_active=False)
    assert sign_in.use_link(token) is None


def test_the_database_does_not_hold_the_token(admin: User) -> None:
    token = sign_in.new_link(admin)
    (link,) = SignInLink.objects.all()
    assert token.encode() not in bytes(link.token_hash)
    assert len(token) >= 43


def test_links_long_expired_are_forgotten(admin: User) -> None:
    sign_in.new_link(admin)
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(days=2))
    sign_in.new_link(admin)
    assert SignInLink.objects.count() == 1


def test_the_command_prints_a_link_for_a_user(admin: User) -> None:
    said = StringIO()
    call_command("link", stdout=said)
    token = said.getvalue().strip().rstrip("/").rpartition("/")[2]
    assert sign_in.use_link(token) == admin
    with pytest.raises(CommandError, match="nobody"):
        call_command("link", "nobody")


def test_a_page_asks_a_stranger_to_sign_in_and_brings_him_back(client: Client, admin: User) -> None:
    admin.set_password("correct horse battery")
    admin.save()
    asked = client.get(reverse("docs"))
    assert asked.status_code == 302
    assert asked["Location"].startswith(reverse("login"))
    answer = client.post(asked["Location"], {"username": "admin", "password": "correct horse battery"})
    assert answer.status_code == 302
    assert client.get(reverse("docs")).status_code == 200


def test_a_wrong_password_signs_nobody_in(client: Client, admin: User) -> None:
    answer = client.post(reverse("login"), {"username": "admin", "password": ""})
    assert answer.status_code == 200
    assert not is_signed_in(client)


def test_signing_out_needs_a_button_not_a_link(client: Client, admin: User) -> None:
    client.force_login(admin)
    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout")).status_code == 302
    assert not is_signed_in(client)


def test_the_first_password_needs_no_old_one_the_next_does(client: Client, admin: User) -> None:
    client.force_login(admin)
    page = reverse("password_change")
    assert "old_password" not in client.get(page).content.decode()
    new = {"new_password1": "correct horse battery", "new_password2": "correct horse battery"}
    assert client.post(page, new).status_code == 302
    assert "old_password" in client.get(page).content.decode(), "still signed in, and now asked"
    next_one = dict.fromkeys(new, "another long secret")
    assert client.post(page, next_one).status_code == 200
    assert client.post(page, {**next_one, "old_password": "correct horse battery"}).status_code == 302
    admin.refresh_from_db()
    assert admin.check_password("another long secret")


def test_a_new_password_signs_out_the_other_sessions(admin: User) -> None:
    here, there = Client(), Client()
    for client in (here, there):
        client.force_login(admin)
    new = {"new_password1": "correct horse battery", "new_password2": "correct horse battery"}
    here.post(reverse("password_change"), new)
    assert there.get(reverse("password_change")).status_code == 302


def test_a_fragment_of_a_signed_out_page_moves_the_whole_page(client: Client) -> None:
    answer = client.get(reverse("docs"), headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer["HX-Redirect"].startswith(reverse("login"))
