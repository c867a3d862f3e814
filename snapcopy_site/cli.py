"""The console script ``snapcopy``; ``manage.py`` is the same program.

``up`` starts before Django, because it starts what Django needs; ``repo`` needs no Django at all and is quick to start
without it. Everything else is a management command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from snapcopy_site.lib import env

USAGE: Final = """\
SnapCopy: snapshots of file servers, and backup copies of them on any media

  snapcopy up [--demo] [--port N] [--bind ADDRESS]     start everything on this machine
  snapcopy link [USER]                                 a new one-time sign-in link
  snapcopy doctor [--json]                             check everything, name the remedy
  snapcopy node NAME [--slots N]                       run one access node
  snapcopy snapshot FILESERVER/SUBCLIENT [--wait]      take a snapshot
  snapcopy copy FILESERVER/SUBCLIENT [--wait]          make the backup copy
  snapcopy restore FILESERVER/SUBCLIENT --to FOLDER    restore paths of a copy
  snapcopy catalog build|rebuild FILESERVER/SUBCLIENT  make the catalog of what it lacks, or all of it anew
  snapcopy ls FILESERVER/SUBCLIENT [PATH] [--at TIME]  list a folder as it was
  snapcopy find TEXT [--all]                           find files by name, in every snapshot
  snapcopy versions FILESERVER/SUBCLIENT PATH          every version of a path, and what holds it
  snapcopy diff FILESERVER/SUBCLIENT FROM TO [PATH]    what differs between two times
  snapcopy mount [FILESERVER/SUBCLIENT] [--hours N]    make a snapshot readable on a node; list what is
  snapcopy unmount SNAPSHOT                            take it away again
  snapcopy revert FILESERVER/SUBCLIENT --snapshot NAME put the live data back; --preview says what it costs
  snapcopy delete-snapshot FILESERVER/SUBCLIENT --snapshot NAME   from its storage
  snapcopy reconcile FILESERVER [--wait]               compare what a storage holds with what is recorded
  snapcopy age [--preview]                             mark what is over its retention
  snapcopy prune [MEDIUM]                              free the space of what is aged
  snapcopy verify MEDIUM [--percent N]                 check a medium and read a part of its data
  snapcopy repair MEDIUM                               bring back what a verification found damaged
  snapcopy attach MEDIUM [--import]                    look at a repository that is there already, and import it
  snapcopy drill FILESERVER/SUBCLIENT [--files N]      restore some files of its copies to scratch, and compare
  snapcopy schedules [--json]                          what starts by itself, and when next
  snapcopy schedule run NAME [--wait]                  start now what a schedule starts
  snapcopy jobs [NUMBER]                               list jobs, show, kill, suspend, resume one
  snapcopy repo COMMAND REPO ...                       work on a repository, without database and queue
  snapcopy apply -f FILE [--plan]                      make the configuration what a file says
  snapcopy export                                      write the configuration as such a file
  snapcopy rotate-key                                  encrypt all secrets with a new key

  --home FOLDER      the installation to work on (SNAPCOPY_HOME)
  snapcopy COMMAND --help tells more; `snapcopy commands` lists Django's commands too.
"""

WITHOUT_DJANGO: Final = {"up": "snapcopy_site.supervisor", "repo": "jobs.engine.command.main"}
"""Modules with a ``main(words) -> exit code``; only the one that is asked for is imported."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (2 = the command line was wrong)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        words = _take_home(words)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    env.put("DJANGO_SETTINGS_MODULE", env.text("DJANGO_SETTINGS_MODULE", "snapcopy_site.settings"))
    if not words or words[0] in {"help", "-h", "--help"}:
        print(USAGE, end="")
        return 0
    try:
        return _run(words)
    except env.InvalidEnvironment as error:
        print(error, file=sys.stderr)
        return 2


def _run(words: list[str]) -> int:
    if words[0] in WITHOUT_DJANGO:
        return int(import_module(WITHOUT_DJANGO[words[0]]).main(words[1:]))
    if words[0] == "commands":
        words = ["help"]
    if not words[0].startswith("-"):
        words[0] = words[0].replace("-", "_")
    import_module("django.core.management").execute_from_command_line(["snapcopy", *words])
    return 0


def _take_home(words: list[str]) -> list[str]:
    """Take ``--home FOLDER`` out of the words and put it into the environment, before settings are read."""
    for number, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if name != "--home":
            continue
        if not has_value:
            if number + 1 == len(words):
                raise ValueError("--home needs a folder.")
            value = words[number + 1]
        env.put("SNAPCOPY_HOME", str(Path(value).expanduser().absolute()))
        return words[:number] + words[number + (1 if has_value else 2) :]
    return words
