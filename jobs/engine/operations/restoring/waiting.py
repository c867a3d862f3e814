"""Something that takes long and looks at no control, on a thread, so that the caller can be stopped meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from ...errors import EngineError
from ...events import Control

_CHECK_SECONDS: Final = 0.1

Result = TypeVar("Result")


def wait_for(work: Callable[[], Result], control: Control) -> Result:
    """What ``work`` returns or raises. If ``control`` stops first, its result is dropped: it must leave nothing behind.

    ``work`` raises errors of the engine and OSError only.
    """
    results: list[Result] = []
    errors: list[EngineError | OSError] = []

    def run() -> None:
        try:
            results.append(work())
        except (EngineError, OSError) as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="restore-opening", daemon=True)
    thread.start()
    while thread.is_alive():
        control.check()
        thread.join(_CHECK_SECONDS)
    if errors:
        raise errors[0]
    if not results:
        raise RuntimeError("the opening of a repository ended without a result")
    return results[0]
