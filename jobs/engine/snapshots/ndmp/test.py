"""What **Test** of an NDMP file server finds: who it is, and what it can do. Not a test module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ...errors import EngineError, EngineUnsupported
from ...events import Control, FreeRun
from ...media.base import TestReport, TestStep
from ...ndmp import messages
from ...ndmp.login import Capabilities, capabilities, connect
from ...ndmp.operation import Operation
from ...ndmp.profiles import PROFILES, Profile, suggested
from ...ndmp.session import Session, Waits, readable
from ...ndmp.transfer import Direction, data_connection
from ...ndmp.values import UNKNOWN, BackupAbility, BackupType, FileSystem, Nothing
from ..content import is_inside
from ..probe import timed_step
from .options import NdmpOptions, ProfileChoice

MOST_FILE_SYSTEMS: Final = 2_000
"""So many are kept for the forms."""
WAITS: Final = Waits(connect=10.0, answer=20.0, data_connect=10.0)
_ONLINE: Final = frozenset({"", "online", "mounted", "ok"})


def file_systems_of(session: Session) -> tuple[FileSystem, ...]:
    """What can be backed up, as the file server says it; empty where it does not."""
    reply = session.ask(messages.GET_FS_INFO, Nothing()).reply
    return () if reply is None else reply.file_systems


def unknown_paths(paths: Sequence[str], file_systems: Sequence[FileSystem]) -> list[str]:
    """Paths that are no file system named here, nor inside one. Where none is named, nothing is unknown."""
    known = [one.logical_device for one in file_systems]
    return [path for path in paths if known and not any(is_inside(path, name) for name in known)]


def run_test(options: NdmpOptions, control: Control | None = None) -> TestReport:
    """Log in and ask for everything. Never raises an engine error."""
    return _Test(options, control or FreeRun()).run()


@dataclass
class _Test:
    """The steps share one session; the first that fails is the last."""

    options: NdmpOptions
    control: Control
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    _session: Session | None = None
    _can: Capabilities | None = None

    def run(self) -> TestReport:
        steps: list[TestStep] = []
        try:
            for name, action in (
                ("login", self._log_in),
                ("file server", self._identify),
                ("backup types", self._types),
                ("file systems", self._file_systems),
                ("data connection", self._data),
            ):
                steps.append(timed_step(name, action))
                if not steps[-1].ok:
                    break
        finally:
            if self._session is not None:
                self._session.close()
        return TestReport(steps=tuple(steps), facts=self.facts if self._can else {}, warnings=tuple(self.warnings))

    @property
    def session(self) -> Session:
        if self._session is None:
            raise EngineError("There is no session.")
        return self._session

    @property
    def can(self) -> Capabilities:
        if self._can is None:
            self._can = capabilities(self.session)
        return self._can

    def _log_in(self) -> str:
        self._session = connect(self.options.server(), self.control, waits=WAITS)
        return f"as “{self.options.account}” at {self.options.host}:{self.options.port}"

    def _identify(self) -> str:
        info, host = self.can.info, self.can.host
        said = [] if info is None else [readable(info.vendor), readable(info.product), readable(info.revision)]
        profile = self._profile()
        self.facts |= {
            "profile": profile.key,
            "vendor": said[0] if said else "",
            "product": said[1] if said else "",
            "version": said[2] if said else "",
            "host": "" if host is None else readable(host.host_name),
        }
        name = " ".join(word for word in said if word) or "it does not say what it is"
        return f"{name}; taken as “{profile.label}”, levels 0 to {profile.highest_level}"

    def _profile(self) -> Profile:
        fits = suggested(self.can.info)
        if self.options.profile is ProfileChoice.AUTO:
            return fits
        chosen = PROFILES[self.options.profile.value]
        if fits.key not in {"generic", chosen.key}:
            self.warnings.append(f"It is set to be “{chosen.label}”, but says that it is “{fits.label}”.")
        return chosen

    def _types(self) -> str:
        types = self.can.backup_types
        self.facts["types"] = [{"name": readable(one.name), "abilities": _abilities(one)} for one in types]
        if not types:
            self.warnings.append("It does not say which types of backup it knows.")
            return "not told"
        names = [readable(one.name) for one in types]
        self.facts["suggestions"] = {"backup_type": names}
        chosen = next((one for one in types if one.name == self.options.backup_type), None)
        if chosen is None:
            raise EngineUnsupported(
                f"It knows {', '.join(names)}, but not “{self.options.backup_type}”.",
                hint="Choose one of these as its type of backup.",
            )
        self._warn_about(chosen)
        return ", ".join(names)

    def _warn_about(self, chosen: BackupType) -> None:
        can = chosen.abilities
        if not can:
            return
        if not can & (BackupAbility.BACKUP_FH_FILE | BackupAbility.BACKUP_FH_DIR):
            self.warnings.append(f"“{chosen.name}” gives no file history: only whole volumes can be restored.")
        if not can & BackupAbility.BACKUP_INCREMENTAL:
            self.warnings.append(f"“{chosen.name}” knows no incrementals: every backup should be a full one.")
        if not can & BackupAbility.RECOVER_DIRECT:
            self.warnings.append(f"“{chosen.name}” cannot go to a file directly: it reads a whole dump for one file.")

    def _file_systems(self) -> str:
        found = self.can.file_systems
        self.facts["file_systems"] = [_described(one) for one in found[:MOST_FILE_SYSTEMS]]
        if not found:
            self.warnings.append("It does not say which file systems it has: type the content paths by hand.")
            return "not told"
        away = [readable(one.logical_device) for one in found if one.status.lower() not in _ONLINE]
        if away:
            self.warnings.append(f"Not online: {', '.join(away[:20])}.")
        return f"{len(found)}: {', '.join(readable(one.logical_device) for one in found[:20])}"

    def _data(self) -> str:
        """A data connection is opened and dropped; nothing goes over it."""
        operation = Operation(self.session)
        with self.session.subscribed(operation):
            try:
                with data_connection(self.session, self.options.data_path()) as opened:
                    ours, theirs = opened.getsockname(), opened.getpeername()
            finally:
                operation.abort()
        if self.options.direction is Direction.WE_LISTEN:
            return f"it comes from {theirs[0]} to {ours[0]}:{ours[1]}"
        return f"this node reaches {theirs[0]}:{theirs[1]}"


def _described(one: FileSystem) -> dict[str, object]:
    """JSON-compatible. Sizes in bytes, None = the file server does not tell."""
    return {
        "path": readable(one.logical_device),
        "kind": readable(one.kind),
        "total_bytes": _number(one, bit=0, value=one.total_bytes),
        "used_bytes": _number(one, bit=1, value=one.used_bytes),
        "status": readable(one.status),
    }


def _number(one: FileSystem, *, bit: int, value: int) -> int | None:
    """Some say nothing by saying that the whole has no size."""
    return None if one.unsupported >> bit & 1 or value == UNKNOWN or not one.total_bytes else value


def _abilities(type: BackupType) -> list[str]:  # noqa: A002
    return [one.name.lower().replace("_", " ") for one in BackupAbility if one in type.abilities and one.name]
