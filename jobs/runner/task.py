"""What every operation's runner is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobs.engine.clock import Clock
from jobs.engine.events import Level, Notice, PhaseName, PhaseStarted
from jobs.models import Job
from jobs.progress import Recorder
from jobs.runner.orders import Orders
from jobs.runner.rounds import Rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One claimed attempt: its row as it was when it began, and the seams to the engine."""

    job: Job
    recorder: Recorder
    orders: Orders
    clock: Clock
    rounds: Rounds = field(default_factory=Rounds)

    def phase(self, name: PhaseName) -> None:
        """The next phase begins; also a good moment to look whether people want it to stop."""
        self.orders.check()
        self.recorder.emit(PhaseStarted(phase=name))

    def tell(self, code: str, sentence: str, *, level: Level = Level.INFO) -> None:
        """A sentence for the job's story."""
        self.recorder.emit(Notice(level=level, code=code, sentence=sentence))
