"""The recoveries that a restore of dumps is made of: which content paths, which dump, which names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...errors import EngineUnsupported, NotInCopy
from ...ndmp.login import Capabilities
from ...ndmp.profiles import PROFILES, Profile
from ...ndmp.values import WantedName
from ...plan import StoredPath
from ..restoring.selection import split_path
from .names import BLOCK_BYTES, Piece, Places
from .stored import StoredDump


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One recovery. ``piece`` None = the whole volume."""

    dump: StoredDump
    names: tuple[WantedName, ...]
    expected_bytes: int
    piece: Piece | None = None
    is_direct: bool = False


def by_content(content: Sequence[StoredPath], paths: Sequence[StoredPath]) -> dict[bytes, list[bytes]]:
    """The wanted paths of each content path, seen from there; none = all of it. Raises NotInCopy."""
    found: dict[bytes, list[bytes]] = {}
    whole: set[bytes] = set() if paths else set(content)
    for path in paths:
        parts = split_path(path)
        homes = {home: split_path(home) for home in content}
        inside = [home for home, above in homes.items() if parts[: len(above)] == above and len(parts) > len(above)]
        above = [home for home, below in homes.items() if below[: len(parts)] == parts]
        if not inside and not above:
            raise NotInCopy(f"“{path.decode('utf-8', 'backslashreplace')}” is not in this backup copy.")
        whole.update(above)
        if inside and not above:
            home = max(inside, key=lambda home: len(homes[home]))
            found.setdefault(home, []).append(b"/".join(parts[len(homes[home]) :]))
    return {home: [] if home in whole else found[home] for home in content if home in whole or home in found}


def step_of(dump: StoredDump, piece: Piece, *, is_direct: bool) -> Step:
    places = {entry.fh_info: entry.size for entry in piece.wanted}
    direct_bytes = sum(places.values()) + BLOCK_BYTES * len(places)
    return Step(
        dump=dump,
        names=piece.names,
        piece=piece,
        is_direct=is_direct,
        expected_bytes=direct_bytes if is_direct else dump.image.size,
    )


def require_fit(dump: StoredDump, profile: Profile, told: Capabilities) -> None:
    """Images are the vendor's own: another kind of file server writes rubbish, or nothing. Raises EngineUnsupported."""
    if dump.profile != profile.key:
        maker = PROFILES[dump.profile].label if dump.profile in PROFILES else dump.profile
        raise EngineUnsupported(
            f"The dump was made by “{maker}”; this file server is “{profile.label}” and cannot read it.",
            hint="Restore to a file server of the same kind.",
        )
    offered = [kind.name for kind in told.backup_types]
    if offered and dump.type not in offered:
        raise EngineUnsupported(
            f"The file server does not know images of the type “{dump.type}”, only {', '.join(offered)}.",
            hint="Restore to a file server that knows the type.",
        )


def named(step: Step, places: Places) -> Callable[[str], bytes]:
    """From what a file server calls a file that failed to its path at the point."""
    content = step.dump.content.rstrip(b"/")
    known: dict[bytes, bytes] = {}
    for entry in step.piece.wanted if step.piece else ():
        live = content + b"/" + entry.path
        known[entry.original.strip(b"/")] = known[places.of(live).strip(b"/")] = live
    target = places.of(step.dump.content).rstrip(b"/") + b"/"

    def path_of(name: str) -> bytes:
        told = name.encode("utf-8", "surrogateescape")
        if told.strip(b"/") in known:
            return known[told.strip(b"/")]
        if told.startswith(target):
            return content + b"/" + told.removeprefix(target)
        return told if told.startswith(content + b"/") else content + b"/" + told.removeprefix(b"./").lstrip(b"/")

    return path_of
