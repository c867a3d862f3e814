"""Media: their settings, their password, and the repository that lies on each."""

from __future__ import annotations

import time
from typing import TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs.engine.errors import EngineError, RepositoryMissing
from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.base import TestReport, TestStep, Usage
from jobs.engine.media.registry import MediaKind
from jobs.engine.options import field_specs
from jobs.engine.plan import Secret as PlainSecret
from jobs.engine.repository.repository import Repository
from policies import audit
from policies.errors import RepositoryChanged
from policies.models import Media
from policies.resolve import media_kind, media_password, resolve_media
from policies.secrets import REPOSITORY_PASSWORD
from policies.services import writing


class MediaValues(TypedDict, total=False):
    """What a form or script may give. ``options`` are the kind's, complete and without secrets."""

    name: str
    description: str
    kind: str
    options: dict[str, object]
    is_active: bool
    bandwidth_limit: int | None
    bandwidth_calendar: str
    parallel_transfers: int | None
    retries: int | None
    timeout_seconds: int | None


def create_media(
    *,
    user: audit.Actor,
    secrets: writing.Secrets,
    how: str = audit.How.WEB,
    **values: Unpack[MediaValues],
) -> Media:
    """``secrets`` holds the repository password and the kind's secret options. Touches no storage."""
    if REPOSITORY_PASSWORD not in secrets or not secrets[REPOSITORY_PASSWORD].reveal():
        raise ValidationError({REPOSITORY_PASSWORD: "A repository is always encrypted: type a password for it."})
    media = Media()
    return writing.create(media, values=_checked(media, values, secrets), secrets=secrets, user=user, how=how)


@transaction.atomic
def update_media(
    media: Media,
    *,
    user: audit.Actor,
    secrets: writing.Secrets | None = None,
    how: str = audit.How.WEB,
    **values: Unpack[MediaValues],
) -> Media:
    """Secrets that are not given stay. The password here is the one SnapCopy opens the repository with."""
    checked = _checked(media, values, secrets)
    writing.update(media, values=checked, secrets=secrets, user=user, how=how)
    writing.drop_other_secrets(media, keep=_secret_names(media.kind) | {REPOSITORY_PASSWORD})
    return media


