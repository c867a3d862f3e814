"""What configuration can refuse, beside Django's ValidationError for a wrong field.

Part of the engine's drawn tree (:mod:`jobs.engine.errors`), so that a job shows them like any other error.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.engine.errors import Permanent


class KeyringRefused(Permanent):
    """The key file is missing, readable by others, or cannot be parsed."""

    code = "keyring-refused"


class SecretUnreadable(Permanent):
    """A stored secret opens with none of the keys in the key file."""

    code = "secret-unreadable"
    default_hint = "Put back the key file that belongs to this database, or type the secret again on the object's form."


class SecretMissing(Permanent):
    """A driver needs a secret that was never typed."""

    code = "secret-missing"


class KindUnknown(Permanent):
    """The row names an engine or a kind of medium that this version does not have."""

    code = "kind-unknown"
    default_hint = "Run the same version of SnapCopy on every access node."


class RepositoryChanged(Permanent):
    """Another repository is where this medium's used to be."""

    code = "repository-changed"
    default_hint = "Check what is mounted there. To use the other repository, add it as a medium of its own."


class CannotDelete(Permanent):
    """Something still needs the object. ``needed_by`` names what, for people."""

    code = "cannot-delete"

    def __init__(self, sentence: str, *, needed_by: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.needed_by = tuple(needed_by)
