"""Metadata of one directory entry as restic's node JSON, built as a string.

A node is ``prefix + suffix``. The *prefix* (name .. links) comes from ``lstat`` alone and is the same text as long as
the inode did not change, so comparing it with the parent's node is the whole "unchanged" test. The *suffix* (link
target, extended attributes, device, content or subtree) needs more system calls. Reading nodes back lives in the
repository; which nodes are reused is decided by the backup copy.

Format: https://restic.readthedocs.io/en/stable/100_references.html#trees-and-data, field order of ``restic.Node``.
"""

from __future__ import annotations

import base64
import grp
import os
import pwd
import stat
from functools import lru_cache
from typing import Final

from ..repository.gojson import go_mode, go_time, json_body, json_body_of_bytes
from .status import Status

TYPE_MASK: Final = 0o170000
REGULAR: Final = stat.S_IFREG
DIRECTORY: Final = stat.S_IFDIR
SYMLINK: Final = stat.S_IFLNK
SOCKET: Final = stat.S_IFSOCK
DEVICES: Final = frozenset({stat.S_IFBLK, stat.S_IFCHR})

NODE_TYPES: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFBLK: "dev",
    stat.S_IFCHR: "chardev",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_OWNERS_CACHED: Final = 50_000
_modes: dict[int, str] = {}
_owners: dict[tuple[int, int], str] = {}


def _mode_text(mode: int) -> str:
    go = go_mode(mode)
    text = _modes[mode] = f'"type":"{NODE_TYPES[mode & TYPE_MASK]}",' + (f'"mode":{go},' if go else "")
    return text


@lru_cache(maxsize=_OWNERS_CACHED)
def owner_names(uid: int, gid: int) -> tuple[str, str]:
    """The names of a user and a group on this machine; empty where there is none."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = ""
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = ""
    return user, group


def _owner_text(uid: int, gid: int) -> str:
    if len(_owners) > _OWNERS_CACHED:
        _owners.clear()
    text = f'"uid":{uid},"gid":{gid}'
    for word, name in zip(("user", "group"), owner_names(uid, gid), strict=True):
        if name:
            text += f',"{word}":"{json_body_of_bytes(os.fsencode(name))}"'
    _owners[uid, gid] = text
    return text


def node_prefix(
    name: str, st: Status, *, device_id: int = 1, ctime: str | None = None, inode: int | None = None
) -> str:
    """``{"name":.. "links":..`` without the closing brace. ``name`` is ``gojson.name_body``.

    ``device_id`` is written only where it means something: on files with several links. ``ctime`` (a Go time) and
    ``inode`` replace those of ``st``, to ask "would this be the old node but for inode and ctime?".
    """
    mode, uid, gid = st.st_mode, st.st_uid, st.st_gid
    kind = mode & TYPE_MASK
    mtime = go_time(st.st_mtime_ns)
    changed = go_time(st.st_ctime_ns) if ctime is None else ctime
    number = st.st_ino if inode is None else inode
    text = (
        f'{{"name":"{name}",{_modes.get(mode) or _mode_text(mode)}"mtime":"{mtime}","atime":"{mtime}",'
        f'"ctime":"{changed}",{_owners.get((uid, gid)) or _owner_text(uid, gid)}'
    )
    if number:
        text += f',"inode":{number}'
    if kind == DIRECTORY:
        return text
    links = st.st_nlink
    if links > 1:
        text += f',"device_id":{device_id}'
    if kind == REGULAR:
        if st.st_size:
            return f'{text},"size":{st.st_size},"links":{links}'
        return f'{text},"links":{links}'
    if kind == SYMLINK or kind in DEVICES:
        text += f',"links":{links}'
    return text


def with_size(prefix: str, old_size: int, new_size: int) -> str:
    """The prefix of a regular file whose size turned out to be ``new_size`` when it was read."""
    before = f',"size":{old_size},"links":' if old_size else ',"links":'
    after = f',"size":{new_size},"links":' if new_size else ',"links":'
    head, _, tail = prefix.rpartition(before)
    return head + after + tail


def attributes_suffix(where: int | bytes | str, names: list[str]) -> str:
    """``,"extended_attributes":[..]`` of ``names``; empty if none could be read. ACLs are attributes, too.

    ``where`` is an open descriptor, or a path that is not followed if it is a symbolic link.
    """
    out = []
    for name in names:
        try:
            value = (
                os.getxattr(where, name) if isinstance(where, int) else os.getxattr(where, name, follow_symlinks=False)
            )
        except OSError:
            continue
        out.append(f'{{"name":"{json_body_of_bytes(os.fsencode(name))}","value":{_json_bytes(value)}}}')
    return f',"extended_attributes":[{",".join(out)}]' if out else ""


def attributes_of(where: int | bytes | str) -> str:
    """The attributes suffix of a descriptor or an unfollowed path; empty where they are not supported."""
    try:
        names = os.listxattr(where) if isinstance(where, int) else os.listxattr(where, follow_symlinks=False)
    except OSError:
        return ""
    return attributes_suffix(where, names) if names else ""


def _json_bytes(data: bytes) -> str:
    return f'"{base64.b64encode(data).decode()}"'


def link_target_suffix(target: bytes) -> str:
    """``linktarget``, and ``linktarget_raw`` where the target is not UTF-8 (restic >= 0.16 restores from it)."""
    if not target:
        return ""
    try:
        text = json_body(target.decode())
    except UnicodeDecodeError:
        return f',"linktarget":"{json_body_of_bytes(target)}","linktarget_raw":{_json_bytes(target)}'
    return f',"linktarget":"{text}"'


def special_suffix(st: Status, name: str, directory_fd: int) -> str:
    """Suffix of a symbolic link, device or fifo, up to the closing brace. Raises OSError when it vanished."""
    kind = st.st_mode & TYPE_MASK
    suffix = ""
    if kind == SYMLINK:
        suffix = link_target_suffix(os.fsencode(os.readlink(name, dir_fd=directory_fd)))
    suffix += attributes_of(f"/proc/self/fd/{directory_fd}/{name}")
    if kind in DEVICES and st.st_rdev:
        suffix += f',"device":{st.st_rdev}'
    return suffix + ',"content":null}'


def content_suffix(ids: list[str]) -> str:
    """``,"content":[..]}`` of a regular file; ``ids`` are hexadecimal."""
    if not ids:
        return ',"content":[]}'
    return ',"content":["' + '","'.join(ids) + '"]}'


def subtree_suffix(tree_id: bytes) -> str:
    """``,"content":null,"subtree":..}`` of a directory."""
    return f',"content":null,"subtree":"{tree_id.hex()}"}}'
