"""One directory of which is known what changed in it: its old nodes are taken over, and only those names are looked at.

The figures begin with the parent's totals; whatever is looked at again, or is gone, is taken off them here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ...repository.gojson import go_time
from ...repository.tree import node_content, node_subtree
from ...source.diff import ChangedDirectory, Difference, Range, find_directory
from ...source.listing import open_directory
from ...source.node import DIRECTORY, REGULAR, TYPE_MASK, attributes_of, content_suffix, subtree_suffix
from ...source.status import Status
from .old_chunks import OldChunks, fit_ranges
from .old_nodes import OldNodes, directory_prefix, load_old, node_kind, node_mtime, node_size, raw_name
from .pending import FoundEntry, PendingDirectory, WantedFile
from .renewal import LookedAt, plan_renewal
from .visit import Visitor

_SMALL_BYTES: Final = 256 << 10
"""Up to this size a file is rather read than asked about, unless its mtime says that its data did not change."""
_RANGED_BYTES: Final = 4 << 20
"""From this size on, only changed ranges are read."""


@dataclass(slots=True, kw_only=True)
class _Work:
    """A directory being renewed, and what is put off until all its entries were looked at."""

    directory: PendingDirectory
    changed: ChangedDirectory
    fd: int
    keepable: list[tuple[WantedFile, str]] = field(default_factory=list)
    changed_files: list[WantedFile] = field(default_factory=list)
    below: list[PendingDirectory] = field(default_factory=list)

    def path(self, name: str) -> str:
        """Where a name can be asked for its attributes."""
        return f"/proc/self/fd/{self.fd}/{name}"

    def old_path(self, name: str) -> str | None:
        """The path of a name of this directory in the older snapshot; None if the directory was not there."""
        return None if self.changed.origin is None else f"{self.changed.origin}/{name}"


class ChangedVisitor(Visitor):
    """A visitor that is told what changed. Whatever is new, or came from outside the content, is walked."""

    def visit(self, directory: PendingDirectory) -> None:
        """As a walk does, but only for what changed."""
        if directory.parent_tree is not None:
            self._tally.dirs_unmodified -= 1
        changed = find_directory(self._difference(directory).root, directory.relative)
        if changed is None:
            super().visit(directory)
            return
        try:
            fd = open_directory(self._context.path(directory.root, directory.relative))
        except OSError as error:
            self._directory_failed(directory, error)
            return
        try:
            self._renew(_Work(directory=directory, changed=changed, fd=fd))
        finally:
            os.close(fd)

    def _difference(self, directory: PendingDirectory) -> Difference:
        return self._context.differences[directory.root]

    def _renew(self, work: _Work) -> None:
        directory = work.directory
        tree = directory.parent_tree
        old = load_old(self._store.load_nodes, tree) if tree is not None else {}
        try:
            renewal = plan_renewal(work.changed, old, work.fd, is_new=tree is None)
        except OSError as error:
            self._directory_failed(directory, error)
            return
        self._tally.sockets_skipped += renewal.sockets
        for name, why in renewal.failed:
            self._failed(directory, name, why)
        for body in renewal.gone:
            self._forget(directory, old[body], work.old_path(os.fsdecode(raw_name(body))))
        slots = {body: slot for slot, body in enumerate(renewal.order)}
        directory.nodes = [renewal.kept.get(body, "") for body in renewal.order]
        directory.waiting = len(renewal.looked_at) + 1
        for item in renewal.looked_at:
            self._renew_entry(work, item, slots[item.body])
        work.changed_files += self._keep_complete(directory, work.keepable)
        self._read_changed(directory, work.changed_files, work.fd)
        for child in work.below:
            self._push(child)
        directory.waiting -= 1
        if not directory.waiting:
            self._assembly.complete(directory)

    def _renew_entry(self, work: _Work, item: LookedAt, slot: int) -> None:
        directory, st = work.directory, item.st
        origin = item.entry.origin if item.entry is not None else None
        stays = origin is not None and origin == work.old_path(item.name)
        if item.own is not None and (not stays or node_kind(item.own) != "dir"):
            self._forget(directory, item.own, work.old_path(item.name))
        old = item.own if stays else self._old_node(directory, origin)
        if st is None:
            self._renew_directory(work, item, old, slot, prefix=None)
            return
        prefix = self._reuse[directory.root].prefix(item.body, st, self._device_id(st), None)
        kind = st.st_mode & TYPE_MASK
        if kind == DIRECTORY:
            self._renew_directory(work, item, old, slot, prefix=prefix + attributes_of(work.path(item.name)))
        elif kind == REGULAR:
            self._renew_file(work, item, WantedFile(directory, slot, item.name, st, prefix), old)
        else:
            self._special(directory, FoundEntry(slot, item.name, st, item.body, prefix, old), work.fd)

    def _renew_directory(self, work: _Work, item: LookedAt, old: str | None, slot: int, *, prefix: str | None) -> None:
        """``prefix`` None = the directory's own node is as it was."""
        tree = node_subtree(old) if old is not None else None
        if prefix is None and old is not None:
            prefix = directory_prefix(old)
        below = item.entry.below if item.entry is not None else None
        if tree is not None and below is None and prefix is not None:
            work.directory.nodes[slot] = prefix + subtree_suffix(tree)
            work.directory.waiting -= 1
            return
        work.below.append(
            PendingDirectory(
                root=work.directory.root,
                relative=f"{work.directory.relative}/{item.name}",
                parent=work.directory,
                slot=slot,
                name=item.body,
                prefix=prefix,
                parent_tree=tree,
                known=None,
            )
        )

    def _renew_file(self, work: _Work, item: LookedAt, file: WantedFile, old: str | None) -> None:
        if old is None or node_kind(old) != "file":
            self._tally.files_new += 1
            work.changed_files.append(file)
            return
        st = file.st
        same = self._reuse[work.directory.root].unchanged_file(old, file.prefix, st, work.path(item.name))
        if same is not None:
            work.keepable.append((file, same))
            return
        ranges = self._changed_ranges(work, item, old, st)
        if ranges is not None and not ranges:
            content = content_suffix([blob.hex() for blob in node_content(old)])
            work.keepable.append((file, file.prefix + attributes_of(work.path(item.name)) + content))
            return
        self._tally.files_changed += 1
        if ranges is None or st.st_size < _RANGED_BYTES or not self._read_ranges(work, file, old, ranges):
            work.changed_files.append(file)

    def _changed_ranges(self, work: _Work, item: LookedAt, old: str, st: Status) -> list[Range] | None:
        """Ranges of the file as it is now that may hold other data than before; None = all of it."""
        if item.entry is None:
            return None
        if st.st_size <= _SMALL_BYTES and node_mtime(old) != go_time(st.st_mtime_ns):
            return None
        try:
            ranges = self._difference(work.directory).changed_ranges(item.entry.inode)
        except OSError:
            return None
        return None if ranges is None else fit_ranges(ranges, node_size(old), st.st_size)

    def _read_ranges(self, work: _Work, file: WantedFile, old: str, ranges: list[Range]) -> bool:
        """Read only what changed; False if the old content cannot serve, so that all must be read."""
        content = node_content(old)
        lengths = self._store.plain_lengths(content)
        if not content or lengths is None or sum(lengths) != node_size(old):
            return False
        try:
            old_chunks = OldChunks(list(zip(content, lengths, strict=True)), ranges, file.st.st_size)
            self._files.read_ranges(file, work.fd, old_chunks)
        except OSError as error:
            self._entry_failed(file.directory, file.slot, file.name, error)
        self._tally.files_done += 1
        return True

    def _old_node(self, directory: PendingDirectory, origin: str | None) -> str | None:
        return self._old_trees[directory.root].find(origin) if origin is not None else None

    @cached_property
    def _old_trees(self) -> list[OldNodes]:
        return [OldNodes(self._store.load_nodes, tree) for tree in self._context.old_trees]

    def _forget(self, directory: PendingDirectory, node: str, path: str | None) -> None:
        """Take an old node, and all that was below it, off the figures; directories that moved are counted there."""
        moved = self._difference(directory).origins
        tally = self._tally
        pending = [(node, path)]
        while pending:
            node, path = pending.pop()
            kind = node_kind(node)
            if kind == "file":
                tally.files_unmodified -= 1
                tally.files_done -= 1
                tally.bytes_done -= node_size(node)
                tally.files_replaced += 1
                tally.bytes_replaced += node_size(node)
            tree = node_subtree(node) if kind == "dir" and path not in moved else None
            if tree is not None:
                tally.dirs_unmodified -= 1
                below = load_old(self._store.load_nodes, tree)
                pending += [(child, f"{path}/{os.fsdecode(raw_name(body))}") for body, child in below.items()]
