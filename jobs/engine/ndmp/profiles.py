"""What vendors' file servers want to be told: environment, highest level, tokens (RULES L2, L5).

Taken from the vendors' documentation; unknown variables must be ignored by a file server, but not all do, so the sets
are small and people can add pairs of their own. What was not tried on the real storage is marked *unconfirmed*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from ..errors import InvalidOptions
from .messages import ServerInfo
from .values import Pair

OURS: Final = frozenset({"FILESYSTEM", "LEVEL", "BASE_DATE", "HIST", "UPDATE", "DIRECT", "RECURSIVE"})
"""Variables that nobody else may set: what is recorded about a copy would not be true."""
NO_BASE: Final = "0"
"""As the base token: a full from which token-based incrementals will start."""


class HistoryWish(StrEnum):
    """The variable HIST: whether the file server tells which files are in the image, and how."""

    NONE = "n"
    ITS_CHOICE = "y"
    PATHS = "f"
    INODES = "d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of file server.

    ``highest_level``: RULES L2. ``forever_level``: a level at which every dump is an increment of the one before.
    ``token`` is the variable that tells at a backup's end what the next is to give as ``base``; empty = none.
    ``names_at_once``: how many names one recovery takes, None = any number.
    """

    key: str
    label: str
    types: tuple[str, ...] = ("dump",)
    highest_level: int = 9
    forever_level: int | None = None
    token: str = ""
    base: str = ""
    added: tuple[Pair, ...] = ()
    names_at_once: int | None = None
    signs: tuple[str, ...] = ()
    """Words in what it says of itself, in lower case."""

    def backup_environment(
        self,
        file_system: str,
        *,
        level: int = 0,
        base_token: str | None = None,
        history: HistoryWish = HistoryWish.ITS_CHOICE,
        records_level: bool = True,
        added: Sequence[Pair] = (),
    ) -> tuple[Pair, ...]:
        """The environment of one backup (draft 4.4.2). ``base_token`` replaces the level: NO_BASE for a full, else
        what :meth:`token_of` gave for the copy that this one is the increment of. Without ``records_level`` later
        levels do not count from this dump. Raises InvalidOptions.
        """
        pairs = {"FILESYSTEM": file_system, "HIST": history.value, **{pair.name: pair.value for pair in self.added}}
        if base_token is not None:
            if not self.base:
                raise InvalidOptions(f"{self.label} has no tokens; use levels.", field="base_token")
            pairs[self.base] = base_token
        elif 0 <= level <= self.highest_level or level == self.forever_level:
            pairs |= {"LEVEL": str(level), "UPDATE": "y" if records_level else "n"}
        else:
            raise InvalidOptions(
                f"{self.label} knows the levels 0 to {self.highest_level}, not {level}.",
                field="level",
                hint="The next incremental must become a differential.",
            )
        return _with(pairs, added)

    def token_of(self, environment: Iterable[Pair]) -> str | None:
        """What the next increment gives as its base; None = this file server works by levels alone."""
        return next((pair.value for pair in environment if pair.name == self.token and pair.value), None)

    def recover_environment(
        self,
        stored: Iterable[Pair],
        *,
        is_direct: bool = False,
        is_recursive: bool = True,
        added: Sequence[Pair] = (),
    ) -> tuple[Pair, ...]:
        """The environment of a recovery: all that the backup ended with, ACL_START and the like among it.

        ``is_direct``: only the places that ``fh_info`` names are read; needs history of the backup. Without
        ``is_recursive`` a folder that is named comes without what is in it.
        """
        pairs = {pair.name: pair.value for pair in stored}
        wishes = {"DIRECT": "y" if is_direct else "n", "RECURSIVE": "y" if is_recursive else "n"}
        return _with(pairs | wishes, added)


def _with(pairs: dict[str, str], added: Sequence[Pair]) -> tuple[Pair, ...]:
    for pair in added:
        if pair.name in OURS:
            raise InvalidOptions(
                f"The variable {pair.name} is set by the job itself.",
                field="environment",
                hint="Take it out of the added variables.",
            )
        pairs[pair.name] = pair.value
    return tuple(Pair(name, value) for name, value in pairs.items())


def pairs_from(lines: Iterable[str]) -> tuple[Pair, ...]:
    """Pairs that a person typed, a ``NAME=value`` a line; empty lines are skipped. Raises InvalidOptions."""
    pairs = []
    for line in lines:
        if not line.strip():
            continue
        name, sign, value = line.partition("=")
        name = name.strip()
        if not sign or not name or not name.isprintable() or " " in name or "\0" in value:
            raise InvalidOptions(
                f"“{line}” is no variable.", field="environment", hint="Write one NAME=value on each line."
            )
        pairs.append(Pair(name, value.strip()))
    return tuple(pairs)


GENERIC: Final = Profile(key="generic", label="Any NDMP file server")
ONTAP: Final = Profile(
    key="ontap",
    label="NetApp ONTAP",
    types=("dump", "smtape"),
    highest_level=31,
    token="DUMP_DATE",  # noqa: S106
    base="BASE_DATE",
    signs=("netapp", "ontap"),
)
"""Tokens: ``DUMP_DATE = level << 32 | seconds`` (RULES L5); that BASE_DATE alone decides is *unconfirmed*."""
ISILON: Final = Profile(
    key="isilon",
    label="Dell PowerScale (Isilon) OneFS",
    types=("dump", "tar"),
    forever_level=10,
    token="DUMP_DATE",  # noqa: S106
    base="BASE_DATE",
    # The lowest bit: tell DUMP_DATE at the end of every backup.
    added=(Pair("BACKUP_OPTIONS", "1"),),
    signs=("isilon", "onefs", "powerscale"),
)
POWERSTORE: Final = Profile(
    key="powerstore", label="Dell PowerStore", types=("dump", "tar"), signs=("powerstore", "unity")
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {profile.key: profile for profile in (GENERIC, ONTAP, ISILON, POWERSTORE)}
)


def suggested(info: ServerInfo | None) -> Profile:
    """The profile that fits what a file server says of itself; GENERIC if none does."""
    if info is None:
        return GENERIC
    said = f"{info.vendor} {info.product} {info.revision}".lower()
    return next((profile for profile in PROFILES.values() if any(sign in said for sign in profile.signs)), GENERIC)
