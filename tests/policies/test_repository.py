"""The repository of a medium, on a real directory: created once, recognised, and never replaced silently."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from jobs.engine.errors import RepositoryMissing, WrongPassword
from policies.errors import RepositoryChanged, SecretMissing
from policies.models import Media
from policies.services import ensure_repository, run_media_test, store_test_report
from tests.factories import make_media

pytestmark = pytest.mark.django_db


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "medium"
    place.mkdir()
    return place


def test_the_first_use_creates_the_repository_and_remembers_it(place: Path) -> None:
    medium = make_media(place)
    repository = ensure_repository(medium)
    assert (place / "config").exists()
    assert Media.objects.get().repository_id == repository.id


def test_the_second_use_opens_the_same_repository(place: Path) -> None:
    medium = make_media(place)
    assert ensure_repository(medium).id == ensure_repository(Media.objects.get()).id


def test_an_existing_repository_is_taken_over_with_its_password(place: Path) -> None:
    first = make_media(place, name="first")
    known = ensure_repository(first).id
    first.delete()
    assert ensure_repository(make_media(place, name="again")).id == known


def test_an_existing_repository_with_another_password_is_told_clearly(place: Path) -> None:
    first = make_media(place, name="first")
    ensure_repository(first)
    first.delete()
    with pytest.raises(WrongPassword) as refusal:
        ensure_repository(make_media(place, name="again", password="not the same"))
    assert refusal.value.hint


def test_a_repository_that_vanished_is_not_created_anew(place: Path) -> None:
    medium = make_media(place)
    ensure_repository(medium)
    shutil.rmtree(place)
    place.mkdir()
    with pytest.raises(RepositoryMissing, match="not where it was"):
        ensure_repository(medium)
    assert list(place.iterdir()) == []


def test_another_repository_in_its_place_is_refused(place: Path, tmp_path: Path) -> None:
    medium = make_media(place)
    ensure_repository(medium)
    other = tmp_path / "other"
    other.mkdir()
    ensure_repository(make_media(other, name="other"))
    shutil.rmtree(place)
    other.rename(place)
    with pytest.raises(RepositoryChanged):
        ensure_repository(medium)


def test_two_media_in_one_directory_are_refused(place: Path) -> None:
    ensure_repository(make_media(place, name="one"))
    with pytest.raises(ValidationError) as refusal:
        make_media(place, name="two")
    assert "“one” is in this place already" in refusal.value.message_dict["option_path"][0]


def test_two_media_that_reach_one_directory_by_two_paths_are_refused(place: Path) -> None:
    ensure_repository(make_media(place, name="one"))
    (place.parent / "detour").symlink_to(place)
    with pytest.raises(RepositoryChanged, match="“one” already uses"):
        ensure_repository(make_media(place.parent / "detour", name="two"))


def test_without_a_password_nothing_is_opened(place: Path) -> None:
    medium = make_media(place)
    medium.secrets.all().delete()
    with pytest.raises(SecretMissing):
        ensure_repository(medium)


def test_a_test_measures_and_creates_nothing(place: Path) -> None:
    medium = make_media(place)
    report = run_media_test(medium)
    assert report.ok
    assert "first copy creates it" in report.steps[-1].detail
    assert not (place / "config").exists()
    store_test_report(medium, report)
    stored = Media.objects.get()
    assert stored.last_test
    assert stored.last_test["ok"] is True
    assert stored.total_bytes
    assert stored.last_tested_at is not None


def test_a_test_tells_a_wrong_password(place: Path) -> None:
    first = make_media(place, name="first")
    ensure_repository(first)
    first.delete()
    report = run_media_test(make_media(place, name="again", password="not the same"))
    assert [step.name for step in report.steps if not step.ok] == ["repository"]


def test_a_test_of_a_missing_directory_fails_with_a_hint(tmp_path: Path) -> None:
    medium = make_media(tmp_path / "missing")
    report = run_media_test(medium)
    assert not report.ok
    assert report.steps[0].hint
    store_test_report(medium, report)
    stored = Media.objects.get()
    assert stored.last_test
    assert stored.last_test["ok"] is False


def test_a_test_with_unusable_settings_is_a_report_too(place: Path) -> None:
    medium = make_media(place)
    Media.objects.update(kind="tape")
    medium.refresh_from_db()
    report = run_media_test(medium)
    assert [step.name for step in report.steps] == ["settings"]
    assert "tape" in report.steps[0].detail


def test_an_edit_made_during_a_test_is_kept(place: Path) -> None:
    medium = make_media(place)
    Media.objects.update(description="edited meanwhile")
    store_test_report(medium, run_media_test(medium))
    assert Media.objects.get().description == "edited meanwhile"
