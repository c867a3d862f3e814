"""Settings of an NDMP file server, and what they mean for a session: account, environment, the way of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ...errors import InvalidOptions
from ...ndmp import transfer
from ...ndmp.login import AuthWay, Server
from ...ndmp.profiles import GENERIC, OURS, PROFILES, HistoryWish, Profile, pairs_from
from ...ndmp.session import DEFAULT_PORT
from ...ndmp.transfer import DataPath, Direction
from ...ndmp.values import Pair
from ...plan import Secret

MOST_PORTS: Final = 1_000
DIRECTION: Final = {
    "label": "Data connection",
    "choice_labels": {
        Direction.WE_LISTEN: "The file server connects to the access node",
        Direction.FILER_LISTENS: "The access node connects to the file server",
    },
    "help": "Which of the two a firewall lets through.",
}
LISTEN_HOST: Final = {
    "label": "Address of the node for data",
    "help": "An IPv4 address of the access node. Empty: the one it reaches the file server by.",
}
PORTS: Final = {
    "label": "Ports of the node for data",
    "help": "Like 10001-10020, where a firewall needs to know them: at least one for each session. Empty: any "
    "free port.",
}
"""What the form says of the way of the data, for every engine that dumps."""
_PORTS: Final = re.compile(r"\s*([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?\s*\Z")


class ProfileChoice(StrEnum):
    """AUTO = the one that fits what the file server says of itself."""

    AUTO = "auto"
    GENERIC = "generic"
    ONTAP = "ontap"
    ISILON = "isilon"
    POWERSTORE = "powerstore"


@dataclass(frozen=True, slots=True, kw_only=True)
class NdmpOptions:
    """Where the service is, as whom to come, what to ask for, and how the data travels."""

    host: str = field(
        metadata={"label": "Address", "help": "Name or address of the file server’s NDMP service, like filer1."}
    )
    port: int = field(
        default=DEFAULT_PORT,
        metadata={"label": "Port", "minimum": 1, "maximum": 65_535, "help": "10000 nearly everywhere."},
    )
    account: str = field(
        default="ndmp",
        metadata={"label": "Account", "help": "On many file servers NDMP has accounts of its own."},
    )
    password: Secret = field(
        default_factory=lambda: Secret(""),
        metadata={
            "label": "Password",
            "conditional": True,
            "help": "On some file servers it is generated: “vserver services ndmp generate-password” on ONTAP.",
        },
    )
    auth: AuthWay = field(
        default=AuthWay.SAFEST,
        metadata={
            "label": "Authentication",
            "choice_labels": {
                AuthWay.SAFEST: "MD5, never in clear text",
                AuthWay.MD5: "MD5",
                AuthWay.TEXT: "Clear text",
                AuthWay.NONE: "None",
            },
            "help": "In clear text, everybody on the network path can read the password.",
        },
    )
    profile: ProfileChoice = field(
        default=ProfileChoice.AUTO,
        metadata={
            "label": "Kind of file server",
            "choice_labels": {ProfileChoice.AUTO: "As it says of itself"}
            | {ProfileChoice(profile.key): profile.label for profile in PROFILES.values()},
            "help": "Decides its variables, its highest level and whether its dumps have tokens.",
        },
    )
    backup_type: str = field(
        default="dump",
        metadata={
            "label": "Type of backup",
            "help": "The kind of image that it makes. Test shows which it knows; “dump” is known nearly everywhere.",
        },
    )
    history: HistoryWish = field(
        default=HistoryWish.ITS_CHOICE,
        metadata={
            "label": "File history",
            "choice_labels": {
                HistoryWish.ITS_CHOICE: "As the file server prefers",
                HistoryWish.PATHS: "By paths",
                HistoryWish.INODES: "By inodes",
                HistoryWish.NONE: "None: only whole volumes can be restored",
            },
            "help": "Which files are in a dump. Browse, search and the restore of single files are made of it.",
        },
    )
    environment: tuple[str, ...] = field(
        default=(),
        metadata={
            "label": "Added variables",
            "help": "One NAME=value a line, given with every backup. What the job sets itself is refused.",
        },
    )
    direction: Direction = field(
        default=Direction.WE_LISTEN,
        metadata=DIRECTION,
    )
    data_addresses: tuple[str, ...] = field(
        default=(),
        metadata={
            "label": "Its addresses for data",
            "help": "One address or network a line, like 10.0.1.0/24. Empty: only the address above. Data from anybody "
            "else is refused.",
        },
    )
    listen_host: str | None = field(
        default=None,
        metadata=LISTEN_HOST,
    )
    ports: str | None = field(
        default=None,
        metadata=PORTS,
    )

    def __post_init__(self) -> None:
        if self.auth is not AuthWay.NONE and not self.password.reveal():
            raise InvalidOptions("Password is missing.", field="password")
        pairs = self.pairs()
        for pair in pairs:
            if pair.name in OURS:
                raise InvalidOptions(f"The variable {pair.name} is set by the job itself.", field="environment")
        transfer.networks(self.data_addresses)
        _ports(self.ports or "")

    def pairs(self) -> tuple[Pair, ...]:
        """The added variables."""
        return pairs_from(self.environment)

    def server(self) -> Server:
        return Server(host=self.host, port=self.port, account=self.account, password=self.password, auth=self.auth)

    def data_path(self) -> DataPath:
        return DataPath(
            direction=self.direction,
            listen_host=self.listen_host,
            ports=_ports(self.ports or ""),
            allowed=transfer.networks(self.data_addresses),
        )


def profile_of(options: Mapping[str, object], facts: Mapping[str, object]) -> Profile:
    """From stored options. ``facts`` are what the last Test found, which counts where no kind was chosen."""
    chosen = options.get("profile", ProfileChoice.AUTO)
    key = facts.get("profile") if chosen == ProfileChoice.AUTO else chosen
    return PROFILES.get(str(key), GENERIC)


def _ports(text: str) -> range:
    """“10001-10020” or “10001”; empty = any. Raises InvalidOptions (``ports``)."""
    if not text.strip():
        return range(0)
    match = _PORTS.match(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65_535 or last - first >= MOST_PORTS:
        raise InvalidOptions(
            f"“{text}” is no range of ports.",
            field="ports",
            hint=f"Write it like 10001-10020, with at most {MOST_PORTS} ports.",
        )
    return range(first, last + 1)
