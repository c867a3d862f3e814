"""Google Cloud Storage, inside a host: the account's key is exchanged for an access token twice an hour.

OpenDAL would exchange it before every single request. So the exchange is done here, at the address that the key file
names, and OpenDAL gets the token (RFC 7523; Google, “Using OAuth 2.0 for server to server applications”, HTTP/REST).
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlencode

import opendal
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ...errors import EngineError, MediaRefused, MediaUnavailable
from .errors import network_hint
from .settings import CONTROL_SECONDS, StoreSettings
from .store import ObjectStore

ACCOUNT: Final = "service_account"
"""Among the store's settings: the whole key file. OpenDAL does not get it."""
_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
_GOOGLE: Final = "https://oauth2.googleapis.com/token"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR: Final = 3600
_LONGEST: Final = 160


class GoogleStore(ObjectStore):
    """One bucket, or a folder in it."""

    def __init__(self, settings: StoreSettings) -> None:
        """Talks to nobody yet."""
        config = settings.plain_config()
        self._account: Mapping[str, Any] = json.loads(config.pop(ACCOUNT))
        self._renewing = threading.Lock()
        self._renew_at = 0.0
        super().__init__(replace(settings, config=config))

    @property
    def _operator(self) -> opendal.Operator:
        """With a token that is good for half its time at least. Raises MediaRefused, MediaUnavailable."""
        with self._renewing:
            if time.monotonic() >= self._renew_at:
                token, seconds = self._exchange()
                self._made = self._operator_with(token=token)
                self._renew_at = time.monotonic() + seconds / 2
            return self._made

    def _exchange(self) -> tuple[str, float]:
        """(access token, seconds that it is good for)."""
        address = str(self._account.get("token_uri") or _GOOGLE)
        form = urlencode({"grant_type": _GRANT, "assertion": _signed(self._account, address)}).encode()
        try:
            request = urllib.request.Request(address, data=form)  # noqa: S310 - of the key file
            with urllib.request.urlopen(request, timeout=CONTROL_SECONDS) as answer:  # noqa: S310 - as above
                given = json.loads(answer.read())
            return str(given["access_token"]), float(given.get("expires_in", _HOUR))
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        except (OSError, HTTPException, ValueError, KeyError) as error:
            reason = getattr(error, "reason", error)
            raise MediaUnavailable(
                f"Cannot log in at {self}: {str(reason)[:_LONGEST]}.", hint=network_hint(str(reason))
            ) from error

    def _refusal(self, error: urllib.error.HTTPError) -> EngineError:
        """RFC 6749, section 5.2: 400 or 401, ``error`` and ``error_description``."""
        if error.code >= 500 or error.code == 429:
            return MediaUnavailable(f"Cannot log in at {self} now: the login service answers {error.code}.")
        try:
            told = json.loads(error.read())
            reason = str(told.get("error_description") or told["error"])
        except (OSError, ValueError, KeyError, AttributeError):
            reason = f"the login service answers {error.code}"
        hint = f"Correct {self._settings.fields.login} of the medium."
        if "timeframe" in reason:
            hint = "Set the clock of the access node."
        return MediaRefused(f"{self} refuses the login: {reason.rstrip('.')[:_LONGEST]}.", hint=hint)


def _signed(account: Mapping[str, Any], audience: str) -> str:
    """A claim to be the account, good for an hour, signed with its key (RFC 7515, RS256)."""
    now = int(time.time())
    claims = {"iss": account["client_email"], "scope": _SCOPE, "aud": audience, "iat": now, "exp": now + _HOUR}
    header = {"alg": "RS256", "typ": "JWT", "kid": account.get("private_key_id", "")}
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    key = load_pem_private_key(str(account["private_key"]).encode(), None)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101 - held by the settings
    return f"{text}.{_encoded(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
