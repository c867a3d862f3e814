"""Hard links across workers, attempts and any number of files, without remembering any of them.

The first of several links is written into a directory of this run on the same file system, under a name made of what
all its links share. Each link, the first as well, is a ``link`` to that. Creating the name with O_EXCL is the claim
that only one worker restores the content; no table is kept. The directories, one per file system, go when the run ends.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import Final

from ...repository.tree import Node
from .directories import IN_PROGRESS_MODE, Directories
from .items import Parts
from .metadata import Warnings
from .temporary import TemporaryNames, unlink_quietly

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EACCES})
_PART: Final = b".part"
_PROBE: Final = b"probe"


class Claim(StrEnum):
    """LINKED: done. OURS: the caller restores the content. BUSY: somebody does, try again later.

    UNSUPPORTED: this file system has no links; restore a file of its own.
    """

    LINKED = "linked"
    OURS = "ours"
    BUSY = "busy"
    UNSUPPORTED = "unsupported"


def link_key(node: Node) -> bytes:
    """What all hard links of one file share. Content and time are in it, since other writers' inodes may repeat."""
    digest = sha256(b"".join(node.content))
    digest.update(b"%d %d %s %s" % (node.size, node.mtime_ns, node.kind.value.encode(), node.link_target))
    return b"%d-%d-%s" % (node.device_id, node.inode, digest.hexdigest()[:24].encode())


class HardLinks:
    """One worker's view of the run's link directories. ``on_home`` is told of each directory before it gets one."""

    def __init__(
        self,
        directories: Directories,
        run_name: bytes,
        names: TemporaryNames,
        warnings: Warnings,
        *,
        on_home: Callable[[Parts], None],
    ) -> None:
        self._directories = directories
        self._on_home = on_home
        self._run_name = run_name
        self._names = names
        self._warnings = warnings
        self._unsupported: set[Parts] = set()
        self._homes: set[Parts] = set()

    def place(self, home: Parts, key: bytes) -> tuple[Parts, bytes]:
        """Where a claimed file is written."""
        return (*home, self._run_name), key + _PART

    def claim(self, home: Parts, key: bytes, parts: Parts, name: bytes, *, path: bytes, mode: int) -> Claim:
        """Link ``name`` in the directory ``parts``, or claim the content. Raises OSError."""
        if not self._has_links(home, path):
            return Claim.UNSUPPORTED
        try:
            if self._link(home, key, parts, name):
                return Claim.LINKED
        except OSError as error:
            if error.errno == errno.EMLINK:
                self._retire(home, key)
            elif error.errno == errno.EXDEV:
                return Claim.UNSUPPORTED
            else:
                raise
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            os.close(os.open(key + _PART, flags, mode, dir_fd=self._home_fd(home)))
        except FileExistsError:
            return Claim.BUSY
        return Claim.OURS

    def publish(self, home: Parts, key: bytes, parts: Parts, temporary: bytes, *, path: bytes) -> None:
        """An entry without content was made as ``temporary``: it becomes the one file of all its links, or a link.

        The name stays for the caller to rename. Raises OSError.
        """
        if not self._has_links(home, path):
            return
        home_fd, fd = self._home_fd(home), self._directories.fd(parts)
        try:
            os.link(temporary, key, src_dir_fd=fd, dst_dir_fd=home_fd, follow_symlinks=False)
        except FileExistsError:
            os.unlink(temporary, dir_fd=fd)
            os.link(key, temporary, src_dir_fd=home_fd, dst_dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in {errno.EMLINK, errno.EXDEV}:
                raise

    def complete(self, home: Parts, key: bytes, parts: Parts, name: bytes) -> None:
        """The claimed file is whole: publish it for the other links, and as ``name``. Raises OSError.

        If a link from an earlier attempt was adopted meanwhile, that one stays.
        """
        home_fd = self._home_fd(home)
        try:
            os.link(key + _PART, key, src_dir_fd=home_fd, dst_dir_fd=home_fd)
        except FileExistsError:
            pass
        os.unlink(key + _PART, dir_fd=home_fd)
        self._link(home, key, parts, name)

    def abandon(self, home: Parts, key: bytes) -> None:
        """The claimed file cannot be restored; whoever comes next tries again."""
        try:
            os.unlink(key + _PART, dir_fd=self._home_fd(home))
        except OSError:
            return

    def adopt(self, home: Parts, key: bytes, parts: Parts, name: bytes, *, path: bytes) -> None:
        """``name`` is complete from an earlier attempt: it and the other links become one file. Raises OSError.

        The directory, which may be complete as well, keeps its times.
        """
        if not self._has_links(home, path):
            return
        try:
            os.link(
                name,
                key,
                src_dir_fd=self._directories.fd(parts),
                dst_dir_fd=self._home_fd(home),
                follow_symlinks=False,
            )
        except FileExistsError:
            self._relink(home, key, parts, name)
        except OSError as error:
            if error.errno not in {errno.EMLINK, errno.EXDEV}:
                raise

    def _relink(self, home: Parts, key: bytes, parts: Parts, name: bytes) -> None:
        """While a directory that may be complete is changed, it carries the mode that says it is not."""
        fd = self._directories.fd(parts)
        before = os.fstat(fd)
        if _inode(fd, name) == _inode(self._home_fd(home), key):
            return
        os.fchmod(fd, IN_PROGRESS_MODE)
        self._link(home, key, parts, name)
        fd = self._directories.fd(parts)
        os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.fchmod(fd, stat.S_IMODE(before.st_mode))

    def _has_links(self, home: Parts, path: bytes) -> bool:
        if home not in self._homes and home not in self._unsupported:
            self._open_home(home, path)
        return home in self._homes

    def _home_fd(self, home: Parts) -> int:
        return self._directories.fd((*home, self._run_name))

    def _open_home(self, home: Parts, path: bytes) -> None:
        """Make the directory of links if no worker did, without what it would hand down, and try a link in it."""
        self._on_home(home)
        if self._directories.make((*home, self._run_name)):
            fd = self._home_fd(home)
            try:
                os.removexattr(fd, "system.posix_acl_default")
            except OSError:
                pass
            os.fchmod(fd, 0o700)
        fd = self._home_fd(home)
        first, second = self._names.next(), self._names.next()
        os.close(os.open(first, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd))
        try:
            os.link(first, second, src_dir_fd=fd, dst_dir_fd=fd)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._unsupported.add(home)
            self._warnings.add("hard links: separate files were restored, links", error, path)
        else:
            os.unlink(second, dir_fd=fd)
            self._homes.add(home)
        os.unlink(first, dir_fd=fd)

    def _link(self, home: Parts, key: bytes, parts: Parts, name: bytes) -> bool:
        """Make ``name`` a link, in the place of what may be there. False if the file is not complete yet."""
        home_fd, fd = self._home_fd(home), self._directories.fd(parts)
        try:
            os.link(key, name, src_dir_fd=home_fd, dst_dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except FileExistsError:
            temporary = self._names.next()
            os.link(key, temporary, src_dir_fd=home_fd, dst_dir_fd=fd, follow_symlinks=False)
            os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
            unlink_quietly(temporary, fd)
        return True

    def _retire(self, home: Parts, key: bytes) -> None:
        """A file has as many links as it can have: the next ones share another one."""
        unlink_quietly(key, self._home_fd(home))


def _inode(directory_fd: int, name: bytes) -> int:
    return os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_ino
