"""Keeping the configuration on a medium after each pruning and verification: the medium alone can rebuild it."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.engine.errors import EngineError, MediaRefused, Stopped
from jobs.engine.events import Level
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.operations import sealing
from jobs.engine.plan import Secret
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.runner.task import Task
from policies.declared.sealed import sealed_text
from policies.models import Media
from policies.resolve import install_id
from snapcopy_site.lib.home import Home

_WAIT_SECONDS = 5.0


def seal_configuration(task: Task, media: Media, driver: MediaDriver, password: Secret) -> None:
    """A job that did its work does not fail for this: what keeps it is told. Raises Stopped."""
    plan = sealing.SealPlan(
        text=sealed_text(media),
        install=install_id(),
        index_cache=Home.current().index_cache(media.pk),
        wait_seconds=_WAIT_SECONDS,
    )
    try:
        made = sealing.seal(plan, driver, password, task.orders, task.clock)
    except Stopped:
        raise
    except MediaRefused as error:
        task.tell("configuration-not-sealed", f"The configuration was not kept there: {error.sentence}")
    except EngineError as error:
        sentence = f"The configuration could not be kept on {media.name}: {error.sentence}"
        task.tell("configuration-not-sealed", sentence, level=Level.WARNING)
    else:
        if made is not None:
            task.tell("configuration-sealed", f"The configuration is kept on {media.name}, sealed in the repository.")


def outdated_configurations(files: Iterable[SnapshotFile]) -> list[FileId]:
    """What pruning may forget of those that this installation kept: never the newest, never those of others."""
    return sealing.outdated(files, install=install_id())
