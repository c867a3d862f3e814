"""A policy as the tree its data flows along: from the primary snap copy to the last backup copy."""

from __future__ import annotations

from dataclasses import dataclass

from policies.models import Copy, CopyKind, StoragePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A copy and what is fed from it, in order of precedence."""

    copy: Copy
    branches: tuple[Branch, ...]
    is_first: bool
    """First of its family: no copy is read before it that it could change places with."""
    is_last: bool

    @property
    def can_move(self) -> bool:
        return not (self.is_first and self.is_last)


def copy_tree(policy: StoragePolicy) -> Branch | None:
    """The primary snap copy with everything that it feeds; None for a policy without copies.

    Reads ``policy.copies`` once, so that a prefetch serves.
    """
    copies = list(policy.copies.all())
    primary = next((copy for copy in copies if copy.kind == CopyKind.PRIMARY_SNAP), None)
    if primary is None:
        return None
    feeds: dict[int, list[Copy]] = {}
    for copy in copies:
        if copy.pk != primary.pk:
            feeds.setdefault(_source_of(copy, policy, primary), []).append(copy)
    snaps = [copy.pk for copy in copies if not copy.is_backup and copy.pk != primary.pk]
    backups = [copy.pk for copy in copies if copy.is_backup]
    ends = {family[0] for family in (snaps, backups) if family}, {family[-1] for family in (snaps, backups) if family}

    def branch(copy: Copy) -> Branch:
        below = tuple(branch(fed) for fed in feeds.pop(copy.pk, []))
        return Branch(copy=copy, branches=below, is_first=copy.pk in ends[0], is_last=copy.pk in ends[1])

    return branch(primary)


def _source_of(copy: Copy, policy: StoragePolicy, primary: Copy) -> int:
    """Its own source, else for backup copies the policy's (RULES B6), else the primary snap copy."""
    if copy.source_id is not None:
        return copy.source_id
    if copy.is_backup and policy.backup_source_id is not None:
        return policy.backup_source_id
    return primary.pk
