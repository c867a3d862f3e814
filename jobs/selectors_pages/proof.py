"""How well it is known that backup copies can be restored: what is damaged on a medium."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.models import BackupCopy, DamagedPack, DamagedPath, MediumReading
from policies.models import Media


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Of one medium, as its last verification or repair found it. ``problems`` may be there without pack or path.

    ``lists_all`` False: more paths are damaged than are named.
    """

    packs: int
    paths: int
    copies: int
    problems: int
    lists_all: bool = True

    def __bool__(self) -> bool:
        return bool(self.packs or self.paths or self.copies or self.problems)


def damage_of(media: Media) -> Damage:
    """Four queries."""
    reading = MediumReading.objects.filter(media=media).first()
    copies = BackupCopy.objects.filter(media=media).exclude(damaged_files=0, damaged_folders=0)
    return Damage(
        packs=DamagedPack.objects.filter(media=media).count(),
        paths=DamagedPath.objects.filter(media=media).count(),
        copies=copies.count(),
        problems=reading.problems if reading else 0,
        lists_all=reading.lists_all_damage if reading else True,
    )
