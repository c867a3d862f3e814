"""A maker's own client, which is an optional package: loaded when it is used, and told plainly where it is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ...errors import EngineUnsupported


def load(module: str, *, package: str) -> ModuleType:
    """Import ``module``, one of ours that needs ``package``.

    Raises EngineUnsupported that names what to install: the package itself, for an index may hold another “snapcopy”.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == __name__.partition(".")[0]:
            raise
        raise EngineUnsupported(
            f"This node lacks the Python package “{package}”.",
            hint=f"On the access node: .venv/bin/pip install {package}. Then restart its worker.",
        ) from error
