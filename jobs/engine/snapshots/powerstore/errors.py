"""What PyPowerStore raises, as one of our errors with a remedy. Pure: it gets numbers and texts.

PowerStore answers a refusal with ``{"messages": [{"code": "0xE08010080003", "severity": "Error", "message_l10n":
"…", "arguments": […]}]}`` and a status of 400, 404 or 422 (Dell PowerStore REST API Reference Guide, "Error
responses"); the client puts it, written as Python, into one text, and the status into a string. Codes that Dell's own
programs know are taken by code (gopowerstore ``api/error_codes.go``, PyPowerStore's tests); Dell prints no list of the
others, so that those are told by their words, and the array's own sentence is always shown.
"""

from __future__ import annotations

import ast
import re
from typing import Final

from ...errors import (
    AnswerUnreadable,
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    LoginRefused,
    NoSpace,
    SourceMissing,
    SourceUnavailable,
    StorageBusy,
)

SOCKET, TLS, CONNECTION, REDIRECTS, TIMEOUT, VALUE = 2, 3, 4, 5, 6, 7
"""``err_code`` of PowerStoreException, besides 1 = an answer of HTTP."""

_DETAILS: Final = re.compile(r"(\{.*\})", re.DOTALL)
_STATUS: Final = re.compile(r"HTTP code: \d+, [^\[]*\[(.*)\]\Z", re.DOTALL)
_MOST_WORDS: Final = 400
_NO_JSON: Final = ("Expecting value", "Extra data", "JSON")
_BY_CODE: Final = {
    "0xE08010080001": "missing",
    "0xE04040020002": "missing",
    "0xE04040020009": "missing",
    "0xE08010080003": "in use",
    "0xE08010080009": "taken",
    "0xE0A060010012": "taken",
}
_BY_WORDS: Final = (
    ("limit", re.compile(r"\blimit\b|maximum (?:number|allowed)|too many", re.IGNORECASE)),
    (
        "full",
        re.compile(
            r"no space|out of space|insufficient (?:space|capacity)|not enough (?:space|capacity)", re.IGNORECASE
        ),
    ),
    ("taken", re.compile(r"already (?:in use|exists|used|taken)|must be unique|duplicate", re.IGNORECASE)),
    ("locked", re.compile(r"\blocked\b|\bsecure\b|retention|not (?:yet )?expired|immutable", re.IGNORECASE)),
    ("in use", re.compile(r"\bin use\b|has (?:\w+ )?(?:exports?|shares?|clones?)|dependen", re.IGNORECASE)),
    ("busy", re.compile(r"\bbusy\b|in progress|another operation|try again|temporarily", re.IGNORECASE)),
)
_LOGIN: Final = (
    "Correct account and password. Its role must be Storage Administrator or Storage Operator, or Administrator."
)


def told(*, err_code: int, status: str | None, text: str, place: str, action: str, seconds: float) -> EngineError:
    """The error to raise. ``action`` completes “cannot …”, such as “delete the snapshot “x””.

    A missing object becomes SourceMissing, for whoever asked to tell what it means.
    """
    if err_code == TLS:
        return _distrusted(text, place)
    if err_code == TIMEOUT:
        return SourceUnavailable(
            f"{place} did not answer within {seconds:g} s, asked to {action}.",
            hint="Look whether the array is under heavy load, or give it more time in the file server's settings.",
        )
    if err_code == VALUE or (err_code == SOCKET and any(words in text for words in _NO_JSON)):
        return AnswerUnreadable(
            f"{place} does not answer as a PowerStore does, asked to {action}.",
            hint="Give the management address of the array as Address, not that of a NAS server or of a proxy.",
        )
    if err_code in (SOCKET, CONNECTION, REDIRECTS):
        return SourceUnavailable(
            f"{place} cannot be reached: {_network(text)}.",
            hint="Look whether the array's management address is up, and let the access node reach its port.",
        )
    return _refused(status or "", text, place, action)


