"""Restores of dumps through real jobs, pages and commands: a file server writes the files itself (RULES L6, V)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.values import ErrorCode
from jobs.engine.plan import Secret
from jobs.management.cli import ExitCode
from jobs.models import Job, JobException, JobState, Operation, Snapshot
from jobs.services import CannotLaunch, launch_drill, launch_restore, launch_snapshot, launch_undump
from jobs.services.restores_again import restore_again
from policies import services as configuration
from policies.models import AuditEntry, FileServer, Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.engine.dumps import picture as tree
from tests.engine.ndmp.filer import HOME, PASSWORD, Filer, Script, filer
from tests.factories import make_user
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run
from tests.jobs.test_commands import command
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost

VOLUME = "/vol/vol1"
BUCKET = {"order": "restore", "where": "another_path", "layout": "full", "is_direct": "on"}


def ndmp_server(name: str, host: str, port: int, password: str, **options: object) -> FileServer:
    return configuration.create_file_server(
        name=name,
        engine="ndmp",
        options={"host": host, "port": port, "profile": "generic", **options},
        secrets={"password": Secret(password)},
        user=None,
    )


def over(subclient: Subclient, server: FileServer, content: str) -> Subclient:
    """The subclient, but on an NDMP file server."""
    subclient.file_server, subclient.content_paths = server, [content]
    subclient.save()
    return subclient


@pytest.fixture
def server() -> Iterator[Filer]:
    with filer(Script(refuses={m.GET_FS_INFO: ErrorCode.NOT_SUPPORTED}, environment=())) as one:
        yield one


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path, server: Filer) -> Subclient:
    """One point, copied: a full dump without a list of files."""
    make_node()
    made = configure(tmp_path, is_inline=True)
    over(made, ndmp_server("filer1", HOME, server.port, PASSWORD), VOLUME)
    assert run(launch_snapshot(made)).state == JobState.COMPLETED, picture()
    return made


def page_of(user_role: Role = Role.OPERATOR) -> Client:
    client = Client()
    client.force_login(make_user(user_role))
    return client


@pytest.mark.system
def test_L6_a_point_of_a_chain_goes_to_another_path_in_place_and_to_another_file_server(
    transactional_db: None, redis_url: str, tmp_path: Path, ndmp_filer: NdmpHost
) -> None:
    make_node()
    root, address = ndmp_filer.root, ndmp_filer.address
    subclient = configure(tmp_path, is_inline=True)
    over(subclient, ndmp_server("filer1", address, PORT, ACCOUNT), str(root))
    ndmp_server("filer2", address, PORT, ACCOUNT)
    (root / "docs").mkdir()
    for step in range(2):
        (root / f"docs/file {step}").write_text(f"{step}" * 1000)
        (root / "docs/plan").write_text(f"plan {step}")
        job = run(launch_snapshot(subclient, level="incremental"))
        assert job.state == JobState.COMPLETED, picture()
    before, point = tree(root), Snapshot.objects.latest("pk")
    client = page_of()
    start = reverse("restore-start", args=(point.pk,))
    form = client.get(start, {"path": f"{root}/docs"}).content.decode()
    assert "The file server overwrites what is in the way" in form
    assert "In place: to the paths they came from" in form
    assert "A file that is already there" not in form
    paths = [str(root / "docs").encode().hex()]
    client.post(start, BUCKET | {"paths": paths, "target": str(tmp_path / "new"), "layout": "flat"})
    chosen = run(Job.objects.get(operation=Operation.RESTORE))
    assert chosen.state == JobState.COMPLETED, picture()
    assert (chosen.files_done, chosen.files_total, chosen.result["files"]) == (3, 3, 3)
    assert tree(tmp_path / "new/docs") == tree(root / "docs")
    card = client.get(reverse("job", args=(chosen.pk,))).content.decode()
    assert "Overwritten by the file server" in card
    assert chosen.events.get(code="dump-chain").sentence == "Restored from the dumps of level 0, 1, in this order."
    assert "on filer1, which overwrites" in AuditEntry.objects.latest("pk").sentence

    (root / "docs/plan").write_text("damaged")
    (root / "docs/file 0").unlink()
    whole = run(launch_undump(point, in_place=True))
    assert whole.state == JobState.COMPLETED, picture()
    card = client.get(reverse("job", args=(whole.pk,))).content.decode()
    assert "All of it is restored." in card
    assert "What it restores are the images of dumps" in card
    assert tree(root) == before

    code, lines = command(
        "restore", subclient.path, "--to", str(tmp_path / "other"), "--path", f"{root}/docs/plan",
        "--file-server", "filer2", "--no-direct", "--strip", str(root)
    )  # fmt: skip
    assert code == 0, lines
    script = run(Job.objects.latest("pk"))
    assert (script.state, script.parameters["direct"]) == (JobState.COMPLETED, False), picture()
    assert (tmp_path / "other/docs/plan").read_text() == "plan 1"


def test_a_drill_of_a_dump_compares_its_image_with_the_hashes_and_says_what_did_not_fit(
    subclient: Subclient, server: Filer
) -> None:
    client, page = page_of(), reverse("subclient", args=("filer1", subclient.name))
    shown = client.get(page).content.decode()
    assert "a dump larger than the bound is left out" in shown
    assert "With the chosen points" in shown
    drilled = run(launch_drill(subclient))
    assert drilled.state == JobState.COMPLETED, picture()
    assert drilled.result["copies"][0]["paths"] == ["/ndmp/vol/vol1/0.env.json", "/ndmp/vol/vol1/0.image"]
    assert drilled.result["copies"][0]["compared_with"] == "hashes"
    server.script.image = bytes(range(256)) * 8192
    assert run(launch_snapshot(subclient, level="full")).state == JobState.COMPLETED, picture()
    small = run(launch_drill(subclient, mib=1))
    assert small.state == JobState.COMPLETED, picture()
    assert small.result["copies"][0]["too_large"] == 1
    assert "1 did not fit" in client.get(reverse("job", args=(small.pk,))).content.decode()


def test_what_cannot_be_done_with_dumps_is_refused_in_words(subclient: Subclient, tmp_path: Path) -> None:
    point = Snapshot.objects.get()
    other = configuration.create_file_server(
        name="local", engine="directory", options={"area": str(tmp_path / "x")}, user=None
    )
    netapp = ndmp_server("netapp", HOME, 1, PASSWORD, profile="ontap")
    with pytest.raises(CannotLaunch, match="only an NDMP file server can read"):
        launch_restore(point, target="/restore")
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"file_server": other, "target": "/x"}, "local is not reached by NDMP"),
        ({"file_server": netapp, "target": "/x"}, "netapp is another kind of file server"),
        ({"file_server": netapp, "in_place": True}, "In place means filer1"),
        ({"target": "vol"}, "an absolute path on filer1"),
        ({"target": "/vol/../etc"}, "an absolute path on filer1"),
    )
    for given, words in cases:
        with pytest.raises(CannotLaunch, match=words):
            launch_undump(point, **given)
    for option in (("--overwrite", "never"), ("--no-metadata",), ("--dry-run",)):
        assert command("restore", subclient.path, "--to", "/x", *option)[0] == ExitCode.USAGE
    assert not Job.objects.filter(operation=Operation.RESTORE).exists()


def test_a_point_without_a_list_of_files_gives_back_whole_volumes_only(subclient: Subclient, server: Filer) -> None:
    point = Snapshot.objects.get()
    page = page_of().get(reverse("browse", args=(point.pk,))).content.decode()
    assert "Its volumes can be restored whole." in page
    assert f"{reverse('restore-start', args=(point.pk,))}?path={VOLUME}" in page
    whole = run(launch_undump(point, target="/vol/new"))
    assert whole.state == JobState.COMPLETED, picture()
    assert bytes(server.got) == server.script.image
    (order,) = [one for one in server.requests if isinstance(one, m.StartRecover)]
    assert order.names[0].destination_path == b"/vol/new/vol/vol1"
    one = run(launch_undump(point, target="/vol/new", paths=[b"/vol/vol1/a"]))
    assert (one.state, one.error_code) == (JobState.FAILED, "history-unusable"), picture()


def test_J6_what_the_file_server_could_not_write_is_restored_again_alone(subclient: Subclient, server: Filer) -> None:
    server.script.file_results = [m.LogFile("docs/full", 5)]
    point = Snapshot.objects.get()
    job = run(launch_undump(point, target="/vol/new", is_direct=False))
    assert (job.state, job.exceptions_count) == (JobState.COMPLETED_WITH_ERRORS, 1), picture()
    assert JobException.objects.get(job=job).code == "file-not-recovered"
    again = restore_again(job, point, only_failed=True)
    assert again.parameters["paths"] == [b"/vol/vol1/docs/full".hex()]
    assert again.parameters | {"paths": []} == job.parameters


def test_a_scope_of_single_subclients_does_not_write_beside_their_content(subclient: Subclient) -> None:
    ndmp_server("filer2", HOME, 1, PASSWORD)
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user).subclients.add(subclient)
    client, start = Client(), reverse("restore-start", args=(Snapshot.objects.get().pk,))
    client.force_login(user)
    given = BUCKET | {"paths": [VOLUME.encode().hex()]}
    assert "filer2" not in client.get(start, {"path": VOLUME}).content.decode()
    refused = client.post(start, given | {"target": "/vol/vol1/../vol2"}).content.decode()
    assert "cannot hold" in refused
    assert "You see a part of filer1 only" in client.post(start, given | {"target": "/vol/vol10"}).content.decode()
    client.post(start, given | {"target": "/vol/vol1/back"})
    assert Job.objects.get(operation=Operation.RESTORE).parameters["target"] == "/vol/vol1/back"
