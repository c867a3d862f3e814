"""What an OpenDAL error means: wait, correct a setting, grant a right, or free space.

The library tells the kind of an error by its class; whether it is worth another try, the service's own code and the
HTTP status stand only in its text. People get to see one line of it at most, and never a secret.
"""

from __future__ import annotations

import re
import time
from typing import Final

from opendal import exceptions

from ...errors import DeletionRefused, EngineError, FileMissing, InvalidOptions, MediaRefused, MediaUnavailable, NoSpace
from .settings import StoreSettings

_CODE: Final = re.compile(r'\bcode: "?(\w+)"?|<Code>(\w+)</Code>|"code":\s*"(\w+)"')
_REASON: Final = re.compile(r'\breason: "(\w+)"')
"""Google's codes are HTTP statuses; the name stands beside (“HTTP status and error codes for JSON”)."""
_MESSAGE: Final = re.compile(r'\bmessage: "([^"]*)"')
_STATUS: Final = re.compile(r"\bstatus: (\d{3})\b")
_SOURCE: Final = re.compile(r"^Source:\s*\n\s*(.+)$", re.MULTILINE)
_HEAD: Final = re.compile(r"\A\w+ \((?:permanent|temporary|persistent)\) at \S*(?: => )?")
_PREFIXES: Final = re.compile(r"\A.*: (?=\w)(?<!certificate: )| \(os error \d+\)")
_TOO_LITTLE: Final = "too little data"
_TOO_MUCH: Final = "too much data"
_LONGEST: Final = 160

_NO_CONTAINER: Final = frozenset(
    {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "InvalidBucketName", "InvalidResourceName"}
)
_WRONG_LOGIN: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AccountIsDisabled",
        "NoAuthenticationInformation",
        "AuthenticationFailed",
        "accountDisabled",
        "bad_auth_token",
        "unauthorized",
    }
)
_WRONG_TOKEN: Final = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "expired_auth_token"})
_WRONG_REGION: Final = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"})
_FULL: Final = frozenset({"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "storage_cap_exceeded"})
_LOCKED: Final = frozenset(
    {
        "ObjectLocked",
        "BlobImmutableDueToPolicy",
        "BlobImmutableDueToLegalHold",
        "objectUnderActiveHold",
        "retentionPolicyNotMet",
    }
)
_BUSY: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_CLOCK: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})


def code_of(error: BaseException) -> str:
    """The service's own name of what went wrong, or "" where it sent none (answers to HEAD never hold one)."""
    match = _REASON.search(str(error)) or _CODE.search(str(error))
    return next(filter(None, match.groups()), "") if match else ""


def says_why(error: BaseException) -> bool:
    """Whether a refusal came with a reason. Answers to HEAD never do, beyond a code in a header of Azure's."""
    message = _MESSAGE.search(str(error))
    return bool(message[1]) if message else bool(code_of(error))


def status_of(error: BaseException) -> int | None:
    """The HTTP status, or None if there was no answer."""
    match = _STATUS.search(str(error))
    return int(match[1]) if match else None


def is_missing(error: BaseException) -> bool:
    """Whether a file or folder is not there, in a bucket that is."""
    return isinstance(error, exceptions.NotFound) and not _lacks_container(error)


def is_about_length(error: BaseException) -> bool:
    """Whether a file may be shorter than what was asked of it."""
    return isinstance(error, exceptions.RangeNotSatisfied) or status_of(error) == 416 or _TOO_LITTLE in str(error)


def is_too_much(error: BaseException) -> bool:
    """Whether the server sent more than was asked for: it, or a proxy on the way, knows no ranges."""
    return _TOO_MUCH in str(error)


