"""Owner, mode, times, extended attributes and ACLs of what was restored; what cannot be set is counted, not fatal.

Order matters: the owner first (it clears setuid and capabilities), then attributes (ACLs among them), then the times,
and the mode last: on a directory it says that nothing is missing any more.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from ...repository.tree import Node, NodeKind

_ACCESS_ACL: Final = b"system.posix_acl_access"
_ACLS: Final = frozenset({_ACCESS_ACL, b"system.posix_acl_default"})
_SHADOWS: Final = frozenset({b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"})
"""XFS shows root its own form of an ACL beside the common one; anywhere else it would mean nothing."""
_SPECIAL_BITS: Final = stat.S_ISUID | stat.S_ISGID
_PROTECTED: Final = (b"security.", b"trusted.", b"system.nfs")
"""Attributes that are never removed from an existing directory: they belong to the system, not to its owner."""


class Warnings:
    """What could not be set, by kind: how often, and where first."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, error: OSError | OverflowError, path: bytes) -> None:
        """``what`` completes “… could not be set”."""
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "value out of range"
        key = f"{what} ({reason})"
        times, first = self.found.get(key, (0, path.decode("utf-8", "backslashreplace")))
        self.found[key] = (times + 1, first)


class Metadata:
    """Sets metadata with the rights of this process, which must run with umask 0.

    ``plain_mode`` is what files and directories get where metadata are not wanted.
    """

    def __init__(self, warnings: Warnings, *, is_wanted: bool, umask: int) -> None:
        self._warnings = warnings
        self.is_wanted = is_wanted
        self._umask = umask
        self._uid = os.geteuid()
        self._gid = os.getegid()

    def creation_mode(self, node: Node) -> int:
        """Mode a regular file is created with: writable for its owner while it is written."""
        return (node.permissions & 0o777 if self.is_wanted else 0o666 & ~self._umask) | stat.S_IWUSR

    def set_on_file(self, fd: int, node: Node, path: bytes, *, inherits: bool, is_new: bool = True) -> None:
        """A regular file that was created with :meth:`creation_mode`, or (``is_new`` False) existed."""
        if not self.is_wanted:
            return
        mode = node.permissions
        must_set_mode = inherits or not is_new or mode != mode & 0o777 | stat.S_IWUSR
        if node.uid != self._uid or node.gid != self._gid or inherits or not is_new:
            try:
                os.fchown(fd, node.uid, node.gid)
            except (OSError, OverflowError) as error:
                self._warnings.add("the owner", error, path)
                must_set_mode, mode = True, mode & ~_SPECIAL_BITS
        if inherits:
            self._drop_inherited(fd)
        if node.attributes:
            self._set_attributes(fd, node, path, follow=True)
            must_set_mode = True
        try:
            os.utime(fd, ns=(node.atime_ns, node.mtime_ns))
        except (OSError, OverflowError) as error:
            self._warnings.add("the times", error, path)
        try:
            if must_set_mode:
                os.fchmod(fd, mode)
        except OSError as error:
            self._warnings.add("the mode", error, path)

    def set_on_folder(self, fd: int, node: Node | None, path: bytes, *, is_new: bool) -> None:
        """A directory when all its entries are there; one that is new and not wanted gets the ordinary mode."""
        if not self.is_wanted or node is None:
            if is_new:
                os.fchmod(fd, 0o777 & ~self._umask)
            return
        if not is_new:
            self._drop_extra_attributes(fd, node)
        self.set_on_file(fd, node, path, inherits=is_new, is_new=False)

    def set_on_entry(self, directory_fd: int, name: bytes, node: Node, path: bytes) -> None:
        """A link, device, fifo or socket, by its name in a directory."""
        if not self.is_wanted:
            return
        mode = node.permissions
        try:
            os.chown(name, node.uid, node.gid, dir_fd=directory_fd, follow_symlinks=False)
        except (OSError, OverflowError) as error:
            self._warnings.add("the owner", error, path)
            mode &= ~_SPECIAL_BITS
        if node.attributes:
            self._set_attributes(b"/proc/self/fd/%d/%s" % (directory_fd, name), node, path, follow=False)
        if node.kind is not NodeKind.SYMLINK:
            try:
                os.chmod(name, mode, dir_fd=directory_fd)
            except OSError as error:
                self._warnings.add("the mode", error, path)
        try:
            os.utime(name, ns=(node.atime_ns, node.mtime_ns), dir_fd=directory_fd, follow_symlinks=False)
        except (OSError, OverflowError) as error:
            self._warnings.add("the times", error, path)

    def _set_attributes(self, where: int | bytes, node: Node, path: bytes, *, follow: bool) -> None:
        for name, value in node.attributes:
            if name in _SHADOWS:
                continue
            try:
                if follow:
                    os.setxattr(where, name, value)
                else:
                    os.setxattr(where, name, value, follow_symlinks=False)
            except OSError as error:
                kind = "the ACL" if name in _ACLS else f"the attribute {name.decode('utf-8', 'backslashreplace')}"
                self._warnings.add(kind, error, path)

    def _drop_inherited(self, fd: int) -> None:
        for name in _ACLS:
            _remove_attribute(fd, name)

    def _drop_extra_attributes(self, fd: int, node: Node) -> None:
        wanted = {name for name, _value in node.attributes}
        try:
            present = {os.fsencode(name) for name in os.listxattr(fd)}
        except OSError:
            return
        for name in present - wanted:
            if not name.startswith(_PROTECTED):
                _remove_attribute(fd, name)


def _remove_attribute(fd: int, name: bytes) -> None:
    try:
        os.removexattr(fd, name)
    except OSError as error:
        if error.errno not in {errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}:
            raise
