"""A lost installation comes back from a medium alone: configuration, points and files, and no secret was kept there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.engine.operations.sealing import CONFIGURATION_TAG
from jobs.engine.plan import Secret
from jobs.models import BackupCopy, Job, JobState, Snapshot
from jobs.services import (
    launch_aging,
    launch_attach,
    launch_backup_copy,
    launch_prune,
    launch_restore,
    launch_snapshot,
    launch_verify,
)
from policies import services as configuration
from policies.models import Copy, FileServer, Installation, Media, Schedule, StoragePolicy, Subclient
from policies.resolve import media_password
from snapcopy_site.lib.roles import Role
from tests.factories import make_schedule, make_user
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, configure, picture
from tests.jobs.here import run
from tests.jobs.test_attach import contents, medium_at

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.interop]

OTHER_PASSWORD = "the password of another medium"


@pytest.fixture
def subclient(tmp_path: Path, redis_url: str) -> Subclient:
    """With a second medium, a schedule and a command."""
    make_node(slots=4)
    made = configure(tmp_path)
    configuration.update_subclient(made, user=None, post_command="/bin/true")
    second = medium_at(tmp_path / "second", password=OTHER_PASSWORD, name="second")
    configuration.create_copy(made.policy, name="second", media=second, user=None)
    make_schedule(made)
    (tmp_path / "source" / "large").write_bytes(os.urandom(500_000))
    return made


def point(subclient: Subclient) -> BackupCopy:
    run(launch_snapshot(subclient))
    job = run(launch_backup_copy(subclient))
    assert job.state == JobState.COMPLETED, picture()
    assert job.backup_copy is not None
    return job.backup_copy


def sealed_files(restic: Restic) -> list[dict[str, Any]]:
    return [one for one in restic.json("snapshots") if CONFIGURATION_TAG in (one.get("tags") or ())]


def lose_everything() -> None:
    """Another installation, with nothing in it."""
    for model in (Job, BackupCopy, Snapshot, Schedule, Subclient, Copy, StoragePolicy, FileServer, Media):
        model._default_manager.all().delete()
    Installation.objects.update(install_id="newone12")


def admin() -> Client:
    client = Client()
    client.force_login(make_user(Role.ADMIN))
    return client


def test_the_configuration_is_kept_on_the_medium_without_secrets_and_only_when_it_changed(
    subclient: Subclient, tmp_path: Path
) -> None:
    point(subclient)
    media = Media.objects.get(name="disk-tree")
    assert run(launch_prune(media=media)).state == JobState.COMPLETED, picture()
    assert run(launch_verify(media=media, percent=100)).state == JobState.COMPLETED, picture()
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    (kept,) = sealed_files(restic)
    restic.judge()
    restic.run("restore", kept["id"], "--target", str(tmp_path / "back"))
    text = (tmp_path / "back" / CONFIGURATION_TAG / "configuration.json").read_text()
    assert json.loads(text)["medium"] == "disk-tree"
    assert [one["name"] for one in json.loads(text)["configuration"]["subclients"]] == ["tree"]
    assert PASSWORD not in text
    assert OTHER_PASSWORD not in text
    for number in range(4):
        configuration.update_media(media, user=None, description=f"changed {number}")
        run(launch_verify(media=media, percent=0))
    assert len(sealed_files(restic)) == 5
    run(launch_prune(media=media))
    assert len(sealed_files(restic)) == 3, "pruning forgets the older ones"
    restic.judge()


def test_a_lost_installation_is_rebuilt_from_the_medium_alone(subclient: Subclient, tmp_path: Path) -> None:
    first = point(subclient)
    (tmp_path / "source" / "new").write_text("came later")
    second = point(subclient)
    names = {first.snapshot.name, second.snapshot.name}
    expected = contents(tmp_path / "source")
    run(launch_prune(media=Media.objects.get(name="disk-tree")))
    lose_everything()

    media = medium_at(tmp_path / "media", name="found")
    looked = run(launch_attach(media=media))
    ((install,),) = [[one["install"] for one in looked.result["configurations"]]]
    client = admin()
    page = reverse("media-rebuild", args=[media.pk, install])
    assert page in client.get(reverse("media-attach", args=[media.pk])).content.decode()
    shown = client.get(page).content.decode()
    assert "Subclient server-tree/tree" in shown
    assert "/bin/true" in shown
    assert not Subclient.objects.exists(), "a look changes nothing"
    said = client.post(page, {}, follow=True).content.decode()
    assert "Left out for want of a secret: the medium second" in said

    job = run(Job.objects.latest("pk"))
    assert (job.state, job.result["imported"], job.result["rebuilt"]) == (JobState.COMPLETED, 2, 1), picture()
    back = Subclient.objects.get()
    assert (back.path, back.is_active, back.aging_frozen_at is None) == ("server-tree/tree", True, False)
    assert set(back.snapshots.values_list("name", flat=True)) == names
    copy = Copy.objects.get(policy=back.policy, kind="primary_backup")
    assert (copy.media, Media.objects.count(), Schedule.objects.get(name="hourly").is_active) == (media, 1, False)
    newest = back.snapshots.latest("taken_at")
    restored = run(launch_restore(newest, copy, target=str(tmp_path / "back")))
    assert restored.state == JobState.COMPLETED, picture()
    assert contents(Path(f"{tmp_path}/back{tmp_path}/source")) == expected
    assert run(launch_aging()).result["frozen"] == ["server-tree/tree"]

    assert run(launch_attach(media=media, imports=True, own=install)).result["imported"] == 0
    assert (point(back).ran_level, point(back).ran_level) == ("full", "incremental"), "it goes on (RULES S2)"
    Restic(repository=tmp_path / "media", password=PASSWORD).judge()


def test_points_of_a_stranger_with_the_same_names_stay_strangers(subclient: Subclient, tmp_path: Path) -> None:
    """Without a rebuilding, and for any other installation, names prove nothing."""
    point(subclient)
    run(launch_prune(media=Media.objects.get(name="disk-tree")))
    lose_everything()
    configure(tmp_path / "here")
    media = medium_at(tmp_path / "media", name="found")
    run(launch_attach(media=media, imports=True))
    run(launch_attach(media=media, imports=True, own="another1"))
    here = Subclient.objects.get(file_server__name="server-tree")
    assert not here.snapshots.exists()
    assert Snapshot.objects.get().subclient.file_server.is_imported


def test_secrets_that_are_typed_bring_the_other_medium_back(subclient: Subclient, tmp_path: Path) -> None:
    point(subclient)
    run(launch_prune(media=Media.objects.get(name="disk-tree")))
    lose_everything()
    media = medium_at(tmp_path / "media", name="found")
    install = run(launch_attach(media=media)).result["configurations"][0]["install"]
    page = reverse("media-rebuild", args=[media.pk, install])
    admin().post(page, {"secret_0": OTHER_PASSWORD, "with_schedules": "on"})
    assert set(Media.objects.values_list("name", flat=True)) == {"found", "second"}
    assert set(Copy.objects.exclude(media=None).values_list("name", "media__name")) == {
        ("backup", "found"),
        ("second", "second"),
    }
    assert Schedule.objects.get(name="hourly").is_active
    operator = Client()
    operator.force_login(make_user(Role.OPERATOR))
    assert operator.get(page).status_code == 403
    assert Secret(OTHER_PASSWORD) == media_password(Media.objects.get(name="second"))
