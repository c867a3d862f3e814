"""A catalog of many rows as a company's files would make it, written directly into the tables.

Deep and shallow folders, most of them small and a few very large, files that were changed never, seldom or daily,
some that are deleted; five subclients of different sizes, with a snapshot a day for a year.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.core.management import call_command
from django.db import connection
from django.db.backends.utils import CursorWrapper

from jobs.models import CatalogOwner, CatalogState, Snapshot
from policies.models import Subclient
from tests.factories import make_file_server, make_policy, make_subclient
from tests.job_factories import make_snapshot

DAYS: Final = 365
START: Final = datetime(2025, 12, 1, 20, tzinfo=UTC)
SHARES: Final = {"home": 0.6, "projects": 0.2, "mail": 0.1, "photos": 0.07, "web": 0.03}
LARGE_FOLDERS: Final = 5
_LARGE_SHARE: Final = 0.01
"""Of all rows, entries in each of the large folders: 100,000 of ten million."""
_ROWS_A_FOLDER: Final = 33
_WORDS: Final = """
report invoice budget meeting minutes draft final contract offer order delivery note summary backup export
import index readme main test data config setup module parser client server handler request response schema
model view template image photo scan letter memo plan project customer supplier product price list inventory
stock salary tax annual monthly weekly march april june july august october november december berlin paris
london madrid vienna logo banner header footer archive log error access debug trace session cache queue worker
build release version patch fix feature design sketch drawing assembly part bolt frame engine pump valve
sensor motor cable board
"""
_ENDINGS: Final = (
    ".pdf .pdf .docx .xlsx .txt .jpg .jpg .png .py .js .html .css .json .xml .log .eml .zip .csv .md .c .h"
)

FILES: Final = """
INSERT INTO jobs_catalogversion (subclient_id, folder_id, name, kind, size, files, mtime_ns, mode, owner_id,
                                 link_target, first_at, until_at)
SELECT life.subclient_id, life.folder_id, life.name, 'f', (life.size * (1 + j))::bigint, 0,
       (extract(epoch FROM %(start)s) - life.age + 86400 * j)::bigint * 1000000000, 420, %(owner)s, '',
       %(start)s + (born + j * span / times) * interval '1 day',
       CASE WHEN j < times - 1 THEN %(start)s + (born + (j + 1) * span / times) * interval '1 day'
            WHEN is_gone THEN %(start)s + (born + span) * interval '1 day' END
FROM (
    SELECT drawn.*, least(span, CASE WHEN busy < 0.70 THEN 1 WHEN busy < 0.92 THEN 1 + (often * 4)::int
                                     WHEN busy < 0.99 THEN 1 + (often * 12)::int ELSE 1 + (often * 90)::int
                                     END) AS times
    FROM (
        SELECT born_at.*, CASE WHEN is_gone THEN 1 + ((%(days)s - 1 - born) * lasts)::int
                               ELSE %(days)s - born END AS span
        FROM (
            SELECT plan.subclient_id, plan.folder_id,
                   (%(words)s::text[])[1 + (random() * (%(word_count)s - 1))::int] || '-'
                   || (%(words)s::text[])[1 + (random() * (%(word_count)s - 1))::int] || '-'
                   || lpad(to_hex((n * 7919) %% 1048576), 5, '0')
                   || (%(endings)s::text[])[1 + (random() * (%(ending_count)s - 1))::int] AS name,
                   exp(random() * 15) AS size, (random() * 3e8)::bigint AS age,
                   CASE WHEN random() < 0.6 THEN 0 ELSE (random() * (%(days)s - 2))::int END AS born,
                   random() < 0.12 AS is_gone, random() AS lasts, random() AS busy, random() AS often
            FROM bench_plan plan CROSS JOIN LATERAL generate_series(1, plan.files) n
            OFFSET 0
        ) born_at
    ) drawn
    OFFSET 0
) life CROSS JOIN LATERAL generate_series(0, life.times - 1) j"""
FOLDERS: Final = """
INSERT INTO jobs_catalogversion (subclient_id, folder_id, name, kind, size, files, mtime_ns, mode, owner_id,
                                 link_target, first_at, until_at)
SELECT subclient_id, parent_id, name, 'd', size + j, files,
       (extract(epoch FROM %(start)s) + 86400 * j)::bigint * 1000000000, 493, %(owner)s, '',
       %(start)s + (j * %(days)s / times) * interval '1 day',
       CASE WHEN j < times - 1 THEN %(start)s + ((j + 1) * %(days)s / times) * interval '1 day' END
