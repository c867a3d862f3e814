"""What a job needs to know of a file server to make a dump of it, or to give one back."""

from __future__ import annotations

from dataclasses import dataclass, field

from .login import Server
from .profiles import HistoryWish, Profile
from .transfer import DataPath
from .values import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSource:
    """``type`` is the kind of image, ``added`` what people want in the environment besides the profile's own."""

    server: Server
    profile: Profile
    type: str = "dump"
    history: HistoryWish = HistoryWish.ITS_CHOICE
    added: tuple[Pair, ...] = ()
    data_path: DataPath = field(default_factory=DataPath)
