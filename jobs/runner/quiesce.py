"""The quiesce phase: the subclient's pre command before the snapshot, its post command after it, whatever happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.engine.errors import Stopped
from jobs.engine.events import FileFailed, Level, PhaseName
from jobs.runner import commands
from jobs.runner.task import Task
from jobs.services.failures import CommandFailed
from policies.models import Subclient


@contextmanager
def quiesced(task: Task, subclient: Subclient) -> Iterator[None]:
    """The block runs between the two commands (RULES S1).

    A pre command that fails raises CommandFailed, and no snapshot is taken. The post command runs always, also after a
    failure and when the job is told to stop, then for a few seconds only; its own failure is an exception of the job.
    """
    facts = _facts(task, subclient)
    if subclient.pre_command or subclient.post_command:
        task.phase(PhaseName.QUIESCE)
    seconds = commands.TIMEOUT_SECONDS
    try:
        if subclient.pre_command:
            _say(task, "pre-command", commands.run(subclient.pre_command, facts=facts, control=task.orders))
        yield
    except Stopped:
        seconds = commands.STOPPING_SECONDS
        raise
    finally:
        if subclient.post_command:
            _run_post(task, subclient.post_command, facts, seconds)


def _run_post(task: Task, command: str, facts: dict[str, str], seconds: float) -> None:
    try:
        said = commands.run(command, facts=facts, control=None, seconds=seconds)
    except CommandFailed as failure:
        task.tell("post-command-failed", f"The post command failed: {failure.sentence}", level=Level.WARNING)
        task.recorder.emit(FileFailed(path=command.encode(), error=failure.sentence, code=failure.code))
        return
    _say(task, "post-command", said)


def _say(task: Task, code: str, said: str) -> None:
    what = "pre" if code == "pre-command" else "post"
    task.tell(code, f"The {what} command ran{f': {said}' if said else ''}.")


def _facts(task: Task, subclient: Subclient) -> dict[str, str]:
    """What a command may want to know, as environment variables."""
    return {
        "SNAPCOPY_JOB": str(task.job.pk),
        "SNAPCOPY_FILE_SERVER": subclient.file_server.name,
        "SNAPCOPY_SUBCLIENT": subclient.name,
        "SNAPCOPY_CONTENT": "\n".join(subclient.content_paths),
    }