FROM (
    SELECT folder.subclient_id, folder.parent_id, folder.name, (exp(random() * 20))::bigint AS size, plan.files,
           1 + (random() * random() * 40)::int AS times
    FROM jobs_catalogfolder folder JOIN bench_plan plan ON plan.folder_id = folder.id
    WHERE folder.parent_id IS NOT NULL
    OFFSET 0
) life CROSS JOIN LATERAL generate_series(0, life.times - 1) j"""


def moments() -> list[datetime]:
    """Of the snapshots of every subclient."""
    return [START + timedelta(days=day) for day in range(DAYS)]


def make(rows: int, *, seed: int, tell: Callable[[str], None]) -> None:
    """Make the tables and fill them with about so many versions. What is there already is left as it is."""
    call_command("migrate", verbosity=0)
    if Subclient.objects.exists():
        tell("the rows of an earlier run are used")
        return
    policy, server = make_policy(), make_file_server(name="files")
    subclients = [make_subclient(name=name, file_server=server, policy=policy) for name in SHARES]
    for number, subclient in enumerate(subclients):
        for day, moment in enumerate(moments()):
            make_snapshot(subclient, n=number * DAYS + day, taken_at=moment, catalog_state=CatalogState.DONE)
    Snapshot.objects.update(content=["/srv/data"])
    owner = CatalogOwner.objects.create(uid=1000, gid=100, user="anna", group="users")
    words, endings = _WORDS.split(), _ENDINGS.split()
    with connection.cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica; SET maintenance_work_mem = '1GB'; SET work_mem = '256MB'"
        )
        cursor.execute("SELECT setseed(0.5)")
        indexes = _drop_indexes(cursor)
        _write_folders(cursor, subclients, rows, random.Random(seed))
        tell("folders are written")
        given: dict[str, Any] = {
            "start": START,
            "days": DAYS,
            "owner": owner.pk,
            "words": words,
            "word_count": len(words),
            "endings": endings,
            "ending_count": len(endings),
        }
        for statement in (FILES, FOLDERS):
            cursor.execute(statement, given)
            tell(f"{cursor.rowcount:,} versions are written")
        for statement in indexes:
            cursor.execute(statement)
            tell(statement[:100])
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("RESET session_replication_role; RESET maintenance_work_mem; RESET work_mem")


def _write_folders(cursor: CursorWrapper, subclients: list[Subclient], rows: int, source: random.Random) -> None:
    """Folders with their paths, and a table that says how many files each will hold."""
    cursor.execute("CREATE TABLE bench_plan (folder_id bigint, subclient_id bigint, files int, is_large boolean)")
    large = int(rows * _LARGE_SHARE)
    wanted = max(20, (rows - LARGE_FOLDERS * 2 * large) // _ROWS_A_FOLDER)
    plan: list[tuple[int, int, int, bool]] = []
    last = 0
    with cursor.cursor.copy(
        "COPY jobs_catalogfolder (id, subclient_id, parent_id, name, path, depth) FROM STDIN"
    ) as copy:
        for number, subclient in enumerate(subclients):
            count = max(3, int(wanted * SHARES[subclient.name]))
            first = last + 1
            for row in _tree(first, subclient.pk, count, source):
                copy.write_row(row)
                last = row[0]
                files = min(2_000, int(source.lognormvariate(1.6, 1.3)))
                plan.append((last, subclient.pk, files if row[5] > 1 else 0, False))
            if number < LARGE_FOLDERS:
                plan[-1] = (last, subclient.pk, large, True)
    with cursor.cursor.copy("COPY bench_plan FROM STDIN") as copy:
        for planned in plan:
            copy.write_row(planned)
    cursor.execute("ANALYZE bench_plan; SELECT setval('jobs_catalogfolder_id_seq', %s)", [last])


def _tree(
    first: int, subclient: int, count: int, source: random.Random
) -> Iterator[tuple[int, int, int | None, str, str, int]]:
    """Folders below ``/srv/data``; early ones have many folders below them, most have none."""
    words = _WORDS.split()
    paths, depths = ["/", "/srv", "/srv/data"], [0, 1, 2]
    for number, (parent, name) in enumerate(((None, ""), (first, "srv"), (first + 1, "data"))):
        yield first + number, subclient, parent, name, paths[number], depths[number]
    for number in range(3, count):
        parent = 2 + int((number - 2) * 0.7 * source.random())
        name = f"{source.choice(words)}-{number:x}"
        paths.append(f"{paths[parent]}/{name}")
        depths.append(depths[parent] + 1)
        yield first + number, subclient, first + parent, name, paths[-1], depths[-1]


def _drop_indexes(cursor: CursorWrapper) -> list[str]:
    """Rows are written without indexes, which are made afterwards; returns the statements for that."""
    made = []
    for table in ("jobs_catalogversion", "jobs_catalogfolder"):
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype = 'u'",
            [table],
        )
        for name, definition in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            made.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
        for name, definition in cursor.fetchall():
            if not name.endswith("_pkey"):
                cursor.execute(f"DROP INDEX {name}")
                made.append(definition)
    return made
