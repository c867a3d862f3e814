"""The drawn tree of everything the engine can refuse or fail with.

::

    EngineError                        sentence, hint, code
    ├── Retryable                      the same call may succeed later
    │   ├── MediaUnavailable           the medium did not answer, or answered nonsense
    │   ├── SourceUnavailable          the file server, volume or mount is not there now
    │   ├── RepositoryLocked           somebody else holds the repository
    │   ├── StorageBusy                the storage refuses for now (limit, busy, in use)
    │   ├── ReaderLost                 a process that read the source died
    │   ├── AnswerUnreadable           the file server sent what its protocol does not allow
    │   └── StreamIncomplete           the file server's own backup or recovery did not end well
    ├── Permanent                      somebody must change something first
    │   ├── InvalidOptions             a setting is wrong; names the field
    │   ├── SourceMissing              the content path does not exist
    │   ├── SnapshotMissing            the snapshot was deleted outside
    │   ├── SnapshotNotOurs            a name outside ``sc-<install>-<job>-<n>`` (RULES O2)
    │   ├── EngineUnsupported          this storage cannot do what the engine needs
    │   ├── MediaRefused               the medium denies the operation (rights, read-only, login)
    │   │   └── DeletionRefused        it keeps what was written (append-only, locked objects)
    │   ├── FileMissing                the medium does not hold that file; names it
    │   ├── NoSpace                    the medium or the target is full
    │   ├── RepositoryMissing          no repository at that place
    │   ├── RepositoryExists           there is one already
    │   ├── WrongPassword              no key opens with this password
    │   ├── LoginRefused               the file server does not let this account in
    │   ├── RepositoryDamaged          a file fails its checksum or cannot be parsed; names the file
    │   ├── NotInCopy                  the path or snapshot file is not in the repository
    │   ├── HistoryUnusable            a dump's list of files is missing or makes no sense
    │   └── TargetRefused              the restore target cannot be written
    └── Stopped                        not a failure: the caller asked to stop
        ├── Killed
        └── Suspended

``code`` is stable and links to ``/docs/errors/<code>``. A sentence tells what happened to which object;
a hint tells what to do next. Neither ever holds a secret.
"""

from __future__ import annotations

from typing import ClassVar


class EngineError(Exception):
    """Root of the tree. ``str(error)`` is the sentence."""

    code: ClassVar[str] = "engine-error"
    default_hint: ClassVar[str] = ""

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint or self.default_hint

    def __reduce__(self) -> tuple[object, ...]:
        return (rebuild, (type(self), self.sentence, self.hint), self.__dict__)


def rebuild(kind: type[EngineError], sentence: str, hint: str) -> EngineError:
    """An error of this kind as another process raised it, whatever its own constructor asks for."""
    error = kind.__new__(kind)
    EngineError.__init__(error, sentence, hint=hint)
    return error


class Retryable(EngineError):
    """The same call may succeed later without anybody changing a setting."""

    code = "retryable"


class MediaUnavailable(Retryable):
    code = "media-unavailable"
    default_hint = "Check that the medium is mounted and reachable, then press Test on its page."


class SourceUnavailable(Retryable):
    code = "source-unavailable"
    default_hint = "Check that the file server is online and its volume mounted, then press Test on its page."


class RepositoryLocked(Retryable):
    code = "repository-locked"
    default_hint = "Wait until the other operation ends. The media page shows who holds the lock."


class StorageBusy(Retryable):
    code = "storage-busy"


class ReaderLost(Retryable):
    code = "reader-lost"
    default_hint = "If it happens again, look in the system log whether the machine ran out of memory."


class AnswerUnreadable(Retryable):
    code = "answer-unreadable"
    default_hint = "Check that address and port are those of the file server's NDMP service."


class StreamIncomplete(Retryable):
    """``log`` holds what the file server said about it, oldest first."""

    code = "stream-incomplete"
    default_hint = "Look at what the file server said, here and in its own log."

    def __init__(self, sentence: str, *, log: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.log = log


class Permanent(EngineError):
    """Somebody must change something before the same call can succeed."""

    code = "permanent"


class InvalidOptions(Permanent):
    """``field`` is the name of the option that is wrong."""

    code = "invalid-options"

    def __init__(self, sentence: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.field = field


class SourceMissing(Permanent):
    code = "source-missing"
    default_hint = "Correct the content paths of the subclient."


class SnapshotMissing(Permanent):
    code = "snapshot-missing"
    default_hint = "Take a new snapshot; this one was deleted outside SnapCopy."


class SnapshotNotOurs(Permanent):
    code = "snapshot-not-ours"


class EngineUnsupported(Permanent):
    code = "engine-unsupported"
    default_hint = "Choose another snapshot engine for this file server."


class MediaRefused(Permanent):
    code = "media-refused"
    default_hint = "Give the account that runs the access node the right to write there."


class DeletionRefused(MediaRefused):
    """The medium works, and keeps what was written: nothing on it is deleted now. No fault of the medium.

    ``until_ns``: when the lock of what was to be deleted ends, ns since the epoch, UTC; None = it does not say.
    """

    code = "deletion-refused"
    default_hint = "What has ended stays on the medium until it allows deletions; copies and restores go on."

    def __init__(self, sentence: str, *, until_ns: int | None = None, hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.until_ns = until_ns


class FileMissing(Permanent):
    """``name`` is the file the medium does not hold."""

    code = "file-missing"
    default_hint = "Run a check of the medium; it names every missing file and what it touches."

    def __init__(self, sentence: str, *, name: str = "", hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.name = name


class NoSpace(Permanent):
    code = "no-space"
    default_hint = "Free space or enlarge the file system, then resubmit the job."


class RepositoryMissing(Permanent):
    code = "repository-missing"


class RepositoryExists(Permanent):
    code = "repository-exists"


class WrongPassword(Permanent):
    code = "wrong-password"
    default_hint = "Correct the repository password of the medium."


class LoginRefused(Permanent):
    code = "login-refused"
    default_hint = "Correct the account and password of the file server; its NDMP password may differ from the login's."


class RepositoryDamaged(Permanent):
    """``name`` is the file in the repository that is damaged."""

    code = "repository-damaged"
    default_hint = "Run a check of the medium; it names every damaged file and what it touches."

    def __init__(self, sentence: str, *, name: str = "", hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.name = name


class NotInCopy(Permanent):
    code = "not-in-copy"


class HistoryUnusable(Permanent):
    code = "history-unusable"
    default_hint = "Restoring all of the volume needs no list of files; the next full backup copy begins a new one."


class TargetRefused(Permanent):
    code = "target-refused"
    default_hint = "Choose another target directory, or change its rights."


class Stopped(EngineError):
    """Not a failure: the caller asked the operation to end early."""

    code = "stopped"


class Killed(Stopped):
    code = "killed"


class Suspended(Stopped):
    code = "suspended"
