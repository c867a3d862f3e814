"""What ONTAP refuses, as one of the engine's errors: by the code in its answer, else by the HTTP status.

The codes are those that the REST reference lists under “ONTAP Error Response Codes” of the snapshot and volume calls
(docs.netapp.com, ontap-restapi: post-storage-volumes-snapshots, delete-storage-volumes-snapshots-, volumes).
"""

from __future__ import annotations

from typing import Final

from ...errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    LoginRefused,
    NoSpace,
    SnapshotMissing,
    SourceUnavailable,
    StorageBusy,
)
from .volumes import MOST_SNAPSHOTS

_ROLE_HINT: Final = "Give its role what the documentation of this engine lists."


def refused(doing: str, *, status: int | None, code: str, message: str) -> EngineError:
    """``doing`` completes “ONTAP cannot …”; ``message`` is what ONTAP said."""
    said = f": {message.strip().rstrip('.')}." if message.strip() else "."
    sentence = f"ONTAP cannot {doing}{said}"
    return _by_code(code, sentence, doing) or _by_status(status, sentence)


def _by_code(code: str, sentence: str, doing: str) -> EngineError | None:
    match code:
        case "525062":
            return NoSpace(
                f"ONTAP cannot {doing}: the volume has {MOST_SNAPSHOTS:,} snapshots, and allows no more.",
                hint="Let retention or the snapshot policy of the volume delete some of them, then resubmit the job.",
            )
        case "525059":
            return StorageBusy(
                f"ONTAP cannot {doing}: a snapshot of that name exists.",
                hint="Resubmit the job; it takes a new name.",
            )
        case "524479":
            return SourceUnavailable(sentence, hint="See that the volume is online and has free space.")
        case "524481":
            return StorageBusy(sentence, hint="Another operation works on the volume; it is tried again.")
        case "1638477":
            return InvalidOptions(sentence)
        case "1638521":
            return EngineUnsupported(
                sentence,
                hint="It is a destination of SnapMirror: the rules of its SnapMirror policy delete snapshots there.",
            )
        case "1638543":
            return StorageBusy(
                sentence, hint="SnapMirror or a clone still needs it: “snapshot show -fields owners” names who."
            )
        case "1638555":
            return StorageBusy(sentence, hint="It is locked, or its expiry time has not come: delete it afterwards.")
        case "4" | "1638600":
            return SnapshotMissing(sentence)
        case _:
            return None


def _by_status(status: int | None, sentence: str) -> EngineError:
    match status:
        case 401:
            return LoginRefused(
                sentence, hint="Correct account and password; the account needs the application “http”."
            )
        case 403:
            return LoginRefused(f"{sentence} The account may not do that.", hint=_ROLE_HINT)
        case 409 | 423 | 429 | 503:
            return StorageBusy(sentence)
        case 400 | 405 | 422:
            return EngineUnsupported(sentence, hint="Look at what ONTAP said, here and in its own event log.")
        case _:
            return SourceUnavailable(sentence)