def delete_media(media: Media, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Forget the medium; the repository on the storage is left as it is. Raises CannotDelete."""
    writing.delete(media, user=user, how=how)


def set_repository_id(media: Media, repository_id: str) -> None:
    """Remember which repository is on the medium, once. Raises RepositoryChanged if it is another or not ours alone."""
    if media.repository_id == repository_id:
        return
    if media.repository_id:
        raise RepositoryChanged(f"The repository on “{media}” is not the one SnapCopy wrote to before.")
    try:
        with transaction.atomic():
            claimed = Media.objects.filter(pk=media.pk, repository_id__isnull=True).update(repository_id=repository_id)
    except IntegrityError as error:
        other = Media.objects.get(repository_id=repository_id)
        raise RepositoryChanged(
            f"The medium “{other}” already uses the repository that lies on “{media}”.",
            hint="Give each medium a directory of its own, or use the existing medium.",
        ) from error
    media.refresh_from_db(fields=["repository_id"])
    if not claimed and media.repository_id != repository_id:
        raise RepositoryChanged(f"The repository on “{media}” was created by somebody else at the same moment.")


def ensure_repository(media: Media) -> Repository:
    """Open the medium's repository, creating it the first time; stores its id. Run it where the medium is.

    The caller closes ``repository.media``.

    Raises RepositoryMissing if one was there before and is not now: a new one would hide what was lost.
    Raises WrongPassword, RepositoryChanged and the media's errors.
    """
    password = media_password(media)
    driver = resolve_media(media)
    try:
        repository = _open_if_there(media, driver, password) or _create(media, driver, password)
        set_repository_id(media, repository.id)
    except BaseException:
        driver.close()
        raise
    return repository


def record_copied_bytes(media: Media, *, stored_bytes: int, usage: Usage | None = None) -> None:
    """Add what a backup copy stored to the known size of the repository; two copies at once lose nothing.

    ``usage`` is what the medium said of itself after the copy; None = it was not asked, or could not tell.
    """
    Media.objects.filter(pk=media.pk).update(
        stored_bytes=Coalesce(F("stored_bytes"), 0) + stored_bytes,
        total_bytes=usage.total_bytes if usage else F("total_bytes"),
        free_bytes=usage.free_bytes if usage else F("free_bytes"),
        measured_at=timezone.now(),
    )


def record_pruned_bytes(media: Media, *, stored_bytes: int, usage: Usage | None = None) -> None:
    """What the repository holds after a prune. ``usage`` None = the medium was not asked, or could not tell."""
    Media.objects.filter(pk=media.pk).update(
        stored_bytes=max(0, stored_bytes),
        total_bytes=usage.total_bytes if usage else F("total_bytes"),
        free_bytes=usage.free_bytes if usage else F("free_bytes"),
        measured_at=timezone.now(),
    )


def run_media_test(media: Media) -> TestReport:
    """**Test**: probe the storage, then see whether the repository opens. Writes no row; never raises EngineError."""
    try:
        password, driver = media_password(media), resolve_media(media)
    except EngineError as error:
        return TestReport(steps=(failed_step("settings", error),))
    try:
        report = driver.test()
        steps = (*report.steps, _repository_step(media, driver, password)) if report.ok else report.steps
    finally:
        driver.close()
    return TestReport(steps=steps, usage=report.usage)


def failed_step(name: str, error: EngineError, *, seconds: float = 0.0) -> TestStep:
    """A step of a Test report that tells an error."""
    return TestStep(name=name, ok=False, seconds=seconds, detail=error.sentence, hint=error.hint)


def _repository_step(media: Media, driver: MediaDriver, password: PlainSecret) -> TestStep:
    started = time.perf_counter()
    try:
        repository = _open_if_there(media, driver, password)
        if repository is None and media.repository_id:
            raise RepositoryMissing(
                "The repository is not where it was.", hint="Check that the right storage is mounted."
            )
    except EngineError as error:
        return failed_step("repository", error, seconds=time.perf_counter() - started)
    if repository is None:
        detail = "none there yet; the first copy creates it"
    else:
        detail = f"{repository.id[:8]} opens with the password"
    return TestStep(name="repository", ok=True, seconds=time.perf_counter() - started, detail=detail)


def _create(media: Media, driver: MediaDriver, password: PlainSecret) -> Repository:
    if media.repository_id:
        raise RepositoryMissing(
            f"The repository of “{media}” is not where it was.",
            hint="Check that the right storage is mounted, then press Test. Nothing was written.",
        )
    return Repository.create(driver, password)


def _open_if_there(media: Media, driver: MediaDriver, password: PlainSecret) -> Repository | None:
    try:
        repository = Repository.open(driver, password)
    except RepositoryMissing:
        return None
    if media.repository_id and media.repository_id != repository.id:
        raise RepositoryChanged(
            f"The repository on “{media}” is {repository.id[:8]}; SnapCopy wrote to {media.repository_id[:8]} before."
        )
    return repository


def _checked(media: Media, values: MediaValues, secrets: writing.Secrets | None) -> MediaValues:
    """The values with normalised options. A change of kind needs the options of the new kind."""
    name = values.get("kind", media.kind)
    try:
        kind = media_kind(name)
    except EngineError as error:
        raise ValidationError({"kind": error.sentence}) from error
    options = values.get("options", media.options if name == media.kind else {})
    known = writing.known_secrets(media, secrets, fields=_secret_names(name))
    checked = writing.checked_options(kind.options, options, known)
    if media._state.adding or any(checked.get(part) != media.options.get(part) for part in kind.place):
        _refuse_same_place(media, kind, checked)
    return values | {"options": checked}


def _refuse_same_place(media: Media, kind: MediaKind, options: dict[str, object]) -> None:
    """Two media in one place would be one repository: one fault takes both, and pruning one hurts the other."""
    same = {f"options__{part}": options[part] for part in kind.place if part in options}
    other = Media.objects.filter(kind=kind.name, **same).exclude(pk=media.pk).first() if same else None
    if other is not None:
        raise ValidationError(
            {
                f"{writing.OPTION_PREFIX}{kind.place[-1]}": f"The medium “{other}” is in this place already. Give each "
                "medium a directory of its own, or use that medium."
            }
        )


def _secret_names(kind: str) -> set[str]:
    return {spec.name for spec in field_specs(media_kind(kind).options) if spec.secret}
