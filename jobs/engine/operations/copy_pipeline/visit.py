"""One directory: list it, recognise what is unchanged, hand the rest to be read, and push its subdirectories.

Errors of one entry are reported and leave it out; the copy goes on (RULES J6). Anything else is raised.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ...errors import SourceMissing, SourceUnavailable
from ...repository.gojson import name_body
from ...repository.tree import node_content, node_subtree
from ...source.listing import Entry, list_entries, open_directory
from ...source.node import DIRECTORY, REGULAR, TYPE_MASK, attributes_of, special_suffix
from ...source.status import Status, source_entries, source_status
from .assembly import Assembly, Report
from .context import CopyContext
from .file_reader import FileReader, open_ahead
from .local_state import LocalState, path_key
from .messages import EntryFailed
from .pending import FoundEntry, PendingDirectory, PendingSlice, WantedFile
from .reuse import reuse_rules
from .sizing import SLICE_ENTRIES
from .stores import BlobStore
from .tally import Tally

_FILES_A_BEAT: Final = 32

Push = Callable[[PendingDirectory | PendingSlice], None]
_Keepable = tuple[WantedFile, str]
"""(the file, should it have to be read, and the node that may be kept instead)."""


class Visitor:
    """Visits directories for one worker. ``push`` takes what is to be visited next."""

    def __init__(
        self,
        *,
        context: CopyContext,
        store: BlobStore,
        assembly: Assembly,
        files: FileReader,
        tally: Tally,
        report: Report,
        state: LocalState | None,
        push: Push,
        beat: Callable[[], None],
    ) -> None:
        self._context = context
        self._store = store
        self._assembly = assembly
        self._files = files
        self._tally = tally
        self._report = report
        self._state = state
        self._push = push
        self._beat = beat
        self._reuse = [reuse_rules(context, root) for root in range(len(context.roots))]

    def visit(self, directory: PendingDirectory) -> None:
        """List a directory and do everything for it but reading contents that go to a batch or to another worker."""
        try:
            fd = open_directory(self._context.path(directory.root, directory.relative))
        except OSError as error:
            self._directory_failed(directory, error)
            return
        try:
            try:
                entries, sockets = list_entries(fd)
            except OSError as error:
                self._directory_failed(directory, error)
                return
            self._tally.sockets_skipped += sockets
            origins = self._context.roots[directory.root].origins
            unread: list[tuple[str, OSError]] = []
            if origins is not None:
                entries, unread = source_entries(entries, origins)
            for name, why in unread:
                self._failed(directory, name, why)
            self._process(directory, fd, entries, is_whole=not unread)
        finally:
            os.close(fd)

    def visit_slice(self, part: PendingSlice) -> None:
        """Read the files of a slice."""
        directory = part.directory
        try:
            fd = open_directory(self._context.path(directory.root, directory.relative))
        except OSError as error:
            for slot, name in part.files:
                self._entry_failed(directory, slot, name, error)
            return
        try:
            self._read(self._wanted(part, fd), fd)
        finally:
            os.close(fd)

    def _wanted(self, part: PendingSlice, fd: int) -> Iterator[WantedFile]:
        directory = part.directory
        origins = self._context.roots[directory.root].origins
        for slot, name in part.files:
            try:
                st = source_status(os.stat(name, dir_fd=fd, follow_symlinks=False), origins)
            except OSError as error:
                self._entry_failed(directory, slot, name, error)
                continue
            yield WantedFile(directory, slot, name, st, self._fresh_prefix(directory.root, name, st))

    def _process(self, directory: PendingDirectory, fd: int, entries: list[Entry], *, is_whole: bool) -> None:
        where = f"/proc/self/fd/{fd}"
        reuse = self._reuse[directory.root]
        if self._context.with_state and is_whole:
            fingerprint = reuse.fingerprint(entries, where)
            if reuse.is_recordable(entries):
                directory.fingerprint = fingerprint
            if fingerprint == directory.known:
                self._keep(directory, entries)
                return
        self._build(directory, fd, where, entries)

    def _keep(self, directory: PendingDirectory, entries: list[Entry]) -> None:
        """Nothing changed in the directory itself: only its subdirectories are looked at."""
        directory.is_unchanged = True
        below: list[PendingDirectory] = []
        files = size = 0
        for name, st in entries:
            kind = st.st_mode & TYPE_MASK
            if kind == DIRECTORY:
                below.append(self._child_of_unchanged(directory, name))
            elif kind == REGULAR:
                files += 1
                size += st.st_size
        tally = self._tally
        tally.files_unmodified += files
        tally.files_done += files
        tally.bytes_done += size
        directory.waiting = len(below)
        if not below:
            self._assembly.complete(directory)
            return
        self._find_forgotten(directory, below)
        for child in below:
            self._push(child)

    def _child_of_unchanged(self, directory: PendingDirectory, name: str) -> PendingDirectory:
        relative = f"{directory.relative}/{name}"
        found = self._state.find(path_key(directory.root, relative)) if self._state is not None else None
        return PendingDirectory(
            root=directory.root,
            relative=relative,
            parent=directory,
            name=name_body(name),
            known=found[0] if found else None,
            parent_tree=found[1] if found else None,
        )

    def _find_forgotten(self, directory: PendingDirectory, below: list[PendingDirectory]) -> None:
        """Trees of children that the state does not know are looked up in the directory's own tree."""
        forgotten = [child for child in below if child.parent_tree is None]
        if not forgotten or directory.parent_tree is None:
            return
        nodes = self._store.load_nodes(directory.parent_tree)
        for child in forgotten:
            node = nodes.get(child.name)
            child.parent_tree = node_subtree(node) if node is not None else None

    def _build(self, directory: PendingDirectory, fd: int, where: str, entries: list[Entry]) -> None:
        old = self._store.load_nodes(directory.parent_tree) if directory.parent_tree is not None else {}
        directory.nodes = [""] * len(entries)
        directory.waiting = len(entries) + 1
        below: list[PendingDirectory] = []
        keepable: list[_Keepable] = []
        changed: list[WantedFile] = []
        reuse = self._reuse[directory.root]
        prefix_of, unchanged_file = reuse.prefix, reuse.unchanged_file
        for slot, (name, st) in enumerate(entries):
            body = name_body(name)
            node = old.get(body)
            prefix = prefix_of(body, st, self._device_id(st) if st.st_nlink > 1 else 0, node)
            kind = st.st_mode & TYPE_MASK
            if kind == REGULAR:
                file = WantedFile(directory, slot, name, st, prefix)
                same = unchanged_file(node, prefix, st, f"{where}/{name}") if node is not None else None
                if same is not None:
                    keepable.append((file, same))
                    continue
                if node is None:
                    self._tally.files_new += 1
                else:
                    self._tally.files_changed += 1
                changed.append(file)
            elif kind == DIRECTORY:
                below.append(self._child(directory, FoundEntry(slot, name, st, body, prefix, node), where))
            else:
                self._special(directory, FoundEntry(slot, name, st, body, prefix, node), fd)
        changed += self._keep_complete(directory, keepable)
        self._read_changed(directory, changed, fd)
        for child in below:
            self._push(child)
        directory.waiting -= 1
        if not directory.waiting:
            self._assembly.complete(directory)

    def _device_id(self, st: Status) -> int:
        return self._context.device_id(st.st_dev) if st.st_nlink > 1 else 0

    def _fresh_prefix(self, root: int, name: str, st: Status) -> str:
        return self._reuse[root].prefix(name_body(name), st, self._device_id(st), None)

    def _child(self, directory: PendingDirectory, entry: FoundEntry, where: str) -> PendingDirectory:
        relative = f"{directory.relative}/{entry.name}"
        tree = node_subtree(entry.old) if entry.old is not None else None
        known = None
        if tree is not None and self._state is not None:
            found = self._state.find(path_key(directory.root, relative))
            if found is not None and found[1] == tree:
                known = found[0]
        return PendingDirectory(
            root=directory.root,
            relative=relative,
            parent=directory,
            slot=entry.slot,
            name=entry.body,
            prefix=entry.prefix + attributes_of(f"{where}/{entry.name}"),
            parent_tree=tree,
            known=known,
        )

    def _special(self, directory: PendingDirectory, entry: FoundEntry, fd: int) -> None:
        old = entry.old
        if old is not None and self._reuse[directory.root].unchanged_special(old, entry.prefix):
            directory.nodes[entry.slot] = old
            directory.waiting -= 1
            return
        try:
            directory.nodes[entry.slot] = entry.prefix + special_suffix(entry.st, entry.name, fd)
            directory.waiting -= 1
        except OSError as error:
            self._entry_failed(directory, entry.slot, entry.name, error)

    def _keep_complete(self, directory: PendingDirectory, keepable: list[_Keepable]) -> list[WantedFile]:
        """Keep nodes whose content the repository holds; returns the files that lost some of it and are read again."""
        contents = [node_content(node) for _, node in keepable]
        wanted = [blob for content in contents for blob in content]
        lost = self._store.missing(wanted) if wanted else set()
        again: list[WantedFile] = []
        tally = self._tally
        for (file, node), content in zip(keepable, contents, strict=True):
            if lost and not lost.isdisjoint(content):
                tally.files_changed += 1
                again.append(file)
                continue
            directory.nodes[file.slot] = node
            directory.waiting -= 1
            tally.files_unmodified += 1
            tally.files_done += 1
            tally.bytes_done += file.st.st_size
        return again

    def _read_changed(self, directory: PendingDirectory, changed: list[WantedFile], fd: int) -> None:
        """Read now, or leave in slices that an idle worker may take."""
        if len(changed) > 2 * SLICE_ENTRIES:
            for start in range(SLICE_ENTRIES, len(changed), SLICE_ENTRIES):
                part = [(file.slot, file.name) for file in changed[start : start + SLICE_ENTRIES]]
                self._push(PendingSlice(directory, part))
            del changed[SLICE_ENTRIES:]
        self._read(changed, fd)

    def _read(self, files: Iterable[WantedFile], fd: int) -> None:
        read, tally = self._files.read, self._tally
        for file, opened in open_ahead(files, fd):
            try:
                if isinstance(opened, OSError):
                    raise opened
                read(file, opened)
            except OSError as error:
                self._entry_failed(file.directory, file.slot, file.name, error)
            tally.files_done += 1
            if not tally.files_done % _FILES_A_BEAT:
                self._beat()

    def _entry_failed(self, directory: PendingDirectory, slot: int, name: str, error: OSError) -> None:
        self._failed(directory, name, error)
        directory.fingerprint = None
        self._assembly.fill(directory, slot, "")

    def _directory_failed(self, directory: PendingDirectory, error: OSError) -> None:
        path = self._context.stored_path(directory.root, directory.relative)
        if not directory.relative:
            shown = os.fsdecode(path)
            if isinstance(error, FileNotFoundError):
                raise SourceMissing(f"“{shown}” does not exist.") from error
            raise SourceUnavailable(f"“{shown}” cannot be read: {_reason(error)}.") from error
        self._report_failure(path, error)
        self._assembly.deliver(directory, None)

    def _failed(self, directory: PendingDirectory, name: str, error: OSError) -> None:
        self._report_failure(self._context.stored_path(directory.root, f"{directory.relative}/{name}"), error)

    def _report_failure(self, path: bytes, error: OSError) -> None:
        self._tally.exceptions += 1
        code = "file-vanished" if isinstance(error, FileNotFoundError) else "file-unreadable"
        self._report.send(EntryFailed(path, _reason(error), code))


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it became a link"
    return error.strerror or str(error)
