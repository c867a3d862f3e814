"""Regular files of one worker: collected into batches, read in pack order, written whole, renamed into place.

Small files go through batches; a large one is split into segments that any worker may take.
"""

from __future__ import annotations

import os
from hashlib import sha256
from itertools import accumulate
from typing import Final

from ...errors import RepositoryDamaged
from ...plan import Overwrite
from ...repository.tree import Node
from .context import Context, reason
from .decision import Decision
from .directories import lstat
from .fetching import Fetcher, PackPlace, Want, located, plain_bytes
from .hard_links import Claim, link_key
from .items import FileJob, Folder, InFlight
from .segments import REOPEN_FLAGS, SegmentWriter, cut_segments
from .sparse import PAGE, write_at, write_sparse, write_sparse_at

BATCH_FILES: Final = 1000
BATCH_BYTES: Final = 16 << 20
BATCH_OPEN_FILES: Final = 200
"""Files of several blobs in one batch: each may be open at the same time."""
LARGE_BYTES: Final = 48 << 20
_WRITE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Files:
    """Restores regular files. Every job that was added tells its folder when it is done, failed or not."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._fetcher = Fetcher(context.reader.repository, context.index, on_read=self._on_read)
        self._batch: list[FileJob] = []
        self._batch_bytes = 0
        self._batch_open = 0
        self.segments = SegmentWriter(context, self._fetcher)
        self._busy: list[FileJob] = []
        self._unfinished: set[int] = set()
        self._writing: dict[int, FileJob] = {}

    @property
    def has_busy(self) -> bool:
        """Whether links wait for a file that another worker restores."""
        return bool(self._busy)

    @property
    def has_batch(self) -> bool:
        return bool(self._batch)

    def add(self, folder: Folder, directory_fd: int, node: Node) -> None:
        """Decide about a file, and collect it if it is to be written."""
        context, place = self._context, folder.place
        if place.is_fresh and node.links <= 1:
            folder.waiting += 1
            self._collect(FileJob(folder, node, False))
            return
        existing = None if place.is_fresh else lstat(directory_fd, node.name)
        decision = context.decide(node, existing, place)
        if decision is Decision.BLOCKED and context.wishes.overwrite is Overwrite.ALWAYS:
            decision = _decision_about_directory(directory_fd, node.name)
        job = FileJob(folder, node, must_replace=existing is not None, must_verify=decision is Decision.VERIFY)
        folder.waiting += 1
        if decision is Decision.BLOCKED:
            self._fail(job, "a directory is in its place", "file-unwritable")
        elif decision is Decision.KEEP:
            context.tally.files_skipped += 1
            self._count(job)
        elif decision is Decision.COMPLETE:
            if node.links > 1:
                self._adopt(job)
            context.tally.files_unmodified += 1
            self._count(job)
        elif node.links > 1:
            self._start_linked(job)
        else:
            self._collect(job)

    def _collect(self, job: FileJob) -> None:
        self._batch.append(job)
        self._batch_bytes += min(job.node.size, LARGE_BYTES)
        self._batch_open += len(job.node.content) > 1
        if self._batch_bytes >= BATCH_BYTES or len(self._batch) >= BATCH_FILES or self._batch_open >= BATCH_OPEN_FILES:
            self.flush()

    def flush(self) -> None:
        """Restore what was collected."""
        batch, self._batch, self._batch_bytes, self._batch_open = self._batch, [], 0, 0
        if batch:
            places = located(self._context.index, [blob for job in batch for blob in job.node.content])
            wants: list[Want[FileJob]] = []
            position = 0
            for job in batch:
                end = position + len(job.node.content)
                self._plan(job, places[position:end], wants)
                position = end
            for (_, _, _, _, _, job, at), plain in self._fetcher.read(wants):
                if len(job.node.content) == 1 and not job.key:
                    self._write_whole(job, plain)
                else:
                    self._take(job, plain, at)
            self._context.tally.publish()
        if self._busy:
            self.retry_busy()

    def retry_busy(self) -> None:
        """Try again the links whose file was being restored by somebody."""
        busy, self._busy = self._busy, []
        for job in busy:
            self._start_linked(job)

    def _plan(self, job: FileJob, places: list[PackPlace], wants: list[Want[FileJob]]) -> None:
        """Turn a job into wants, or finish it if it needs none."""
        content = job.node.content
        for place, blob in zip(places, content, strict=True):
            if place[0] < 0:
                self._give_up(job, f"no index names a pack that holds its blob {blob.hex()}", "blob-missing")
                return
        sizes = [plain_bytes(place) for place in places]
        if job.must_verify and self._is_equal(job, sizes):
            return
        job.size = total = sum(sizes)
        if total > LARGE_BYTES:
            self._split(job, sizes)
            return
        job.waiting = len(content)
        if not content:
            self._create_empty(job)
            return
        at = 0
        for (pack, offset, length, raw_length), blob, size in zip(places, content, sizes, strict=True):
            wants.append((pack, offset, length, raw_length, blob, job, at))
            at += size

    def _write_whole(self, job: FileJob, plain: bytes | RepositoryDamaged) -> None:
        """A file of one blob. In a directory of ours that is in progress it needs no temporary name: whatever is in it
        under another time is unfinished. Its size is complete only when its content is.
        """
        job.waiting = 0
        if isinstance(plain, RepositoryDamaged):
            self._give_up(job, plain.sentence, "blob-damaged")
            return
        context, node, place = self._context, job.node, job.folder.place
        name = job.name = node.name if place.is_fresh else context.names.next()
        try:
            directory_fd = context.directories.fd(place.parts)
            fd = os.open(name, _WRITE_FLAGS, context.metadata.creation_mode(node), dir_fd=directory_fd)
        except OSError as error:
            job.name = b""
            self._os_failure(job, error)
            return
        job.where = place.parts
        try:
            try:
                if context.wishes.is_sparse and len(plain) >= PAGE:
                    write_sparse(fd, plain)
                else:
                    write_at(fd, plain, 0)
                context.metadata.set_on_file(fd, node, job.path, inherits=place.inherits)
            finally:
                os.close(fd)
            if not place.is_fresh:
                os.rename(name, node.name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        except OSError as error:
            self._os_failure(job, error)
            return
        self._count_written(job)
        self._count(job)

    def _take(self, job: FileJob, plain: bytes | RepositoryDamaged, at: int) -> None:
        """One blob of a file in a batch."""
        job.waiting -= 1
        try:
            if isinstance(plain, RepositoryDamaged):
                if not job.error:
                    job.error, job.code = plain.sentence, "blob-damaged"
            elif not job.error:
                if job.fd < 0:
                    self._create(job)
                    if self._context.wishes.is_sparse:
                        os.ftruncate(job.fd, job.size)
                self._write(job, plain, at)
            if not job.waiting:
                self._finish(job)
        except OSError as error:
            self._os_failure(job, error)

    def _write(self, job: FileJob, plain: bytes, at: int) -> None:
        if self._context.wishes.is_sparse:
            write_sparse_at(job.fd, plain, at)
        else:
            write_at(job.fd, plain, at)

    def _create(self, job: FileJob) -> None:
        """Open the temporary file: a new one, or the one that was claimed for several links."""
        context = self._context
        if job.key:
            job.where, job.name = context.links.place(job.folder.place.home, job.key)
            job.fd = os.open(job.name, REOPEN_FLAGS, dir_fd=context.directories.fd(job.where))
        else:
            job.where, job.name = job.folder.place.parts, context.names.next()
            mode = context.metadata.creation_mode(job.node)
            job.fd = os.open(job.name, _WRITE_FLAGS, mode, dir_fd=context.directories.fd(job.where))
        self._writing[id(job)] = job

    def _create_empty(self, job: FileJob) -> None:
        try:
            self._create(job)
            self._finish(job)
        except OSError as error:
            self._os_failure(job, error)

    def _finish(self, job: FileJob) -> None:
        """All content was written, or the job failed before. Raises OSError."""
        if job.error:
            self._give_up(job, job.error, job.code)
            return
        context, place = self._context, job.folder.place
        context.metadata.set_on_file(job.fd, job.node, job.path, inherits=place.inherits and not job.key)
        fd, job.fd = job.fd, -1
        os.close(fd)
        if job.key:
            context.links.complete(place.home, job.key, place.parts, job.node.name)
        else:
            directory_fd = context.directories.fd(place.parts)
            os.rename(job.name, job.node.name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        del self._writing[id(job)]
        self._count_written(job)
        self._count(job)

    def _count_written(self, job: FileJob) -> None:
        if job.must_replace:
            self._context.tally.files_changed += 1
        else:
            self._context.tally.files_new += 1

    def _count(self, job: FileJob) -> None:
        """The job is done and was not a failure."""
        tally = self._context.tally
        tally.files_done += 1
        tally.bytes_done += job.node.size
        self._context.finished(job.folder)

    def _os_failure(self, job: FileJob, error: OSError) -> None:
        fatal = self._context.fatal(error)
        if fatal is not None:
            self.discard(job)
            raise fatal from error
        if not job.error:
            job.error, job.code = reason(error), "file-unwritable"
        if not job.waiting:
            self._give_up(job, job.error, job.code)

    def _give_up(self, job: FileJob, error: str, code: str) -> None:
        self.discard(job)
        self._fail(job, error, code)

    def _fail(self, job: FileJob, error: str, code: str) -> None:
        self._context.fail(job.path, error, code)
        self._context.finished(job.folder)

    def discard(self, job: FileJob) -> None:
        """Remove the temporary file; what is at the target stays as it was."""
        self._writing.pop(id(job), None)
        if job.fd >= 0:
            fd, job.fd = job.fd, -1
            os.close(fd)
        if job.key:
            self._context.links.abandon(job.folder.place.home, job.key)
        elif job.name:
            try:
                os.unlink(job.name, dir_fd=self._context.directories.fd(job.where))
            except OSError:
                return

    def discard_all(self) -> None:
        """The restore ends early: leave no temporary file of this worker."""
        for job in list(self._writing.values()):
            self.discard(job)

    def _start_linked(self, job: FileJob) -> None:
        """One of several hard links: link it, restore the content for all, or wait for who does."""
        context, place, node = self._context, job.folder.place, job.node
        key = link_key(node)
        try:
            claim = context.links.claim(
                place.home,
                key,
                place.parts,
                node.name,
                path=job.path,
                mode=context.metadata.creation_mode(node),
            )
        except OSError as error:
            self._os_failure(job, error)
            return
        if claim is Claim.LINKED:
            self._count_written(job)
            self._count(job)
        elif claim is Claim.BUSY:
            self._busy.append(job)
        else:
            job.must_verify = False
            job.key = key if claim is Claim.OURS else b""
            self._collect(job)

    def _adopt(self, job: FileJob) -> None:
        place = job.folder.place
        try:
            self._context.links.adopt(place.home, link_key(job.node), place.parts, job.node.name, path=job.path)
        except OSError as error:
            self._context.warnings.add("a link to the other names", error, job.path)

    def _is_equal(self, job: FileJob, sizes: list[int]) -> bool:
        """Whether the file at the target has this content already; if so it gets its metadata and is done."""
        context, place = self._context, job.folder.place
        try:
            fd = os.open(job.node.name, _READ_FLAGS, dir_fd=context.directories.fd(place.parts))
        except OSError:
            return False
        tally, before = context.tally, context.tally.bytes_done
        try:
            if os.fstat(fd).st_size != sum(sizes):
                return False
            for blob, size, end in zip(job.node.content, sizes, accumulate(sizes), strict=True):
                context.check()
                if sha256(os.pread(fd, size, end - size)).digest() != blob:
                    return False
                tally.bytes_done += size
                tally.publish()
            context.metadata.set_on_file(fd, job.node, job.path, inherits=place.inherits, is_new=False)
        except OSError:
            return False
        finally:
            os.close(fd)
            tally.bytes_done = before
        tally.files_unmodified += 1
        self._count(job)
        return True

    def _split(self, job: FileJob, sizes: list[int]) -> None:
        """Make the temporary file of a large job and its segments, the first to be taken first."""
        try:
            self._create(job)
            os.ftruncate(job.fd, job.size)
        except OSError as error:
            self._os_failure(job, error)
            return
        fd, job.fd = job.fd, -1
        os.close(fd)
        segments = cut_segments(job, sizes)
        job.waiting = len(segments)
        self._context.send(InFlight(job.path, begins=True))
        for segment in reversed(segments):
            self._context.push(segment, job)

    def segment_done(self, job: FileJob, error: str, code: str) -> None:
        """One segment of a large file is done here or elsewhere; the last one completes the file."""
        if error and not job.error:
            job.error, job.code = error, code
        job.waiting -= 1
        if job.waiting:
            return
        self._context.send(InFlight(job.path, begins=False))
        try:
            if not job.error:
                self._context.tally.bytes_done -= job.node.size
                job.fd = os.open(job.name, REOPEN_FLAGS, dir_fd=self._context.directories.fd(job.where))
            self._finish(job)
        except OSError as failure:
            self._os_failure(job, failure)

    def _on_read(self, length: int) -> None:
        self._context.check()
        self._context.tally.bytes_read += length


def _decision_about_directory(directory_fd: int, name: bytes) -> Decision:
    """An empty directory may be replaced by a file; one that holds something never is."""
    try:
        os.rmdir(name, dir_fd=directory_fd)
    except OSError:
        return Decision.BLOCKED
    return Decision.WRITE
