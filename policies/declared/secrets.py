"""References to secrets: what they name is read when the file is applied, and compared with what is stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from jobs.engine.plan import Secret
from policies.models import FileServer, Media
from policies.secrets import secrets_of

TYPED: Final = "typed"
"""Key of a reference that holds the secret itself, typed on a page: no file can say it, since it is no text there."""


class ReferenceRefused(Exception):
    """A reference leads nowhere. ``remedy`` says what to do."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.remedy = remedy


def changed_secrets(owner: Media | FileServer, references: dict[str, dict[str, Any]]) -> dict[str, Secret]:
    """The secrets that are to be written: those that differ from what is stored. Raises ReferenceRefused.

    With ``keep: true`` a stored one stays whatever the reference leads to, and the reference is not read.
    """
    stored = secrets_of(owner) if owner.pk else {}
    changed: dict[str, Secret] = {}
    for field, reference in references.items():
        if reference.get("keep") and field in stored:
            continue
        value = _read(reference)
        if field not in stored or stored[field].reveal() != value:
            changed[field] = Secret(value)
    return changed


def _read(reference: dict[str, Any]) -> str:
    typed = reference.get(TYPED)
    if isinstance(typed, Secret):
        return typed.reveal()
    if "env" in reference:
        name = reference["env"]
        value = os.environ.get(name, "")
        remedy = f"Set the variable {name}, or write {{file: /path}} to a file that holds it."
        if not value:
            raise ReferenceRefused(f"The variable {name} is not set.", remedy)
        return value
    path = Path(reference["file"])
    if not path.is_absolute():
        raise ReferenceRefused(f"“{path}” is not absolute.", "Begin the path of the file with a slash.")
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is no text"
        raise ReferenceRefused(f"{path} cannot be read: {reason}.", "Check the path and its rights.") from error
    if not value:
        raise ReferenceRefused(f"{path} is empty.", "Write the secret into it.")
    return value
