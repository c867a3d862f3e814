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
from ..ndmp.options import NdmpOptions, ProfileChoice
from .options import OntapOptions

_NOWHERE: Final = Path("/")
"""Nothing is mounted: what the cluster calls / is never looked at on a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OntapNdmpOptions:
    """The cluster's REST interface as in :class:`.options.OntapOptions`, and the SVM's NDMP service."""

    host: str = field(
        metadata={
            "label": "Management address",
            "help": "Name or address of the cluster’s management interface, or of the SVM’s own, like cluster1.",
        }
    )
    port: int = field(
        default=443, metadata={"label": "Port", "minimum": 1, "maximum": 65_535, "help": "443 nearly everywhere."}
    )
    svm: str = field(
        metadata={"label": "Storage VM", "help": "The SVM that has the volumes, like svm1: “vserver show” lists them."}
    )
    account: str = field(
        default="snapcopy",
        metadata={
            "label": "Account",
            "help": "An account for the REST interface (http). The documentation lists what its role needs.",
        },
    )
    password: Secret = field(metadata={"label": "Password", "help": "Of that account. It is kept encrypted."})
    ca_file: Path | None = field(
        default=None,
        metadata={
            "label": "Certificates to trust",
            "help": "A PEM file on the access nodes with the authority of the cluster’s certificate. Empty: those that "
            "the system trusts.",
        },
    )
    fingerprint: str | None = field(
        default=None,
        metadata={
            "label": "Fingerprint",
            "help": "SHA-256 of the cluster’s own certificate: exactly that one is trusted, whoever signed it. Test "
            "shows it where nothing is trusted yet.",
        },
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
        metadata={
            "label": "Data connection",
            "choice_labels": {
                Direction.WE_LISTEN: "The file server connects to the access node",
                Direction.FILER_LISTENS: "The access node connects to the file server",
            },
            "help": "Which of the two a firewall lets through.",
        },
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
        metadata={
            "label": "Address of the node for data",
            "help": "An IPv4 address of the access node. Empty: the one it reaches the file server by.",
        },
    )
    ports: str | None = field(
        default=None,
        metadata={
            "label": "Ports of the node for data",
            "help": "Like 10001-10020, where a firewall needs to know them: at least one for each session. Empty: any "
            "free port.",
        },
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
