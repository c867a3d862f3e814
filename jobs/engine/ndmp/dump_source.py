"""What a job needs to know of a file server to make a dump of it, or to give one back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .login import Server
from .profiles import HistoryWish, Profile
from .transfer import DataPath
from .values import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSource:
    """``type`` is the kind of image, ``added`` what people want in the environment besides the profile's own.

    ``read_at``: by content path, the path that is dumped in its place (that of a snapshot); itself where none is named.
    """

    server: Server
    profile: Profile
    type: str = "dump"
    history: HistoryWish = HistoryWish.ITS_CHOICE
    added: tuple[Pair, ...] = ()
    data_path: DataPath = field(default_factory=DataPath)
    read_at: Mapping[str, str] = field(default_factory=dict)
