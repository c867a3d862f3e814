"""S3 buckets with Object Lock, inside a host: what is locked is not hidden, and what is free again really goes.

Such buckets keep versions. A plain DELETE is never refused there: it hides the file behind a marker, and the version
stays (Amazon S3 User Guide, “Deleting object versions from a versioning-enabled bucket”, “Object Lock”). So a file's
retention is asked first, and then its versions are deleted by name, which the service refuses while they are locked.

OpenDAL does not hand out the headers of a retention (HeadObject: ``x-amz-object-lock-…``, sent to accounts that hold
s3:GetObjectRetention), but it signs the request that returns them.
"""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from opendal import AsyncOperator
from opendal.types import PresignedRequest

from ...errors import DeletionRefused, MediaUnavailable
from ..base import TestReport
from ..names import checked_name
from ..probe import run_probe
from .settings import CONTROL_SECONDS
from .store import ObjectStore

_HIDDEN_AT_ONCE: Final = "locks/"
"""They are over when they are over: a marker hides them, and a lifecycle rule of the bucket removes them later."""
_MOST_VERSIONS: Final = 100
_SIGNED_SECONDS: Final = 900


class LockingStore(ObjectStore):
    """One bucket with Object Lock, or a folder in it."""

    def delete(self, name: str) -> None:
        """All versions. Raises DeletionRefused while one is locked, with the end of the lock where the account may
        know it."""
        checked_name(name)
        if name.startswith(_HIDDEN_AT_ONCE):
            super().delete(name)
            return
        for _ in range(_MOST_VERSIONS):
            headers = self._head(name)
            if headers is None:
                return
            self._require_free(name, headers)
            try:
                self._operator.delete(name, version=headers.get("x-amz-version-id"))
            except Exception as error:
                raise self._error(error, "delete", name) from error

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`. The probe stays as long as the bucket says: always the same."""
        return run_probe(self, prepare=self._reach, place=str(self), keeps_files=True)

    def _require_free(self, name: str, headers: Mapping[str, str]) -> None:
        if headers.get("x-amz-object-lock-legal-hold") == "ON":
            raise DeletionRefused(f"{self} holds “{name}” until somebody lifts its legal hold.")
        text = headers.get("x-amz-object-lock-retain-until-date")
        until = _time(text) if text else None
        if until is not None and until.timestamp() > time.time():
            raise DeletionRefused(
                f"{self} keeps “{name}” until {until:%Y-%m-%d %H:%M} UTC.", until_ns=int(until.timestamp()) * 10**9
            )

    def _head(self, name: str) -> Mapping[str, str] | None:
        """The headers of the newest version, or None if there is no file."""
        try:
            asked = asyncio.run(_signed(self._operator.to_async_operator(), name))
            request = urllib.request.Request(asked.url, method=asked.method, headers=asked.headers)  # noqa: S310 - http(s)
            with urllib.request.urlopen(request, timeout=CONTROL_SECONDS) as answer:  # noqa: S310 - as above
                return answer.headers  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            self.size(name)
            raise MediaUnavailable(f"Cannot look up “{name}” on {self}: the service answers {error.code}.") from error
        except OSError as error:
            self.size(name)
            raise MediaUnavailable(f"Cannot look up “{name}” on {self}: {error}.") from error


async def _signed(operator: AsyncOperator, name: str) -> PresignedRequest:
    return await operator.presign_stat(name, _SIGNED_SECONDS)


def _time(text: str) -> datetime | None:
    """As HeadObject writes it: ISO 8601, with or without a fraction, UTC. None = it is something else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
