"""What operations tell, on a terminal or as JSON lines; and Ctrl-C as the wish to stop."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import asdict
from types import FrameType
from typing import Any, Final, Self, TextIO

import orjson

from ..errors import Killed
from ..events import Checkpoint, Event, FileFailed, Level, Notice, PhaseStarted, Progress

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_BAR_CELLS: Final = 24


def write_json(value: dict[str, Any], out: TextIO | None = None) -> None:
    """One JSON object on a line of its own. Raw bytes become text, other than UTF-8 as ``\\xNN``."""
    print(orjson.dumps(value, default=_plain).decode(), file=out or sys.stdout, flush=True)


def _plain(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def size(count: float) -> str:
    """Bytes for people: ``1.5 MiB``."""
    for unit in _UNITS[:-1]:
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


class JsonSink:
    """Every event as a line of JSON on standard output. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        with self._lock:
            write_json({"event": type(event).__name__, **asdict(event)})


class TerminalSink:
    """A bar on a terminal, plain lines for what must be seen, all on standard error. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_terminal = sys.stderr.isatty()
        self._has_bar = False

    def emit(self, event: Event) -> None:
        with self._lock:
            match event:
                case Progress():
                    self._bar(event)
                case FileFailed():
                    self._line(f"{_plain(event.path)}: {event.error}")
                case Notice() if event.level is not Level.INFO:
                    self._line(f"{event.level.value}: {event.sentence}")
                case Notice() | PhaseStarted() | Checkpoint():
                    return

    def close(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._clear()

    def _line(self, text: str) -> None:
        self._clear()
        print(text, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._has_bar:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._has_bar = False

    def _bar(self, event: Progress) -> None:
        if not self._is_terminal:
            return
        counters = event.counters
        text = f"{counters.files_done:,} files  {size(counters.bytes_done)}"
        if counters.bytes_total:
            part = min(1.0, counters.bytes_done / counters.bytes_total)
            cells = int(part * _BAR_CELLS)
            text = f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}] {part:4.0%}  {text} of {size(counters.bytes_total)}"
        sys.stderr.write(f"\r\x1b[K{text}  new {size(counters.bytes_new)}")
        sys.stderr.flush()
        self._has_bar = True


class Interrupts:
    """A control that Ctrl-C and SIGTERM stop. Use as a context; the second Ctrl-C ends the process at once."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        if self._asked:
            raise Killed("Stopped on request. The repository is valid; what was written is reused next time.")

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, self._before[number])
