"""What the services refuse, as sentences. Nothing was changed when one of these is raised."""

from __future__ import annotations

from jobs.models import Job


class JobRefusal(Exception):
    """``str(error)`` is the sentence. ``job`` is the job that stands in the way, if one does."""

    def __init__(self, sentence: str, *, hint: str = "", job: Job | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.job = job


class CannotLaunch(JobRefusal):
    """There is nothing to do, or something must be configured first."""


class NothingNew(CannotLaunch):
    """No snapshot waits for the copy: a no-op for a schedule, said plainly to a person (RULES B2)."""


class CannotControl(JobRefusal):
    """The job is not in a state that can take the order: no effect, said plainly (RULES J3)."""
