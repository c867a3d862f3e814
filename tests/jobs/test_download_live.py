"""What only a snapshot holds is downloaded from its storage, through a node that sees it (RULES V1, V2)."""

from __future__ import annotations

import io
import os
import random
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.contrib.messages import get_messages
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse

from jobs.engine.operations.archive import LEFT_OUT, ArchiveFormat, stream
from jobs.engine.operations.archiving.in_snapshot import InSnapshot
from jobs.engine.operations.restoring.from_snapshot import OpenedSnapshot
from jobs.engine.plan import SourceRoot, StoredPath
from jobs.models import Snapshot
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import AuditEntry, Copy, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.jobs.farm import Farm, configure, wait
from tests.odd_tree import build_odd_tree, describe_tree

LARGE = random.Random(3).randbytes(9 << 20)


def held_at(folder: Path, stored_as: str) -> InSnapshot:
    return InSnapshot(OpenedSnapshot([SourceRoot(directory=folder, stored_as=StoredPath(stored_as.encode()))]))


def test_an_archive_of_a_snapshot_holds_its_whole_tree(tmp_path: Path) -> None:
    tree, back = tmp_path / "tree", tmp_path / "back"
    tree.mkdir()
    build_odd_tree(tree)
    shutil.rmtree(tree / ("00 " + "d" * 120))  # Python's tarfile makes no path of more than PATH_MAX
    (tree / "large").write_bytes(LARGE)
    data = b"".join(stream(held_at(tree, "/srv/tree"), [StoredPath(b"/srv/tree")], ArchiveFormat.TAR))
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        opened.extractall(back)
    found, expected = describe_tree(back / "tree"), describe_tree(tree)
    assert [path for path in expected if path not in found] == [b"kinds/socket"]
    assert (back / "tree" / "large").read_bytes() == LARGE


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "here").write_text("here")
    os.mkfifo(tmp_path / "folder" / "pipe")
    problems: list[tuple[bytes, str]] = []
    holding = held_at(tmp_path, "/srv")
    walked = list(holding.walk(b"/srv", lambda *problem: problems.append(problem)))
    (tmp_path / "folder" / "here").unlink()
    members = list(holding.members(walked, lambda *problem: problems.append(problem)))
    assert [path for path, _why in problems] == [b"/srv/folder/here"]
    assert [member.path for member in members] == [b"/srv/folder", b"/srv/folder/pipe"]
    data = b"".join(stream(holding, [StoredPath(b"/srv")], ArchiveFormat.ZIP))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert b"/srv/folder/pipe" in opened.read(LEFT_OUT.decode())


@pytest.fixture
def snapped(farm: Farm, tmp_path: Path) -> tuple[Subclient, Snapshot]:
    subclient = configure(tmp_path)
    source = tmp_path / "source"
    (source / "folder").mkdir()
    (source / "folder" / "inside").write_text("text")
    (source / "large").write_bytes(LARGE)
    job = wait(launch_snapshot(subclient))
    return subclient, Snapshot.objects.get(job=job)


def enter() -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return client


def told(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def body(answer: object) -> bytes:
    assert isinstance(answer, StreamingHttpResponse)
    return b"".join(answer)


def test_V1_files_and_archives_come_from_the_snapshot_before_the_medium(
    snapped: tuple[Subclient, Snapshot],
) -> None:
    subclient, snapshot = snapped
    client, source = enter(), subclient.content_paths[0]
    page = client.get(reverse("browse", args=[snapshot.pk]), {"path": source}).content.decode()
    assert "Download large" in page
    answer = client.get(reverse("download-file", args=[snapshot.pk]), {"path": f"{source}/large"})
    assert body(answer) == LARGE
    assert answer["Content-Length"] == str(len(LARGE))
    given = {"paths": [os.fsencode(source).hex()], "format": "tar.zst"}
    packed = body(client.post(reverse("download", args=[snapshot.pk]), given))
    with tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(packed), mode="r|") as opened:
        assert {"source/large", "source/folder", "source/folder/inside"} <= {member.name for member in opened}
    assert AuditEntry.objects.filter(sentence__startswith="Downloaded", object_kind="snapshot").count() == 2

    wait(launch_backup_copy(subclient))
    chosen = Copy.objects.get(policy=subclient.policy, kind="primary_backup")
    query = {"path": f"{source}/large", "copy": str(chosen.pk)}
    assert body(client.get(reverse("download-file", args=[snapshot.pk]), query)) == LARGE
    served = AuditEntry.objects.filter(sentence__startswith="Downloaded").exclude(object_kind="snapshot").get()
    assert str(chosen.name) in served.sentence, "the chosen copy serves"


def test_V1_without_a_node_the_medium_serves_and_without_that_the_page_says_why(
    snapped: tuple[Subclient, Snapshot], farm: Farm
) -> None:
    subclient, snapshot = snapped
    client, source = enter(), subclient.content_paths[0]
    address, query = reverse("download-file", args=[snapshot.pk]), {"path": f"{source}/folder/inside"}
    wrong = client.get(address, {"path": f"{source}/folder"})
    assert "regular file" in told(wrong)
    wait(launch_backup_copy(subclient))
    farm.stop("node-one")
    assert body(client.get(address, query)) == b"text"
    snap_copy = Copy.objects.get(policy=subclient.policy, kind="primary_snap")
    refused = client.get(address, query | {"copy": str(snap_copy.pk)})
    assert "online" in told(refused)