def object_error(error: BaseException, *, action: str, name: str, settings: StoreSettings) -> EngineError:
    """The error of the drawn tree for a failed call on ``name``. ``action`` is a verb: “write”."""
    what = f"“{name}” on {settings.place}"
    code, status = code_of(error), status_of(error)
    if status == 507 or code in _FULL:
        return NoSpace(f"There is no space left to {action} {what}.", hint="Free space, or raise the quota.")
    setting = _wrong_setting(error, code, status, settings)
    if setting is not None:
        return setting
    if isinstance(error, exceptions.RateLimited) or status in (429, 503) or code in _BUSY:
        return MediaUnavailable(f"Cannot {action} {what} now: the service asks to slow down.")
    is_denied = isinstance(error, exceptions.PermissionDenied) or status == 403
    if code in _LOCKED or (is_denied and action == "delete"):
        return DeletionRefused(f"{settings.place} does not let “{name}” be deleted: {_line(error, settings)}.")
    if is_missing(error):
        if action == "read":
            return FileMissing(f"There is no file “{name}” on {settings.place}.", name=name)
        if action in ("list", "write") and not settings.has_folders:
            return _no_container(settings)
        return MediaUnavailable(f"Cannot {action} {what}: its folder is not there.")
    if is_denied:
        return MediaRefused(
            f"Cannot {action} {what}: {_line(error, settings)}.",
            hint="Give the account the right to read, write, list and delete there.",
        )
    if isinstance(error, exceptions.Unsupported):
        return MediaRefused(f"{settings.place} cannot {action} files.", hint="Use another kind of medium.")
    return MediaUnavailable(f"Cannot {action} {what}: {_line(error, settings)}.", hint=network_hint(str(error)))


def _wrong_setting(
    error: BaseException, code: str, status: int | None, settings: StoreSettings
) -> InvalidOptions | MediaRefused | None:
    """Something that was typed into the form, by field."""
    names, place = settings.fields, settings.place
    if _lacks_container(error):
        return _no_container(settings)
    if code in _WRONG_LOGIN or status == 401 or (code == "AuthorizationFailure" and "authenticate" in str(error)):
        if settings.login_ends_at is not None and settings.login_ends_at <= time.time():
            return _ended_login(settings)
        return MediaRefused(
            f"{place} refuses the login: {_line(error, settings)}.", hint=f"Correct {names.login} of the medium."
        )
    if code in _WRONG_TOKEN:
        return _ended_login(settings)
    if code in _WRONG_REGION:
        return InvalidOptions(f"{place} lies in another region: {_line(error, settings)}.", field=names.region)
    if names.lock and status == 400 and "content-md5" in str(error).lower():
        return InvalidOptions(
            f"{place} has Object Lock, and takes files only with a checksum.",
            field=names.lock,
            hint="Switch on that the bucket has Object Lock.",
        )
    if code in _CLOCK:
        return MediaRefused(f"{place} refuses requests of another time.", hint="Set the clock of the access node.")
    if isinstance(error, exceptions.ConfigInvalid):
        return InvalidOptions(f"{place} cannot be used: {_line(error, settings)}.", field=names.container)
    return None


def _lacks_container(error: BaseException) -> bool:
    """Google names no code for it but in the sentence."""
    return code_of(error) in _NO_CONTAINER or "bucket does not exist" in str(error)


def _no_container(settings: StoreSettings) -> InvalidOptions:
    return InvalidOptions(
        f"{settings.place} does not exist.",
        field=settings.fields.container,
        hint="Create it at the provider, or correct its name. SnapCopy does not create it.",
    )


def _ended_login(settings: StoreSettings) -> MediaRefused:
    return MediaRefused(
        f"The login at {settings.place} has ended.", hint=f"Get a new {settings.fields.limited_login}, and type it."
    )


def _line(error: BaseException, settings: StoreSettings) -> str:
    """The library's first line without its decoration, or the reason the network gave."""
    text = str(error)
    source = _SOURCE.search(text)
    message = _MESSAGE.search(text)
    if source is not None:
        line = _PREFIXES.sub("", source[1])
    elif message is not None and message[1]:
        line = message[1].partition("RequestId:")[0]
    elif code_of(error):
        line = code_of(error)
    else:
        line = _HEAD.sub("", text.partition("\n")[0])
    line = settings.without_secrets(line.strip().rstrip(".")) or "permission denied"
    return line[0].lower() + line[1:_LONGEST] if not line[:2].isupper() else line[:_LONGEST]


def network_hint(text: str) -> str:
    """What to look at, for the words of a failed connection; "" = nobody knows."""
    if "certificate" in text:
        return "Give the file of the certificate authority that signed the server's certificate."
    if "InvalidContentType" in text:
        return "The server does not speak TLS there: use http:// in the address, or its TLS port."
    if "dns error" in text:
        return "Correct the host in the address, or the name servers of the access node."
    if "Connection refused" in text:
        return "Check address and port, and that the service runs."
    return ""
