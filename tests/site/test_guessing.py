"""Guessing a password: closed after a while, for that name, from there, and not for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from snapcopy_site import guessing, sign_in
from snapcopy_site.models import WrongPassword

pytestmark = pytest.mark.django_db
RIGHT = "correct horse battery"


@pytest.fixture(autouse=True)
def user() -> User:
    return User.objects.create_user("ada", password=RIGHT)


def try_password(password: str, *, name: str = "ada", address: str = "192.0.2.1") -> str:
    """What the page says; '' when it let us in."""
    answer = Client(REMOTE_ADDR=address).post(reverse("login"), {"username": name, "password": password})
    return "" if answer.status_code == 302 else answer.content.decode()


def guess(times: int, *, address: str = "192.0.2.1") -> None:
    for _ in range(times):
        guessing.note("ada", address)


def test_nine_wrong_passwords_still_let_the_right_one_in() -> None:
    for _ in range(9):
        assert try_password("wrong")
    assert try_password(RIGHT) == ""


def test_after_ten_even_the_right_one_waits_from_there_only() -> None:
    guess(10)
    assert "Too many wrong passwords" in try_password(RIGHT)
    assert "Too many wrong passwords" in try_password(RIGHT, name="ADA"), "however the name is written"
    assert try_password(RIGHT, address="192.0.2.2") == ""


def test_many_addresses_close_the_name_for_everybody() -> None:
    for number in range(10):
        guess(10, address=f"198.51.100.{number}")
    assert "Too many" in try_password(RIGHT, address="203.0.113.9")


def test_a_quarter_of_an_hour_later_it_is_open_again() -> None:
    guess(10)
    WrongPassword.objects.update(at=timezone.now() - guessing.WINDOW - timedelta(seconds=1))
    assert try_password(RIGHT) == ""
    try_password("wrong")
    assert WrongPassword.objects.count() == 1, "what no longer counts is forgotten"


def test_a_link_works_while_the_name_is_closed(user: User) -> None:
    guess(100)
    assert sign_in.use_link(sign_in.new_link(user)) == user


def test_the_name_as_typed_is_not_kept() -> None:
    try_password("x", name="my-password-by-mistake")
    (kept,) = WrongPassword.objects.all()
    assert b"mistake" not in bytes(kept.name_hash)
