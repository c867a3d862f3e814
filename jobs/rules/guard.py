"""RULES R10: a source that is empty, or lost half of its files or bytes, is no source to age copies by. Pure."""

from __future__ import annotations


def source_guard(*, before_files: int | None, before_bytes: int | None, files: int, bytes: int) -> str:  # noqa: A002
    """Empty when all is well; else the sentence with which the job ends *completed with errors*.

    The figures are those of all files of the source, not of the changed ones. ``before_*`` are those of the last copy,
    None = this is the first.
    """
    if files == 0 and before_files != 0:
        if before_files is None:
            return "The source is empty: nothing was copied. Is it mounted, and is its path right?"
        return f"The source is empty; at the last copy it held {_count(before_files)}. Is it mounted?"
    if before_files and files * 2 <= before_files:
        return f"The source lost half or more of its files since the last copy: {files:,} of {before_files:,} are left."
    if before_bytes and bytes * 2 <= before_bytes:
        return f"The source lost half or more of its bytes since the last copy: {bytes:,} of {before_bytes:,} are left."
    return ""


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"
