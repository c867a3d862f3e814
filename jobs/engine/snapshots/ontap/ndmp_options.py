"""Settings of an ONTAP file server whose snapshots are dumped by NDMP: who takes them, and who sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...ndmp.profiles import ONTAP, Profile
from ...ndmp.session import DEFAULT_PORT
from ...ndmp.transfer import Direction
from ...plan import Secret
from ..arrays.certificates import checked_fingerprint
from ..ndmp.options import DIRECTION, LISTEN_HOST, PORTS, NdmpOptions, ProfileChoice
from .options import CA_FILE, FINGERPRINT, ClusterOptions, OntapOptions

_NOWHERE: Final = Path("/")
"""Nothing is mounted: what the cluster calls / is never looked at on a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OntapNdmpOptions(ClusterOptions):
    """The cluster's REST interface as in :class:`.options.OntapOptions`, and the SVM's NDMP service."""

    svm: str = field(
        metadata={"label": "Storage VM", "help": "The SVM that has the volumes, like svm1: “vserver show” lists them."}
    )
    ca_file: Path | None = field(
        default=None,
        metadata=CA_FILE,
    )
    fingerprint: str | None = field(
        default=None,
        metadata=FINGERPRINT,
    )
    timeout_seconds: int = field(
        default=120,
        metadata={
            "label": "Time limit",
            "minimum": 1,
            "maximum": 86_400,
            "help": "Seconds that one operation of the cluster may take; a dump may take any time.",
        },
    )
    ndmp_host: str = field(
        metadata={"label": "NDMP address", "help": "Of a data interface of the SVM, on the node that has the volumes."}
    )
    ndmp_port: int = field(
        default=DEFAULT_PORT,
        metadata={"label": "NDMP port", "minimum": 1, "maximum": 65_535, "help": "10000 nearly everywhere."},
    )
    ndmp_account: str = field(
        default="ndmp", metadata={"label": "NDMP account", "help": "A user of the SVM that may use NDMP."}
    )
    ndmp_password: Secret = field(
        metadata={
            "label": "NDMP password",
            "help": "It is generated: “vserver services ndmp generate-password”.",
        }
    )
    direction: Direction = field(
        default=Direction.WE_LISTEN,
        metadata=DIRECTION,
    )
    data_addresses: tuple[str, ...] = field(
        default=(),
        metadata={
            "label": "Its addresses for data",
            "help": "One address or network a line, like 10.0.1.0/24. Empty: only the NDMP address. Data from anybody "
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
        checked_fingerprint(self.fingerprint)
        self.ndmp()

    def cluster(self) -> OntapOptions:
        """For the client of the REST interface."""
        return OntapOptions(
            host=self.host,
            port=self.port,
            svm=self.svm,
            account=self.account,
            password=self.password,
            ca_file=self.ca_file,
            fingerprint=self.fingerprint,
            timeout_seconds=self.timeout_seconds,
            namespace_mount=_NOWHERE,
        )

    def ndmp(self) -> NdmpOptions:
        """For sessions. Raises InvalidOptions."""
        return NdmpOptions(
            host=self.ndmp_host,
            port=self.ndmp_port,
            account=self.ndmp_account,
            password=self.ndmp_password,
            profile=ProfileChoice.ONTAP,
            direction=self.direction,
            data_addresses=self.data_addresses,
            listen_host=self.listen_host,
            ports=self.ports,
        )


def profile_of(_options: Mapping[str, object], _facts: Mapping[str, object]) -> Profile:
    """Levels 0 to 31, with tokens (RULES L2, L5)."""
    return ONTAP
