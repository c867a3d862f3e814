"""What RQ calls. The only place that catches every exception: nothing a job raises may leave its row running."""

from __future__ import annotations

import logging
from typing import Any

from django.db import Error as DatabaseError

from jobs import queues
from jobs.engine.errors import EngineError
from jobs.engine.repository import lock_file
from jobs.engine.repository.repository import Repository
from jobs.runner import answering, file_stream, transfer
from jobs.runner.attempt import Attempt
from jobs.services.failures import Unexpected
from jobs.services.outcomes import Failed, Interrupted, Outcome
from policies.models import Media
from policies.resolve import media_password, resolve_media

logger = logging.getLogger(__name__)


def run(job_id: int, attempt: int) -> None:
    """One attempt of one job. Called twice, or for an attempt that is over, it does nothing."""
    current = Attempt(job_id, attempt)
    with current.held() as is_mine:
        if is_mine:
            current.end(_outcome(current))


def _outcome(current: Attempt) -> Outcome:
    try:
        return current.work()
    except DatabaseError as error:
        return Interrupted(reason=f"the database did not answer: {str(error).strip()}")
    except Exception as error:
        logger.exception("Job %s met an error nobody expected.", current.job_id)
        return Failed.by(Unexpected(f"Something unexpected happened: {type(error).__name__}: {error}"))


def receive(values: dict[str, Any], key: str) -> None:
    """The receiving end of a snapshot that another node sends; what fails is told there, with its job."""
    try:
        transfer.receive(values, key)
    except Exception as error:
        logger.exception("A snapshot could not be received: %s", type(error).__name__)


def send_files(values: dict[str, Any], key: str) -> None:
    """Files of a snapshot for somebody who downloads them; what fails is told there."""
    try:
        file_stream.send(values, key)
    except Exception as error:
        logger.exception("Files of a snapshot could not be sent: %s", type(error).__name__)


def answer(question: str, values: dict[str, Any], key: str) -> None:
    """A short question about a storage, of a page or a command that waits for it."""
    queues.offer(key, answering.answer(question, values))


def clear_locks(media_id: int) -> None:
    """Remove the locks that dead processes of this host left on a medium (RULES J3: a kill leaves no lock)."""
    media = Media.objects.filter(pk=media_id, repository_id__isnull=False).first()
    if media is None:
        return
    driver = resolve_media(media)
    try:
        cleared = lock_file.clear_locks(Repository.open(driver, media_password(media)))
        logger.info("Medium %s: %s dead locks removed.", media, len(cleared))
    except EngineError as error:
        logger.warning("Medium %s: dead locks are left to the next copy: %s", media, error)
    finally:
        driver.close()
