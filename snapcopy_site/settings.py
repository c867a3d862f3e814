"""Django's settings: the only module that turns the environment into settings (through ``lib.env``).

Every variable has a default that suits a single machine; ``/docs/settings/`` lists them.
"""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import django_stubs_ext

from snapcopy_site.lib import env
from snapcopy_site.lib.home import Home
from snapcopy_site.logs import logging_settings

django_stubs_ext.monkeypatch()  # lets views and forms name their model: FormView[SomeForm]

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Home.current()

SECRET_KEY = HOME.read_secret_key()
DEBUG = env.flag("SNAPCOPY_DEBUG")
ALLOWED_HOSTS = env.words("SNAPCOPY_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]", socket.gethostname()]
CSRF_TRUSTED_ORIGINS = env.words("SNAPCOPY_TRUSTED_ORIGINS")
SNAPCOPY_KEY_FILE = Path(env.text("SNAPCOPY_KEY_FILE", str(HOME.keyring)))

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_rq",
    "snapcopy_site",
    "policies",
    "jobs",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "snapcopy_site.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "snapcopy_site.middleware.SignInForFragments",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "snapcopy_site.urls"
WSGI_APPLICATION = "snapcopy_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": [
                "django.templatetags.static",
                "snapcopy_site.lib.templatetags.ui",
                "snapcopy_site.lib.templatetags.units",
            ],
        },
    },
]

_database = env.database_address(HOME.database_url())
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.name,
        "USER": _database.user,
        "PASSWORD": _database.password,
        "HOST": _database.host,
        "PORT": _database.port,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 10,
            # A node whose network went away must notice within a minute (PLATFORM: tcp_keepalives).
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "application_name": "snapcopy",
            **_database.options,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SNAPCOPY_REDIS_URL = HOME.redis_url()
SNAPCOPY_TRANSFER_PORTS = env.ports("SNAPCOPY_TRANSFER_PORTS")


class NodeQueues(dict[str, dict[str, Any]]):
    """django-rq's queue settings: every access node has its own queue, so any name is known."""

    def __missing__(self, name: str) -> dict[str, Any]:
        return {"URL": SNAPCOPY_REDIS_URL, "DEFAULT_TIMEOUT": -1}


RQ_QUEUES = NodeQueues(default={"URL": SNAPCOPY_REDIS_URL, "DEFAULT_TIMEOUT": -1})
RQ = {"COMMIT_MODE": "on_db_commit"}
RQ_SHOW_ADMIN_LINK = False

LANGUAGE_CODE = "en"
TIME_ZONE = env.machine_time_zone()
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "snapcopy_site.staticfiles.FingerprintedStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0 if DEBUG else 86400

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["snapcopy_site.user_backend.ScopedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

_https = env.flag("SNAPCOPY_HTTPS")
# Cookies do not know ports: two installations on one machine must not sign each other out.
_installation = hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:8]
SESSION_COOKIE_NAME = f"snapcopy_{_installation}"
CSRF_COOKIE_NAME = f"snapcopy_csrf_{_installation}"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_SAVE_EVERY_REQUEST = False
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Strict"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING = logging_settings(level=env.text("SNAPCOPY_LOG_LEVEL", "INFO").upper())
