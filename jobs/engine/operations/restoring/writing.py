"""How one regular file gets its content, its metadata and its name, and how it is given up without a trace.

A file appears whole under its name or not at all; which file is written when is decided in ``files``.
"""

from __future__ import annotations

import errno
import os
from itertools import accumulate
from typing import Final

from .context import Context, reason
from .items import FileJob
from .source import Contents, Unread
from .sparse import PAGE, write_at, write_sparse, write_sparse_at

_WRITE_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def reopen(name: bytes, directory_fd: int) -> int:
    """A temporary file of ours again; write-only where its mode does not let this user read. Raises OSError."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_RDWR, dir_fd=directory_fd)
    except PermissionError:
        return os.open(name, flags | os.O_WRONLY, dir_fd=directory_fd)


def read_back(fd: int, data: bytes, at: int) -> None:
    """Compare what was just written with what was read at the source. Raises OSError where they differ."""
    try:
        is_same = os.pread(fd, len(data), at) == data
    except OSError as error:
        if error.errno == errno.EBADF:
            return
        raise
    if not is_same:
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))


class FileWriter:
    """Writes the files of one worker. A job that ends here, well or not, is told to its folder."""

    def __init__(self, context: Context, contents: Contents) -> None:
        self._context = context
        self._contents = contents
        self._writing: dict[int, FileJob] = {}

    def write_whole(self, job: FileJob, plain: bytes | Unread) -> None:
        """A file of one blob. In a directory of ours that is in progress it needs no temporary name: whatever is in it
        under another time is unfinished. Its size is complete only when its content is.
        """
        job.waiting = 0
        if isinstance(plain, Unread):
            self.give_up(job, *plain)
            return
        context, node, place = self._context, job.node, job.folder.place
        name = job.name = node.name if place.is_fresh else context.names.next()
        try:
            directory_fd = context.directories.fd(place.parts)
            fd = os.open(name, _WRITE_FLAGS, context.metadata.creation_mode(node), dir_fd=directory_fd)
        except OSError as error:
            job.name = b""
            self.os_failure(job, error)
            return
        job.where = place.parts
        try:
            try:
                if context.wishes.is_sparse and len(plain) >= PAGE:
                    write_sparse(fd, plain)
                else:
                    write_at(fd, plain, 0)
                if context.source.must_be_read_back:
                    read_back(fd, plain, 0)
                context.metadata.set_on_file(fd, node, job.path, inherits=place.inherits)
            finally:
                os.close(fd)
            if not place.is_fresh:
                os.rename(name, node.name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        except OSError as error:
            self.os_failure(job, error)
            return
        self.count_written(job)
        self.count(job)

    def take(self, job: FileJob, plain: bytes | Unread, at: int) -> None:
        """One blob of a file in a batch."""
        job.waiting -= 1
        try:
            if isinstance(plain, Unread):
                if not job.error:
                    job.error, job.code = plain
            elif not job.error:
                if job.fd < 0:
                    self.create(job)
                    if self._context.wishes.is_sparse:
                        os.ftruncate(job.fd, job.size)
                self._write(job, plain, at)
            if not job.waiting:
                self.finish(job)
        except OSError as error:
            self.os_failure(job, error)

    def _write(self, job: FileJob, plain: bytes, at: int) -> None:
        if self._context.wishes.is_sparse:
            write_sparse_at(job.fd, plain, at)
        else:
            write_at(job.fd, plain, at)
        if self._context.source.must_be_read_back:
            read_back(job.fd, plain, at)

    def create(self, job: FileJob) -> None:
        """Open the temporary file: a new one, or the one that was claimed for several links."""
        context = self._context
        if job.key:
            job.where, job.name = context.links.place(job.folder.place.home, job.key)
            job.fd = reopen(job.name, context.directories.fd(job.where))
        else:
            job.where, job.name = job.folder.place.parts, context.names.next()
            mode = context.metadata.creation_mode(job.node)
            job.fd = os.open(job.name, _WRITE_FLAGS, mode, dir_fd=context.directories.fd(job.where))
        self._writing[id(job)] = job

    def create_empty(self, job: FileJob) -> None:
        try:
            self.create(job)
            self.finish(job)
        except OSError as error:
            self.os_failure(job, error)

    def finish(self, job: FileJob) -> None:
        """All content was written, or the job failed before. Raises OSError."""
        if job.error:
            self.give_up(job, job.error, job.code)
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
        self.count_written(job)
        self.count(job)

    def count_written(self, job: FileJob) -> None:
        if job.must_replace:
            self._context.tally.files_changed += 1
        else:
            self._context.tally.files_new += 1

    def count(self, job: FileJob) -> None:
        """The job is done and was not a failure."""
        tally = self._context.tally
        tally.files_done += 1
        tally.bytes_done += job.node.size
        self._context.finished(job.folder)

    def os_failure(self, job: FileJob, error: OSError) -> None:
        fatal = self._context.fatal(error)
        if fatal is not None:
            self.discard(job)
            raise fatal from error
        if not job.error:
            job.error, job.code = reason(error), "file-unwritable"
        if not job.waiting:
            self.give_up(job, job.error, job.code)

    def give_up(self, job: FileJob, error: str, code: str) -> None:
        self.discard(job)
        self.fail(job, error, code)

    def fail(self, job: FileJob, error: str, code: str) -> None:
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

    def completes_equal(self, job: FileJob, sizes: list[int]) -> bool:
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
            for number, (size, end) in enumerate(zip(sizes, accumulate(sizes), strict=True)):
                context.check()
                if not self._contents.holds(job, number, end - size, os.pread(fd, size, end - size)):
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
        self.count(job)
        return True
