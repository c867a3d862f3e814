"""Directories of one worker: made or entered, their entries handed on, their metadata set when all below is done."""

from __future__ import annotations

import os
import stat
from typing import Final

from ...ids import BlobId
from ...plan import Overwrite
from ...repository.tree import Node, NodeKind
from .context import Context
from .decision import FORMATS, Decision, replaces_non_directory
from .directories import hands_down, is_in_progress, lstat
from .files import Files
from .hard_links import link_key
from .items import EntriesItem, Folder, FolderItem, Parent, Place
from .selection import Selection
from .source import UnreadError
from .temporary import sweep, unlink_quietly

SLICE_ENTRIES: Final = 512
"""A directory with more than twice as many entries is shared out between workers."""


class Visitor:
    """Walks the wanted part of the tree of a copy and restores everything that is not a regular file's content."""

    def __init__(self, context: Context, files: Files) -> None:
        self._context = context
        self._files = files

    def folder(self, item: FolderItem, parent: Parent) -> None:
        """One directory of the copy."""
        context = self._context
        try:
            nodes, unread = context.source.listing(item)
        except UnreadError as error:
            context.fail_unread(item.path or b"/", error.unread)
            context.finished(parent)
            return
        for name, why in unread:
            if item.selection.below(name) is not None:
                context.fail_unread(item.path + b"/" + name, why)
        try:
            folder = self._enter(item, parent)
        except OSError as error:
            context.fail_from(item.path or b"/", error)
            context.finished(parent)
            return
        if not folder.place.is_fresh:
            sweep(context.directories.fd(item.parts), {node.name for node in nodes})
        if len(nodes) > 2 * SLICE_ENTRIES:
            for start in range(0, len(nodes), SLICE_ENTRIES):
                folder.waiting += 1
                context.push(EntriesItem(folder.place, nodes[start : start + SLICE_ENTRIES], item.selection), folder)
        else:
            self._entries(folder, nodes, item.selection)
        context.finished(folder)

    def entries(self, item: EntriesItem, parent: Parent) -> None:
        """A slice of a large directory, for a worker that may not be the one who made it."""
        folder = parent if isinstance(parent, Folder) else Folder(item.place, None, parent, is_guest=True)
        self._entries(folder, item.nodes, item.selection)
        self._context.finished(folder)

    def _enter(self, item: FolderItem, parent: Parent) -> Folder:
        """Make the directory, or open the one that is there. Raises OSError."""
        context = self._context
        directories, parts = context.directories, item.parts
        is_fresh = bool(parts) and (directories.make(parts) or self._replace_non_directory(item))
        fd = directories.fd(parts)
        status = os.fstat(fd)
        is_unfinished = not is_fresh and is_in_progress(status)
        is_new = is_fresh or is_unfinished
        keeps_metadata = not is_new and (item.is_on_the_way or context.wishes.overwrite is Overwrite.NEVER)
        place = Place(
            parts=parts,
            path=item.path,
            is_fresh=is_fresh,
            is_unfinished=is_unfinished,
            inherits=hands_down(fd, status),
            home=parts if status.st_dev != item.device or parts == context.wishes.begin else item.home,
            device=status.st_dev,
        )
        return Folder(place, None if keeps_metadata else item.node, parent, is_new=is_new)

    def _replace_non_directory(self, item: FolderItem) -> bool:
        """Put a directory in the place of a file or link, if the overwrite mode allows it."""
        directories = self._context.directories
        parent_fd = directories.fd(item.parts[:-1])
        existing = lstat(parent_fd, item.parts[-1])
        if existing is None or stat.S_ISDIR(existing.st_mode) or item.node is None:
            return False
        if not replaces_non_directory(item.node, existing, self._context.wishes.overwrite):
            return False
        os.unlink(item.parts[-1], dir_fd=parent_fd)
        return directories.make(item.parts)

    def _entries(self, folder: Folder, nodes: list[Node], selection: Selection) -> None:
        context, place = self._context, folder.place
        below: list[tuple[Node, BlobId, Selection]] = []
        for node in nodes:
            inside = selection.below(node.name)
            if inside is None:
                continue
            if node.kind is NodeKind.FILE:
                self._files.add(folder, context.directories.fd(place.parts), node)
            elif node.subtree is not None:
                below.append((node, node.subtree, inside))
            else:
                self._special(folder, node)
        if below:
            self._descend(folder, below)

    def _descend(self, folder: Folder, below: list[tuple[Node, BlobId, Selection]]) -> None:
        """Directories of a directory: the first is done first."""
        place = folder.place
        folder.waiting += len(below)
        places = self._context.source.tree_places([node for node, _tree, _inside in below])
        for (node, tree, inside), tree_place in zip(reversed(below), reversed(places), strict=True):
            item = FolderItem(
                (*place.parts, node.name),
                place.path + b"/" + node.name,
                node,
                tree,
                tree_place,
                inside,
                place.home,
                place.device,
            )
            self._context.push(item, folder)

    def _special(self, folder: Folder, node: Node) -> None:
        """A link, device, fifo or socket."""
        context, place = self._context, folder.place
        path = place.path + b"/" + node.name
        if node.kind not in FORMATS:
            context.fail(path, "this kind of entry cannot be restored", "entry-unsupported")
            return
        try:
            directory_fd = context.directories.fd(place.parts)
            existing = None if place.is_fresh else lstat(directory_fd, node.name)
            decision = context.decide(node, existing, place)
            if decision is Decision.BLOCKED and context.wishes.overwrite is Overwrite.ALWAYS:
                os.rmdir(node.name, dir_fd=directory_fd)
                decision = Decision.WRITE
            if decision is Decision.COMPLETE and not _is_equal(directory_fd, node, existing):
                may_replace = place.is_unfinished or context.wishes.overwrite is not Overwrite.NEVER
                decision = Decision.REPLACE if may_replace else Decision.KEEP
            if decision is Decision.BLOCKED:
                context.fail(path, "a directory is in its place", "file-unwritable")
            elif decision is Decision.KEEP:
                context.tally.files_skipped += 1
                context.tally.files_done += 1
            elif decision is Decision.COMPLETE:
                context.tally.files_unmodified += 1
                context.tally.files_done += 1
            else:
                self._make_special(place, directory_fd, node, path)
                context.tally.files_done += 1
                if existing is None:
                    context.tally.files_new += 1
                else:
                    context.tally.files_changed += 1
        except OSError as error:
            context.fail_from(path, error)

    def _make_special(self, place: Place, directory_fd: int, node: Node, path: bytes) -> None:
        temporary = self._context.names.next()
        if node.kind is NodeKind.SYMLINK:
            os.symlink(node.link_target, temporary, dir_fd=directory_fd)
        else:
            device = node.device if node.kind in {NodeKind.BLOCK_DEVICE, NodeKind.CHARACTER_DEVICE} else 0
            os.mknod(temporary, FORMATS[node.kind] | 0o600, device, dir_fd=directory_fd)
        try:
            self._context.metadata.set_on_entry(directory_fd, temporary, node, path)
            if node.links > 1:
                self._context.links.publish(place.home, link_key(node), place.parts, temporary, path=path)
                directory_fd = self._context.directories.fd(place.parts)
            os.rename(temporary, node.name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
            unlink_quietly(temporary, directory_fd)
        except OSError:
            unlink_quietly(temporary, directory_fd)
            raise

    def complete(self, folder: Folder) -> None:
        """Everything below a directory is done: its metadata come last."""
        context, place = self._context, folder.place
        if folder.is_guest:
            return
        if place.parts:
            try:
                fd = context.directories.fd(place.parts)
                if folder.node is not None:
                    context.metadata.set_on_folder(fd, folder.node, place.path, is_new=folder.is_new)
            except OSError as error:
                context.fail_from(place.path, error)
            context.directories.forget(place.parts)
            context.tally.directories_done += 1
        context.tally.publish()


def _is_equal(directory_fd: int, node: Node, existing: os.stat_result | None) -> bool:
    """Whether a link at the target points where ours does, or a device is the same one."""
    if node.kind is NodeKind.SYMLINK:
        return os.readlink(node.name, dir_fd=directory_fd) == node.link_target
    if node.kind in {NodeKind.BLOCK_DEVICE, NodeKind.CHARACTER_DEVICE}:
        return existing is not None and existing.st_rdev == node.device
    return True
