"""The words of ``snapcopy repo``: commands, options, help."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from typing import Final

from ..plan import Overwrite

DESCRIPTION: Final = """\
Work on a repository directly: no database, no queue, no web server.

REPO is a directory. The password comes from SNAPCOPY_REPO_PASSWORD, from --password-file, or from a prompt.
SNAPSHOT is the id of a snapshot file, its first digits, or "latest"."""

EXIT_CODES: Final = """\
exit codes:
  0   done
  1   failed; the message names the remedy
  2   the command line is wrong
  3   done, but some files could not be read or written; each was named
  5   stopped on request
  10  there is no repository
  11  the repository is locked by somebody else
  12  the password is wrong"""


def build_parser() -> ArgumentParser:
    """The parser; ``command`` in its result is the name of a command."""
    parser = ArgumentParser(
        prog="snapcopy repo", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = _shared()

    def command(name: str, summary: str) -> ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary, parents=[shared])
        made.add_argument("repo", metavar="REPO", help="directory of the repository")
        return made

    command("init", "Make a new repository.")
    _backup(command("backup", "Copy a directory into the repository; unchanged files are taken over."))
    command("snapshots", "List the snapshot files.")
    listing = command("ls", "List what a snapshot file holds.")
    listing.add_argument("snapshot", metavar="SNAPSHOT")
    listing.add_argument("path", metavar="PATH", nargs="?", default="/", help="only this path and what is below it")
    _restore(command("restore", "Restore a snapshot file, or paths of it, below a directory."))
    check = command("check", "Check the repository: structure, and the data on request.")
    check.add_argument(
        "--read-data", metavar="P%", nargs="?", type=_percent, const=100.0, default=0.0, help="read and verify packs"
    )
    _forget(command("forget", "Remove snapshot files by id or by what to keep; prune frees their space."))
    prune = command("prune", "Remove data that no snapshot file needs.")
    prune.add_argument("--max-unused", metavar="P%", type=_percent, default=5.0, help="unused data that may stay")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be done")
    command("stats", "Count snapshot files, blobs and bytes.")
    unlock = command("unlock", "Remove locks of dead processes.")
    unlock.add_argument("--all", action="store_true", help="remove every lock; only when nobody uses the repository")
    return parser


def _shared() -> ArgumentParser:
    shared = ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="events and the result as lines of JSON")
    shared.add_argument("--password-file", metavar="FILE", help="its first line is the password")
    shared.add_argument("--no-cache", action="store_true", help="keep nothing on this host for the next run")
    return shared


def _backup(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="directory or file to copy")
    parser.add_argument("--as", dest="stored_as", metavar="PATH", help="store SOURCE under this absolute path")
    parser.add_argument("--previous", metavar="DIR", help="the older snapshot's directory: copy only what differs")
    parser.add_argument("--host", metavar="NAME", help="host name in the snapshot file; default: this host's")
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="a label; may be repeated")
    parser.add_argument("--full", action="store_true", help="compare with nothing; read every file")
    parser.add_argument("--readers", metavar="N", type=_positive, help="worker processes; default: one per core")
    parser.add_argument("--level", metavar="N", type=_positive, default=3, help="zstd level, 1 to 19; default 3")


def _restore(parser: ArgumentParser) -> None:
    parser.add_argument("snapshot", metavar="SNAPSHOT")
    parser.add_argument("--to", dest="target", metavar="DIR", required=True, help="the stored paths appear below it")
    parser.add_argument("--path", metavar="P", action="append", default=[], help="only this path; may be repeated")
    parser.add_argument(
        "--overwrite", choices=[choice.value.replace(" ", "-") for choice in Overwrite], default="if-newer"
    )
    parser.add_argument("--no-metadata", action="store_true", help="contents only: no owner, mode, times, attributes")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--readers", metavar="N", type=_positive, help="worker processes; default: one per core")


def _forget(parser: ArgumentParser) -> None:
    parser.add_argument("snapshots", metavar="SNAPSHOT", nargs="*", help="forget these, whatever the policy")
    for period in ("last", "hourly", "daily", "weekly", "monthly", "yearly"):
        parser.add_argument(f"--keep-{period}", metavar="N", type=_count, default=0, help='a number, or "all"')
    parser.add_argument("--keep-within", metavar="DAYS", type=_positive, help="keep what is younger than the newest by")
    parser.add_argument("--keep-tag", metavar="T", action="append", default=[], help="keep what has this tag")
    parser.add_argument("--host", metavar="NAME", help="look only at this host's")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ArgumentTypeError(f"“{text}” is not a part between 0% and 100%")
    return value


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"“{text}” is not a number of at least 1")
    return int(text)


def _count(text: str) -> int:
    return -1 if text == "all" else _positive(text)
