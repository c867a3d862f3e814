"""What the documentation says of getting files out of dumps without a filer: stock restic and GNU tar, nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from snapcopy_site.documentation import folder
from tests.engine.dumps import Dumper, Picture, picture
from tests.ndmp_server import NdmpHost

from .restic import Restic

pytestmark = [pytest.mark.interop, pytest.mark.system]


def commands() -> list[str]:
    """The blocks of the page's last part."""
    text = (folder() / "ndmp.md").read_text().partition("## Without SnapCopy")[2]
    return re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_page_brings_every_point_of_a_chain_back_with_stock_restic_and_tar(
    ndmp_host: NdmpHost, tmp_path: Path
) -> None:
    root, dumper = ndmp_host.root, Dumper(ndmp_host, tmp_path)
    pictures: list[Picture] = []

    def work() -> None:
        (root / "docs/deep").mkdir(parents=True)
        (root / "docs/deep/one").write_bytes(os.urandom(100_000))
        (root / "gone").write_text("x")
        os.link(root / "gone", root / "docs/second name")
        pictures.append(picture(root))
        dumper.dump()
        (root / "gone").unlink()
        (root / "docs/deep").rename(root / "moved")
        os.symlink("moved", root / "link")
        pictures.append(picture(root))
        dumper.dump(1)
        (root / "moved/one").write_text("new")
        shutil.rmtree(root / "docs")
        pictures.append(picture(root))
        dumper.dump(2)

    ndmp_host.run(work)
    restic = Restic(repository=dumper.copier.path)
    _look, names, restore, fetch = commands()
    assert re.findall(r"^(\w+)=", names, re.MULTILINE) == ["VOLUME", "TARGET", "CHAIN"]
    for level, expected in enumerate(pictures):
        chain = " ".join(f"{file[:8]}:{number}" for number, file in enumerate(dumper.files[: level + 1]))
        target = tmp_path / f"restored {level}"
        environment = os.environ | {
            "RESTIC_REPOSITORY": str(restic.repository),
            "RESTIC_PASSWORD": restic.password,
            "VOLUME": str(root),
            "TARGET": str(target),
            "CHAIN": chain,
        }
        subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", restore], env=environment, check=True, timeout=60)
        assert picture(target) == expected, level
    words = fetch.replace("latest", dumper.files[0]).replace("/images", str(tmp_path / "images")).split()
    assert words[0] == "restic"
    restic.run(*words[1:])
    folder_of_images = tmp_path / f"images/ndmp{root}"
    assert sorted(path.name for path in folder_of_images.iterdir()) == ["0.env.json", "0.history", "0.image"]
    restic.judge()
