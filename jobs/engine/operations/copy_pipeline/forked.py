"""What runs in a forked worker: the loop of tasks and answers, and the ways it may end."""

from __future__ import annotations

from ...errors import EngineError
from ...repository.pack_writer import WrittenPack
from .channel import WorkerEnd
from .context import CopyContext
from .local_state import LocalState
from .messages import Finish, Goodbye, Idle, WorkerFailed
from .stores import OpenedRepository, SessionStore
from .tally import SharedBoard
from .worker import Worker


class _Stopping(Exception):
    """Raised inside the worker when the board says stop."""


def run_forked_worker(
    number: int,
    end: WorkerEnd,
    *,
    context: CopyContext,
    opened: OpenedRepository,
    board: SharedBoard,
    state: LocalState | None,
) -> None:
    """Work until told to finish, or until the coordinator is gone. Packs are written out in every case but an error."""
    store = SessionStore(opened, context, on_written=lambda pack: _report_pack(end, pack))

    def beat() -> None:
        if board.stopping:
            raise _Stopping

    try:
        worker = Worker(number=number, context=context, store=store, report=end, board=board, state=state, beat=beat)
        try:
            _loop(worker, end)
        except _Stopping:
            store.close()
        else:
            worker.close()
        end.send(Goodbye(number, worker.state_records))
    except (BrokenPipeError, ConnectionResetError):
        return
    except EngineError as error:
        end.send(WorkerFailed(error))
    except (OSError, MemoryError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        end.send(WorkerFailed(EngineError(f"A reader process failed: {type(error).__name__}: {error}")))
        raise


def _report_pack(end: WorkerEnd, pack: WrittenPack) -> None:
    end.send(pack)


def _loop(worker: Worker, end: WorkerEnd) -> None:
    while True:
        while worker.has_work:
            worker.share()
            worker.step()
            while worker.lends and (message := end.take()) is not None:
                if isinstance(message, Finish):
                    return
                worker.handle(message)
        end.send(Idle(worker.number))
        received = end.receive()
        if received is None:
            raise BrokenPipeError
        if isinstance(received, Finish):
            return
        worker.handle(received)
