"""Searches by name as people do them: what is common, what is rare, within one subclient, with conditions, deleted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from jobs.catalog.searching import Question, Which, search
from policies.models import Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.factories import make_user

Ask = Callable[[], object]


def searches(source: random.Random) -> dict[str, Iterator[Ask]]:
    """By the name of their kind; each goes on for ever."""
    everything, narrow = _person("bench"), _person("bench-narrow")
    web = Subclient.objects.get(name="web")
    UserScope.objects.get_or_create(user=narrow)[0].subclients.set([web])
    narrow = User.objects.select_related("scope").get(pk=narrow.pk)
    paths = _paths()
    names = [name for _, name in paths]
    words = ["invoice", "budget", "report", "camera", "sensor", "berlin"]
    numbers = [f"{source.randrange(1 << 20):05x}" for _ in range(200)]
    pairs = [name.rsplit("-", 1)[0] for name in names]
    return {
        "a word that is in many names": _asking(everything, words),
        "a word, within one subclient": _asking(everything, words, subclient_id=web.pk),
        "a word, by a person who sees one subclient": _asking(narrow, words),
        "two words": _asking(everything, pairs),
        "a number that is in few names": _asking(everything, numbers),
        "three letters": _asking(everything, [name[:3] for name in names]),
        "the beginning of a name": _asking(everything, [f"{pair}*" for pair in pairs]),
        "an ending": _asking(everything, ["*.xlsx", "*.eml", "*.jpg"]),
        "a whole name": _asking(everything, names, is_exact=True),
        "a whole path": _asking(everything, [f"{folder}/{name}" for folder, name in paths]),
        "what is not there": _asking(everything, ["nowhere", "zzzzzz", "qqq"]),
        "a word, only what is deleted": _asking(everything, words, which=Which.DELETED),
        "a word, larger than a megabyte": _asking(everything, words, smallest=1_000_000),
    }


def _asking(person: User, texts: Sequence[str], **given: Any) -> Iterator[Ask]:
    while True:
        for text in texts:

            def ask(question: Question = Question(text=text, **given)) -> object:  # noqa: B008 - frozen
                return search(person, question)

            yield ask


def _person(name: str) -> User:
    return User.objects.filter(username=name).first() or make_user(Role.OPERATOR, username=name)


def _paths() -> list[tuple[str, str]]:
    """Of files, wherever they are; folder and name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT folder.path, version.name"
            " FROM jobs_catalogversion version TABLESAMPLE SYSTEM (0.05) REPEATABLE (7)"
            " JOIN jobs_catalogfolder folder ON folder.id = version.folder_id WHERE version.kind = 'f' LIMIT 200"
        )
        rows: list[tuple[str, str]] = cursor.fetchall()
    return rows or [("/srv/data", "nowhere")]