def _distrusted(text: str, place: str) -> EngineError:
    if "CERTIFICATE_VERIFY_FAILED" not in text and "certificate" not in text.lower():
        return SourceUnavailable(f"{place} and this node find no common TLS: {_network(text)}.")
    why = re.search(r"certificate verify failed: ([^(]+?)\s*(?:\(_ssl|\Z)", text)
    return InvalidOptions(
        f"The certificate of {place} is not trusted: {why[1].rstrip('.') if why else _network(text)}.",
        field="ca_file",
        hint="Give the file of the authority that signed it as CA file, on every access node, and the name or address "
        "that stands in it as Address. Arrays come with an authority of their own, which its Security settings show.",
    )


def _refused(status: str, text: str, place: str, action: str) -> EngineError:
    if status == "401":
        return LoginRefused(f"{place} does not let this account in.", hint=_LOGIN)
    code, words = _message(text)
    sentence = f"{place} cannot {action}: {words}"
    if status == "403":
        return LoginRefused(f"{place} does not allow this account to {action}: {words}", hint=_LOGIN)
    kind = _BY_CODE.get(code) or next((name for name, pattern in _BY_WORDS if pattern.search(words)), "")
    if kind in _KINDS and status not in ("500", "503"):
        return _of_kind(kind, sentence)
    if status == "404":
        return SourceMissing(sentence)
    if status in ("429", "503") or kind == "busy":
        return _of_kind("busy", sentence)
    if status.startswith("5"):
        return SourceUnavailable(
            sentence, hint="The next attempt asks again. If it stays so, look into the array's own events and jobs."
        )
    return EngineUnsupported(sentence, hint=f"What the array said{f' ({code})' if code else ''} is all that is known.")


_KINDS: Final[dict[str, tuple[type[EngineError], str]]] = {
    "missing": (SourceMissing, ""),
    "limit": (
        StorageBusy,
        "Keep fewer snapshots of it (retention of the snap copy, or the array's own policy), then resubmit the job.",
    ),
    "full": (NoSpace, ""),
    "taken": (StorageBusy, "Resubmit the job; it takes a new name."),
    "locked": (StorageBusy, "The array keeps it until its own retention ends; it is tried again later."),
    "in use": (StorageBusy, "Remove its exports, shares and clones, or wait until what reads it has ended."),
    "busy": (StorageBusy, "It is tried again when the array has finished what it does."),
}


def _of_kind(kind: str, sentence: str) -> EngineError:
    error, hint = _KINDS[kind]
    return error(sentence, hint=hint)


def _message(text: str) -> tuple[str, str]:
    """(code, sentence) of the first message; the text as it is where it is none."""
    found = _DETAILS.search(text)
    try:
        first = ast.literal_eval(found[1])["messages"][0] if found else {}
        code, words = str(first.get("code") or ""), str(first.get("message_l10n") or "")
    except (ValueError, SyntaxError, KeyError, IndexError, TypeError, AttributeError, MemoryError, RecursionError):
        code, words = "", ""
    if not words:
        whole = _STATUS.match(text)
        words = whole[1] if whole else text
    words = " ".join(words.split())
    words = words if len(words) <= _MOST_WORDS else words[: _MOST_WORDS - 1] + "…"
    return code, words if words.endswith((".", "!", "…")) else f"{words}."


def _network(text: str) -> str:
    """The last cause in what requests and urllib3 wrap into each other, without objects' addresses."""
    for pattern, words in _NETWORK:
        if pattern in text:
            return words
    tail = re.sub(r"<[^>]*>:? ?", "", text).rstrip("')\" .")
    return tail[-160:] or "the connection failed"


_NETWORK: Final = (
    ("Connection refused", "connection refused"),
    ("Name or service not known", "its name is not known"),
    ("Temporary failure in name resolution", "its name cannot be looked up now"),
    ("No route to host", "no route to host"),
    ("Network is unreachable", "the network is unreachable"),
    ("Remote end closed connection", "it closed the connection without an answer"),
    ("Connection reset by peer", "it reset the connection"),
    ("Connection aborted", "it cut the connection"),
    ("Exceeded", "it sends from one address to another without end"),
)
