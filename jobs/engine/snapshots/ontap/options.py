"""Settings of a NetApp ONTAP file server: where its cluster answers, as whom to come, where its volumes are mounted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...errors import InvalidOptions
from ...plan import Secret
from ..arrays.certificates import checked_fingerprint

MOST_LABEL: Final = 31
"""Characters of a SnapMirror label, as the maker's client demands."""


CA_FILE: Final = {
    "label": "Certificates to trust",
    "help": "A PEM file on the access nodes with the authority of the cluster’s certificate. Empty: those that the "
    "system trusts.",
}
FINGERPRINT: Final = {
    "label": "Fingerprint",
    "help": "SHA-256 of the cluster’s own certificate: exactly that one is trusted, whoever signed it. Test shows it "
    "where nothing is trusted yet.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Where the REST interface of a cluster answers, and as whom to come: the beginning of each form of ONTAP."""

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
        metadata={
            "label": "Storage VM",
            "help": "The SVM that serves the volumes, like svm1: “vserver show” lists them.",
        }
    )
    account: str = field(
        default="snapcopy",
        metadata={
            "label": "Account",
            "help": "An account for the REST interface (http). The documentation lists what its role needs.",
        },
    )
    password: Secret = field(metadata={"label": "Password", "help": "Of that account. It is kept encrypted."})


@dataclass(frozen=True, slots=True, kw_only=True)
class OntapOptions(ClusterOptions):
    """One storage VM (SVM), and the directory of the access nodes that its namespace is mounted at."""

    namespace_mount: Path = field(
        metadata={
            "label": "Mounted at",
            "help": "Directory on the access nodes where the root of the SVM (/) is mounted by NFS, like /mnt/svm1. A "
            "volume with the junction path /vol1 is then /mnt/svm1/vol1.",
        }
    )
    ca_file: Path | None = field(
        default=None,
        metadata=CA_FILE,
    )
    fingerprint: str | None = field(
        default=None,
        metadata=FINGERPRINT,
    )
    snapmirror_label: str | None = field(
        default=None,
        metadata={
            "label": "SnapMirror label",
            "help": "Put on every snapshot, for SnapMirror policies that keep snapshots by their label. Empty: none.",
        },
    )
    timeout_seconds: int = field(
        default=120,
        metadata={
            "label": "Time limit",
            "minimum": 1,
            "maximum": 86_400,
            "help": "Seconds that one operation of the cluster may take; a transfer to a secondary may take any time.",
        },
    )

    def __post_init__(self) -> None:
        checked_fingerprint(self.fingerprint)
        if len(self.snapmirror_label or "") > MOST_LABEL:
            raise InvalidOptions(f"A SnapMirror label has at most {MOST_LABEL} characters.", field="snapmirror_label")

    @property
    def address(self) -> str:
        """For people: “cluster1”, or “cluster1:8443” where the port is another one."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"
