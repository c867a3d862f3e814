"""Regular files of one worker: decided about, collected into batches, and read in pack order.

Small files go through batches; a large one is split into segments that any worker may take. Writing is in ``writing``.
"""

from __future__ import annotations

import os
from typing import Final

from ...plan import Overwrite
from ...repository.tree import Node
from .context import Context
from .decision import Decision
from .directories import lstat
from .fetching import PackPlace, Want, plain_bytes
from .hard_links import Claim, link_key
from .items import FileJob, Folder, InFlight
from .segments import SegmentWriter, cut_segments
from .writing import FileWriter, reopen

BATCH_FILES: Final = 1000
BATCH_BYTES: Final = 16 << 20
BATCH_OPEN_FILES: Final = 200
"""Files of several blobs in one batch: each may be open at the same time."""
LARGE_BYTES: Final = 48 << 20


class Files:
    """Restores regular files. Every job that was added tells its folder when it is done, failed or not."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._contents = context.source.contents(self._on_read)
        self._writer = FileWriter(context, self._contents)
        self._batch: list[FileJob] = []
        self._batch_bytes = 0
        self._batch_open = 0
        self.segments = SegmentWriter(context, self._contents)
        self._busy: list[FileJob] = []

    @property
    def has_busy(self) -> bool:
        """Whether links wait for a file that another worker restores."""
        return bool(self._busy)

    @property
    def has_work(self) -> bool:
        """Whether anything was added that is not done."""
        return bool(self._batch or self._busy)

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
            self._writer.fail(job, "a directory is in its place", "file-unwritable")
        elif decision is Decision.KEEP:
            context.tally.files_skipped += 1
            self._writer.count(job)
        elif decision is Decision.COMPLETE:
            if node.links > 1:
                self._adopt(job)
            context.tally.files_unmodified += 1
            self._writer.count(job)
        elif node.links > 1:
            self._start_linked(job)
        else:
            self._collect(job)

    def _collect(self, job: FileJob) -> None:
        self._batch.append(job)
        self._batch_bytes += min(job.node.size, LARGE_BYTES)
        self._batch_open += len(job.node.content) > 1
        most = self._contents.batches
        is_full = self._batch_bytes >= BATCH_BYTES * most or len(self._batch) >= BATCH_FILES * most
        if is_full or self._batch_open >= BATCH_OPEN_FILES:
            self.flush()

    def flush(self) -> None:
        """Restore what was collected."""
        batch, self._batch, self._batch_bytes, self._batch_open = self._batch, [], 0, 0
        if batch:
            wants: list[Want[FileJob]] = []
            for job, places in zip(batch, self._contents.locate(batch), strict=True):
                self._plan(job, places, wants)
            for (_, _, _, _, _, job, at), plain in self._contents.read(wants):
                if len(job.node.content) == 1 and not job.key:
                    self._writer.write_whole(job, plain)
                else:
                    self._writer.take(job, plain, at)
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
                self._writer.give_up(job, f"no index names a pack that holds its blob {blob.hex()}", "blob-missing")
                return
        sizes = [plain_bytes(place) for place in places]
        if job.must_verify and self._writer.completes_equal(job, sizes):
            return
        job.size = total = sum(sizes)
        if total > LARGE_BYTES:
            self._split(job, sizes, [place[0] for place in places])
            return
        job.waiting = len(content)
        if not content:
            self._writer.create_empty(job)
            return
        at = 0
        for (pack, offset, length, raw_length), blob, size in zip(places, content, sizes, strict=True):
            wants.append((pack, offset, length, raw_length, blob, job, at))
            at += size

    def discard_all(self) -> None:
        """The restore ends early: leave no temporary file of this worker."""
        self._writer.discard_all()

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
            self._writer.os_failure(job, error)
            return
        if claim is Claim.LINKED:
            self._writer.count_written(job)
            self._writer.count(job)
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

    def _split(self, job: FileJob, sizes: list[int], packs: list[int]) -> None:
        """Make the temporary file of a large job and its segments, the first to be taken first."""
        try:
            self._writer.create(job)
            os.ftruncate(job.fd, job.size)
        except OSError as error:
            self._writer.os_failure(job, error)
            return
        fd, job.fd = job.fd, -1
        os.close(fd)
        segments = cut_segments(job, sizes, packs)
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
                job.fd = reopen(job.name, self._context.directories.fd(job.where))
            self._writer.finish(job)
        except OSError as failure:
            self._writer.os_failure(job, failure)

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
