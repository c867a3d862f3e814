"""What a kind of medium tells the store that runs in the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...hosted.process import Driver
from ...plan import Secret
from ..hosted import HostedMedia

STORE: Final = f"{__package__}.store:ObjectStore"
GOOGLE_STORE: Final = f"{__package__}.google:GoogleStore"
LOCKING_STORE: Final = f"{__package__}.locking:LockingStore"
WEBDAV_STORE: Final = f"{__package__}.webdav:WebDavStore"

CONTROL_SECONDS: Final = 60.0
"""What a request without a body may take."""
TRANSFER_SECONDS: Final = 600.0
"""What a request with one may take: 16 MiB at 28 KiB/s. Wrappers give up earlier, where they are told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """The form's options that an error is about: ``container``, ``region`` and ``lock`` by name, the others in words.

    ``lock`` "" = such services have none.
    """

    container: str = ""
    region: str = ""
    login: str = ""
    limited_login: str = ""
    lock: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """``scheme`` and ``config`` are OpenDAL's. ``place`` names the medium in errors. ``fields``: see FieldNames.

    ``has_folders``: folders must exist before files, and a missing one is empty; elsewhere only the bucket can be
    missing where files are listed or put. ``login_ends_at`` is when the login says that it ends, in seconds since
    1970; None = it does not say.
    """

    scheme: str
    config: Mapping[str, str | Secret]
    place: str
    fields: FieldNames = field(default_factory=FieldNames)
    has_folders: bool = False
    login_ends_at: float | None = None

    def plain_config(self) -> dict[str, str]:
        """With secrets in the open, for the library only."""
        return {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in self.config.items()
            if value != ""
        }

    def without_secrets(self, text: str) -> str:
        """``text`` with every secret of these settings blotted out."""
        for value in self.config.values():
            if isinstance(value, Secret) and len(value.reveal()) >= 4:
                text = text.replace(value.reveal(), "***")
        return text


def hosted(settings: StoreSettings, *, store: str = STORE, ca_file: Path | None = None) -> HostedMedia:
    """The medium. ``ca_file`` holds the certificates to trust instead of the system's."""
    environment = (("SSL_CERT_FILE", str(ca_file)),) if ca_file is not None else ()
    return HostedMedia(
        Driver(factory=store, settings=settings, environment=environment),
        place=settings.place,
        call_seconds=TRANSFER_SECONDS + CONTROL_SECONDS,
    )
